"""An ONNX graph, held against the network that is built for its weights."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

import keras

import tfseg
from converters.errors import ConversionError
from converters.identification.fits import Fit
from converters.identification.onnx_names import NamedGraph
from converters.identification.sources import Source
from converters.memory import lazy_zeros
from converters.programs import from_keras, from_onnx
from converters.programs.compare_programs import Comparison, compare_programs, refusal, table_label
from converters.programs.onnx.maps import ImpossibleSize, image_axes
from converters.programs.steps import ProgramStep, StepFactory
from converters.reading.files import naming
from tfseg.nets import blocks
from tfseg.types import Size

# Of images, where the graph states no size. Halves and quarters of them are odd and even. Some networks take multiples
# of 32 only.
_SIZES = ((65, 97), (96, 160))
_ENDS = {
    "softmax": "a softmax",
    "log softmax": "a softmax",
    "sigmoid": "a sigmoid",
    "argmax": "an argmax",
}
_ADVICE = (
    "If the file was made with another output stride or convention, say so: output_stride=, convention= "
    "(--output_stride, --convention). For another network of those names: network= (--network)."
)


class _Result(NamedTuple):
    comparison: Comparison
    size: Size
    ends: list[ProgramStep]
    outputs: list[ProgramStep]


def check_onnx(
    source: Source, model: keras.Model, fit: Fit, *, asked: bool, features: bool, free: Collection[str] = ()
) -> list[str]:
    """Refuses a graph that is another function than the network that is built.

    Args:
        source: source of the weights.
        model: model that its weights are to go into.
        fit: network whose names the weights have.
        asked: whether the user chose what of the network is built. Then a file also passes if it has the usual form of
            the identified network.
        features: whether the user chose to have no head.
        free: layers whose weights are not taken over.
    Returns: sentences for the receipt; none for a source without a graph.
    Raises:
        ConversionError: naming the layers that differ.
    """
    if len(source.checkpoints) > 1 and any(checkpoint.graph for checkpoint in source.checkpoints):
        raise ConversionError(
            "An ONNX file holds a whole network, whose graph is compared with the network that is built. Give it "
            f"alone. Received: {source.name}"
        )
    if source.graph is None:
        return []
    forms: list[Callable[[], keras.Model]] = [lambda: model]
    transplant = fit.network.name not in (model.name, model.name.removesuffix("_features"))
    headless = features and not any(re.fullmatch(fit.family.head, variable.path) for variable in model.weights)
    if asked or transplant:
        forms.append(lambda: _usual_form(source, fit))
    refused: list[tuple[_Result, keras.Model]] = []
    for form in forms:
        built = form()
        results = list(_compare(source, source.graph, built, fit, free, headless or transplant))
        differing = next((result for result in results if result.comparison.differences), None)
        if differing is None:
            return _notes(source.graph, results, usual=built is not model)
        refused.append((differing, built))
    result, built = refused[-1] if transplant else refused[0]
    raise ConversionError(_message(source, fit, built, result))


def _usual_form(source: Source, fit: Fit) -> keras.Model:
    """The identified network as its family builds it, with the file's sizes."""
    sizes, family, network = fit.sizes(source.shapes), fit.family, fit.network
    options = {**family.options, **network.options, "width": sizes.width, "channels": sizes.channels}
    if family.aux is not None:
        options["aux"] = (network.aux_layer or True) if sizes.aux else False
    if family.features is None:
        options["include_top"] = sizes.include_top
    if sizes.include_top and sizes.num_classes:
        options["num_classes"] = sizes.num_classes
    with blocks.blank_weights(lazy_zeros):
        return tfseg.build(network.name, **options)


def _compare(
    source: Source, named: NamedGraph, model: keras.Model, fit: Fit, free: Collection[str], headless: bool
) -> Iterator[_Result]:
    """The comparison at each size of the image that the graph takes.

    Raises:
        ConversionError: the graph takes no image.
    """
    table = fit.network.table

    def layer_of(key: str) -> str | None:
        return (table.path(key) or "").rpartition("/")[0] or None

    folded = {layer for key in named.folded if (layer := layer_of(key))}
    layers = {layer.name for layer in model.layers if layer.weights}
    impossible, compared = None, 0
    batch, sizes = _stated(named)
    for size in sizes:
        factory = StepFactory(size, model.inputs[0].shape[-1], folded=folded, free=free)
        try:
            with naming(source.name):
                ends = from_onnx.describe(named, layer_of, factory, batch=batch)
        except ImpossibleSize as error:
            impossible = error
            continue
        outputs = from_keras.describe(model, factory)
        compared += 1
        comparison = compare_programs(
            ends, outputs, layers, noun="the graph", label=table_label(table), headless=headless
        )
        yield _Result(comparison, size, ends, outputs)
    if not compared:
        raise ConversionError(
            f"{source.name}: the graph takes no image of the size {' or '.join(map(_words, sizes))}, so that it cannot "
            f"be compared with {fit.network.name}. Export it for images of one size. Received: {impossible}"
        )


def _stated(named: NamedGraph) -> tuple[int, Sequence[Size]]:
    """`(images in a batch, sizes of images)` at which to compare: what the graph states, else the usual ones."""
    shape = next(iter(named.graph.inputs.values()), None)
    axes = image_axes(shape)
    if shape is None or not axes:
        return 1, _SIZES
    stated = dict(zip(axes, shape, strict=True))
    sizes = [(stated["h"] or rows, stated["w"] or columns) for rows, columns in _SIZES]
    return stated["n"] or 1, list(dict.fromkeys(sizes))


def _words(size: Size) -> str:
    return f"{size[0]} x {size[1]}"


def _notes(named: NamedGraph, results: Sequence[_Result], *, usual: bool) -> list[str]:
    sizes = " and ".join(_words(result.size) for result in results)
    what = "the usual form of the file's network" if usual else "this network"
    notes = [f"the graph of the file is {what}, compared at {sizes} pixels"]
    norms = [node for node in named.graph.nodes if node.type == "BatchNormalization"]
    if norms and all(node.attributes.get("training_mode", 0) for node in norms):
        notes.append("the graph was exported for training; the network runs with the statistics in the file")
    return [*notes, *dict.fromkeys(note for result in results for note in result.comparison.notes)]


def _message(source: Source, fit: Fit, model: keras.Model, result: _Result) -> str:
    what = f"has the tensors of {fit.family.name} {fit.network.name} and computes something else"
    advice = " ".join([*_around(result), _ADVICE])
    lines = refusal(source.name, model.name, result.comparison.differences, result.size, advice, verb="compute")
    return f"{source.name} {what}. {lines}"


def _around(result: _Result) -> list[str]:
    """What to do about operations before the network's first layer, and after its last one."""
    advice = []
    built = {step.op for output in result.outputs for step in output.cone()}
    ends = [end for end in result.ends if end.op in _ENDS and end.op not in built]
    if ends:
        advice.append(
            f"The graph ends in {_ENDS[ends[0].op]}; the network returns what comes before it. Export the module again "
            f"without the {ends[0].op}."
        )
    numbers = {output.number for output in result.outputs}
    if any(end.op == "pooling of the whole map" and end.inputs[0].number in numbers for end in result.ends):
        advice.append("For the features before their average: include_top=False (--noinclude_top).")
    steps = {id(step): step for end in result.ends for step in end.cone()}.values()
    first = [step for step in steps if not step.key and any(part.op == "image" for part in step.inputs)]
    if odd := [step.op for step in first if step.op not in built]:
        advice.append(
            f"The graph begins with {odd[0]} of the image; the network takes the image that comes after it. Export the "
            "module again without this operation."
        )
    return advice
