"""Layers that put constants around the part of a map that depends on the image."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from tfseg.types import Tensor


def pixel_kinds(near: int, far: int, length: int | Tensor, remainder: int | Tensor) -> Tensor:
    """The kind of every pixel along an axis that the image does not reach: `(length,)` indices.

    The first `near` kinds are the pixels at the near edge, one by one. One kind follows for all pixels in the middle.
    The rest are the pixels at the far edge: each remainder has `far` kinds of its own.

    Args:
        near: pixels at the near edge.
        far: pixels at the far edge.
        length: pixels of the axis.
        remainder: remainder of the padded image's size by `2 ** poolings`.
    """
    place = ops.arange(length, dtype="int32")
    back = place - (length - far)
    return ops.where(back >= 0, near + 1 + remainder * far + back, ops.minimum(place, near))


@keras.saving.register_keras_serializable("tfseg")
class ConstantPadding(keras.layers.Layer):
    """Pads a map with one vector, its weight `value`.

    Args:
        pads: `((before, after), (before, after))`, rows and columns.
    """

    def __init__(self, pads: Sequence[Sequence[int]], **kwargs: Any):
        super().__init__(**kwargs)
        self.pads = tuple(map(tuple, pads))

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Makes the weight."""
        self.value = self.add_weight((input_shape[-1],), name="value", initializer="zeros")

    def call(self, inputs: Tensor) -> Tensor:
        """The padded map, `(batch, height, width, channels)`."""
        x = inputs
        for axis, pads in enumerate(self.pads, 1):
            shape = list(ops.shape(x))
            before, after = (
                ops.broadcast_to(self.value, [*shape[:axis], pixels, *shape[axis + 1 :]]) for pixels in pads
            )
            x = ops.concatenate([before, x, after], axis)
        return x

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """The symbolic result."""
        sizes = [pixels and pixels + sum(pads) for pixels, pads in zip(inputs.shape[1:3], self.pads, strict=True)]
        return keras.KerasTensor((inputs.shape[0], *sizes, inputs.shape[3]), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return super().get_config() | {"pads": self.pads}


@keras.saving.register_keras_serializable("tfseg")
class PastedBorder(keras.layers.Layer):
    """A whole map, made of the part that depends on the image and of a table for the rest.

    Call on `[part, image]`, both `(batch, height, width, channels)`. The weight `table` has the value of every kind of
    pixel: `(kinds of rows, kinds of columns, channels)`.

    Args:
        axes: two dictionaries, rows and columns, with `added`, `lost`, `start`, `near` and `far` of
            `tfseg.rewrites.border_axes.BorderAxis`.
    """

    def __init__(self, axes: Sequence[Mapping[str, Any]], **kwargs: Any):
        super().__init__(**kwargs)
        self.axes = [dict(axis) for axis in axes]

    def build(self, input_shape: Sequence[Sequence[int | None]]) -> None:
        """Makes the weight."""
        rows, columns = (axis["near"] + 1 + 2 ** len(axis["lost"]) * axis["far"] for axis in self.axes)
        self.table = self.add_weight((rows, columns, input_shape[0][-1]), name="table", initializer="zeros")

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """The whole map, `(batch, height, width, channels)`."""
        part, image = inputs
        table = self.table
        for place, axis in enumerate(self.axes):
            pixels = ops.shape(image)[place + 1]
            remainder = (pixels + axis["added"]) % 2 ** len(axis["lost"])
            index = pixel_kinds(axis["near"], axis["far"], _length(axis, pixels), remainder)
            table = ops.take(table, index, axis=place)
        batch, rows, columns, _ = ops.shape(part)
        border = ops.broadcast_to(table, [batch, *ops.shape(table)])
        top, left = (axis["start"] for axis in self.axes)
        band = border[:, top : top + rows]
        band = ops.concatenate([band[:, :, :left], part, band[:, :, left + columns :]], axis=2)
        return ops.concatenate([border[:, :top], band, border[:, top + rows :]], axis=1)

    def compute_output_spec(self, inputs: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
        """The symbolic result."""
        part, image = inputs
        sizes = [pixels and _length(axis, pixels) for axis, pixels in zip(self.axes, image.shape[1:3], strict=True)]
        return keras.KerasTensor((part.shape[0], *sizes, part.shape[3]), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return super().get_config() | {"axes": self.axes}


def _length(axis: Mapping[str, Any], pixels: int | Tensor) -> int | Tensor:
    """The length of the whole map, for an image of so many pixels."""
    length = pixels + axis["added"]
    for lost in axis["lost"]:
        length = (length - lost + 1) // 2
    return length
