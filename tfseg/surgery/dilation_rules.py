"""What becomes of each kind of layer on a denser grid.

A rule is a function of the surgeon and a call, and returns the maps that the call makes. The tables at the end say
which kind of layer has which rule: a class of Keras or of this package, not its subclasses, which may do anything.
"""

import dataclasses

import keras
import numpy as np
from keras import layers

from tfseg import graphs
from tfseg.layers import DensePadding, DilatedPooling
from tfseg.surgery.grids import Grid, Window

WAY_OUT = "Dilate a model that ends before it, and build the rest on the result."


@dataclasses.dataclass(frozen=True, eq=False)
class Map(graphs.Value):
    """A tensor of the new model, and its grid: None of vectors, and of what a pooling of all pixels left."""

    grid: Grid | None

    @property
    def rate(self):
        return self.grid.rate if self.grid else 1

    @property
    def spreads(self):
        """Whether it is the same at every pixel: a vector for the whole image, as `(batch, 1, 1, channels)`."""
        return all(side == 1 for side in self.tensor.shape[-3:-1])


@dataclasses.dataclass(frozen=True, eq=False)
class Call:
    """One call of the original, its tensors replaced by what stands for them in the new model, `graphs.Value`s."""

    operation: keras.Operation
    args: tuple
    kwargs: dict

    @property
    def maps(self):
        return [leaf for leaf in self._leaves if isinstance(leaf, graphs.Value)]

    @property
    def constants(self):
        return [leaf for leaf in self._leaves if hasattr(leaf, "shape") and not isinstance(leaf, graphs.Value)]

    @property
    def has_placed_constants(self):
        """Whether an array among the arguments has rows or columns."""
        return any(side != 1 for constant in self.constants for side in tuple(constant.shape)[-3:-1])

    @property
    def _leaves(self):
        return keras.tree.flatten((self.args, self.kwargs))

    @property
    def dense(self):
        """Whether a map that it takes is denser than the original's."""
        return any(one.rate > 1 for one in self.maps)

    @property
    def grid(self):
        return next(one.grid for one in self.maps if one.grid)

    def on(self, maps):
        """The same call on other maps."""
        swap = dict(zip(map(id, self.maps), maps, strict=True))
        args, kwargs = keras.tree.map_structure(lambda leaf: swap.get(id(leaf), leaf), (self.args, self.kwargs))
        return dataclasses.replace(self, args=args, kwargs=kwargs)

    def result(self, layer, grid):
        """What `layer` makes of the arguments, as maps on one grid."""
        return [Map(tensor, grid) for tensor in self.tensors(layer)]

    def tensors(self, layer):
        """What `layer` makes of the arguments."""
        args, kwargs = keras.tree.map_structure(
            lambda leaf: leaf.tensor if isinstance(leaf, graphs.Value) else leaf, (self.args, self.kwargs)
        )
        return keras.tree.flatten(layer(*args, **kwargs))


# ----------------------------------------------------------------------------------------------------- layers that look


def convolution(surgeon, call):
    """Neighbours lie `rate` pixels apart: dilation. What "same" pads, the original's size says."""
    layer, grid = call.operation, call.grid
    window = window_of(layer)
    kept, lost = surgeon.split(call, window.strides)
    behind = grid.behind(window, kept)
    if grid.rate == lost == 1:
        return call.result(surgeon.copies.of(layer), behind)
    if max(window.extent) == 1:
        return call.result(surgeon.copies.of(layer, strides=(kept, kept)), behind)
    (source,) = call.maps
    x, padding = source.tensor, layer.padding
    if _must_pad(grid, window, lost):
        fill = surgeon.helper(
            call,
            DensePadding,
            "fill",
            kernel_size=window.extent,
            strides=window.strides,
            dilation_rate=grid.rate,
            padding=padding,
            border=grid.border,
        )
        x, padding = fill(x), "valid"
    rate = grid.rate
    if lost > 1:
        rate = {"previous": grid.rate, "new": grid.rate * lost, "one": 1}[surgeon.convention]
        if rate > 1 and kept > 1:
            surgeon.refuse(call, f"it would keep a stride of {kept} beside a dilation", 'Use convention="previous".')
        x = _reached(surgeon, call, x, window, rate - grid.rate)
    dilation_rate = tuple(rate * own for own in layer.dilation_rate)
    copy = surgeon.copies.of(layer, strides=(kept, kept), padding=padding, dilation_rate=dilation_rate)
    return call.on([Map(x, grid)]).result(copy, behind)


def _must_pad(grid, window, lost):
    """Whether the convolution's own padding, spread or left out, is not what its denser form needs."""
    if window.padding == "valid":
        return lost > 1 and any(np.any(after > 0) for _, after in grid.padding(window))
    # At stride 1 Keras pads a dilated kernel alike on both sides, as is right for odd kernels.
    return window.strides != (1, 1) or any(extent % 2 == 0 for extent in window.extent)


def _reached(surgeon, call, x, window, more):
    """A map with the border that a kernel `more` pixels wider between its neighbours needs, its middle where it was."""
    borders = tuple((size // 2 * more, (size - size // 2) * more) for size in (extent - 1 for extent in window.extent))
    if more > 0:
        return surgeon.helper(call, layers.ZeroPadding2D, "pad", padding=borders)(x)
    if more < 0:
        borders = tuple((-before, -after) for before, after in borders)
        return surgeon.helper(call, layers.Cropping2D, "crop", cropping=borders)(x)
    return x


def pooling(surgeon, call):
    """Windows with holes; one that covers all of the map is a global pooling by another name."""
    layer, grid = call.operation, call.grid
    window = window_of(layer)
    if grid.is_covered_by(window) and not grid.is_one_pixel:
        return whole(surgeon, call)
    kept, lost = surgeon.split(call, window.strides)
    if grid.rate == lost == 1:
        return call.result(surgeon.copies.of(layer), grid.behind(window, kept))
    dense = surgeon.copies.of(
        layer,
        DilatedPooling,
        dtype=surgeon.precision(call),
        pool_size=window.extent,
        mode="max" if type(layer).__name__.startswith("Max") else "average",
        strides=window.strides,
        dilation_rate=grid.rate,
        padding=window.padding,
        border=grid.border,
    )
    (source,) = call.maps
    return [Map(surgeon.every(kept, call, dense(source.tensor)), grid.behind(window, kept))]


def dense_form(surgeon, call):
    """Of a network that was dilated before: the grid that it stands for becomes denser once more."""
    layer, grid = call.operation, call.grid
    copy = surgeon.copies.of(layer, dilation_rate=layer.dilation_rate * grid.rate)
    sizes = tuple(copy.size_behind(size, axis) for axis, size in enumerate(grid.sizes, 1))
    return call.result(copy, grid._replace(sizes=sizes, border=(0, 0)))


def border(surgeon, call):
    """Rows and columns of zeros, or left out: `rate` times as many."""
    layer, rate = call.operation, call.grid.rate
    key, sign = ("padding", 1) if isinstance(layer, layers.ZeroPadding2D) else ("cropping", -1)
    sides = getattr(layer, key)
    scaled = tuple(tuple(rate * pixels for pixels in side) for side in sides)
    return call.result(
        surgeon.copies.of(layer, **{key: scaled}), call.grid.bordered([sign * sum(side) for side in sides])
    )


def bare_pad(surgeon, call):
    """`keras.ops.pad`."""
    operation, rate = call.operation, call.grid.rate
    pads = operation.pad_width
    if operation.mode != "constant" or len(pads) != 4 or any(map(any, (pads[0], pads[3]))):
        return other(surgeon, call, "it does not pad rows and columns with a constant")
    scaled = [[0, 0], *([rate * pixels for pixels in side] for side in pads[1:3]), [0, 0]]
    return call.result(
        surgeon.copies.of(operation, pad_width=scaled), call.grid.bordered([sum(side) for side in pads[1:3]])
    )


# ------------------------------------------------------------------------------------------------- layers that do not


def pixelwise(surgeon, call):
    """Every pixel by itself: what goes on in the channels stays. Several maps must be of one grid."""
    operation = call.operation
    if not works_on_channels(operation):
        return other(surgeon, call, "it works along more than the channels")
    if call.has_placed_constants:
        return other(surgeon, call, "its constants have rows or columns")
    call = call.on(surgeon.aligned(call))
    return call.result(surgeon.copies.of(operation), Grid.joined([one.grid for one in call.maps if one.grid]))


def works_on_channels(operation):
    axes = keras.tree.flatten(getattr(operation, "axis", -1))
    shared = getattr(operation, "shared_axes", (1, 2))  # PReLU's
    return set(axes) <= {-1, 3} and {1, 2} <= set(shared or ())


def reduction(surgeon, call):
    """`keras.ops.mean` and its like: over the pixels, or over the channels."""
    operation = call.operation
    axes = reduced_axes(operation)
    if {1, 2} <= axes:
        return whole(surgeon, call)
    if axes == {3} and operation.keepdims:
        return call.result(surgeon.copies.of(operation), call.grid)
    return other(surgeon, call, f"it reduces over axis={operation.axis}")


def reduced_axes(operation):
    """Of an operation that reduces `(batch, height, width, channels)`: 0 to 3."""
    axes = range(4) if operation.axis is None else keras.tree.flatten(operation.axis)
    return {axis % 4 for axis in axes}


def whole(surgeon, call):
    """What reads all pixels, in whatever order, gets those of the original map; there is no grid behind it."""
    maps = [surgeon.on_old_grid(one, call) for one in call.maps]
    return call.on(maps).result(surgeon.copies.of(call.operation), None)


def enlarging(surgeon, call):
    """Transposed convolutions, repeated pixels: left alone where the map is the original's."""
    layer, grid = call.operation, call.grid
    if call.dense:
        surgeon.refuse(call, "it enlarges a map that is denser already", WAY_OUT)
    strides = getattr(layer, "strides", None) or layer.size
    if strides[0] != strides[1]:
        surgeon.refuse(call, f"its strides differ: {tuple(strides)}", WAY_OUT)
    (result,) = call.result(surgeon.copies.of(layer), None)
    # Sizes grow by the stride, and by a border that one size tells.
    _, *foreseen, _ = surgeon.foreseen(call, 0)[0]
    sizes = tuple(
        stride * (size - size[0]) + found for stride, size, found in zip(strides, grid.sizes, foreseen, strict=True)
    )
    return [Map(result.tensor, Grid(grid.stride / strides[0], 1, sizes))]


def resize_like(surgeon, call):
    source, reference = call.maps
    if source.rate > 1 or (reference.rate > 1 and not source.spreads):
        surgeon.refuse(call, "it interpolates between pixels of the original map", WAY_OUT)
    return call.result(surgeon.copies.of(call.operation), reference.grid)


def crop_like(surgeon, call):
    """The offset is in pixels of the original map."""
    layer = call.operation
    source, reference = call.maps
    if not (source.grid and reference.grid and source.rate == reference.rate):
        return other(surgeon, call, "the maps that it takes are not equally dense")
    rest = source.grid.bordered([-layer.offset] * 2)
    if call.dense and any(np.any(has < wants) for has, wants in zip(rest.sizes, reference.grid.sizes, strict=True)):
        surgeon.refuse(call, "on a denser grid the map that it crops ends too early", WAY_OUT)
    copy = surgeon.copies.of(layer, offset=layer.offset * source.rate)
    return call.result(copy, source.grid._replace(sizes=reference.grid.sizes, border=(0, 0)))


def resampling(surgeon, call):
    """`Resizing` and crops of images, in front of the network: what follows counts from their result."""
    if call.dense:
        surgeon.refuse(call, "it chooses its own pixels", WAY_OUT)
    results = call.result(surgeon.copies.of(call.operation), None)
    return [Map(one.tensor, Grid.of_input(one.tensor.shape)._replace(stride=call.grid.stride)) for one in results]


def other(surgeon, call, why=None):
    """A layer that is not known: copied where the maps are the original's and it keeps their size, else refused."""
    if call.dense:
        if why is None and not is_known(call.operation):
            surgeon.refuse(
                call,
                "it is not known to treat every pixel by itself",
                f"If it does, set `pixelwise = True` on its class. Else: {WAY_OUT}",
            )
        surgeon.refuse(call, why or "it is none of those that treat every pixel by itself", WAY_OUT)
    results = call.result(surgeon.copies.of(call.operation), None)
    if any(len(one.tensor.shape) == 4 for one in results):
        for index in (0, 1):  # an even and an odd size
            size = tuple(int(size[index]) for size in call.grid.sizes)
            if any(len(shape) == 4 and shape[1:3] != size for shape in surgeon.foreseen(call, index)):
                surgeon.refuse(call, "what it does to the size of a map is not known", WAY_OUT)
    return [Map(one.tensor, call.grid if len(one.tensor.shape) == 4 else None) for one in results]


# --------------------------------------------------------------------------------------------------------------- tables


def window_of(operation):
    """The window of a convolution or pooling, of `keras.ops.max_pool` too."""
    if hasattr(operation, "kernel_size"):
        holes = zip(_pair(operation.dilation_rate), _pair(operation.kernel_size), strict=True)
        extent = tuple(dilation * (size - 1) + 1 for dilation, size in holes)
    else:
        extent = _pair(operation.pool_size)
    return Window(extent, _pair(operation.strides or operation.pool_size), operation.padding)


def _pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)


def _table(*rows):
    return {name: rule for names, rule in rows for name in names.split()}


LAYERS = _table(
    ("Conv2D DepthwiseConv2D SeparableConv2D", convolution),
    ("MaxPooling2D AveragePooling2D", pooling),
    ("ZeroPadding2D Cropping2D", border),
    ("Conv2DTranspose DepthwiseConv2DTranspose UpSampling2D", enlarging),
    ("Resizing CenterCrop RandomCrop Rescale", resampling),
    ("DilatedPooling DensePadding", dense_form),
    ("ResizeLike", resize_like),
    ("CropLike", crop_like),
    ("AdaptiveAveragePooling AdaptiveAveragePooling2D AdaptiveMaxPooling2D Flatten", whole),
    ("GlobalAveragePooling2D GlobalMaxPooling2D", whole),
    ("Activation ELU Identity LeakyReLU PReLU ReLU Softmax", pixelwise),
    ("ActivityRegularization AlphaDropout Dropout GaussianDropout GaussianNoise SpatialDropout2D", pixelwise),
    ("Add Average Concatenate Maximum Minimum Multiply Subtract", pixelwise),
    ("BatchNormalization LayerNormalization Normalization RMSNormalization Rescaling UnitNormalization", pixelwise),
    ("Dense Metadata CustomScaleLayer LayerScale StochasticDepth", pixelwise),  # the last three of keras.applications
)
OPERATIONS = _table(
    ("MaxPool AveragePool", pooling),
    ("Pad", bare_pad),
    ("Amax Amin Max Mean Min Prod Std Sum Var", reduction),
    ("Add Divide DivideNoNan FloorDivide Logaddexp Maximum Minimum Mod Multiply Power Subtract TrueDivide", pixelwise),
    ("Abs Absolute Ceil Clip Cos Exp Expm1 Floor Log Log1p Negative Reciprocal Round Sign Sin Sqrt Square", pixelwise),
    ("Celu Elu Gelu HardSigmoid HardSilu HardTanh LeakyRelu LogSigmoid LogSoftmax Relu Relu6 Selu", pixelwise),
    ("Sigmoid Silu Softmax Softplus Softsign Tanh", pixelwise),
    ("Equal Greater GreaterEqual Less LessEqual LogicalAnd LogicalNot LogicalOr NotEqual Where", pixelwise),
    ("Cast Concatenate Copy Split StopGradient", pixelwise),
)


def rule_of(operation):
    """The rule for an operation, by its class's name if Keras or this package made the class."""
    if getattr(type(operation), "pixelwise", False):
        return pixelwise
    if not is_known(operation):
        return other
    table = LAYERS if isinstance(operation, keras.Layer) else OPERATIONS
    return table.get(type(operation).__name__, other)


def is_known(operation):
    return type(operation).__module__.partition(".")[0] in ("keras", "tfseg")
