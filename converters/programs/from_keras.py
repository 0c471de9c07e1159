"""The steps of a Keras model."""

import keras
from keras import layers

from converters.errors import ConversionError
from tfseg import graphs
from tfseg.layers import AdaptiveAveragePooling, CropLike, Metadata, Rescale, ResizeLike

_SAME = {layers.Dropout, layers.SpatialDropout2D, layers.Flatten, layers.Identity, Metadata}
_NO_PAD = ((0, 0), (0, 0))


def describe(model, graph):
    """The steps that make the outputs of a model.

    Args:
        model: a functional model; models inside it are entered.
        graph: `Steps` of the image's size.
    """
    images = [graph.image(tensor.name) for tensor in model.inputs[:1]]
    images += [graph.step(f"the input {tensor.name}", (), tensor.name) for tensor in model.inputs[1:]]

    def call(layer, args, kwargs, outputs):
        inputs = [one for one in _leaves((args, kwargs)) if hasattr(one, "facts")]
        return [_step(graph, layer, inputs)] * len(outputs)

    return graphs.replay(model, images, call)


def _leaves(structure):
    if isinstance(structure, dict):
        structure = structure.values()
    elif not isinstance(structure, list | tuple):
        return [structure]
    return [leaf for part in structure for leaf in _leaves(part)]


def _step(graph, layer, inputs):
    if type(layer) in _SAME:
        return inputs[0]
    reader = _READERS.get(type(layer))  # not of a class below it, which may do anything
    if reader is None:
        key = layer.name if getattr(layer, "weights", ()) else ""
        return graph.step(type(layer).__name__, inputs, layer.name, key, positive=False)
    return reader(graph, layer, inputs)


def _convolution(graph, layer, inputs):
    return graph.convolution(
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


def _deconvolution(graph, layer, inputs):
    pad = _NO_PAD
    if layer.padding == "same":  # as many times larger, and no more
        extra = [size - stride for size, stride in zip(layer.kernel_size, layer.strides, strict=True)]
        pad = tuple((more // 2, more - more // 2) for more in extra)
    return graph.deconvolution(
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


def _padding(layer, kernel, rate):
    """What "same" puts about a map that keeps its size."""
    if layer.padding == "valid":
        return _NO_PAD
    if layer.strides != (1, 1):
        raise ConversionError(
            f'The layer {layer.name!r} of the network has strides and padding "same", which depends on the size of the '
            "image: no layer of Caffe's computes that."
        )
    extra = [step * (size - 1) for size, step in zip(kernel, rate, strict=True)]
    if layer.strides != (1, 1):
        raise ValueError(f"The padding of the layer {layer.name!r} depends on the image's size: no Caffe layer's does.")
    return tuple((more // 2, more - more // 2) for more in extra)


def _pooling(graph, layer, inputs):
    # The one "same" with strides whose border depends on no size: half of nothing, or one pixel behind.
    up = layer.padding == "same" and layer.pool_size == layer.strides == (2, 2)
    pool = "MAX" if isinstance(layer, layers.MaxPooling2D) else "AVE"
    pad, facts = _NO_PAD, {}
    if not up:
        pad = _padding(layer, layer.pool_size, (1, 1))
        if pool == "AVE" and pad != _NO_PAD:  # Caffe divides by the padding, too
            facts["divided by"] = "the pixels on the map"
    return graph.pooling(
        inputs[0], layer.name, pool=pool, kernel=layer.pool_size, stride=layer.strides, pad=pad, up=up, **facts
    )


def _dense(graph, layer, inputs):
    facts = {"outputs": layer.units, "bias": layer.use_bias}
    return graph.step("fully connected layer", inputs, layer.name, layer.name, size=(1, 1), positive=False, **facts)


def _norm(graph, layer, inputs):
    facts = {"epsilon": float(layer.epsilon), "scale": layer.scale, "shift": layer.center}
    return graph.step("normalisation", inputs, layer.name, layer.name, positive=False, **facts)


def _activation(graph, layer, inputs):
    name = layer.get_config()["activation"]
    if name == "relu":
        return graph.relu(inputs[0], layer.name)
    return inputs[0] if name == "linear" else graph.step(str(name), inputs, layer.name, positive=name == "sigmoid")


def _merge(op):
    return lambda graph, layer, inputs: graph.step(op, inputs, layer.name)


def _resized(graph, layer, inputs):
    maps = [keras.KerasTensor((None, *one.size, 1)) for one in inputs]
    size = layer.compute_output_spec(maps[0] if len(maps) == 1 else maps).shape[1:3]
    return graph.resize(inputs[0], layer.name, size, layer.interpolation)


def _depthwise(graph, layer, inputs):
    """A kernel of one pixel is a factor for each channel by itself."""
    if layer.kernel_size == layer.strides == (1, 1) and layer.depth_multiplier == 1:
        facts = {"scale": True, "shift": layer.use_bias}
        return graph.step("scale", inputs, layer.name, layer.name, positive=False, **facts)
    return graph.step("depthwise convolution", inputs, layer.name, layer.name, positive=False)


_READERS = {
    layers.ZeroPadding2D: lambda graph, layer, inputs: graph.pad(inputs[0], layer.name, layer.padding),
    layers.Conv2D: _convolution,
    layers.Conv2DTranspose: _deconvolution,
    layers.DepthwiseConv2D: _depthwise,
    layers.MaxPooling2D: _pooling,
    layers.AveragePooling2D: _pooling,
    layers.GlobalAveragePooling2D: lambda graph, layer, inputs: graph.whole(inputs[0], layer.name, "AVE"),
    layers.Dense: _dense,
    layers.BatchNormalization: _norm,
    layers.Activation: _activation,
    layers.Add: _merge("sum"),
    layers.Maximum: _merge("maximum"),
    layers.Multiply: _merge("product"),
    layers.Concatenate: _merge("concatenation"),
    layers.Rescaling: lambda graph, layer, inputs: graph.affine(inputs[0], layer.name, layer.scale, layer.offset),
    AdaptiveAveragePooling: lambda graph, layer, inputs: graph.grid(inputs[0], layer.name, layer.size),
    CropLike: lambda graph, layer, inputs: graph.crop(
        inputs[0], inputs[1].size, layer.name, (layer.offset, layer.offset)
    ),
    ResizeLike: _resized,
    Rescale: _resized,
}
