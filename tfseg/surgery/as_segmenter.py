"""`as_segmenter`: a model whose outputs are logits for every pixel of the image, as training takes them."""

from typing import Any, NamedTuple

import keras

from tfseg import graphs
from tfseg.layers.metadata import Metadata, size_multiple
from tfseg.layers.resizing import ResizeLike
from tfseg.outputs import trained_outputs

_ENDINGS = ("softmax", "sigmoid")
# Layers between the scores and an activation behind them, of one input: they only resize.
_RESIZING = ("Identity", "Rescale", "Resizing", "UpSampling2D", "Cropping2D", "Cast")
_SIZED_BY_OTHERS = ("ResizeLike", "CropLike", "Interpolate")
# What trunks end in: names of layers, in small letters, and of activations.
_FEATURES = (
    "relu", "relu6", "leakyrelu", "leaky_relu", "prelu", "elu", "selu", "gelu", "silu", "hardswish", "hard_silu",
    "mish", "maxpooling2d",
)  # fmt: skip
_SUMS = ("Add", "Average")
_SIDE = 256  # pixels of an image that every stride divides


class Segmenter(NamedTuple):
    """A model that can be trained on masks.

    Attributes:
        model: the model.
        notes: what was changed, as sentences; none for a model that was one already.
    """

    model: keras.Model
    notes: tuple[str, ...]


def as_segmenter(model: keras.Model) -> Segmenter:
    """The model whose outputs are logits for every pixel of the image.

    A softmax or a sigmoid at the end is left out, because losses take the scores before it. A Reshape at the end that
    puts all pixels in a row is left out, too. Scores whose size is a whole fraction of the image's are enlarged. Names
    and weights of all layers stay.

    Args:
        model: functional model of one image; it is not changed.
    Returns: the model, not compiled, and what was changed; the model itself if nothing was.
    Raises:
        ValueError: a layer that is called more than once, and ends the model in one of its calls only.

    Example:
        >>> from tfseg.surgery.as_segmenter import as_segmenter
        >>> image = keras.Input((8, 8, 3))
        >>> x = keras.layers.Conv2D(2, 3, strides=2, padding="same", activation="softmax")(image)
        >>> segmenter = as_segmenter(keras.Model(image, keras.layers.Reshape((16, 2))(x)))
        >>> segmenter.model.output_shape
        (None, 8, 8, 2)
    """
    notes: list[str] = []
    # id of a tensor that a layer gives -> what the layer becomes; None: it passes its input on.
    changes: dict[int, dict[str, Any] | None] = {}
    for output in trained_outputs(model.output):
        notes += _find_changes(output, changes)
    if changes:
        model = _changed(model, changes)
    if small := _small_outputs(model):
        model = _enlarged(model, small)
        notes.append(f"logits of 1/{max(small.values())} of the image's size are enlarged")
    return Segmenter(model, tuple(dict.fromkeys(notes)))


def gives_features(model: keras.Model) -> bool:
    """Whether a model ends in a ReLU, its like, or a pooling, as trunks without a head do.

    Args:
        model: functional model.

    Example:
        >>> from tfseg.surgery.as_segmenter import gives_features
        >>> trunk = tfseg.ResNet(18, width=1 / 16)
        >>> gives_features(trunk), gives_features(tfseg.FCN(trunk, 3))
        (True, False)
    """
    operation, index, _ = trained_outputs(model.output)[0]._keras_history
    while type(operation).__name__ in (*_RESIZING, *_SIZED_BY_OTHERS):
        operation, index, _ = operation._inbound_nodes[index].input_tensors[0]._keras_history
    activation = getattr(getattr(operation, "activation", None), "__name__", "")
    return any(name in _FEATURES for name in (type(operation).__name__.lower(), activation))


def _find_changes(tensor: keras.KerasTensor, changes: dict[int, dict[str, Any] | None]) -> list[str]:
    """Finds the layers to change, from an output to its scores; sentences about them."""
    notes: list[str] = []
    is_logits = False
    while True:
        operation, index, _ = tensor._keras_history
        node = operation._inbound_nodes[index]
        if node.is_input or graphs.is_graph(operation):
            return notes
        kind = type(operation).__name__
        first = node.input_tensors[0]
        activation = getattr(getattr(operation, "activation", None), "__name__", None)
        ending = next((name for name in _ENDINGS if name in (kind.lower(), activation)), None)
        if _puts_pixels_in_a_row(operation, first, tensor):
            changes[id(tensor)] = None
            notes.append(f"the last {kind}, which puts all pixels in a row, is left out")
        elif ending and not is_logits and getattr(operation, "axis", -1) in (-1, len(tensor.shape) - 1):
            has_weights = bool(getattr(operation, "weights", ()))
            changes[id(tensor)] = {"activation": "linear"} if has_weights else None
            notes.append(f"the {ending} at the end is left out: training takes the scores before it")
            if has_weights:
                return notes
            is_logits = True
        elif kind not in _SIZED_BY_OTHERS and (kind not in _RESIZING or len(node.input_tensors) > 1):
            return notes
        tensor = first


def _puts_pixels_in_a_row(operation: keras.Operation, before: keras.KerasTensor, after: keras.KerasTensor) -> bool:
    """Whether a Reshape turns `(batch, height, width, classes)` into `(batch, pixels, classes)`."""
    is_reshape = type(operation).__name__ == "Reshape"
    return bool(is_reshape and len(before.shape) == 4 and len(after.shape) == 3 and before.shape[-1] == after.shape[-1])


def _changed(model: keras.Model, changes: dict[int, dict[str, Any] | None]) -> keras.Model:
    graphs.check(model)
    copies = graphs.LayerCopies(model, drawn=False)

    def call(
        operation: keras.Operation, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: list[keras.KerasTensor]
    ) -> list[graphs.TrackedTensor]:
        change = changes.get(id(outputs[0]), {})
        if change is None:
            values = keras.tree.flatten((args, kwargs))
            return [next(value for value in values if isinstance(value, graphs.TrackedTensor))]
        if isinstance(operation, Metadata):
            change = {"source": None}  # the program that it was built from ends in another way
        args, kwargs = graphs.untracked((args, kwargs))
        results = keras.tree.flatten(copies.of(operation, **change)(*args, **kwargs))
        return [graphs.TrackedTensor(result) for result in results]

    inputs = [copies.of(layer).output for layer in graphs.input_layers(model)]
    results = graphs.replay(model, [graphs.TrackedTensor(tensor) for tensor in inputs], call)
    new = (inputs, [result.tensor for result in results])
    copy = keras.Model(*map(keras.tree.pack_sequence_as, graphs.structure(model), new), name=model.name)
    copies.fill()
    return copy


def _small_outputs(model: keras.Model) -> dict[int, int]:
    """The id of each output that is smaller than the image by a whole factor, and the factor."""
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4:
        return {}
    multiple = size_multiple(model)
    side = -(-_SIDE // multiple) * multiple
    size = tuple(known or side for known in model.inputs[0].shape[1:3])
    spec = model.compute_output_spec(keras.KerasTensor((1, *size, model.inputs[0].shape[-1])))
    factors = {}
    for output, shape in zip(trained_outputs(model.output), (s.shape for s in trained_outputs(spec)), strict=True):
        if len(shape) != 4 or None in shape or not all(shape[1:3]):
            continue
        factor = size[0] // shape[1]
        if factor > 1 and _is_scores(output) and size == (factor * shape[1], factor * shape[2]):
            factors[id(output)] = factor
    return factors


def _is_scores(tensor: keras.KerasTensor) -> bool:
    """Whether a convolution or dense layer gives a tensor, or a sum of such: a trunk ends in an activation instead."""
    operation, index, _ = tensor._keras_history
    kind, sources = type(operation).__name__, operation._inbound_nodes[index].input_tensors
    if kind in _SUMS:
        return all(map(_is_scores, sources))
    if kind in _RESIZING or kind in _SIZED_BY_OTHERS:
        return _is_scores(sources[0])
    activation = getattr(getattr(operation, "activation", None), "__name__", "linear")
    return activation == "linear" and any(hasattr(operation, key) for key in ("filters", "units"))


def _enlarged(model: keras.Model, small: dict[int, int]) -> keras.Model:
    names = {layer.name for layer in model.layers}

    def enlarged(output: keras.KerasTensor) -> keras.KerasTensor:
        if id(output) not in small:
            return output
        stem = f"{output._keras_history.operation.name}_enlarged"
        name = next(name for name in (stem, *(f"{stem}_{i}" for i in range(1, len(names) + 2))) if name not in names)
        names.add(name)
        return ResizeLike(name=name, dtype="float32")([output, model.inputs[0]])

    outputs = keras.tree.map_structure(enlarged, graphs.structure(model)[1])
    return keras.Model(graphs.structure(model)[0], outputs, name=model.name)
