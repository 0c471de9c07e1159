"""A Keras file that holds a whole model, held against the network that is built for its weights."""

from collections.abc import Collection, Mapping, Sequence

import keras

import tfseg
from converters.errors import ConversionError
from converters.identification.fits import Fit
from converters.identification.sources import Source
from converters.memory import lazy_zeros
from converters.programs import from_keras, from_keras_config
from converters.programs.compare_programs import Comparison, compare_programs, refusal
from converters.programs.keras_ends import add_end
from converters.programs.keras_layers import AUGMENTATIONS
from converters.programs.steps import ProgramStep, StepFactory
from converters.reading import Checkpoint
from converters.reading.keras.configuration import LayerCall, LayerGraph, read_graph
from tfseg.nets import blocks
from tfseg.types import Size

_NOUN = "the configuration"
_ENDS = {"softmax", "pooling of the whole map"}
_SIZES = ((65, 97), (96, 128))  # of images, where the configuration states none
_ADVICE = (
    "The weights would compute something else in this network. To build what the file computes, load it in Keras: "
    "keras.saving.load_model. If it was made with another output stride or convention, say so: output_stride=, "
    "convention= (--output_stride, --convention)."
)


def check_keras(
    source: Source, model: keras.Model, fit: Fit, *, asked: bool, free: Collection[str] = (), named: bool = False
) -> list[str]:
    """Refuses a whole Keras model whose configuration is another function than the network that is built.

    Args:
        source: source of the weights.
        model: model that its weights are to go into.
        fit: network whose names the weights have.
        asked: whether the user chose how the model strides. Then a file also passes if it has the usual form of the
            identified network.
        free: layers whose weights are not taken over.
        named: whether the user named the network, which counts where the model is code.
    Returns: sentences for the receipt; none for a source without a configuration.
    Raises:
        ConversionError: naming the layers that differ; or a model that is code, of a network that was not named.
    """
    notes: list[str] = []
    for checkpoint in source.checkpoints:
        if checkpoint.keras_config:
            notes += _check(source, checkpoint, model, fit, asked, free, named)
    return notes


def _check(
    source: Source,
    checkpoint: Checkpoint,
    model: keras.Model,
    fit: Fit,
    asked: bool,
    free: Collection[str],
    named: bool,
) -> list[str]:
    graph = read_graph(checkpoint.keras_config or {})
    if graph is None and not named:
        kind = str((checkpoint.keras_config or {}).get("class_name"))[:80]
        raise ConversionError(
            f"{checkpoint.path.name} has the tensors of {fit.family.name} {fit.network.name}, but its model is code "
            f"that is not in the file: the class {kind!r}. Expected a model whose configuration has layers, or weights "
            f"alone: model.save_weights('name.weights.h5'). If it does compute {fit.network.name}, say "
            f"network={fit.network.name!r} (--network={fit.network.name})."
        )
    if graph is None:
        return [
            f"{checkpoint.path.name} states the class of its model, which is code: only names and shapes were checked"
        ]
    built = model.name.partition("_features")[0].partition("_with_")[0]
    is_transplant = built != fit.network.name and built in tfseg.list_models()
    if is_transplant and checkpoint.header.get("tfseg") == "model":
        return [f"a warm start from another network of tfseg: {checkpoint.path.name} computes something else"]
    network = _usual(source, fit, graph) if is_transplant else model
    notes: list[str] = []
    for size in _sizes(graph):
        comparison = _compare(source, checkpoint, graph, network, fit, size, free)
        if comparison.differences and asked and not is_transplant:
            usual = _compare(source, checkpoint, graph, _usual(source, fit, graph), fit, size, free)
            comparison = comparison if usual.differences else usual
        if comparison.differences:
            what = fit.network.name if is_transplant else network.name
            raise ConversionError(refusal(checkpoint.path.name, what, comparison.differences, size, _ADVICE))
        notes += comparison.notes
    sizes = " and ".join(f"{rows} x {columns}" for rows, columns in _sizes(graph))
    sentence = f"the configuration in the file describes this network ({sizes} pixels)"
    return [sentence, *dict.fromkeys(notes), *_other_notes(graph)]


def _other_notes(graph: LayerGraph) -> list[str]:
    """What the file's model has besides its function on float32 images."""
    notes = []
    if augmenting := [call.name for call in graph.calls if call.kind in AUGMENTATIONS]:
        notes.append(f"left out, since they change images in training alone: {', '.join(augmenting)}")
    policies = {_policy(call.options.get("dtype")) for call in graph.calls} - {"float32"}
    if policies:
        notes.append(
            f"the file's layers compute in {' and '.join(sorted(policies))}; the model computes in float32, and its "
            "results differ from theirs by that rounding (about 1e-3, for bfloat16 1e-2)"
        )
    return notes


def _policy(dtype: object) -> str:
    """The name of a layer's precision; float32 where none is stated."""
    if isinstance(dtype, Mapping):
        config = dtype.get("config")
        dtype = config.get("name") if isinstance(config, Mapping) else None
    return dtype if isinstance(dtype, str) else "float32"


def _usual(source: Source, fit: Fit, graph: LayerGraph) -> keras.Model:
    """The identified network as its family builds it, with the file's sizes."""
    sizes, family, network = fit.sizes(source.shapes), fit.family, fit.network
    options = {**family.options, **network.options, "width": sizes.width, "channels": sizes.channels}
    if family.features is None:
        options["include_top"] = sizes.include_top
    if sizes.include_top and sizes.num_classes:
        options["num_classes"] = sizes.num_classes
    with blocks.blank_weights(lazy_zeros):
        model = tfseg.build(network.name, **options)
    return add_end(model, graph)


def _sizes(graph: LayerGraph) -> tuple[Size, ...]:
    """The sizes of images at which to compare."""
    shape = graph.shapes[0] if graph.shapes else None
    if shape is None or len(shape) != 4:
        return _SIZES
    rows, columns = shape[2:] if graph.data_format == "channels_first" else shape[1:3]
    if rows and columns:
        return ((rows, columns),)
    return tuple((rows or usual[0], columns or usual[1]) for usual in _SIZES)


def _compare(
    source: Source,
    checkpoint: Checkpoint,
    graph: LayerGraph,
    model: keras.Model,
    fit: Fit,
    size: Size,
    free: Collection[str],
) -> Comparison:
    factory = StepFactory(size, model.inputs[0].shape[-1], free=free)
    outputs = from_keras.describe(model, factory)
    keys = _LayerKeys(source, fit)
    backend = checkpoint.extras.get("backend")
    ends = from_keras_config.describe(graph, keys.key, factory, backend=backend)
    kept, notes = _without_end(ends, outputs)
    layers = {layer.name for layer in model.layers if layer.weights}
    comparison = compare_programs(kept, outputs, layers, noun=_NOUN, label=keys.label)
    return Comparison(comparison.differences, [*notes, *comparison.notes])


def _without_end(
    ends: Sequence[ProgramStep], outputs: Sequence[ProgramStep]
) -> tuple[Sequence[ProgramStep], list[str]]:
    """The ends without a last softmax or pooling that the model lacks, and the note that says so.

    `convert` builds such an end (`add_end`). So the model is one that the user has chosen, or asked for without its
    head.
    """
    last = ends[0] if len(ends) == 1 else None
    if last is None or last.op not in _ENDS or any(last.op == step.op for output in outputs for step in [output]):
        return ends, []
    numbers = {output.number for output in outputs}
    if last.op != "softmax" and not {step.number for step in last.inputs} <= numbers:
        return ends, []
    return last.inputs, [f"left to the user: the {last.op} at the end of the file's model ({last.name})"]


class _LayerKeys:
    """Which Keras layer of the network has the weights of which layer in the file."""

    def __init__(self, source: Source, fit: Fit) -> None:
        self._table = fit.network.table
        self._owners: dict[str, str] = {}  # the layer's name, alone or after those of the models around -> a key
        self._names: dict[str, str] = {}
        for key in source:
            owner = key.rpartition("/")[0]
            self._owners.setdefault(owner, key)
            self._owners.setdefault(owner.rpartition("/")[2], key)

    def key(self, call: LayerCall) -> str:
        """The layer of the network; the name in the file, marked, for one that the network lacks; "" for no weights."""
        tensor = self._owners.get("/".join((*call.around, call.name))) or self._owners.get(call.name)
        if tensor is None:
            return ""
        path = self._table.path(tensor)
        layer = path.rpartition("/")[0] if path else f"other {call.name}"
        self._names[layer] = call.name
        return layer

    def label(self, key: str) -> str:
        """The name in the file of a layer of the network."""
        paths = (self._table.key(f"{key}/{variable}") for variable in ("kernel", "moving_mean"))
        return self._names.get(key) or next((path.rpartition("/")[0] for path in paths if path), key)
