"""The steps of Keras's layers, by their configuration: the same for a layer that is built and for one in a file."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from converters.errors import ConversionError
from converters.programs.steps import NO_PADDING, Padding, ProgramStep, StepFactory
from tfseg.types import Size

Options = Mapping[str, Any]
"""Configuration of a layer."""

# Layers that change images in training alone.
AUGMENTATIONS = frozenset(
    f"Random{what}"
    for what in (
        *("Flip", "Rotation", "Zoom", "Contrast", "Translation", "Brightness", "Shear", "ColorJitter", "Hue", "Height"),
        *("Saturation", "GaussianBlur", "Erasing", "Sharpness", "Posterization", "Invert", "Grayscale", "Width"),
        *("ColorDegeneration", "Perspective", "ElasticTransform"),
    )
) | {"MixUp", "CutMix", "RandAugment", "AugMix"}
_IDENTITY = AUGMENTATIONS | {
    *("Dropout", "SpatialDropout2D", "GaussianDropout", "GaussianNoise", "AlphaDropout", "ActivityRegularization"),
    *("Flatten", "Identity", "tfseg>Metadata"),
}
# Entries of a configuration that change nothing of what is computed.
_IDLE = {
    *(
        "name",
        "trainable",
        "dtype",
        "batch_input_shape",
        "batch_shape",
        "input_dtype",
        "sparse",
        "ragged",
        "noise_shape",
    ),
    *("seed", "synchronized", "momentum", "autocast"),
}
_IDLE_ENDINGS = ("_initializer", "_regularizer", "_constraint", "_init")


def read_layer(
    factory: StepFactory, kind: str, options: Options, inputs: Sequence[ProgramStep], name: str, key: str = ""
) -> ProgramStep:
    """The step of a layer.

    Args:
        factory: factory for the size of image at which programs are compared.
        kind: class of the layer: the bare name for one of Keras, "tfseg>" and the name for one of tfseg.
        options: configuration of the layer.
        inputs: steps whose results it reads.
        name: name of the layer.
        key: name of the Keras layer whose weights it has; "" for none.
    Raises:
        ConversionError: options that the layer cannot have.
    """
    if kind in _IDENTITY and len(inputs) == 1:
        return inputs[0]
    reader = _READERS.get(kind)
    if reader is None or not inputs:
        return other_layer(factory, kind, options, inputs, name, key)
    try:
        return reader(factory, options, inputs, name, key)
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        if isinstance(error, ConversionError):
            raise
        raise ConversionError(
            f"The layer {name!r} ({kind}) has options that its class does not have ({type(error).__name__}: {error})."
        ) from error


def other_layer(
    factory: StepFactory, kind: str, options: Options, inputs: Sequence[ProgramStep], name: str, key: str = ""
) -> ProgramStep:
    """The step of a layer that computes what only its class knows: equal if all of its configuration is.

    Args:
        factory: factory for the size of image at which programs are compared.
        kind: class of the layer.
        options: configuration of the layer.
        inputs: steps whose results it reads.
        name: name of the layer.
        key: name of the Keras layer whose weights it has; "" for none.
    """
    facts = {f"its {entry}": _frozen(value) for entry, value in options.items() if not _is_idle(entry)}
    return factory.step(kind.removeprefix("tfseg>"), inputs, name, key, nonnegative=False, **facts)


def activate(factory: StepFactory, x: ProgramStep, name: str, activation: Any) -> ProgramStep:
    """The step of an activation, by its name or its configuration.

    Args:
        factory: factory for the size of image at which programs are compared.
        x: step that it reads.
        name: name of the layer.
        activation: what the configuration has.
    """
    match activation:
        case None | "linear":
            return x
        case "relu":
            return factory.relu(x, name)
        case str():
            return factory.step(activation, [x], name, nonnegative=activation in ("sigmoid", "softmax"))
        case {"class_name": str(kind), "config": dict(config)} if kind in ("ReLU", "LeakyReLU", "Softmax"):
            return read_layer(factory, kind, config, [x], name)
    return factory.step("an activation", [x], name, nonnegative=False, **{"which": _frozen(activation)})


def pair(value: Any) -> Size:
    """Rows and columns, of one number or two.

    Args:
        value: what the configuration has.
    """
    rows, columns = (value, value) if isinstance(value, int) else value
    return int(rows), int(columns)


def _is_idle(entry: str) -> bool:
    return entry in _IDLE or entry.endswith(_IDLE_ENDINGS)


def _frozen(value: Any) -> Any:
    """A value as part of a step's identity."""
    if isinstance(value, Mapping):
        return tuple((str(key), _frozen(part)) for key, part in sorted(value.items(), key=str))
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def _rest(options: Options, *known: str) -> dict[str, Any]:
    """Options that a reader does not know, and that are not idle; those that are off say nothing."""
    rest = {key: value for key, value in options.items() if key not in known and not _is_idle(key)}
    return {key: _frozen(value) for key, value in rest.items() if value not in (None, False, 0, [], {})}


def _same(x: ProgramStep, kernel: Size, stride: Size, rate: Size) -> Padding:
    """The zeros that "same" puts around a map of this size; the odd one is after."""
    rows, columns = (
        max((-(-side // step) - 1) * step + (window - 1) * distance + 1 - side, 0)
        for side, window, step, distance in zip(x.size, kernel, stride, rate, strict=True)
    )
    return _halves(rows), _halves(columns)


def _halves(pixels: int) -> Size:
    """Pixels before and after; the odd one is after."""
    return pixels // 2, pixels - pixels // 2


def _padding(options: Options, x: ProgramStep, kernel: Size, stride: Size, rate: Size) -> tuple[Padding, Options]:
    """The padding at this size, and a fact where no number of zeros says it."""
    match options.get("padding", "valid"):
        case "valid":
            return NO_PADDING, {}
        case "same":
            # Under a stride the zeros depend on the size of the map: at no size this is equal to zeros of one number.
            changes = any(window > 1 and step > 1 for window, step in zip(kernel, stride, strict=True))
            return _same(x, kernel, stride, rate), {"padding": "same, by the size of the map"} if changes else {}
        case other:
            return NO_PADDING, {"padding": _frozen(other)}


_CONVOLUTION = ("filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "groups", "activation")


def _window(options: Options, x: ProgramStep) -> tuple[dict[str, Any], Options]:
    kernel, stride, rate = (
        pair(options["kernel_size"]), pair(options.get("strides", 1)), pair(options.get("dilation_rate") or 1)
    )  # fmt: skip
    pad, facts = _padding(options, x, kernel, stride, rate)
    return {"kernel": kernel, "stride": stride, "pad": pad, "dilation": rate}, facts


def _convolution(
    factory: StepFactory, options: Options, inputs: Sequence[ProgramStep], name: str, key: str
) -> ProgramStep:
    window, facts = _window(options, inputs[0])
    facts = {**facts, **_rest(options, *_CONVOLUTION, "use_bias", "nb_row", "nb_col", "init", "weights")}
    x = factory.convolution(
        inputs[0],
        name,
        key,
        **window,
        outputs=options["filters"],
        groups=options.get("groups", 1),
        bias=options.get("use_bias", True),
        **facts,
    )
    return activate(factory, x, name, options.get("activation"))


def _deconvolution(
    factory: StepFactory, options: Options, inputs: Sequence[ProgramStep], name: str, key: str
) -> ProgramStep:
    window, facts = _window(options, inputs[0])
    if options.get("padding") == "same":  # the result is `strides` times larger, and no more
        rows, columns = (size - stride for size, stride in zip(window["kernel"], window["stride"], strict=True))
        window["pad"] = _halves(rows), _halves(columns)
    facts = {**facts, **_rest(options, *_CONVOLUTION, "use_bias")}
    x = factory.deconvolution(
        inputs[0],
        name,
        key,
        **window,
        outputs=options["filters"],
        groups=1,
        bias=options.get("use_bias", True),
        **facts,
    )
    return activate(factory, x, name, options.get("activation"))


def _depthwise(
    factory: StepFactory, options: Options, inputs: Sequence[ProgramStep], name: str, key: str
) -> ProgramStep:
    """A kernel of one pixel multiplies each channel by a number."""
    (x,), multiplier, bias = inputs, options.get("depth_multiplier", 1), options.get("use_bias", True)
    window, facts = _window(options, x)
    if window["kernel"] == window["stride"] == (1, 1) and multiplier == 1 and not facts:
        result = factory.step("scale", [x], name, key, nonnegative=False, scale=True, shift=bias)
    else:
        facts = {**facts, **_rest(options, *_CONVOLUTION, "use_bias", "depth_multiplier")}
        result = factory.convolution(x, name, key, **window, multiplier=multiplier, groups="each", bias=bias, **facts)
    return activate(factory, result, name, options.get("activation"))


def _pooling(pool: str) -> "_Reader":
    def read(factory: StepFactory, options: Options, inputs: Sequence[ProgramStep], name: str, key: str) -> ProgramStep:
        (x,), kernel = inputs, pair(options.get("pool_size", 2))
        stride = pair(options.get("strides") or kernel)
        # The case of "same" whose border no size changes: nothing, or one pixel after the map.
        ceil_mode = options.get("padding") == "same" and kernel == stride == (2, 2)
        pad, facts = NO_PADDING, dict[str, Any]()
        if not ceil_mode:
            pad, unknown = _padding(options, x, kernel, stride, (1, 1))
            facts = dict(unknown)
            if pool == "AVE" and pad != NO_PADDING:  # Caffe's divisor also counts the padding
                facts["divided by"] = "the pixels on the map"
        facts |= _rest(options, "pool_size", "strides", "padding", "data_format")
        facts |= {"kernel": kernel, "stride": stride}
        return factory.pooling(x, name, pool=pool, pad=pad, ceil_mode=ceil_mode, **facts)

    return read


def _dense(factory: StepFactory, options: Options, inputs: Sequence[ProgramStep], name: str, key: str) -> ProgramStep:
    facts = {"outputs": options["units"], "bias": options.get("use_bias", True)}
    facts |= _rest(options, "units", "use_bias", "activation", "input_dim", "weights")
    x = factory.step("fully connected layer", inputs, name, key, size=(1, 1), nonnegative=False, **facts)
    return activate(factory, x, name, options.get("activation"))


def _norm(factory: StepFactory, options: Options, inputs: Sequence[ProgramStep], name: str, key: str) -> ProgramStep:
    facts = {
        "epsilon": float(options.get("epsilon", 1e-3)),
        "scale": options.get("scale", True),
        "shift": options.get("center", True),
    }
    facts |= _axis(options)
    facts |= _rest(
        options, "epsilon", "scale", "center", "axis", "weights", "renorm", "renorm_clipping", "renorm_momentum"
    )
    return factory.step("normalization", inputs, name, key, nonnegative=False, **facts)


def _relu(factory: StepFactory, options: Options, inputs: Sequence[ProgramStep], name: str, key: str) -> ProgramStep:
    (x,), top, slope = inputs, options.get("max_value"), float(options.get("negative_slope") or 0)
    threshold = float(options.get("threshold") or 0)
    if top is None and not threshold:
        return factory.step("leaky relu", [x], name, nonnegative=False, slope=slope) if slope else factory.relu(x, name)
    if (top, slope, threshold) == (6, 0, 0):
        return factory.step("relu6", [x], name, nonnegative=True)
    facts: dict[str, Any] = {"largest": top, "slope": slope, "threshold": threshold}
    return factory.step("relu between bounds", [x], name, nonnegative=False, **facts)


def _leaky_relu(
    factory: StepFactory, options: Options, inputs: Sequence[ProgramStep], name: str, key: str
) -> ProgramStep:
    slope = float(options.get("negative_slope", 0.3))
    return factory.step("leaky relu", inputs, name, nonnegative=False, slope=slope)


def _softmax(factory: StepFactory, options: Options, inputs: Sequence[ProgramStep], name: str, key: str) -> ProgramStep:
    return factory.step("softmax", inputs, name, nonnegative=True, **_axis(options))


def _merge(op: str) -> "_Reader":
    def read(factory: StepFactory, options: Options, inputs: Sequence[ProgramStep], name: str, key: str) -> ProgramStep:
        if len(inputs) < 2:  # an operation on one map, which has the name of the layer
            return other_layer(factory, op, options, inputs, name, key)
        facts = {} if op != "concatenation" else _axis(options)
        return factory.step(op, inputs, name, **facts)

    return read


def _axis(options: Options) -> dict[str, Any]:
    """The axis, unless it is that of the channels."""
    axis = options.get("axis", -1)
    return {} if axis in (-1, 3, [-1], [3], (-1,), (3,)) else {"axis": _frozen(axis)}


def _zero_padding(
    factory: StepFactory, options: Options, inputs: Sequence[ProgramStep], name: str, key: str
) -> ProgramStep:
    return factory.zero_padding(inputs[0], name, _sides(options.get("padding", 1)))


def _cropping(
    factory: StepFactory, options: Options, inputs: Sequence[ProgramStep], name: str, key: str
) -> ProgramStep:
    (x,), ((above, below), (left, right)) = inputs, _sides(options["cropping"])
    size = x.size[0] - above - below, x.size[1] - left - right
    return factory.crop(x, size, name, (above, left))


def _sides(value: Any) -> Padding:
    """Pixels `((above, below), (left, right))`, of one number, two, four or two pairs."""
    if isinstance(value, Mapping):
        value = [
            [value.get("top_pad", 0), value.get("bottom_pad", 0)],
            [value.get("left_pad", 0), value.get("right_pad", 0)],
        ]
    if isinstance(value, int):
        value = (value, value)
    if len(value) == 4:
        value = value[:2], value[2:]
    rows, columns = value
    return pair(rows), pair(columns)


def _resizing(
    factory: StepFactory, options: Options, inputs: Sequence[ProgramStep], name: str, key: str
) -> ProgramStep:
    (x,), how = inputs, str(options.get("interpolation", "bilinear"))
    others = _rest(options, "height", "width", "interpolation", "data_format", "fill_mode", "fill_value")
    if how != "bilinear" or others:
        return other_layer(factory, "Resizing", options, inputs, name)
    return factory.resize(x, name, (options["height"], options["width"]), how)


def _up_sampling(
    factory: StepFactory, options: Options, inputs: Sequence[ProgramStep], name: str, key: str
) -> ProgramStep:
    (x,), (rows, columns) = inputs, pair(options.get("size", 2))
    how = str(options.get("interpolation", "nearest"))
    return factory.resize(x, name, (x.size[0] * rows, x.size[1] * columns), how)


def _rescaling(
    factory: StepFactory, options: Options, inputs: Sequence[ProgramStep], name: str, key: str
) -> ProgramStep:
    scale, shift = options["scale"], options.get("offset", 0.0)
    if not isinstance(scale, int | float) or not isinstance(shift, int | float):
        return other_layer(factory, "Rescaling", options, inputs, name)
    return factory.affine(inputs[0], name, scale, shift)


def _global_pooling(pool: str) -> "_Reader":
    return lambda factory, options, inputs, name, key: factory.global_pooling(inputs[0], name, pool)


_Reader = Callable[[StepFactory, Options, Sequence[ProgramStep], str, str], ProgramStep]
_READERS: dict[str, _Reader] = {
    "ZeroPadding2D": _zero_padding,
    "Cropping2D": _cropping,
    "Conv2D": _convolution,
    "Conv2DTranspose": _deconvolution,
    "DepthwiseConv2D": _depthwise,
    "MaxPooling2D": _pooling("MAX"),
    "AveragePooling2D": _pooling("AVE"),
    "GlobalAveragePooling2D": _global_pooling("AVE"),
    "GlobalMaxPooling2D": _global_pooling("MAX"),
    "Dense": _dense,
    "BatchNormalization": _norm,
    "Activation": lambda factory, options, inputs, name, key: activate(factory, inputs[0], name, options["activation"]),
    "ReLU": _relu,
    "LeakyReLU": _leaky_relu,
    "Softmax": _softmax,
    "Add": _merge("sum"),
    "Maximum": _merge("maximum"),
    "Multiply": _merge("product"),
    "Concatenate": _merge("concatenation"),
    "Rescaling": _rescaling,
    "Resizing": _resizing,
    "UpSampling2D": _up_sampling,
    "tfseg>GlobalAveragePooling": _global_pooling("AVE"),
    "tfseg>AdaptiveAveragePooling": lambda factory, options, inputs, name, key: factory.adaptive_average(
        inputs[0], name, options["size"]
    ),
    "tfseg>CropLike": lambda factory, options, inputs, name, key: factory.crop(
        inputs[0], inputs[1].size, name, pair(options["offset"])
    ),
    "tfseg>ResizeLike": lambda factory, options, inputs, name, key: factory.resize(
        inputs[0], name, inputs[1].size, options["interpolation"]
    ),
    "tfseg>Rescale": lambda factory, options, inputs, name, key: _rescale(factory, options, inputs[0], name),
}


def _rescale(factory: StepFactory, options: Options, x: ProgramStep, name: str) -> ProgramStep:
    rows, columns = (int(side * options["scale"]) + options["extra"] for side in x.size)
    return factory.resize(x, name, (rows, columns), options["interpolation"])
