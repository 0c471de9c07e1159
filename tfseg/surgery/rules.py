"""What becomes of each kind of layer on a denser grid.

A rule is a function of the surgeon and a call, and returns the maps that the call makes. The tables at the end say which
kind of layer has which rule. A kind is a class of Keras itself, not a subclass, whose call may be anything.
"""

import dataclasses

import keras
import numpy as np
from keras import layers

from tfseg.layers import CropLike, DilatedPooling, SamePadding
from tfseg.surgery.grids import Grid, Window

CHANNELS = {-1, 3}
WAY_OUT = "Dilate a model that ends before it, and build the rest on the result."


@dataclasses.dataclass(frozen=True, eq=False)  # a leaf to keras.tree, which a tuple is not
class Map:
    """A tensor of the new model, and its grid; None where there is none: vectors, and what pooling of all pixels left."""

    tensor: keras.KerasTensor
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
    """One call of the original, its tensors replaced by the maps of the new model."""

    operation: keras.Operation
    args: tuple
    kwargs: dict
    outputs: list

    @property
    def maps(self):
        return [leaf for leaf in self._leaves if isinstance(leaf, Map)]

    @property
    def constants(self):
        return [leaf for leaf in self._leaves if hasattr(leaf, "shape") and not isinstance(leaf, Map)]

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
        args, kwargs = keras.tree.map_structure(
            lambda leaf: leaf.tensor if isinstance(leaf, Map) else leaf, (self.args, self.kwargs)
        )
        return [Map(tensor, grid) for tensor in keras.tree.flatten(layer(*args, **kwargs))]


# ----------------------------------------------------------------------------------------------------- layers that look


def convolution(surgeon, call):
    """Neighbours lie `rate` pixels apart: dilation; "same" under a stride pads as the original's size asks."""
    layer, grid = call.operation, call.grid
    window = window_of(layer)
    kept, lost = surgeon.split(call, window.strides)
    result_grid = grid.behind(window, kept)
    if max(window.extent) == 1 or grid.rate == lost == 1:
        return call.result(surgeon.copies.of(layer, **({"strides": (kept, kept)} if lost > 1 else {})), result_grid)
    (source,) = call.maps
    x, padding = source.tensor, layer.padding
    # At stride 1 Keras pads a dilated kernel alike on both sides, as it is right for odd kernels.
    if window.same and (window.strides != (1, 1) or any(extent % 2 == 0 for extent in window.extent)):
        config = {"kernel_size": window.extent, "strides": window.strides, "dilation_rate": grid.rate}
        x, padding = surgeon.copies.helper(SamePadding, layer, "same", **config)(x), "valid"
    rate = grid.rate
    if lost > 1:
        rate = {"previous": grid.rate, "new": grid.rate * lost, "one": 1}[surgeon.convention]
        if rate > 1 and kept > 1:
            surgeon.refuse(call, f"it would keep a stride of {kept} beside a dilation", 'Use convention="previous".')
        x = _reached(surgeon, layer, x, window, rate - grid.rate)
    copy = surgeon.copies.of(
        layer,
        strides=(kept, kept),
        padding=padding,
        dilation_rate=tuple(rate * own for own in layer.dilation_rate),
    )
    return call.on([Map(x, grid)]).result(copy, result_grid)


def _reached(surgeon, layer, x, window, more):
    """A map with the border that a kernel `more` pixels wider between its neighbours needs, its middle where it was."""
    borders = tuple((size // 2 * more, (size - size // 2) * more) for size in (extent - 1 for extent in window.extent))
    if more > 0:
        return surgeon.copies.helper(layers.ZeroPadding2D, layer, "pad", padding=borders)(x)
    if more < 0:
        borders = tuple((-before, -after) for before, after in borders)
        return surgeon.copies.helper(layers.Cropping2D, layer, "crop", cropping=borders)(x)
    return x


def pooling(surgeon, call):
    """Windows with holes; one that covers all of the map is a global pooling by another name."""
    layer, grid = call.operation, call.grid
    window = window_of(layer)
    if grid.behind(window, 1)._replace(rate=grid.rate * window.strides[0]).is_one_pixel and not grid.is_one_pixel:
        return whole(surgeon, call)
    kept, lost = surgeon.split(call, window.strides)
    if grid.rate == lost == 1:
        return call.result(surgeon.copies.of(layer), grid.behind(window, kept))
    dense = surgeon.copies.of(
        layer,
        DilatedPooling,
        pool_size=window.extent,
        mode="max" if type(layer).__name__.startswith("Max") else "average",
        strides=window.strides,
        dilation_rate=grid.rate,
        padding=layer.padding,
    )
    (source,) = call.maps
    pooled = Map(dense(source.tensor), grid.behind(window, 1))
    return [Map(surgeon.every(kept, layer, pooled.tensor), grid.behind(window, kept))]


def dilated_pooling(surgeon, call):
    layer, grid = call.operation, call.grid
    lost = [0 if layer.padding == "same" else layer.dilation_rate * (1 - size) for size in layer.pool_size]
    return call.result(surgeon.copies.of(layer, dilation_rate=layer.dilation_rate * grid.rate), grid.grown(lost))


def same_padding(surgeon, call):
    layer, grid = call.operation, call.grid
    more = [layer.dilation_rate * (size - 1) for size in layer.kernel_size]
    return call.result(surgeon.copies.of(layer, dilation_rate=layer.dilation_rate * grid.rate), grid.grown(more))


def border(surgeon, call):
    """Rows and columns of zeros, or left out: `rate` times as many."""
    layer, grid = call.operation, call.grid
    key, sign = ("padding", 1) if isinstance(layer, layers.ZeroPadding2D) else ("cropping", -1)
    sides = getattr(layer, key)
    scaled = tuple(tuple(grid.rate * pixels for pixels in side) for side in sides)
    return call.result(surgeon.copies.of(layer, **{key: scaled}), grid.grown([sign * sum(side) for side in sides]))


def bare_pad(surgeon, call):
    """`keras.ops.pad`."""
    operation, grid = call.operation, call.grid
    pads = operation.pad_width
    if operation.mode != "constant" or len(pads) != 4 or any(map(any, (pads[0], pads[3]))):
        return other(surgeon, call, "it does not pad rows and columns with a constant")
    scaled = [[0, 0], *([grid.rate * pixels for pixels in side] for side in pads[1:3]), [0, 0]]
    return call.result(surgeon.copies.of(operation, pad_width=scaled), grid.grown([sum(side) for side in pads[1:3]]))


# ------------------------------------------------------------------------------------------------- layers that do not


def pixelwise(surgeon, call):
    """Every pixel by itself: what goes on in the channels stays. Several maps must be of one grid."""
    operation = call.operation
    if not _works_on_channels(operation):
        return other(surgeon, call, "it works along more than the channels")
    if not all(_spreads(constant) for constant in call.constants):
        return other(surgeon, call, "its constants have rows or columns")
    call = call.on(surgeon.aligned(call))
    return call.result(surgeon.copies.of(operation), next((one.grid for one in call.maps if one.grid), None))


def _works_on_channels(operation):
    axes = getattr(operation, "axis", None)
    shared = getattr(operation, "shared_axes", (1, 2))  # PReLU's
    return set(keras.tree.flatten(axes)) <= CHANNELS | {None} and {1, 2} <= set(shared or ())


def _spreads(constant):
    return all(side == 1 for side in tuple(constant.shape)[-3:-1]) or len(constant.shape) < 2


def reduction(surgeon, call):
    """`keras.ops.mean` and its like: over the pixels, or over the channels."""
    operation = call.operation
    axes = operation.axis if isinstance(operation.axis, list | tuple) else [operation.axis]
    axes = {axis if axis is None else axis % 4 for axis in axes}
    if {1, 2} <= axes <= {1, 2, 3}:
        return whole(surgeon, call)
    if axes == {3} and operation.keepdims:
        return call.result(surgeon.copies.of(operation), call.grid)
    return other(surgeon, call, f"it reduces over axis={operation.axis}")


def whole(surgeon, call):
    """What reads all pixels, in whatever order, gets those of the original map; there is no grid behind it."""
    maps = [surgeon.on_old_grid(one, call.operation) for one in call.maps]
    return call.on(maps).result(surgeon.copies.of(call.operation), None)


def enlarging(surgeon, call):
    """Transposed convolutions, repeated pixels: left alone where the map is the original's."""
    layer, grid = call.operation, call.grid
    if call.dense:
        surgeon.refuse(call, "it enlarges a map that is denser already", WAY_OUT)
    strides = getattr(layer, "strides", None) or layer.size
    if strides[0] != strides[1]:
        surgeon.refuse(call, f"its strides differ: {tuple(strides)}", WAY_OUT)
    results = call.result(surgeon.copies.of(layer), None)
    # Sizes grow by the stride, but for a border that one size tells.
    wanted = surgeon.sizes_behind(call, 0)
    sizes = tuple(
        strides[0] * size + (found - strides[0] * size[0]) for size, found in zip(grid.sizes, wanted, strict=True)
    )
    return [Map(results[0].tensor, Grid(grid.stride / strides[0], 1, sizes))]


def resize_like(surgeon, call):
    source, reference = call.maps
    if source.rate > 1 or (reference.rate > 1 and not source.spreads):
        surgeon.refuse(call, "it interpolates between pixels of the original map", WAY_OUT)
    return call.result(surgeon.copies.of(call.operation), reference.grid)


def crop_like(surgeon, call):
    """The offset is in pixels, and the window ends where the denser of both maps ends first."""
    layer = call.operation
    source, reference = call.maps
    if not (source.grid and reference.grid) or source.rate != reference.rate:
        return other(surgeon, call, "the maps that it takes are not equally dense")
    offset = layer.offset * source.rate
    rest = source.grid.grown([-layer.offset] * 2).sizes
    sizes = tuple(np.minimum(ours, theirs) for ours, theirs in zip(rest, reference.grid.sizes, strict=True))
    if not call.dense:  # a size at which the maps do not fit is none of the network's
        sizes = reference.grid.sizes
    elif any(np.any(size < theirs) for size, theirs in zip(sizes, reference.grid.sizes, strict=True)):
        surgeon.refuse(call, "the map that it crops ends too early on a denser grid", WAY_OUT)
    return call.result(surgeon.copies.of(layer, offset=offset), source.grid._replace(sizes=sizes))


def resampling(surgeon, call):
    """`Resizing` and crops of images, in front of the network: what follows counts from their result."""
    if call.dense:
        surgeon.refuse(call, "it chooses its own pixels", WAY_OUT)
    results = call.result(surgeon.copies.of(call.operation), None)
    return [Map(one.tensor, Grid.of_input(one.tensor.shape)._replace(stride=call.grid.stride)) for one in results]


def other(surgeon, call, why=None):
    """A layer that is not known: copied where the maps are the original's and it keeps their size, else refused."""
    if call.dense:
        if why is None:
            surgeon.refuse(
                call,
                "it is not known to treat every pixel by itself",
                f"If it does, say so: set `pixelwise = True` on its class. Else: {WAY_OUT[0].lower()}{WAY_OUT[1:]}",
            )
        surgeon.refuse(call, why, WAY_OUT)
    results = call.result(surgeon.copies.of(call.operation), None)
    if any(len(one.tensor.shape) == 4 for one in results):
        for index in (0, 1):  # an even and an odd size
            if [size[index] for size in call.grid.sizes] != surgeon.sizes_behind(call, index):
                surgeon.refuse(call, "what it does to the size of a map is not known", WAY_OUT)
    return [Map(one.tensor, call.grid if len(one.tensor.shape) == 4 else None) for one in results]


# --------------------------------------------------------------------------------------------------------------- tables


def window_of(operation):
    """The window of a convolution or pooling, `keras.ops.max_pool` included; None of any other operation."""
    name = type(operation).__name__
    if name in CONVOLUTIONS:
        extent = (dilation * (size - 1) + 1 for dilation, size in zip(*map(_pair, (operation.dilation_rate, operation.kernel_size)), strict=True))
    elif name in POOLINGS:
        extent = _pair(operation.pool_size)
    else:
        return None
    return Window(tuple(extent), _pair(operation.strides or operation.pool_size), operation.padding == "same")


def _pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)


CONVOLUTIONS = frozenset("Conv2D DepthwiseConv2D SeparableConv2D".split())
POOLINGS = frozenset("MaxPooling2D AveragePooling2D MaxPool AveragePool".split())
GLOBAL = frozenset("GlobalAveragePooling2D GlobalMaxPooling2D Flatten AdaptiveAveragePooling AdaptiveAveragePooling2D AdaptiveMaxPooling2D".split())


def _table(rows):
    return {name: rule for names, rule in rows for name in (names.split() if isinstance(names, str) else names)}


LAYERS = _table(
    (
        (CONVOLUTIONS, convolution),
        ("MaxPooling2D AveragePooling2D", pooling),
        (GLOBAL, whole),
        ("ZeroPadding2D Cropping2D", border),
        ("Conv2DTranspose UpSampling2D", enlarging),
        ("Resizing CenterCrop RandomCrop", resampling),
        ("DilatedPooling", dilated_pooling),
        ("SamePadding", same_padding),
        ("ResizeLike", resize_like),
        ("CropLike", crop_like),
        (
            "Activation ActivityRegularization Add AlphaDropout Average BatchNormalization Concatenate CustomScaleLayer "
            "Dense Dropout ELU GaussianDropout GaussianNoise Identity LayerNormalization LayerScale LeakyReLU Maximum "
            "Metadata Minimum Multiply Normalization PReLU RMSNormalization ReLU Rescaling Softmax SpatialDropout2D "
            "StochasticDepth Subtract UnitNormalization",
            pixelwise,
        ),
    )
)
OPERATIONS = _table(
    (
        ("MaxPool AveragePool", pooling),
        ("Pad", bare_pad),
        ("Amax Amin Max Mean Min Prod Std Sum Var", reduction),
        (
            "Abs Absolute Add Cast Celu Ceil Clip Concatenate Copy Cos Divide DivideNoNan Elu Equal Erf Exp Expm1 Floor "
            "FloorDivide Gelu Glu Greater GreaterEqual HardSigmoid HardSilu HardTanh LeakyRelu Less LessEqual Log Log1p "
            "LogSigmoid LogSoftmax Logaddexp LogicalAnd LogicalNot LogicalOr Maximum Minimum Mod Multiply Negative "
            "NotEqual Power Reciprocal Relu Relu6 Round Rsqrt Selu Sigmoid Sign Silu Sin Softmax Softplus Softsign Split "
            "Sqrt Square StopGradient Subtract Tanh TrueDivide Where",
            pixelwise,
        ),
    )
)


def rule_of(operation):
    """The rule for an operation, by its class's name if Keras or this package made the class."""
    kind = type(operation)
    if getattr(kind, "pixelwise", False):
        return pixelwise
    if kind.__module__.partition(".")[0] not in ("keras", "tfseg"):
        return other
    return (LAYERS if isinstance(operation, keras.Layer) else OPERATIONS).get(kind.__name__, other)
