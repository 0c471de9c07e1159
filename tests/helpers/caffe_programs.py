"""Any network of Caffe, layer by layer: its prototxt and its weights, for OpenCV, for NumPy and for us."""

import functools
from typing import Any, NamedTuple

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from helpers import caffe_files


class Layer(NamedTuple):
    kind: str
    name: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    blobs: list[Any]
    parameters: dict[str, Any]  # of the message of its type
    message: str
    text: str  # further fields, as they stand in the prototxt


# Type of a layer -> its message; others are the type in small letters with _param.
MESSAGES = {
    "InnerProduct": "inner_product_param",
    "BatchNorm": "batch_norm_param",
    "DepthwiseConvolution": "convolution_param",
    "ConvolutionDepthwise": "convolution_param",
    "Deconvolution": "convolution_param",
    "Normalize": "norm_param",
    "ShuffleChannel": "shuffle_channel_param",
}
V1_TYPES = {
    "Convolution": "CONVOLUTION",
    "InnerProduct": "INNER_PRODUCT",
    "Deconvolution": "DECONVOLUTION",
    "Pooling": "POOLING",
    "ReLU": "RELU",
    "LRN": "LRN",
    "Dropout": "DROPOUT",
    "Softmax": "SOFTMAX",
    "Concat": "CONCAT",
    "Eltwise": "ELTWISE",
    "Split": "SPLIT",
    "Flatten": "FLATTEN",
    "AbsVal": "ABSVAL",
    "TanH": "TANH",
    "Slice": "SLICE",
    "Power": "POWER",
    "SoftmaxWithLoss": "SOFTMAX_LOSS",
}


class Net:
    """Layers added one after the other; each returns the name of its top, or of its tops."""

    def __init__(self, seed=0, **inputs):
        """`inputs`: name of an image -> (channels, height, width); `data=(3, 32, 48)`."""
        self.random = np.random.default_rng(seed)
        self.inputs = inputs or {"data": (3, 64, 64)}
        self.channels = {name: shape[0] for name, shape in self.inputs.items()}
        self.layers: list[Layer] = []

    def add(self, kind, *bottoms, name=None, tops=None, blobs=(), channels=None, text="", **parameters):
        name = name or f"{kind.lower()}{len(self.layers)}"
        tops = (tops,) if isinstance(tops, str) else tuple(tops or (name,))
        message = MESSAGES.get(kind, f"{kind.lower()}_param")
        self.layers.append(Layer(kind, name, bottoms, tops, list(blobs), parameters, message, text))
        for top in tops:
            self.channels[top] = channels or (self.channels[bottoms[0]] if bottoms else 0)
        return tops[0] if len(tops) == 1 else tops

    def numbers(self, *shape, scale=1.0, around=0.0):
        return (around + scale * self.random.normal(size=shape)).astype("float32")

    def conv(self, x, filters, kernel=3, *, pad=None, group=1, bias=True, kind="Convolution", **options):
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        channels = self.channels[x] // group
        parameters = (
            {"kernel_size": kernel}
            if isinstance(kernel, int)
            else dict(zip(("kernel_h", "kernel_w"), kernel, strict=True))
        )
        if pad is None and isinstance(kernel, int):
            pad = kernel // 2
        if isinstance(pad, tuple):
            parameters |= {"pad_h": pad[0], "pad_w": pad[1]}
        elif pad:
            parameters["pad"] = pad
        name = options.pop("name", None)
        extra = {key: options.pop(key) for key in ("text", "tops") if key in options}
        parameters |= {"num_output": filters} | ({"group": group} if group > 1 else {}) | options
        parameters |= {} if bias else {"bias_term": False}
        blobs = [self.numbers(filters, channels, *sides, scale=(channels * sides[0] * sides[1]) ** -0.5)]
        blobs += [self.numbers(filters, scale=0.3)] if bias else []
        return self.add(kind, x, name=name, blobs=blobs, channels=filters, **extra, **parameters)

    def deconv(self, x, filters, kernel=4, *, stride=2, pad=0, group=1, bias=False, **options):
        blobs = [self.numbers(self.channels[x], filters // group, kernel, kernel, scale=1 / kernel)]
        blobs += [self.numbers(filters, scale=0.3)] if bias else []
        parameters = {"num_output": filters, "kernel_size": kernel, "stride": stride, "bias_term": bias}
        parameters |= ({"pad": pad} if pad else {}) | ({"group": group} if group > 1 else {})
        return self.add("Deconvolution", x, blobs=blobs, channels=filters, **parameters, **options)

    def dense(self, x, units, inputs, *, bias=True, **options):
        blobs = [self.numbers(units, inputs, scale=inputs**-0.5)] + ([self.numbers(units, scale=0.3)] if bias else [])
        parameters = {"num_output": units} | ({} if bias else {"bias_term": False})
        return self.add("InnerProduct", x, blobs=blobs, channels=units, **parameters, **options)

    def norm(self, x, *, scale=True, inplace=True, factor=999.98, name=None, **options):
        """BatchNorm with statistics far from the default, and Scale; both over what they read."""
        count = self.channels[x]
        mean, variance = self.numbers(count, scale=0.5), np.abs(self.numbers(count, scale=0.6, around=1.5)) + 0.2
        blobs = [mean * factor, variance * factor, np.array([factor], "float32")]
        name = name or f"bn{len(self.layers)}"
        tops = x if inplace else name
        y = self.add("BatchNorm", x, name=name, tops=tops, blobs=blobs, **options)
        if not scale:
            return y
        blobs = [self.numbers(count, scale=0.3, around=1), self.numbers(count, scale=0.3)]
        return self.add("Scale", y, name=f"{name}_scale", tops=y, blobs=blobs, bias_term=True)

    def relu(self, x, **options):
        return self.add("ReLU", x, name=f"{x}_relu{len(self.layers)}", tops=x, **options)

    def pool(self, x, kernel=2, stride=2, pool="MAX", pad=0, **options):
        parameters = {"pool": pool, "kernel_size": kernel, "stride": stride} | ({"pad": pad} if pad else {})
        return self.add("Pooling", x, **parameters, **options)

    def outputs(self):
        """The blobs that no layer reads, in the order in which they are made."""
        left: dict[str, None] = {}
        for layer in self.layers:
            for name in layer.bottoms:
                left.pop(name, None)
            left.update(dict.fromkeys(layer.tops))
        return [name for name in left if "places" not in name]

    # -------------------------------------------------------------------------------------------------------- files

    def prototxt(self, *, version=2, sizes=True, form="input_dim"):
        """The text: `form` "input_dim", "input_shape", "Input" or "none"."""
        lines = ['name: "net of test"']
        for name, (channels, height, width) in self.inputs.items():
            dims = (1, channels, height, width)
            if form == "input_dim":
                lines.append(f'input: "{name}" ' + (" ".join(f"input_dim: {size}" for size in dims) if sizes else ""))
            elif form == "input_shape":
                lines.append(f'input: "{name}" input_shape {{ {" ".join(f"dim: {size}" for size in dims)} }}')
            elif form == "Input":
                shape = f"shape {{ {' '.join(f'dim: {size}' for size in dims)} }}" if sizes else ""
                lines.append(f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ {shape} }} }}')
        word = "layer" if version == 2 else "layers"
        for layer in self.layers:
            kind = f'"{layer.kind}"' if version == 2 else V1_TYPES[layer.kind]
            wires = [f'bottom: "{blob}"' for blob in layer.bottoms] + [f'top: "{blob}"' for blob in layer.tops]
            message = f"{layer.message} {{ {_fields(layer.parameters)} }}" if layer.parameters else ""
            lines.append(f'{word} {{ name: "{layer.name}" type: {kind} {" ".join(wires)} {message} {layer.text} }}')
        return "\n".join(lines)

    def write(self, folder, *, version=2, definitions=False, without=(), name="net", **form):
        """The paths of the prototxt and the weights; `definitions` writes the layers into the weights, too."""
        prototxt, weights = folder / f"{name}.prototxt", folder / f"{name}.caffemodel"
        prototxt.write_text(self.prototxt(version=version, **form))
        layers = [layer for layer in self.layers if layer.blobs and layer.name not in without]
        if definitions:
            net = text_format.Parse(self.prototxt(version=version, **form), full_class()())
            for message in net.layer if version == 2 else net.layers:
                for layer in layers:
                    if layer.name == message.name:
                        for blob in layer.blobs:
                            caffe_files.fill(message.blobs.add(), np.asarray(blob))
            return prototxt, caffe_files.write(weights, net)
        rows = [(layer.name, layer.kind, layer.blobs) for layer in layers]
        return prototxt, caffe_files.write(weights, caffe_files.network(rows))


def _fields(parameters):
    parts = []
    for key, value in parameters.items():
        for part in value if isinstance(value, list | tuple) else [value]:
            if isinstance(part, dict):
                parts.append(f"{key} {{ {_fields(part)} }}")
            else:
                parts.append(f"{key}: {str(part).lower() if isinstance(part, bool) else part}")
    return " ".join(parts)


# -------------------------------------------------------------------------------- the messages of the public caffe.proto

# Message -> its enumeration, in which two messages may have constants of one name.
_ENUMS = {
    "PoolingParameter": ("MAX", "AVE", "STOCHASTIC"),
    "EltwiseParameter": ("PROD", "SUM", "MAX"),
    "NetStateRule": ("TRAIN", "TEST"),
    "V1LayerParameter": tuple(
        "NONE ACCURACY BNLL CONCAT CONVOLUTION DATA DROPOUT EUCLIDEAN_LOSS FLATTEN HDF5_DATA HDF5_OUTPUT IM2COL "
        "IMAGE_DATA INFOGAIN_LOSS INNER_PRODUCT LRN MULTINOMIAL_LOGISTIC_LOSS POOLING RELU SIGMOID SOFTMAX "
        "SOFTMAX_LOSS SPLIT TANH WINDOW_DATA ELTWISE POWER".split()
    ),
}
_PARAMETERS = {
    "ConvolutionParameter": "num_output 1 int32, bias_term 2 bool, *pad 3 int32, *kernel_size 4 int32, group 5 int32, "
    "*stride 6 int32, pad_h 9 int32, pad_w 10 int32, kernel_h 11 int32, kernel_w 12 int32, *dilation 18 int32",
    "PoolingParameter": "pool 1 Enum, kernel_size 2 int32, stride 3 int32, pad 4 int32, global_pooling 12 bool",
    "InnerProductParameter": "num_output 1 int32, bias_term 2 bool, transpose 6 bool",
    "LRNParameter": "local_size 1 int32, alpha 2 float, beta 3 float, k 5 float",
    "BatchNormParameter": "use_global_stats 1 bool, moving_average_fraction 2 float, eps 3 float",
    "ScaleParameter": "axis 1 int32, num_axes 2 int32, bias_term 4 bool",
    "EltwiseParameter": "operation 1 Enum, *coeff 2 float",
    "ReLUParameter": "negative_slope 1 float",
    "DropoutParameter": "dropout_ratio 1 float",
    "NetStateRule": "phase 1 Enum",
    "BlobShape": "*dim 1 int64",
    "BlobProto": "num 1 int32, channels 2 int32, height 3 int32, width 4 int32, *data 5 float, *diff 6 float, "
    "shape 7 BlobShape",
}
_LAYER = (
    "name 1 string, type 2 string, *bottom 3 string, *top 4 string, *blobs 7 BlobProto, *include 8 NetStateRule, "
    "phase 10 int32, convolution_param 106 ConvolutionParameter, dropout_param 108 DropoutParameter, "
    "eltwise_param 110 EltwiseParameter, inner_product_param 117 InnerProductParameter, lrn_param 118 LRNParameter, "
    "pooling_param 121 PoolingParameter, relu_param 123 ReLUParameter, batch_norm_param 139 BatchNormParameter, "
    "scale_param 142 ScaleParameter, fork_param 150 ReLUParameter"
)
_V1_LAYER = (
    "*bottom 2 string, *top 3 string, name 4 string, type 5 Enum, *blobs 6 BlobProto, *include 32 NetStateRule, "
    "convolution_param 10 ConvolutionParameter, dropout_param 12 DropoutParameter, eltwise_param 24 EltwiseParameter, "
    "inner_product_param 17 InnerProductParameter, lrn_param 18 LRNParameter, pooling_param 19 PoolingParameter, "
    "relu_param 30 ReLUParameter"
)
_NET = "name 1 string, *layers 2 V1LayerParameter, *input 3 string, *input_dim 4 int32, *input_shape 8 BlobShape, *layer 100 LayerParameter"
_SCALARS = {"string": 9, "int32": 5, "int64": 3, "float": 2, "bool": 8}


@functools.cache
def full_class():
    """The class of `NetParameter` with the definitions of layers, by protobuf itself."""
    file = descriptor_pb2.FileDescriptorProto(name="caffe_full.proto", package="caffe_full", syntax="proto2")
    rows = _PARAMETERS | {"LayerParameter": _LAYER, "V1LayerParameter": _V1_LAYER, "NetParameter": _NET}
    for name, text in rows.items():
        message = file.message_type.add(name=name)
        if name in _ENUMS:
            enum = message.enum_type.add(name="Enum")
            for number, constant in enumerate(_ENUMS[name]):
                enum.value.add(name=constant, number=number)
        for row in text.split(","):
            field, number, kind = row.split()
            made = message.field.add(name=field.lstrip("*"), number=int(number), label=3 if field[0] == "*" else 1)
            made.type = _SCALARS.get(kind, 14 if kind == "Enum" else 11)
            if kind not in _SCALARS:
                made.type_name = f".caffe_full.{name}.Enum" if kind == "Enum" else f".caffe_full.{kind}"
            made.options.packed = field in ("*data", "*dim")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe_full.NetParameter"))
