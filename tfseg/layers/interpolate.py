"""Interpolation in all of torch's ways, to sizes that are numbers, factors, or taken from other maps."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from tfseg.layers.measures import as_inputs, known_measure, measure, plain_measures, scaled
from tfseg.types import Tensor

_Taps = list[tuple[Tensor, Tensor]]
"""For each pixel that an output pixel reads: its places `(outputs,)`, and its weights `(outputs,)`."""


class _Axis:
    """One axis of an interpolation.

    Attributes:
        pixels: length of the input.
        outputs: length of the output.
        step: input pixels from one output pixel to the next.
        aligned: whether the outermost pixels of both lie on each other.
        small: whether the result has so few pixels that torch has another rule for it.
        dtype: type in which places are computed, as torch computes them.
    """

    small: Any = False

    def __init__(self, pixels: Any, outputs: Any, scale: float | None, aligned: bool, dtype: str) -> None:
        self.pixels, self.outputs, self.aligned, self.dtype = pixels, outputs, aligned, dtype
        # In double precision: TensorFlow's graphs multiply by the reciprocal of a constant, which rounds twice.
        input_size, output_size = (ops.cast(size, "float64") for size in (pixels, outputs))
        if aligned:
            # One output pixel lies on the first pixel.
            step = ops.where(output_size > 1, (input_size - 1) / ops.maximum(output_size - 1, 1), 0)
        else:
            step = input_size / output_size if scale is None else 1 / scale
        self.step = ops.cast(step, dtype)
        self.places = ops.arange(outputs, dtype=dtype)

    def index(self, place: Tensor) -> Tensor:
        """Pixels on the map, as integers."""
        return ops.clip(ops.cast(place, "int32"), 0, self.pixels - 1)

    def centers(self) -> Tensor:
        """Where on the input the output pixels lie."""
        if self.aligned:
            return self.step * self.places
        place = ops.cast(self.step, "float64") * (ops.cast(self.places, "float64") + 0.5) - 0.5
        return ops.cast(place, self.dtype)  # rounded once, as torch's fused operations round


def _nearest(axis: _Axis) -> _Taps:
    place = ops.floor(axis.step * axis.places)
    whole = ops.arange(axis.outputs, dtype="int32")
    # On small maps, torch takes pixels as they are where their number stays or doubles, whatever the factor says.
    doubled = ops.logical_and(axis.small, ops.equal(axis.outputs, 2 * axis.pixels))
    kept = ops.logical_and(axis.small, ops.equal(axis.outputs, axis.pixels))
    index = ops.where(kept, whole, ops.where(doubled, whole // 2, axis.index(place)))
    return [(index, ops.ones_like(place))]


def _nearest_exact(axis: _Axis) -> _Taps:
    place = ops.floor((axis.places + 0.5) * axis.step)
    return [(axis.index(place), ops.ones_like(place))]


def _bilinear(axis: _Axis) -> _Taps:
    place = ops.maximum(axis.centers(), 0)
    place = ops.where(ops.equal(axis.outputs, axis.pixels), axis.places, place)
    first = ops.floor(place)
    index = axis.index(first)
    share = ops.clip(place - ops.cast(index, axis.dtype), 0, 1)
    return [(index, 1 - share), (axis.index(first + 1), share)]


def _bicubic(axis: _Axis) -> _Taps:
    place = axis.centers()
    first = ops.floor(place)
    share = place - first
    weights = (_outer(share + 1), _inner(share), _inner(1 - share), _outer(2 - share))
    return [(axis.index(first + offset - 1), weight) for offset, weight in enumerate(weights)]


_SMALL = 128
"""Rows and columns together up to which a map is small."""

_CUBIC = -0.75
"""torch's constant of the cubic kernel."""


def _inner(x: Tensor, a: float = _CUBIC) -> Tensor:
    """The cubic kernel up to one pixel away."""
    return ((a + 2) * x - (a + 3)) * x * x + 1


def _outer(x: Tensor, a: float = _CUBIC) -> Tensor:
    """The cubic kernel between one and two pixels away."""
    return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a


_TAPS: dict[str, Callable[[_Axis], _Taps]] = {
    "nearest": _nearest,
    "nearest_exact": _nearest_exact,
    "bilinear": _bilinear,
    "bicubic": _bicubic,
}


def _triangle(x: Tensor) -> Tensor:
    return ops.relu(1 - ops.abs(x))


def _smooth(x: Tensor) -> Tensor:
    """The cubic kernel with the constant of Pillow, which torch takes for antialiasing."""
    x = ops.abs(x)
    return ops.where(x < 1, _inner(x, -0.5), ops.where(x < 2, _outer(x, -0.5), 0))


# Filters of antialiasing, and how many pixels they reach to each side.
_FILTERS: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "bilinear": (_triangle, 1.0),
    "bicubic": (_smooth, 2.0),
}


def _antialiased(axis: _Axis, interpolation: str) -> Tensor:
    """The matrix `(outputs, pixels)` of an axis: wider filters where the map shrinks, as Pillow computes them."""
    kernel, reach = _FILTERS[interpolation]
    wide = ops.maximum(axis.step, 1)
    center = axis.step * (axis.places + 0.5)
    start = ops.maximum(ops.floor(center - reach * wide + 0.5), 0)
    stop = ops.minimum(ops.floor(center + reach * wide + 0.5), ops.cast(axis.pixels, axis.dtype))
    pixel = ops.arange(axis.pixels, dtype=axis.dtype)[None]
    inside = ops.logical_and(pixel >= start[:, None], pixel < stop[:, None])
    weights = ops.where(inside, kernel((pixel - center[:, None] + 0.5) / wide), 0)
    weights = weights / ops.sum(weights, axis=1, keepdims=True)
    # An axis that keeps its size is taken as it is, whatever the factor says.
    kept = ops.cast(ops.equal(pixel, axis.places[:, None]), axis.dtype)
    return ops.where(ops.equal(axis.outputs, axis.pixels), kept, weights)


@keras.saving.register_keras_serializable("tfseg")
class Interpolate(keras.layers.Layer):
    """A map at another size, as torch's `interpolate` computes it: all interpolations, factors and sizes.

    Call on the map `(batch, height, width, channels)`, or on a list of it and the tensors whose sizes are used.

    Args:
        interpolation: "nearest", "nearest_exact", "bilinear" or "bicubic".
        sizes: rows and columns of the result: a number or a measure (see `tfseg.layers.measures`) each. None: the
            input's size times `scales`, rounded down.
        scales: factors of rows and columns, as torch got them. Without them, the sizes say how far pixels are apart.
        align_corners: whether the outermost pixels of both maps lie on each other.
        antialias: whether a map that shrinks is smoothed, as Pillow does it.
        kwargs: options of every Keras layer, such as `name` and `dtype`.
    Raises:
        ValueError: another interpolation, or one without antialiasing.
    Reference: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.interpolate.html

    Example:
        >>> layer = tfseg.layers.Interpolate("bicubic", scales=(2, 1.5))
        >>> tuple(layer(np.zeros((1, 4, 5, 3))).shape)
        (1, 8, 7, 3)
    """

    def __init__(
        self,
        interpolation: str,
        sizes: Sequence[Any] | None = None,
        scales: Sequence[float] | None = None,
        align_corners: bool = False,
        antialias: bool = False,
        **kwargs: Any,
    ) -> None:
        names = _FILTERS if antialias else _TAPS
        if interpolation not in names:
            raise ValueError(
                f"interpolation must be one of {', '.join(map(repr, names))}. Received: {interpolation!r}, "
                f"antialias={antialias}"
            )
        if sizes is None and scales is None:
            raise ValueError("Sizes or scales are needed. Received: sizes=None, scales=None")
        super().__init__(**kwargs)
        self.interpolation, self.align_corners, self.antialias = interpolation, align_corners, antialias
        self.sizes = None if sizes is None else plain_measures(sizes)
        self.scales = None if scales is None else [float(scale) for scale in scales]

    def call(self, inputs: Any) -> Tensor:
        """The resampled map."""
        x, *_ = inputs = as_inputs(inputs)
        sides = [self._outputs(inputs, axis) for axis in (1, 2)]
        small = ops.less_equal(sides[0] + sides[1], _SMALL)
        for axis, outputs in enumerate(sides, 1):
            x = self._along(x, axis, ops.shape(x)[axis], outputs, small)
        return x

    def _outputs(self, inputs: Sequence[Tensor], axis: int) -> Any:
        if self.sizes is not None:
            return measure(self.sizes[axis - 1], inputs)
        return scaled(ops.shape(inputs[0])[axis], (self.scales or ())[axis - 1])

    def _along(self, x: Tensor, axis: int, pixels: Any, outputs: Any, small: Any) -> Tensor:
        # torch computes the places of "nearest" in single precision, whatever the map has.
        double = self.compute_dtype == "float64" and "nearest" not in self.interpolation
        scale = self.scales[axis - 1] if self.scales else None
        along = _Axis(pixels, outputs, scale, self.align_corners, "float64" if double else "float32")
        along.small = small
        if self.antialias:
            weights = ops.cast(_antialiased(along, self.interpolation), self.compute_dtype)
            return ops.einsum("op,bpwc->bowc" if axis == 1 else "op,bhpc->bhoc", weights, x)
        taps = _TAPS[self.interpolation](along)
        if len(taps) == 1:
            return ops.take(x, taps[0][0], axis)
        shape = (-1, 1, 1) if axis == 1 else (-1, 1)
        parts = [ops.take(x, i, axis) * ops.reshape(ops.cast(w, self.compute_dtype), shape) for i, w in taps]
        return sum(parts[1:], parts[0])

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Shape and type of the result; an unknown size stays unknown."""
        x, *_ = inputs = as_inputs(inputs)
        if self.sizes is not None:
            sides = [known_measure(size, inputs) for size in self.sizes]
        else:
            sides = [p and int(p * scale) for p, scale in zip(x.shape[1:3], self.scales or (), strict=True)]
        return keras.KerasTensor((x.shape[0], *sides, x.shape[3]), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {
            "interpolation": self.interpolation,
            "sizes": self.sizes,
            "scales": self.scales,
            "align_corners": self.align_corners,
            "antialias": self.antialias,
        }
