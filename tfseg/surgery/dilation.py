"""`dilate`: strides become dilations, call by call."""

import keras
import numpy as np
from keras import layers

from tfseg.layers import CropLike
from tfseg.specs import CONVENTIONS
from tfseg.surgery import graphs
from tfseg.surgery.grids import Grid
from tfseg.surgery.rules import WAY_OUT, Call, Map, rule_of


def dilate(model, output_stride, *, convention="previous", name=None):
    """The same network on a finer grid: strides past `output_stride` become dilations.

    Sampling the result every `old_stride / output_stride` pixels gives the old output, at every image size;
    `check_dilation` shows it. Vectors for the whole image (squeeze-and-excite, a classifier's logits) are made of the
    pixels of the old grid, and stay what they were. Convolutions and poolings without padding never reach beyond the map,
    so behind them a denser map ends with its last whole window.

    Args:
        model: functional or Sequential `keras.Model`, input `(batch, height, width, channels)`; it is left as it is. Models
            inside it are dissolved into their layers.
        output_stride: input pixels per feature pixel, a power of two: 8 or 16 as a rule.
        convention: the rate of a convolution that loses its stride: "previous", its old rate, keeps the law above; "new",
            old rate x stride, and "one" are what some published nets were trained with.
        name: of the result; the model's by default.
    Returns: a functional model with the names, weights and variable paths of `model`, not compiled.
    Raises:
        ValueError: a model that is no graph, an output stride that is no power of two or larger than the model's, or a
            layer that cannot be dilated, by name.
    Reference: Chen et al. 2017, https://arxiv.org/abs/1606.00915, section 3.1.
    """
    graphs.check(model)
    if not isinstance(output_stride, int) or output_stride < 1 or output_stride & (output_stride - 1):
        raise ValueError(f"output_stride is a power of two. Received: {output_stride!r}")
    if convention not in CONVENTIONS:
        raise ValueError(f"convention must be one of {', '.join(map(repr, CONVENTIONS))}. Received: {convention!r}")
    surgeon = _Surgeon(model, output_stride, convention)
    inputs = [surgeon.copies.of(layer).output for layer in graphs.input_layers(model)]
    results = graphs.replay(model, [surgeon.image(tensor) for tensor in inputs], surgeon.call)
    surgeon.check(results)
    dilated = keras.Model(
        keras.tree.pack_sequence_as(model.input, inputs),
        keras.tree.pack_sequence_as(model.output, [one.tensor for one in results]),
        name=name or model.name,
    )
    surgeon.copies.fill()
    return dilated


class _Surgeon:
    """What the rules share: the wanted stride, the copies made so far, and how to say no."""

    def __init__(self, model, output_stride, convention):
        self.model = model
        self.output_stride = output_stride
        self.convention = convention
        self.copies = graphs.Copies(model)
        self._deepest = 1

    def image(self, tensor):
        return Map(tensor, Grid.of_input(tensor.shape) if len(tensor.shape) == 4 else None)

    def call(self, operation, args, kwargs, outputs):
        call = Call(operation, args, kwargs, outputs)
        if not any(one.grid for one in call.maps):
            return call.result(self.copies.of(operation), None)
        if getattr(operation, "data_format", None) == "channels_first":
            self.refuse(call, "its channels come first", 'Build the model with data_format="channels_last".')
        results = rule_of(operation)(self, call)
        self._deepest = max([self._deepest, *(one.grid.stride for one in results if one.grid)])
        return results

    def split(self, call, strides):
        """How much of a layer's stride stays, and how much of it becomes dilation."""
        grid, (stride, other) = call.grid, strides
        if stride != other:
            self.refuse(call, f"its strides differ: {strides}", WAY_OUT)
        now = grid.stride / grid.rate
        if now * stride <= self.output_stride:
            return stride, 1
        kept = self.output_stride / now
        if kept.denominator > 1 or stride % kept:
            self.refuse(
                call,
                f"it goes from output stride {now} to {now * stride}, between which {self.output_stride} is no step",
                "Choose another output stride.",
            )
        return int(kept), stride // int(kept)

    def every(self, step, beside, tensor):
        """Every `step`-th pixel: a stock layer does it."""
        if step == 1:
            return tensor
        return self.copies.helper(layers.MaxPooling2D, beside, "grid", pool_size=1, strides=step)(tensor)

    def on_old_grid(self, one, beside):
        return one if one.rate == 1 else Map(self.every(one.rate, beside, one.tensor), None)

    def aligned(self, call):
        """The maps of a call on one grid: equally dense, and each as large as the smallest.

        On a dense grid, branches with equal maps in the original may differ by a few pixels at the far side, beyond the
        last pixel of the original.
        """
        maps = call.maps
        if not call.dense:
            grids = [one.grid for one in maps if one.grid]
            sizes = tuple(np.maximum.reduce(axis) for axis in zip(*(grid.sizes for grid in grids), strict=True))
            common = Grid(max(grid.stride for grid in grids), 1, sizes)
            return [one if one.grid is None else Map(one.tensor, common) for one in maps]
        # A map of one pixel spreads over others, if it is one pixel.
        if not all(one.grid.is_one_pixel for one in maps if one.grid):
            maps = [
                self.on_old_grid(one, call.operation) if one.grid and one.grid.is_one_pixel else one for one in maps
            ]
        for one in maps:
            if one.grid is None and len(one.tensor.shape) > 1 and not one.spreads:
                self.refuse(call, "it joins a map with a tensor whose place on the image is not known", WAY_OUT)
        with_grid = [one for one in maps if one.grid]
        if len({(one.grid.stride, one.rate) for one in with_grid}) > 1:
            found = ", ".join(f"stride {one.grid.stride} at {one.rate} times its density" for one in with_grid)
            self.refuse(call, f"the maps that it joins are not equally dense: {found}", WAY_OUT)
        if not all(np.any(np.all([np.equal(*pair) for pair in zip(with_grid[0].grid.old_sizes, one.grid.old_sizes)], 0)) for one in with_grid):
            self.refuse(call, "the maps that it joins are of different sizes", WAY_OUT)
        smallest = with_grid[0]
        for one in with_grid[1:]:
            smallest = self._cropped(smallest, one, call.operation)
        return [self._cropped(one, smallest, call.operation) if one.grid else one for one in maps]

    def _cropped(self, one, reference, beside):
        """The first map, no larger than the second."""
        sizes = tuple(np.minimum(*pair) for pair in zip(one.grid.sizes, reference.grid.sizes, strict=True))
        if all(np.array_equal(*pair) for pair in zip(sizes, one.grid.sizes, strict=True)):
            return one
        crop = self.copies.helper(CropLike, beside, "crop")
        return Map(crop([one.tensor, reference.tensor]), one.grid._replace(sizes=sizes))

    def sizes_behind(self, call, index):
        """Rows and columns that a call makes of the maps of one image size, as Keras foresees them."""
        probe = [
            Map(keras.KerasTensor((1, *(int(size[index]) for size in one.grid.sizes), one.tensor.shape[-1]), one.tensor.dtype), one.grid)
            if one.grid
            else one
            for one in call.maps
        ]
        (result, *_) = call.on(probe).result(self.copies.of(call.operation).compute_output_spec, None)
        return list(result.tensor.shape[1:3])

    def check(self, results):
        """Raises ValueError if the wanted stride is none that the model can have."""
        name = self.model.name
        if self._deepest == 1:
            raise ValueError(f"The model {name!r} has no stride to lose: no layer on its maps has one.")
        if self.output_stride > self._deepest:
            raise ValueError(
                f"The model {name!r} has output stride {self._deepest}: surgery makes it smaller, never larger. "
                f"Received: output_stride={self.output_stride}"
            )

    def refuse(self, call, why, way_out):
        operation = call.operation
        raise ValueError(
            f"The layer {operation.name!r} ({type(operation).__name__}) of the model {self.model.name!r} cannot be "
            f"dilated: {why}. {way_out}"
        )
