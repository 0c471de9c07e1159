"""Two networks side by side on the same images: layer by layer, and where they diverge."""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from converters.errors import ConversionError
from converters.identification.identify import identify_source
from converters.identification.sources import open_source
from converters.proof.built_reference import run_built
from converters.proof.references import Images, Reference, read_arrays, run_torch
from converters.types import Arrays, Shape, TorchModule
from converters.weights.built_record import record_of

_SMALL = ("logits", "aux_logits")  # layers with a model's outputs before they are resized to the image's size


@dataclasses.dataclass(frozen=True)
class LayerComparison:
    """The comparison of one layer.

    Attributes:
        layer: name of the layer, or of the model's output.
        reference: name that the reference has for it.
        shape: shape of the layer's result.
        difference: largest |difference|.
        relative: that divided by the reference's largest |value|.
    """

    layer: str
    reference: str
    shape: Shape
    difference: float
    relative: float


class ModelComparison(list[LayerComparison]):
    """The layers in the order of computation, the model's outputs last; prints as a table.

    Attributes:
        classes: the class of every pixel of the first image, for the model and for the reference, each
            `(height, width)`; None unless the first output is a map of classes.

    Example:
        >>> image = keras.Input((None, None, 3))
        >>> model = keras.Model(image, keras.layers.ReLU(name="relu")(image))
        >>> comparison = converters.compare(model, {"relu": np.ones((1, 4, 4, 3))}, np.ones((1, 4, 4, 3)))
        >>> comparison.worst
        0.0
        >>> comparison.assert_close(1e-5)
        >>> print(comparison)
        layer  reference  shape    max |difference|  relative
        relu   relu       1x4x4x3  0                 0
    """

    classes: tuple[np.ndarray, np.ndarray] | None = None

    def first_divergence(self, tolerance: float = 1e-5) -> LayerComparison | None:
        """The first layer whose relative difference exceeds the tolerance, or None. A NaN exceeds every tolerance."""
        return next((layer for layer in self if not layer.relative <= tolerance), None)

    @property
    def worst(self) -> float:
        """The largest relative difference; NaN if any is."""
        return float(np.max([layer.relative for layer in self]))

    def assert_close(self, tolerance: float = 1e-5) -> None:
        """Raises AssertionError, with the table, if the relative difference of a layer exceeds the tolerance."""
        if layer := self.first_divergence(tolerance):
            raise AssertionError(
                f"The model diverges from the reference at {layer.layer} ({layer.reference}): relative difference "
                f"{layer.relative:.3g} > {tolerance:.3g}.\n{self}"
            )

    def __str__(self) -> str:
        lines = [("layer", "reference", "shape", "max |difference|", "relative")]
        lines += [
            (
                layer.layer,
                layer.reference,
                "x".join(map(str, layer.shape)),
                f"{layer.difference:.3g}",
                f"{layer.relative:.2g}",
            )
            for layer in self
        ]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def compare(model: keras.Model, reference: TorchModule | Arrays, images: Images) -> ModelComparison:
    """Runs a model and a reference on the same images and compares every layer that both have.

    If a layer is called several times, the first call counts. A result of the reference that is as small as the output
    of the layer `logits` (or `aux_logits`) is compared with that output.

    Args:
        model: a Keras model.
        reference: the live torch module that its weights came from, which runs in evaluation mode and is read through
            hooks. A model that was built from a module's own program is compared by the names of its modules. Or a
            dictionary of arrays by layer name, "output" for the model's (first) output, in either channel order.
        images: `(batch, height, width, channels)`, preprocessed. For a model of several inputs, a list of arrays, or a
            dictionary of them by name.
    Returns: a `ModelComparison`, which prints as a table.
    Raises:
        ConversionError: a reference of another kind, of an unknown family or without a common layer, or shapes that
            cannot be compared.

    Example:
        >>> model, _ = converters.convert("street.pth")
        >>> images = np.zeros((1, 64, 64, 3), "float32")
        >>> logits = keras.Model(model.input, model.get_layer("logits").output)(images)
        >>> converters.compare(model, {"logits": np.array(logits)}, images).worst
        0.0
    """
    images = _as_floats(images, several=len(model.inputs) > 1)
    if isinstance(reference, Mapping):
        return compare_layers(model, read_arrays(reference), images)
    if not hasattr(reference, "named_modules"):
        raise ConversionError(
            "A model is compared with a live torch module or a dictionary of arrays. "
            f"Received: {type(reference).__name__}"
        )
    if record := record_of(model):
        return compare_layers(model, run_built(reference, images, record), images)
    best = identify_source(open_source(reference)).best
    if best.differences:
        raise ConversionError(
            f"The torch module {type(reference).__name__} is of no family known here (nearest: {best.network.name}, "
            f"but it {'; '.join(best.differences)}): pass a dictionary of its activations by layer name instead."
        )
    return compare_layers(model, run_torch(reference, images, best.family, best.network), images)


def compare_layers(model: keras.Model, reference: Reference, images: Images) -> ModelComparison:
    """Runs a model on images and compares every layer with the results of a reference.

    Args:
        model: a Keras model.
        reference: results of the reference on the same images.
        images: `(batch, height, width, channels)` float32, preprocessed; or several, as in `compare`.
    Raises:
        ConversionError: no common layer, or shapes that cannot be compared.
    """
    # The order of the model's layers is the order of computation.
    names = [layer.name for layer in model.layers if layer.name in reference.layers]
    if not names and not reference.outputs:
        raise ConversionError(
            f"The reference has no layer of the model {model.name!r}. "
            f"Received: {', '.join(itertools.islice(reference.layers, 6))}"
        )
    small = [name for name in _SMALL if any(layer.name == name for layer in model.layers)]
    taps = [model.get_layer(name).output for name in [*names, *small]]
    outputs = _as_list(model.output)
    run = keras.Model(model.input, taps + outputs)
    results = [ops.convert_to_numpy(value) for value in _as_list(run(images, training=False))]
    maps = dict(zip([*names, *small], results, strict=False))
    rows = [_compare(name, maps[name], *reference.layers[name]) for name in names]
    # Keras names the outputs of a dictionary in the order of its sorted keys.
    classes = None
    titles = {id(tensor): title for tensor, title in zip(model.outputs, model.output_names, strict=True)}
    for index, (value, (name, expected)) in enumerate(zip(results[len(taps) :], reference.outputs, strict=False)):
        output = titles[id(outputs[index])]
        if index < len(small) and _same_sizes(expected, maps[small[index]]) and not _same_sizes(expected, value):
            output, value = small[index], maps[small[index]]
        # A model that ends before its head is compared up to there.
        if reference.complete or (value.ndim, value.shape[-1]) == (expected.ndim, expected.shape[1]):
            rows.append(_compare(output, value, name, expected))
            if not index:
                classes = _class_maps(value, expected)
    comparison = ModelComparison(rows)
    comparison.classes = classes
    return comparison


def _class_maps(value: np.ndarray, expected: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The strongest class of every pixel of the first image in both, where both are maps of several classes."""
    if value.ndim != 4 or expected.ndim != 4 or value.shape[-1] < 2:
        return None
    fitting = [array for array in (expected, np.moveaxis(expected, 1, -1)) if array.shape == value.shape]
    if not fitting:
        return None
    reference = min(fitting, key=lambda array: float(np.abs(array - value).max()))
    return value[0].argmax(-1), reference[0].argmax(-1)


def _as_floats(images: Any, several: bool) -> Images:
    if isinstance(images, Mapping):
        return {name: np.asarray(array, "float32") for name, array in images.items()}
    if several:
        return [np.asarray(array, "float32") for array in images]
    return np.asarray(images, "float32")


def _same_sizes(array: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays have the same sizes, in either channel order."""
    return sorted(array.shape) == sorted(other.shape)


def _as_list(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return [leaf for part in value.values() for leaf in _as_list(part)]
    return [leaf for part in value for leaf in _as_list(part)] if isinstance(value, list | tuple) else [value]


def _compare(layer: str, value: np.ndarray, name: str, expected: np.ndarray) -> LayerComparison:
    fitting = [
        candidate.reshape(value.shape)
        for candidate in (expected, np.moveaxis(expected, 1, -1) if expected.ndim == 4 else expected)
        # A fully connected layer of one network may be a 1x1 convolution in the other.
        if candidate.shape == value.shape
        or _long_axes(candidate) == _long_axes(value)
        or candidate.shape == _as_tokens(value)
    ]
    if not fitting:
        raise ConversionError(
            f"{layer} gives {value.shape} and the reference's {name} {expected.shape}: these are not the same layer. "
            "Was the reference built with the same output stride?"
        )
    # A map with as many channels as rows and columns fits in either order: it is meant in the order in which it agrees.
    differences = [float(np.abs(value - candidate).max(initial=0)) for candidate in fitting]
    difference = min(differences)
    scale = float(np.abs(expected).max(initial=0))
    return LayerComparison(layer, name, value.shape, difference, difference / scale if scale else difference)


def _as_tokens(array: np.ndarray) -> tuple[int, ...]:
    """The shape of a map whose pixels are a sequence, row by row, as transformers have them."""
    return (array.shape[0], int(np.prod(array.shape[1:-1])), array.shape[-1]) if array.ndim == 4 else ()


def _long_axes(array: np.ndarray) -> list[int]:
    return [size for size in array.shape if size > 1]
