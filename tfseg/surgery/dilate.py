"""`dilate`: strides become dilations, call by call."""

import keras
import numpy as np
from keras import layers

from tfseg import graphs
from tfseg.layers import CropLike
from tfseg.specs import CONVENTIONS
from tfseg.surgery.dilation_rules import WAY_OUT, Call, Map, rule_of
from tfseg.surgery.grids import Grid


def dilate(model, output_stride, *, convention="previous", name=None):
    """The same network on a finer grid: strides past `output_stride` become dilations.

    Sampling the result every `old_stride / output_stride` pixels gives the old output, at every image size; see
    `check_dilation`. Vectors for the whole image (squeeze-and-excite, a classifier's logits) are made of the pixels of
    the old grid, and stay what they were. Weights, names and variable paths are the model's; the layers that it lacked
    bear the name of the one they serve and `_fill`, `_pad`, `_crop` or `_grid`.

    Args:
        model: functional or Sequential `keras.Model`, input `(batch, height, width, channels)`. Models inside it are
            dissolved into their layers. It stays as it is. A layer of your own that treats every pixel by itself needs
            `pixelwise = True` on its class.
        output_stride: input pixels per pixel of the deepest map: a power of two, 16 or 8 as a rule.
        convention: the rate of a convolution that loses its stride. "previous", its old rate, keeps the law above;
            "new", old rate x stride, and "one" are what some published nets were trained with.
        name: of the result; the model's by default.
    Returns: a functional model, not compiled.
    Raises:
        ValueError: a model that is no graph or has no strides, an output stride that is no power of two or larger than
            the model's, or a layer that cannot be dilated, by name.
    Reference: Chen et al. 2017, https://arxiv.org/abs/1606.00915, section 3.1.
    """
    graphs.check(model)
    if not isinstance(output_stride, int) or output_stride < 1 or output_stride & (output_stride - 1):
        raise ValueError(f"output_stride must be a power of two. Received: {output_stride!r}")
    if convention not in CONVENTIONS:
        raise ValueError(f"convention must be one of {', '.join(map(repr, CONVENTIONS))}. Received: {convention!r}")
    surgeon = Surgeon(model, output_stride, convention)
    inputs = [surgeon.copies.of(layer).output for layer in graphs.input_layers(model)]
    results = graphs.replay(model, [surgeon.image(tensor) for tensor in inputs], surgeon.call)
    surgeon.check_stride()
    old = graphs.structure(model)
    new = (inputs, [one.tensor for one in results])
    dilated = keras.Model(*map(keras.tree.pack_sequence_as, old, new), name=name or model.name)
    surgeon.copies.fill()
    return dilated


class Surgeon:
    """What the rules share: the wanted stride, the copies made so far, maps brought onto one grid, and refusals."""

    def __init__(self, model, output_stride, convention):
        self.model = model
        self.output_stride = output_stride
        self.convention = convention
        self.copies = graphs.Copies(model)
        self._deepest = 1

    def image(self, tensor):
        return Map(tensor, Grid.of_input(tensor.shape) if len(tensor.shape) == 4 else None)

    def call(self, operation, args, kwargs, _outputs):
        """The maps that one call of the original makes in the new model."""
        call = Call(operation, args, kwargs)
        if not any(one.grid for one in call.maps):
            return call.result(self.copies.of(operation), None)
        if getattr(operation, "data_format", None) == "channels_first":
            self.refuse(call, "its channels come first", 'Build the model with data_format="channels_last".')
        results = rule_of(operation)(self, call)
        self._deepest = max([self._deepest, *(one.grid.stride for one in results if one.grid)])
        return results

    def split(self, call, strides):
        """How much of a layer's stride stays, and how much of it becomes dilation."""
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

    def helper(self, call, kind, purpose, **config):
        """A layer that the original lacks, beside the one that is called."""
        return self.copies.helper(kind, call.operation, purpose, dtype=self.precision(call), **config)

    def precision(self, call):
        """In which the called layer computes; a bare operation computes in that of its arguments."""
        return getattr(call.operation, "dtype_policy", None) or call.maps[0].tensor.dtype

    def every(self, step, call, tensor):
        """Every `step`-th pixel; a stock layer takes them."""
        if step == 1:
            return tensor
        return self.helper(call, layers.MaxPooling2D, "grid", pool_size=1, strides=step)(tensor)

    def on_old_grid(self, one, call):
        """The pixels of the original map, which have no place on the new grid any more."""
        return Map(self.every(one.rate, call, one.tensor), None)

    def aligned(self, call):
        """The maps of a call on one grid: equally dense, and each as large as the smallest.

        On a dense grid, branches whose maps are equally large in the original may differ by a few pixels at the far
        side, beyond the last pixel of the original.
        """
        maps = call.maps
        if not call.dense:
            return maps
        if not all(one.grid.is_one_pixel for one in maps if one.grid):  # single pixels spread over the others
            maps = [self.on_old_grid(one, call) if one.grid and one.grid.is_one_pixel else one for one in maps]
        if not all(one.grid or one.spreads for one in maps):
            self.refuse(call, "it joins a map with a tensor whose place on the image is not known", WAY_OUT)
        smallest, *rest = [one for one in maps if one.grid]
        for one in rest:
            if (smallest.grid.stride, smallest.rate) != (one.grid.stride, one.rate):
                self.refuse(call, f"it joins maps that differ: {smallest.grid}, and {one.grid}", WAY_OUT)
            if not smallest.grid.may_equal(one.grid):
                self.refuse(call, "it joins maps that are of different sizes in the original, too", WAY_OUT)
            smallest = self._cropped(smallest, one, call)
        return [self._cropped(one, smallest, call) if one.grid else one for one in maps]

    def _cropped(self, one, reference, call):
        """The first map, made no larger than the second."""
        sizes = tuple(map(np.minimum, one.grid.sizes, reference.grid.sizes))
        if all(map(np.array_equal, sizes, one.grid.sizes)):
            return one
        crop = self.helper(call, CropLike, "crop")
        return Map(crop([one.tensor, reference.tensor]), one.grid._replace(sizes=sizes))

    def foreseen(self, call, index):
        """Shapes of what a call makes of maps, for one of the image sizes, as Keras foresees them."""

        def probe(one):
            if one.grid is None:
                return one
            rows, columns = (int(size[index]) for size in one.grid.sizes)
            return Map(keras.KerasTensor((1, rows, columns, one.tensor.shape[3]), one.tensor.dtype), one.grid)

        try:
            results = call.on(map(probe, call.maps)).result(self.copies.of(call.operation).compute_output_spec, None)
        except Exception:  # somebody's layer may raise anything where it meets a size that it does not expect
            self.refuse(call, "what it does to the size of a map is not known", WAY_OUT)
        return [one.tensor.shape for one in results]

    def check_stride(self):
        """Raises ValueError if the model has no stride to lose, or not that large a one."""
        if self._deepest == 1:
            raise ValueError(f"The model {self.model.name!r} has no stride to lose: none of its layers strides.")
        if self.output_stride > self._deepest:
            raise ValueError(
                f"The model {self.model.name!r} has output stride {self._deepest}: dilation makes it smaller, never "
                f"larger. Received: output_stride={self.output_stride}"
            )

    def refuse(self, call, why, way_out):
        operation = call.operation
        raise ValueError(
            f"The layer {operation.name!r} ({type(operation).__name__}) of the model {self.model.name!r} cannot be "
            f"dilated: {why}. {way_out}"
        )
