"""The configuration in a file of Keras, as plain data: which layers it calls, with what options, on whose results.

Nothing in it is built, imported or run. Keras 1, 2 and 3 write it in different forms; here it has one. Models inside
the model are dissolved into the calls of their layers.

Reference: https://keras.io/guides/serialization_and_saving/
"""

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from converters.errors import ConversionError
from converters.reading import limits

LARGEST = 1 << 24
"""Bytes of a configuration, at most."""

_MOST = 1 << 20  # lists, dictionaries and entries in it: few bytes can ask for many objects
_DEEPEST = 32  # models within models
_CALLS = 20_000

_MODELS = {"Functional", "Model", "Sequential"}
_ROOTS = {"keras", "tf_keras", "keras_core", "tensorflow"}

# Layers and options of Keras 1, and the names that they have had since.
_KINDS = {
    "Convolution2D": "Conv2D",
    "AtrousConvolution2D": "Conv2D",
    "AtrousConv2D": "Conv2D",
    "Deconvolution2D": "Conv2DTranspose",
    "Convolution2DTranspose": "Conv2DTranspose",
    "DepthwiseConvolution2D": "DepthwiseConv2D",
    "MaxPool2D": "MaxPooling2D",
    "AvgPool2D": "AveragePooling2D",
    "GlobalAvgPool2D": "GlobalAveragePooling2D",
    "GlobalMaxPool2D": "GlobalMaxPooling2D",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
}
_OPTIONS = {
    "nb_filter": "filters",
    "subsample": "strides",
    "border_mode": "padding",
    "atrous_rate": "dilation_rate",
    "bias": "use_bias",
    "output_dim": "units",
    "dim_ordering": "data_format",
    "alpha": "negative_slope",
    "concat_axis": "axis",
}
_FORMATS = {"th": "channels_first", "tf": "channels_last"}
_MERGES = {"sum": "Add", "concat": "Concatenate", "mul": "Multiply", "max": "Maximum", "ave": "Average"}


class Result(NamedTuple):
    """The result `which` of call `number`; the model's inputs have the numbers before the first call's."""

    number: int
    which: int = 0


@dataclasses.dataclass(frozen=True)
class LayerCall:
    """One call of one layer.

    Attributes:
        name: name of the layer.
        around: names of the models around it, outermost first.
        kind: class of the layer, as Keras 3 names it. Only a layer of Keras has a name without dots and ">".
        options: configuration of the layer, with the names of Keras 3.
        inputs: results that it reads.
        arguments: what else it was called with.
    """

    name: str
    around: tuple[str, ...]
    kind: str
    options: Mapping[str, Any]
    inputs: tuple[Result, ...]
    arguments: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class LayerGraph:
    """The calls of a model's layers.

    Attributes:
        names: names of its inputs.
        shapes: shape of each input with the axis of the batch; None: unknown.
        calls: the calls, each after those whose results it reads. Call `i` has the number `len(names) + i`.
        outputs: results that the model returns.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int | None, ...] | None, ...]
    calls: tuple[LayerCall, ...]
    outputs: tuple[Result, ...]

    def call(self, result: Result) -> LayerCall | None:
        """The call that makes a result; None for an input of the model."""
        index = result.number - len(self.names)
        return self.calls[index] if index >= 0 else None

    @property
    def data_format(self) -> str:
        """The order of the axes, "channels_last" or "channels_first", by the first layer that says it."""
        stated = (call.options.get("data_format") for call in self.calls if call.kind != "Flatten")
        return next((text for text in stated if isinstance(text, str) and text in _FORMATS.values()), _FORMATS["tf"])


def parse(text: bytes | str, name: str) -> dict[str, Any]:
    """The JSON object in a text.

    Args:
        text: what the file has.
        name: name of the part of the file, for messages.
    Raises:
        ConversionError: a text that is not JSON, no object, or larger than a configuration is.
    """
    data = text.encode("utf-8", errors="replace") if isinstance(text, str) else text
    content = None
    if len(data) <= LARGEST and sum(map(data.count, (b"[", b"{", b","))) <= _MOST:
        try:
            content = limits.parse_json(data)
        except ConversionError:
            raise
        except (ValueError, RecursionError) as error:
            raise ConversionError(f"its {name} is not JSON ({error}); the file is damaged.") from error
    if not isinstance(content, dict):
        raise ConversionError(f"its {name} does not describe a model. Expected a JSON object of some megabytes.")
    return content


def read_graph(config: Mapping[str, Any]) -> LayerGraph | None:
    """The calls that a model's configuration describes; None if it describes code and not layers.

    Args:
        config: configuration of the model, with `class_name` and `config`.
    Raises:
        ConversionError: a configuration that contradicts itself.
    """
    if not _is_model(config):
        return None
    try:
        inputs = _inputs(config)
        reader = _GraphReader(len(inputs))
        outputs = reader.model(config, [Result(number) for number in range(len(inputs))], ())
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ConversionError(
            f"its configuration cannot be read ({type(error).__name__}: {str(error)[:200]}); the file is damaged, or "
            "of a Keras that is not known here. Load the model in its Keras and save its weights alone: "
            "model.save_weights('name.weights.h5')."
        ) from error
    return LayerGraph(
        tuple(name for name, _ in inputs), tuple(shape for _, shape in inputs), tuple(reader.calls), tuple(outputs)
    )


def _kind(entry: Mapping[str, Any]) -> str:
    """The class of a layer: its bare name if it is one of Keras, else with its package or module."""
    name, module, registered = str(entry.get("class_name")), entry.get("module"), entry.get("registered_name")
    if isinstance(registered, str) and ">" in registered:
        return registered
    parts = module.split(".") if isinstance(module, str) else None
    if parts is None or (parts[0] in _ROOTS and ("layers" in parts or name in _MODELS)):
        return name
    return f"{module}.{name}"


def _is_model(entry: Mapping[str, Any]) -> bool:
    return _kind(entry) in _MODELS and _entries(entry) is not None


def _entries(model: Mapping[str, Any]) -> list[Any] | None:
    """The layers of a model."""
    config = model.get("config")
    layers = config.get("layers") if isinstance(config, Mapping) else config
    return layers if isinstance(layers, list) else None


def _is_sequential(model: Mapping[str, Any]) -> bool:
    return _kind(model) == "Sequential"


def _inputs(model: Mapping[str, Any]) -> list[tuple[str, tuple[int | None, ...] | None]]:
    """Name and shape of each input of a model."""
    entries = [entry for entry in _entries(model) or () if isinstance(entry, Mapping)]
    if not _is_sequential(model):
        by_name = {_name(entry): entry for entry in entries}
        names = [name for name, *_ in _references(model["config"].get("input_layers"))]
        return [(name, _shape(by_name.get(name, {}))) for name in names]
    if not entries:
        return [("image", None)]
    first = entries[0]
    if _is_model(first):
        return _inputs(first)
    config = model["config"]
    built = config.get("build_input_shape") if isinstance(config, Mapping) else None
    return [(_name(first), _shape(first) or _sizes(built))]


def _name(entry: Mapping[str, Any]) -> str:
    config = entry.get("config")
    inner = config.get("name") if isinstance(config, Mapping) else None
    return str(entry.get("name") or inner or entry.get("class_name"))


def _shape(entry: Mapping[str, Any]) -> tuple[int | None, ...] | None:
    config = entry.get("config")
    config = config if isinstance(config, Mapping) else {}
    return _sizes(config.get("batch_shape") or config.get("batch_input_shape"))


def _sizes(shape: object) -> tuple[int | None, ...] | None:
    if not isinstance(shape, list) or not all(size is None or type(size) is int for size in shape):
        return None
    return tuple(shape)


def _references(value: object) -> list[tuple[str, int, int]]:
    """References `[layer, node, index]`: one, or lists and dictionaries of them."""
    match value:
        case [str(name), int(node), int(index), *_]:
            return [(name, node, index)]
        case dict():
            return [reference for part in value.values() for reference in _references(part)]
        case list():
            return [reference for part in value for reference in _references(part)]
    raise ValueError(f"no reference to a layer: {str(value)[:80]}")


class _GraphReader:
    """Collects the calls of a model and of models inside it."""

    def __init__(self, inputs: int) -> None:
        self.inputs, self.calls = inputs, list[LayerCall]()

    def model(self, model: Mapping[str, Any], inputs: Sequence[Result], around: tuple[str, ...]) -> list[Result]:
        """The results of a model on other results."""
        if len(around) > _DEEPEST:
            raise ConversionError(f"its configuration has models within models, more than {_DEEPEST} deep.")
        entries = _entries(model) or []
        if not _is_sequential(model):
            return self._functional(model["config"], entries, inputs, around)
        results = list(inputs)
        for entry in entries:
            results = self.layer(entry, results, {}, around)
        return results

    def _functional(
        self, config: Mapping[str, Any], entries: Sequence[Any], inputs: Sequence[Result], around: tuple[str, ...]
    ) -> list[Result]:
        heads, outputs = _references(config["input_layers"]), _references(config["output_layers"])
        counted, counted_at_end = _counted_from_one(entries, outputs)
        known = {(name, node): [result] for (name, node, _), result in zip(heads, inputs, strict=True)}
        waiting: dict[tuple[str, int], list[tuple[Any, int, Any]]] = collections.defaultdict(list)
        ready = [
            (entry, number, node)
            for entry in reversed(entries)
            for number, node in reversed([*enumerate(entry.get("inbound_nodes") or ())])
        ]
        while ready:
            entry, number, node = ready.pop()
            tensors, arguments = _read_node(node)
            tensors = [(name, call - (name in counted), index) for name, call, index in tensors]
            missing = next((tensor[:2] for tensor in tensors if tensor[:2] not in known), None)
            if missing is not None:
                waiting[missing].append((entry, number, node))
                continue
            call = _name(entry), number
            if call not in known:
                known[call] = self.layer(entry, [_pick(known, tensor) for tensor in tensors], arguments, around)
            ready += reversed(waiting.pop(call, []))
        return [_pick(known, (name, call - (name in counted_at_end), index)) for name, call, index in outputs]

    def layer(
        self, entry: Mapping[str, Any], inputs: Sequence[Result], arguments: Mapping[str, Any], around: tuple[str, ...]
    ) -> list[Result]:
        """The results of a layer, or of a model inside, on other results."""
        name, kind = _name(entry), _kind(entry)
        if kind == "InputLayer":
            return list(inputs)
        if _is_model(entry) and not arguments:
            return self.model(entry, inputs, (*around, name))
        if len(self.calls) >= _CALLS:
            raise ConversionError(f"its configuration calls more than {_CALLS} layers; the file is hostile.")
        config = entry.get("config")
        kind, options = _modern(kind, config if isinstance(config, Mapping) else {})
        self.calls.append(LayerCall(name, around, kind, options, tuple(inputs), arguments))
        return [Result(self.inputs + len(self.calls) - 1)]


def _counted_from_one(entries: Sequence[Any], outputs: Sequence[tuple[str, int, int]]) -> tuple[set[str], set[str]]:
    """The models inside whose calls are counted from 1: where layers read them, and at the end of the model around.

    Keras 2 counts the model's own graph as its first call. Keras 3 does so at the end alone.
    """
    models = {_name(entry): entry for entry in entries if _is_model(entry)}
    largest: collections.Counter[str] = collections.Counter()
    for entry in entries if models else ():
        for node in entry.get("inbound_nodes") or ():
            for name, call, _ in _read_node(node)[0]:
                largest[name] = max(largest[name], call)
    for name, call, _ in outputs:
        if any(isinstance(node, list) for node in (models.get(name) or {}).get("inbound_nodes") or ()):
            largest[name] = max(largest[name], call)
    inside = {name for name, entry in models.items() if largest[name] >= len(entry.get("inbound_nodes") or ()) > 0}
    own_graph = {name for name, call, _ in outputs if name in models and call and not _is_sequential(models[name])}
    return inside, inside | own_graph


def _pick(known: Mapping[tuple[str, int], Sequence[Result]], reference: tuple[str, int, int]) -> Result:
    """The result that a reference means: one of a model's, or of the one call that makes several."""
    name, node, index = reference
    results = known[name, node]
    if len(results) == 1 and index:
        return Result(results[0].number, index)
    return results[index]


def _read_node(node: object) -> tuple[list[tuple[str, int, int]], dict[str, Any]]:
    """The tensors that a call reads, and what else it was called with."""
    tensors: list[tuple[str, int, int]] = []
    others: list[Any] = []
    keywords: dict[str, Any] = {}
    if isinstance(node, dict):  # Keras 3
        _collect(node.get("args"), tensors, others)
        keywords = dict(node.get("kwargs") or {})
    elif isinstance(node, list):
        pieces = [node] if node and isinstance(node[0], str) else node
        for piece in pieces:
            if piece[0] == _CONSTANT:
                keywords["constant"] = piece[2]
            else:
                tensors += _references(piece[:3])
            keywords |= piece[3] if len(piece) > 3 else {}
        # Keras 2 calls functions of TensorFlow with further tensors by name.
        named = {key: value for key, value in keywords.items() if _is_reference(value)}
        for key in named:
            tensors += _references(keywords.pop(key)[:3])
        keywords |= {"keyword tensors": list(named)} if named else {}
    else:
        raise ValueError(f"no call of a layer: {str(node)[:80]}")
    arguments = {key: value for key, value in keywords.items() if value is not None and (key, value) != _IDLE}
    return tensors, arguments | ({"further arguments": others} if others else {})


_IDLE = ("training", False)
_CONSTANT = "_CONSTANT_VALUE"


def _is_reference(value: object) -> bool:
    """Whether an argument is the result of a layer, as Keras 2 writes it."""
    match value:
        case [str(), int(), int()]:
            return True
    return False


def _collect(value: object, tensors: list[tuple[str, int, int]], others: list[Any]) -> None:
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        tensors += _references(value["config"]["keras_history"])
    elif isinstance(value, list):
        for part in value:
            _collect(part, tensors, others)
    elif value is not None:
        others.append(value)


def _modern(kind: str, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A layer's class and options with the names of Keras 3."""
    modern = {_OPTIONS.get(key, key): value for key, value in options.items()}
    if "nb_row" in options and "nb_col" in options:
        modern["kernel_size"] = [options["nb_row"], options["nb_col"]]
    if isinstance(order := modern.get("data_format"), str):
        modern["data_format"] = _FORMATS.get(order, order)
    if kind == "Merge" and isinstance(mode := options.get("mode"), str):
        kind = _MERGES.get(mode, f"Merge.{mode}")
    return _KINDS.get(kind, kind), modern


def by_name(calls: Iterable[LayerCall]) -> dict[str, list[LayerCall]]:
    """Name of a layer -> the calls of layers with this name.

    Args:
        calls: calls of a graph.
    """
    names: dict[str, list[LayerCall]] = {}
    for call in calls:
        names.setdefault(call.name, []).append(call)
    return names
