"""The steps of a Keras model."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers

from converters.errors import ConversionError
from converters.programs.steps import NO_PADDING, Padding, ProgramStep, StepFactory
from tfseg import graphs
from tfseg.layers import AdaptiveAveragePooling, CropLike, Metadata, Rescale, ResizeLike
from tfseg.types import Size

_IDENTITY = {layers.Dropout, layers.SpatialDropout2D, layers.Flatten, layers.Identity, Metadata}


def describe(model: keras.Model, factory: StepFactory) -> list[ProgramStep]:
    """The steps that make the outputs of a model.

    Args:
        model: a functional model; models inside it are entered.
        factory: factory for the size of image at which programs are compared.
    """
    images = [factory.image(tensor.name) for tensor in model.inputs[:1]]
    images += [factory.step(f"the input {tensor.name}", (), tensor.name) for tensor in model.inputs[1:]]

    def call(
        layer: keras.Layer, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: list[Any]
    ) -> list[ProgramStep]:
        inputs = [leaf for leaf in _leaves((args, kwargs)) if isinstance(leaf, ProgramStep)]
        return [_step(factory, layer, inputs)] * len(outputs)

    return graphs.replay(model, images, call)


def _leaves(structure: Any) -> list[Any]:
    if isinstance(structure, dict):
        structure = structure.values()
    elif not isinstance(structure, list | tuple):
        return [structure]
    return [leaf for part in structure for leaf in _leaves(part)]


def _step(factory: StepFactory, layer: keras.Layer, inputs: Sequence[ProgramStep]) -> ProgramStep:
    if type(layer) in _IDENTITY:
        return inputs[0]
    reader = _READERS.get(type(layer))  # the exact class: a subclass may compute anything
    if reader is None:
        key = layer.name if getattr(layer, "weights", ()) else ""
        return factory.step(type(layer).__name__, inputs, layer.name, key, nonnegative=False)
    return reader(factory, layer, inputs)


def _convolution(factory: StepFactory, layer: keras.Layer, inputs: Sequence[ProgramStep]) -> ProgramStep:
    return factory.convolution(
        inputs[0],
        layer.name,
        layer.name,
        kernel=layer.kernel_size,
        stride=layer.strides,
        pad=_padding(layer, layer.kernel_size, layer.dilation_rate),
        dilation=layer.dilation_rate,
        outputs=layer.filters,
        groups=layer.groups,
        bias=layer.use_bias,
    )


def _deconvolution(factory: StepFactory, layer: keras.Layer, inputs: Sequence[ProgramStep]) -> ProgramStep:
    pad = NO_PADDING
    if layer.padding == "same":  # the result is `strides` times larger, and no more
        rows, columns = (size - stride for size, stride in zip(layer.kernel_size, layer.strides, strict=True))
        pad = _halves(rows), _halves(columns)
    return factory.deconvolution(
        inputs[0],
        layer.name,
        layer.name,
        kernel=layer.kernel_size,
        stride=layer.strides,
        pad=pad,
        dilation=layer.dilation_rate,
        outputs=layer.filters,
        groups=1,
        bias=layer.use_bias,
    )


def _padding(layer: keras.Layer, kernel: Size, rate: Size) -> Padding:
    """The zeros that "same" puts around a map that keeps its size."""
    if layer.padding == "valid":
        return NO_PADDING
    if layer.strides != (1, 1):
        raise ConversionError(
            f'The layer {layer.name!r} of the network has strides and padding "same", which depends on the size of the '
            "image: no layer of Caffe's computes that."
        )
    rows, columns = (step * (size - 1) for size, step in zip(kernel, rate, strict=True))
    return _halves(rows), _halves(columns)


def _halves(pixels: int) -> Size:
    """Pixels before and after; the odd one is after."""
    return pixels // 2, pixels - pixels // 2


def _pooling(factory: StepFactory, layer: keras.Layer, inputs: Sequence[ProgramStep]) -> ProgramStep:
    # The one case of "same" with strides whose border depends on no size: nothing, or one pixel after the map.
    ceil_mode = layer.padding == "same" and layer.pool_size == layer.strides == (2, 2)
    pool = "MAX" if isinstance(layer, layers.MaxPooling2D) else "AVE"
    pad, facts = NO_PADDING, dict[str, Any]()
    if not ceil_mode:
        pad = _padding(layer, layer.pool_size, (1, 1))
        if pool == "AVE" and pad != NO_PADDING:  # Caffe's divisor also counts the padding
            facts["divided by"] = "the pixels on the map"
    facts |= {"kernel": layer.pool_size, "stride": layer.strides}
    return factory.pooling(inputs[0], layer.name, pool=pool, pad=pad, ceil_mode=ceil_mode, **facts)


def _dense(factory: StepFactory, layer: keras.Layer, inputs: Sequence[ProgramStep]) -> ProgramStep:
    facts = {"outputs": layer.units, "bias": layer.use_bias}
    return factory.step(
        "fully connected layer", inputs, layer.name, layer.name, size=(1, 1), nonnegative=False, **facts
    )


def _norm(factory: StepFactory, layer: keras.Layer, inputs: Sequence[ProgramStep]) -> ProgramStep:
    facts = {"epsilon": float(layer.epsilon), "scale": layer.scale, "shift": layer.center}
    return factory.step("normalization", inputs, layer.name, layer.name, nonnegative=False, **facts)


def _activation(factory: StepFactory, layer: keras.Layer, inputs: Sequence[ProgramStep]) -> ProgramStep:
    name = layer.get_config()["activation"]
    if name == "relu":
        return factory.relu(inputs[0], layer.name)
    return inputs[0] if name == "linear" else factory.step(str(name), inputs, layer.name, nonnegative=name == "sigmoid")


def _merge(op: str) -> "_Reader":
    return lambda factory, layer, inputs: factory.step(op, inputs, layer.name)


def _resized(factory: StepFactory, layer: keras.Layer, inputs: Sequence[ProgramStep]) -> ProgramStep:
    maps = [keras.KerasTensor((None, *step.size, 1)) for step in inputs]
    _, rows, columns, _ = layer.compute_output_spec(maps[0] if len(maps) == 1 else maps).shape
    return factory.resize(inputs[0], layer.name, (rows, columns), layer.interpolation)


def _depthwise(factory: StepFactory, layer: keras.Layer, inputs: Sequence[ProgramStep]) -> ProgramStep:
    """A kernel of one pixel multiplies each channel by a number."""
    if layer.kernel_size == layer.strides == (1, 1) and layer.depth_multiplier == 1:
        facts = {"scale": True, "shift": layer.use_bias}
        return factory.step("scale", inputs, layer.name, layer.name, nonnegative=False, **facts)
    return factory.step("depthwise convolution", inputs, layer.name, layer.name, nonnegative=False)


_Reader = Callable[[StepFactory, keras.Layer, Sequence[ProgramStep]], ProgramStep]
_READERS: dict[type, _Reader] = {
    layers.ZeroPadding2D: lambda factory, layer, inputs: factory.zero_padding(inputs[0], layer.name, layer.padding),
    layers.Conv2D: _convolution,
    layers.Conv2DTranspose: _deconvolution,
    layers.DepthwiseConv2D: _depthwise,
    layers.MaxPooling2D: _pooling,
    layers.AveragePooling2D: _pooling,
    layers.GlobalAveragePooling2D: lambda factory, layer, inputs: factory.global_pooling(inputs[0], layer.name, "AVE"),
    layers.Dense: _dense,
    layers.BatchNormalization: _norm,
    layers.Activation: _activation,
    layers.Add: _merge("sum"),
    layers.Maximum: _merge("maximum"),
    layers.Multiply: _merge("product"),
    layers.Concatenate: _merge("concatenation"),
    layers.Rescaling: lambda factory, layer, inputs: factory.affine(inputs[0], layer.name, layer.scale, layer.offset),
    AdaptiveAveragePooling: lambda factory, layer, inputs: factory.adaptive_average(inputs[0], layer.name, layer.size),
    CropLike: lambda factory, layer, inputs: factory.crop(
        inputs[0], inputs[1].size, layer.name, (layer.offset, layer.offset)
    ),
    ResizeLike: _resized,
    Rescale: _resized,
}
