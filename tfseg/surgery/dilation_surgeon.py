"""What the rules of dilation share: the wanted stride, copies of layers, maps brought onto one grid, refusals."""

import dataclasses
from collections.abc import Iterable
from fractions import Fraction
from typing import Any, NoReturn

import keras
import numpy as np
from keras import layers

from tfseg import graphs
from tfseg.layers import CropLike
from tfseg.surgery.calls import GriddedCall, GriddedTensor
from tfseg.surgery.grids import PixelGrid
from tfseg.types import Size

WAY_OUT = "Dilate a model that ends before it, and build the rest on the result."


class DilationSurgeon:
    """The state of one dilation.

    Args:
        model: original model.
        output_stride: input pixels per pixel of the deepest map of the result.
        convention: rate of a convolution that loses its stride: "previous", "new" or "one".
    """

    def __init__(self, model: keras.Model, output_stride: int, convention: str):
        self.model = model
        self.output_stride = output_stride
        self.convention = convention
        self.copies = graphs.LayerCopies(model, drawn=False)
        self._deepest = Fraction(1)

    def image(self, tensor: keras.KerasTensor) -> GriddedTensor:
        """An input of the new model; only images have a grid."""
        return GriddedTensor(tensor, PixelGrid.of_input(tensor.shape) if len(tensor.shape) == 4 else None)

    def note_strides(self, results: Iterable[GriddedTensor]) -> None:
        """Remembers the largest stride of the original's maps."""
        self._deepest = max([self._deepest, *(tracked.grid.stride for tracked in results if tracked.grid)])

    def split(self, call: GriddedCall, strides: Size) -> tuple[int, int]:
        """`(kept, lost)`: how much of a layer's stride stays, and how much of it becomes dilation."""
        grid, (stride, across) = call.grid, strides
        if stride != across:
            self.refuse(call, f"its strides differ: {strides}", WAY_OUT)
        now = grid.stride / grid.rate
        if now * stride <= self.output_stride:
            return stride, 1
        kept = self.output_stride / now
        if kept.denominator > 1 or stride % kept:
            self.refuse(
                call,
                f"it goes from output stride {now} to {now * stride}, and {self.output_stride} is no step between",
                "Choose another output stride.",
            )
        return int(kept), stride // int(kept)

    def helper(self, call: GriddedCall, kind: type[keras.Layer], purpose: str, **config: Any) -> keras.Layer:
        """A layer that the original lacks, beside the layer that is called; see `graphs.LayerCopies.helper`."""
        return self.copies.helper(kind, call.operation, purpose, dtype=self.precision(call), **config)

    def precision(self, call: GriddedCall) -> Any:
        """The dtype policy of the called layer; a bare operation computes in the dtype of its arguments."""
        return getattr(call.operation, "dtype_policy", None) or call.maps[0].tensor.dtype

    def every(self, step: int, call: GriddedCall, tensor: keras.KerasTensor) -> keras.KerasTensor:
        """Every `step`-th pixel of a map, taken by a stock layer."""
        if step == 1:
            return tensor
        return self.helper(call, layers.MaxPooling2D, "grid", pool_size=1, strides=step)(tensor)

    def on_old_grid(self, tracked: GriddedTensor, call: GriddedCall) -> GriddedTensor:
        """The pixels of the original map, which have no place on the new grid any more."""
        return GriddedTensor(self.every(tracked.rate, call, tracked.tensor), None)

    def aligned(self, call: GriddedCall) -> list[GriddedTensor]:
        """The maps of a call on one grid: equally dense, and each as large as the smallest.

        On a dense grid, branches may differ by a few pixels though their maps are equally large in the original.
        These pixels are at the far side, beyond the last pixel of the original.
        """
        maps = call.maps
        if not call.is_dense:
            return maps
        if not all(tracked.grid.is_one_pixel for tracked in maps if tracked.grid):  # single pixels spread over others
            maps = [
                self.on_old_grid(tracked, call) if tracked.grid and tracked.grid.is_one_pixel else tracked
                for tracked in maps
            ]
        if not all(tracked.grid or tracked.spreads for tracked in maps):
            self.refuse(call, "it joins a map with a tensor whose place on the image is not known", WAY_OUT)
        smallest, *rest = [tracked for tracked in maps if tracked.grid]
        for tracked in rest:
            if (smallest.grid.stride, smallest.rate) != (tracked.grid.stride, tracked.rate):
                self.refuse(call, f"it joins maps that differ: {smallest.grid}, and {tracked.grid}", WAY_OUT)
            if not smallest.grid.may_equal(tracked.grid):
                self.refuse(call, "it joins maps that are of different sizes in the original, too", WAY_OUT)
            smallest = self._cropped(smallest, tracked, call)
        return [self._cropped(tracked, smallest, call) for tracked in maps]

    def _cropped(self, tracked: GriddedTensor, reference: GriddedTensor, call: GriddedCall) -> GriddedTensor:
        """The first map, made no larger than the second."""
        if tracked.grid is None or reference.grid is None:
            return tracked
        sizes = tuple(map(np.minimum, tracked.grid.sizes, reference.grid.sizes))
        if all(map(np.array_equal, sizes, tracked.grid.sizes)):
            return tracked
        crop = self.helper(call, CropLike, "crop")
        return GriddedTensor(crop([tracked.tensor, reference.tensor]), dataclasses.replace(tracked.grid, sizes=sizes))

    def foreseen(self, call: GriddedCall, index: int) -> list[tuple[int, ...]]:
        """Shapes of a call's results as Keras foresees them, for one image size.

        Args:
            call: call on maps of the new model.
            index: index of the image size in `grids.IMAGE_SIZES`.
        """

        def probe(tracked: GriddedTensor) -> GriddedTensor:
            if tracked.grid is None:
                return tracked
            rows, columns = (int(size[index]) for size in tracked.grid.sizes)
            tensor = keras.KerasTensor((1, rows, columns, tracked.tensor.shape[3]), tracked.tensor.dtype)
            return GriddedTensor(tensor, tracked.grid)

        try:
            results = call.on(map(probe, call.maps)).tensors(self.copies.of(call.operation).compute_output_spec)
        except Exception:  # a user's layer may raise anything if it meets a size that it does not expect
            self.refuse(call, "what it does to the size of a map is not known", WAY_OUT)
        return [tuple(tensor.shape) for tensor in results]

    def check_stride(self) -> None:
        """Raises ValueError if the model has no stride to lose, or a smaller one than asked for."""
        if self._deepest == 1:
            raise ValueError(f"The model {self.model.name!r} has no stride to lose: none of its layers strides.")
        if self.output_stride > self._deepest:
            raise ValueError(
                f"The model {self.model.name!r} has output stride {self._deepest}: dilation makes it smaller, never "
                f"larger. Received: output_stride={self.output_stride}"
            )

    def refuse(self, call: GriddedCall, why: str, way_out: str) -> NoReturn:
        """Raises ValueError that names the layer, the reason and the way out."""
        operation = call.operation
        raise ValueError(
            f"The layer {operation.name!r} ({type(operation).__name__}) of the model {self.model.name!r} cannot be "
            f"dilated: {why}. {way_out}"
        )
