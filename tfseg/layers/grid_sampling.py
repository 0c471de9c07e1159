"""Numbers read from a map at any places: optical flow, spatial transformers, deformed maps."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfseg.types import Tensor

_INTERPOLATIONS, _BORDERS = ("bilinear", "nearest"), ("zeros", "border")


@keras.saving.register_keras_serializable("tfseg")
class GridSampling(keras.layers.Layer):
    """A map read at places that another tensor says: torch's `grid_sample`.

    Call on `[x, grid]`: a map `(batch, rows, columns, channels)` and places `(batch, rows, columns, 2)`, columns before
    rows. -1 is the map's first edge and 1 its last one.

    Args:
        interpolation: "bilinear", or "nearest".
        border: what is read outside of the map: "zeros", or "border" for its nearest pixel.
        align_corners: whether -1 and 1 are the centers of the outer pixels instead of the edges.
        kwargs: options of every Keras layer, such as `name` and `dtype`.
    Raises:
        ValueError: another interpolation or border.

    Example:
        >>> layer = tfseg.layers.GridSampling()
        >>> tuple(layer([np.ones((1, 4, 5, 3)), np.zeros((1, 2, 2, 2))]).shape)
        (1, 2, 2, 3)
    """

    def __init__(
        self, interpolation: str = "bilinear", border: str = "zeros", align_corners: bool = False, **kwargs: Any
    ) -> None:
        for name, value, known in (("interpolation", interpolation, _INTERPOLATIONS), ("border", border, _BORDERS)):
            if value not in known:
                raise ValueError(f"{name} must be {' or '.join(map(repr, known))}. Received: {value!r}")
        super().__init__(**kwargs)
        self.interpolation, self.border, self.align_corners = interpolation, border, align_corners

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """The numbers at the places `(batch, rows, columns, channels)`."""
        x, grid = inputs
        batch, height, width, _ = ops.shape(x)
        across, down = self._pixels(grid[..., 0], width), self._pixels(grid[..., 1], height)
        flat = ops.reshape(x, (-1, x.shape[-1]))
        starts = ops.reshape(ops.arange(batch, dtype="int32") * (height * width), (-1, 1, 1))

        def read(row: Tensor, column: Tensor, share: Tensor | None) -> Tensor:
            last = [ops.cast(size - 1, row.dtype) for size in (height, width)]
            inside = (row >= 0) & (row <= last[0]) & (column >= 0) & (column <= last[1])
            place = [ops.cast(ops.clip(part, 0, end), "int32") for part, end in zip((row, column), last, strict=True)]
            share = ops.ones_like(row) if share is None else share
            numbers = ops.take(flat, starts + place[0] * width + place[1], axis=0)
            return numbers * ops.expand_dims(ops.where(inside, share, 0.0), -1)

        if self.interpolation == "nearest":
            return read(ops.round(down), ops.round(across), None)
        top, left = ops.floor(down), ops.floor(across)
        below, right = down - top, across - left
        return (
            read(top, left, (1 - below) * (1 - right))
            + read(top, left + 1, (1 - below) * right)
            + read(top + 1, left, below * (1 - right))
            + read(top + 1, left + 1, below * right)
        )

    def _pixels(self, places: Tensor, size: Any) -> Tensor:
        """Places from -1 to 1 as numbers of pixels."""
        size = ops.cast(size, places.dtype)
        half = (size - 1) / 2 if self.align_corners else size / 2
        pixels = (places + 1) * half if self.align_corners else (places + 1) * half - 0.5
        return ops.clip(pixels, 0, size - 1) if self.border == "border" else pixels

    def compute_output_spec(self, inputs: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
        """Shape and type of the result."""
        x, grid = inputs
        return keras.KerasTensor((*grid.shape[:3], x.shape[-1]), dtype=x.dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        options = {"interpolation": self.interpolation, "border": self.border, "align_corners": self.align_corners}
        return super().get_config() | options
