"""Maps of another size by any of ONNX's rules."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tfseg.types import Tensor

COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_half_pixel_for_nn",
    # The same as without the ending, with TensorFlow's rounding: the quotient of the sizes comes first.
    "asymmetric_quotient",
    "align_corners_quotient",
)
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
METHODS = ("nearest", "linear", "cubic")


@keras.saving.register_keras_serializable("tfseg")
class Resample(keras.layers.Layer):
    """A map at another size, by the rules of ONNX's `Resize`. Rows and columns are resampled one after the other.

    Call on the map with `scales`, else on `[map, reference]`, both `(batch, height, width, channels)`.

    Args:
        method: "nearest", "linear" or "cubic".
        coordinates: where an output pixel lies on the input, one of `COORDINATES`.
        rounding: which pixel is the nearest, one of `ROUNDINGS`.
        scales: factors of height and width; None takes the size of the reference.
        cubic: coefficient of the cubic kernel.
        exclude_outside: whether the cubic kernel leaves out pixels outside the map. Else these repeat the border.
        kwargs: options of every Keras layer, such as `name` and `dtype`.
    Raises:
        ValueError: another method, coordinates or rounding.
    Reference: https://onnx.ai/onnx/operators/onnx__Resize.html

    Example:
        >>> tuple(tfseg.layers.Resample("cubic", scales=(2, 1.5))(np.zeros((1, 4, 6, 3))).shape)
        (1, 8, 9, 3)
    """

    def __init__(
        self,
        method: str,
        coordinates: str = "half_pixel",
        rounding: str = "round_prefer_floor",
        scales: Sequence[float] | None = None,
        cubic: float = -0.75,
        exclude_outside: bool = False,
        **kwargs: Any,
    ) -> None:
        for value, known in ((method, METHODS), (coordinates, COORDINATES), (rounding, ROUNDINGS)):
            if value not in known:
                raise ValueError(f"expected one of {', '.join(map(repr, known))}. Received: {value!r}")
        super().__init__(**kwargs)
        self.method, self.coordinates, self.rounding = method, coordinates, rounding
        self.scales = None if scales is None else tuple(map(float, scales))
        self.cubic, self.exclude_outside = cubic, exclude_outside

    def call(self, inputs: Any) -> Tensor:
        """The map at the other size."""
        x = inputs if self.scales else inputs[0]
        rows, columns = ops.shape(x)[1:3]
        channels = x.shape[3]
        if self.scales:
            height, width = (scaled_size(side, scale) for side, scale in zip((rows, columns), self.scales, strict=True))
        else:
            height, width = ops.shape(inputs[1])[1:3]
        x = ops.matmul(self._weights(height, rows, 0), ops.reshape(x, (-1, rows, columns * channels)))
        return ops.matmul(self._weights(width, columns, 1), ops.reshape(x, (-1, height, columns, channels)))

    def _weights(self, outputs: Tensor, pixels: Tensor, axis: int) -> Tensor:
        weights = axis_weights(
            outputs,
            pixels,
            self.scales[axis] if self.scales else None,
            method=self.method,
            coordinates=self.coordinates,
            rounding=self.rounding,
            cubic=self.cubic,
            exclude_outside=self.exclude_outside,
            dtype="float64" if self.compute_dtype == "float64" else "float32",
        )
        return ops.cast(weights, self.compute_dtype)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Shape and type of the resampled map; unknown sizes stay unknown."""
        if self.scales is None:
            x, reference = inputs
            sizes: Sequence[Any] = reference.shape[1:3]
        else:
            x = inputs
            sizes = [side and scaled_size(side, scale) for side, scale in zip(x.shape[1:3], self.scales, strict=True)]
        return keras.KerasTensor((x.shape[0], *sizes, x.shape[3]), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {
            "method": self.method,
            "coordinates": self.coordinates,
            "rounding": self.rounding,
            "scales": self.scales,
            "cubic": self.cubic,
            "exclude_outside": self.exclude_outside,
        }


def scaled_size(pixels: Tensor, scale: float) -> Tensor:
    """Pixels of a side after it was scaled, as ONNX's runtimes round it: in single precision.

    Args:
        pixels: pixels before; a number, or a scalar tensor.
        scale: factor.

    Example:
        >>> tfseg.layers.resample.scaled_size(40, 1.3)  # 51.999999 in double precision: 1.3 is a float32 in a file
        52
    """
    if isinstance(pixels, int):
        return math.floor(np.float32(pixels) * np.float32(scale))
    return ops.cast(ops.floor(ops.cast(pixels, "float32") * scale), "int32")


def axis_weights(
    outputs: Tensor,
    pixels: Tensor,
    scale: float | None,
    *,
    method: str,
    coordinates: str,
    rounding: str = "round_prefer_floor",
    cubic: float = -0.75,
    exclude_outside: bool = False,
    dtype: str = "float32",
) -> Tensor:
    """The matrix `(outputs, pixels)` that resamples one axis.

    Args:
        outputs: size of the axis after it.
        pixels: size of the axis before it.
        scale: factor between them; None: their quotient.
        method, coordinates, rounding, cubic, exclude_outside: see `Resample`.
        dtype: type in which the places are computed.
    """
    output = ops.arange(outputs, dtype=dtype)
    old, new = ops.cast(pixels, dtype), ops.cast(outputs, dtype)
    place = _places(output, old, new, new / old if scale is None else scale, coordinates)
    pixel = ops.arange(pixels, dtype=dtype)[None]
    if method == "nearest":
        nearest = {
            "round_prefer_floor": lambda x: ops.ceil(x - 0.5),
            "round_prefer_ceil": lambda x: ops.floor(x + 0.5),
            "floor": ops.floor,
            "ceil": ops.ceil,
        }[rounding](place)
        return ops.cast(ops.equal(ops.clip(nearest, 0, old - 1)[:, None], pixel), dtype)
    if method == "linear":
        return ops.relu(1 - ops.abs(ops.clip(place, 0, old - 1)[:, None] - pixel))
    first = ops.floor(place)
    weights: Tensor = 0
    for tap in (-1, 0, 1, 2):
        at = first + tap
        weight = _kernel(ops.abs(place - at), cubic)
        if exclude_outside:
            weight = ops.where(ops.logical_and(at >= 0, at < old), weight, ops.zeros_like(weight))
        on = ops.cast(ops.equal(ops.clip(at, 0, old - 1)[:, None], pixel), dtype)
        weights = weights + weight[:, None] * on
    return weights / ops.sum(weights, axis=1, keepdims=True) if exclude_outside else weights


def rounded_places(layer: Resample, outputs: Tensor, pixels: Tensor, axis: int) -> Tensor:
    """Where on the input the output pixels of a layer lie, in float32, on the input's pixels alone.

    Args:
        layer: what resamples.
        outputs: size of the axis after it.
        pixels: size of the axis before it.
        axis: 0 for rows, 1 for columns.
    """
    old, new = ops.cast(pixels, "float32"), ops.cast(outputs, "float32")
    scale = layer.scales[axis] if layer.scales else new / old
    return ops.clip(_places(ops.arange(outputs, dtype="float32"), old, new, scale, layer.coordinates), 0, old - 1)


def _places(output: Tensor, old: Tensor, new: Tensor, scale: Tensor, coordinates: str) -> Tensor:
    """Where the pixels of the output lie on the input, in the order of operations of onnxruntime."""
    if coordinates == "align_corners":
        return output * (old - 1) / ops.maximum(new - 1, 1)
    if coordinates == "align_corners_quotient":
        return output * ((old - 1) / ops.maximum(new - 1, 1))
    if coordinates == "asymmetric_quotient":
        return output * (old / new)
    if coordinates == "asymmetric":
        return output / scale
    place = (output + 0.5) / scale
    if coordinates == "tf_half_pixel_for_nn":
        return place
    if coordinates == "half_pixel_symmetric":
        return old / 2 * (1 - new / (scale * old)) + place - 0.5
    if coordinates == "pytorch_half_pixel":
        return ops.where(new > 1, place - 0.5, ops.zeros_like(place))
    return place - 0.5


def _kernel(distance: Tensor, a: float) -> Tensor:
    """The cubic kernel of Keys 1981 at a distance below 2."""
    near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return ops.where(distance <= 1, near, ops.where(distance < 2, far, ops.zeros_like(far)))
