"""Maps of another size, which may be known only when an image comes: what Keras lacks, or computes unlike torch."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from tfseg import specs
from tfseg.layers.measures import scaled
from tfseg.types import Tensor


@keras.saving.register_keras_serializable("tfseg")
class ResizeLike(keras.layers.Layer):
    """The first input at the height and width of the second, as torch's `interpolate` computes it.

    Call on `[x, reference]`, both `(batch, height, width, channels)`. `keras.ops.image.resize` refuses sizes that are
    known only when an image comes, and has no aligned corners.

    Args:
        interpolation: name of the interpolation, see the list below.
        kwargs: options of every Keras layer, such as `name` and `dtype`.

    The interpolations:

    * "bilinear": corners not aligned, torch's default.
    * "bilinear_align_corners": the outermost pixels of both maps lie on each other.
    * "bilinear_asymmetric": only the first pixels lie on each other, TensorFlow 1's default. Pixel i of the output lies
      at i x input size / output size.
    * "nearest": torch's "nearest".

    Raises:
        ValueError: another interpolation.
    Reference: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.interpolate.html

    Example:
        >>> scores, image = np.zeros((1, 5, 6, 2)), np.zeros((1, 33, 41, 3))
        >>> tuple(tfseg.layers.ResizeLike("bilinear_align_corners")([scores, image]).shape)
        (1, 33, 41, 2)
    """

    def __init__(self, interpolation: str = "bilinear", **kwargs: Any) -> None:
        if interpolation not in specs.INTERPOLATIONS:
            raise ValueError(
                f"interpolation must be one of {', '.join(map(repr, specs.INTERPOLATIONS))}. "
                f"Received: {interpolation!r}"
            )
        super().__init__(**kwargs)
        self.interpolation = interpolation

    def call(self, inputs: Sequence[Tensor], training: bool | None = False) -> Tensor:
        """The resized map `(batch, reference's height, reference's width, channels)`."""
        x, reference = inputs
        height, width = ops.shape(reference)[1:3]
        return self._resized(x, height, width, training)

    def _resized(self, x: Tensor, height: Tensor, width: Tensor, training: bool | None) -> Tensor:
        # Copies are quicker than products with ones and zeros, but their gradients are slow.
        if self.interpolation == "nearest" and not training:
            rows, columns = ops.shape(x)[1:3]
            for axis, (outputs, pixels) in enumerate([(height, rows), (width, columns)], start=1):
                x = ops.take(x, ops.cast(self._places(outputs, pixels), "int32"), axis=axis)
            return ops.cast(x, self.compute_dtype)  # of a map of integers, too
        return _along_axes(x, self._weights, height, width)

    def some_rows(self, x: Tensor, size: tuple[Any, Any], rows: tuple[Any, Any]) -> Tensor:
        """Some rows of the resized map, which costs their share of the whole.

        Args:
            x: map `(batch, height, width, channels)`.
            size: height and width of the whole resized map, in pixels.
            rows: first row, and the one after the last.
        Returns: map `(batch, rows, width of the resized map, channels)`.
        """
        x = ops.cast(x, self.compute_dtype)
        height, width, channels = ops.shape(x)[1], ops.shape(x)[2], x.shape[3]
        down = self._weights(size[0], height)[rows[0] : rows[1]]
        x = ops.matmul(down, ops.reshape(x, (-1, height, width * channels)))
        across = self._weights(size[1], width)
        return ops.matmul(across, ops.reshape(x, (-1, rows[1] - rows[0], width, channels)))

    def _weights(self, outputs: Tensor, pixels: Tensor) -> Tensor:
        distance = ops.abs(self._places(outputs, pixels)[:, None] - ops.arange(pixels, dtype="float32")[None])
        return ops.cast(ops.relu(1 - distance), self.compute_dtype)

    def _places(self, outputs: Tensor, pixels: Tensor) -> Tensor:
        """Where on an axis of the input the output pixels lie."""
        # In float32 and in torch's order of operations, so that both round in the same way.
        output = ops.arange(outputs, dtype="float32")
        input_size, output_size = ops.cast(pixels, "float32"), ops.cast(outputs, "float32")
        if self.interpolation == "bilinear_align_corners":
            place = self._ratio(input_size - 1, ops.maximum(output_size - 1, 1)) * output
        elif self.interpolation == "bilinear_asymmetric":
            place = self._step(input_size, output_size) * output
        elif self.interpolation == "nearest":
            place = ops.floor(self._step(input_size, output_size) * output)
        else:
            place = self._step(input_size, output_size) * (output + 0.5) - 0.5
        return ops.clip(place, 0, input_size - 1)

    def _step(self, input_size: Tensor, output_size: Tensor) -> Tensor:
        """Input pixels from one output pixel to the next."""
        return self._ratio(input_size, output_size)

    def _ratio(self, above: Tensor, below: Tensor) -> Tensor:
        return above / below

    def compute_output_spec(
        self, inputs: Sequence[keras.KerasTensor], training: bool | None = False
    ) -> keras.KerasTensor:
        """Shape and type of the resized map; an unknown size of the reference stays unknown."""
        x, reference = inputs
        return keras.KerasTensor((x.shape[0], *reference.shape[1:3], x.shape[3]), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"interpolation": self.interpolation}


@keras.saving.register_keras_serializable("tfseg")
class Rescale(ResizeLike):
    """A map at `floor(scale * size)` pixels, as torch's `interpolate(scale_factor=scale)` computes it.

    An output pixel is `1 / scale` input pixels wide, while `ResizeLike` divides the input's size by the output's. Both
    turn 97 pixels into 48, but not into the same 48.

    Args:
        scale: factor of height and width.
        interpolation: name of an interpolation of `ResizeLike`. With aligned corners only the size depends on `scale`.
        extra: number of rows, and of columns, that are added to that size. With `extra=1`, aligned corners and an odd
            size, a scale of a half keeps every second pixel.
        kwargs: options of every Keras layer, such as `name` and `dtype`.
    Raises:
        ValueError: another interpolation.

    Example:
        >>> tuple(tfseg.layers.Rescale(0.75)(np.zeros((1, 65, 83, 3))).shape)
        (1, 48, 62, 3)
    """

    def __init__(self, scale: float, interpolation: str = "bilinear", extra: int = 0, **kwargs: Any) -> None:
        super().__init__(interpolation, **kwargs)
        self.scale = scale
        self.extra = extra

    def call(self, inputs: Tensor, training: bool | None = False) -> Tensor:
        """The map `(batch, floor(scale * height) + extra, floor(scale * width) + extra, channels)`."""
        height, width = map(self._size, ops.shape(inputs)[1:3])
        return self._resized(inputs, height, width, training)

    def _size(self, pixels: Tensor) -> Tensor:
        return scaled(pixels, self.scale) + self.extra

    def _step(self, input_size: Tensor, output_size: Tensor) -> float:
        return 1 / self.scale

    def compute_output_spec(self, inputs: keras.KerasTensor, training: bool | None = False) -> keras.KerasTensor:
        """Shape and type of the rescaled map; an unknown size stays unknown."""
        sizes = [pixels and self._size(pixels) for pixels in inputs.shape[1:3]]
        return keras.KerasTensor((inputs.shape[0], *sizes, inputs.shape[3]), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"scale": self.scale, "extra": self.extra}


@keras.saving.register_keras_serializable("tfseg")
class AdaptiveAveragePooling(keras.layers.Layer):
    """Average pooling of any map to `size` x `size` pixels, by PyTorch's windows.

    Output pixel i of n covers the input pixels floor(i h / n) to ceil((i + 1) h / n) - 1. The pooling is linear in each
    axis, so two small matrix products compute it. The input may be smaller than the output, and its size unknown.

    Args:
        size: height and width of the output in pixels.
        kwargs: options of every Keras layer, such as `name` and `dtype`.
    Reference: https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool2d.html

    Example:
        >>> tuple(tfseg.layers.AdaptiveAveragePooling(7)(np.zeros((1, 11, 5, 3))).shape)
        (1, 7, 7, 3)
    """

    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = size

    def call(self, inputs: Tensor) -> Tensor:
        """The averages `(batch, size, size, channels)`."""
        return _along_axes(inputs, self._weights, self.size, self.size)

    def _weights(self, outputs: Tensor, pixels: Tensor) -> Tensor:
        output, pixel = ops.arange(outputs, dtype="int32")[:, None], ops.arange(pixels, dtype="int32")[None]
        start, stop = output * pixels // outputs, ((output + 1) * pixels + outputs - 1) // outputs
        inside = ops.logical_and(pixel >= start, pixel < stop)
        return ops.cast(inside, self.compute_dtype) / ops.cast(stop - start, self.compute_dtype)

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Shape and type of the averages."""
        return keras.KerasTensor((inputs.shape[0], self.size, self.size, inputs.shape[3]), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"size": self.size}


def _along_axes(x: Tensor, weights: Callable[[Tensor, Tensor], Tensor], height: Tensor, width: Tensor) -> Tensor:
    """A map that is linear in each axis: `weights(outputs, pixels)` is the matrix of one axis."""
    rows, columns = ops.shape(x)[1:3]
    channels = x.shape[3]
    x = ops.matmul(weights(height, rows), ops.reshape(x, (-1, rows, columns * channels)))
    return ops.matmul(weights(width, columns), ops.reshape(x, (-1, height, columns, channels)))
