"""The steps of a network that a prototxt describes."""

import re

from converters.errors import ConversionError
from converters.reading.caffe.prototxt import DEFAULTS
from converters.reading.protobuf.text_format import Message

_SAME = {"Dropout", "Split", "Flatten"}  # as far as what they make at test time goes
_NOTHING = re.compile(r".*Loss|SoftmaxWithLoss|.*Accuracy|Silence|HDF5Output|MatWrite")
_FUNCTIONS = {"Sigmoid": "sigmoid", "TanH": "tanh", "ELU": "elu", "Softmax": "softmax", "ArgMax": "argmax"}
_ELTWISE = {"SUM": "sum", "MAX": "maximum", "PROD": "product"}
WEIGHTED = {"Convolution", "Deconvolution", "InnerProduct", "BatchNorm", "BN", "Scale", "Bias", "PReLU"}


def describe(net, module, layers, graph):
    """The steps of a `Net` that no other reads: its ends, in their order.

    Args:
        net: a `converters.reading.caffe.prototxt.Net`.
        module: gives the Keras layer of a Caffe layer's name, or None.
        layers: names of the Keras layers that have weights.
        graph: `Steps` of the image's size.
    """
    return _Reader(net, module, layers, graph).read()


class _Reader:
    def __init__(self, net, module, layers, graph):
        self.net, self.module, self.layers, self.graph = net, module, layers, graph
        self.blobs = {}
        self.owners = {}  # name of shared weights -> the first layer that has them

    def read(self):
        steps, read = [], set()
        for blob in self.net.inputs:
            self.source(blob)
        for layer in self.net.layers:
            for shared in filter(None, layer.shared):
                self.owners.setdefault(shared, layer.name)
            if _NOTHING.fullmatch(layer.type) or not layer.bottoms:
                continue
            inputs = [self.blobs[blob] if blob in self.blobs else self.source(blob) for blob in layer.bottoms]
            for index, top in enumerate(layer.tops):
                step = self.step(layer, inputs, index)
                if all(step is not one for one in inputs):
                    read.update(map(id, inputs))
                    steps.append(step)
                self.blobs[top] = step
        return [step for step in steps if id(step) not in read]

    def source(self, blob):
        """The image is the first blob that comes from nowhere."""
        shape = self.net.inputs.get(blob) or ()
        channels = shape[1] if len(shape) == 4 else None
        if self.blobs:
            made = self.graph.step(f"the blob {blob}", (), blob, channels=channels)
        else:
            made = self.graph.image(blob, channels)
        return self.blobs.setdefault(blob, made)

    def step(self, layer, inputs, index):
        if layer.type in _SAME:
            return inputs[0]
        reader, bottoms = _READERS.get(layer.type, (None, None))
        if reader and bottoms in (len(inputs), None):
            return reader(self, layer, inputs)
        kind = _FUNCTIONS.get(layer.type, layer.type or "a layer without a type")
        which = {"top": index} if len(layer.tops) > 1 else {}
        return self.graph.step(kind, inputs, layer.name, self.key(layer), positive=kind == "sigmoid", **which)

    def key(self, layer):
        """The Keras layer that has this layer's weights: its own, or those of the layer that it shares them with."""
        if layer.type not in WEIGHTED:
            return ""
        owner = self.owners.get(layer.shared[0], layer.name) if layer.shared else layer.name
        return self.module(owner) or f"?{layer.name}"

    def convolution(self, layer, inputs):
        facts, window = _window(layer)
        make = self.graph.convolution if layer.type == "Convolution" else self.graph.deconvolution
        facts = {"outputs": facts["num_output"], "groups": facts["group"], "bias": facts["bias_term"]}
        return make(inputs[0], layer.name, self.key(layer), **window, **facts)

    def dense(self, layer, inputs):
        facts = {"outputs": layer.parameters["num_output"], "bias": layer.parameters["bias_term"]}
        facts |= _unusual(layer, "axis")
        return self.graph.step(
            "fully connected layer", inputs, layer.name, self.key(layer), size=(1, 1), positive=False, **facts
        )

    def pooling(self, layer, inputs):
        facts, window = _window(layer)
        if facts["global_pooling"]:
            return self.graph.whole(inputs[0], layer.name, facts["pool"])
        return self.graph.pooling(inputs[0], layer.name, pool=facts["pool"], up=facts["round_mode"] == "CEIL", **window)

    def batch_norm(self, layer, inputs):
        both = layer.type == "BN"
        facts = {"epsilon": layer.parameters["eps"], "scale": both, "shift": both}
        if not layer.parameters.get("use_global_stats", True):
            facts["statistics"] = "of the batch"
        return self.graph.step("normalisation", inputs, layer.name, self.key(layer), positive=False, **facts)

    def scale(self, layer, inputs):
        """The second half of a normalisation, or a multiplication: by another map, or by numbers that stand there."""
        if len(inputs) == 2 and layer.type == "Scale":
            return self.graph.step("product", inputs, layer.name)
        x, key = inputs[0], self.key(layer)
        facts = {"scale": layer.type == "Scale", "shift": layer.parameters.get("bias_term", True)}
        unusual = _unusual(layer, "axis", "num_axes")
        if x.op == "normalisation" and x.key == key and not any(x.facts[name] and facts[name] for name in facts):
            facts = {name: x.facts[name] or facts[name] for name in facts}
            return self.graph.step(x.op, x.inputs, x.name, key, positive=False, **x.facts | facts | unusual)
        scale, shift = (_constant(layer, name) for name in ("filler", "bias_filler"))
        if key not in self.layers and layer.type == "Scale" and scale is not None:
            return self.graph.affine(x, layer.name, scale, (shift or 0) if facts["shift"] else 0)
        return self.graph.step("scale", inputs, layer.name, key, positive=False, **facts, **unusual)

    def power(self, layer, inputs):
        facts = layer.parameters
        if facts["power"] == 1:
            return self.graph.affine(inputs[0], layer.name, facts["scale"], facts["shift"])
        return self.graph.step("power", inputs, layer.name, positive=False, **facts)

    def relu(self, layer, inputs):
        if slope := layer.parameters["negative_slope"]:
            return self.graph.step("leaky relu", inputs, layer.name, positive=False, slope=slope)
        return self.graph.relu(inputs[0], layer.name)

    def eltwise(self, layer, inputs):
        op, weights = _ELTWISE.get(layer.parameters["operation"], "eltwise"), layer.parameters["coeff"]
        if op == "sum" and set(weights) - {1.0}:
            return self.graph.step("weighted sum", inputs, layer.name, positive=False, weights=weights)
        return self.graph.step(op, inputs, layer.name)

    def axpy(self, layer, inputs):
        weight, x, y = inputs
        product = self.graph.step("product", (weight, x), layer.name)
        return self.graph.step("sum", (product, y), layer.name)

    def concat(self, layer, inputs):
        if inputs[0].op == "image" and not any(one.inputs for one in inputs):  # colour and depth, the image's channels
            channels = [one.facts["channels"] for one in inputs]
            return self.graph.image(layer.name, sum(channels) if all(channels) else None)
        return (
            inputs[0]
            if len(inputs) == 1
            else self.graph.step("concatenation", inputs, layer.name, **_unusual(layer, "axis"))
        )

    def crop(self, layer, inputs):
        x, reference = inputs
        offset = tuple(map(int, layer.parameters["offset"])) or (0,)
        offset = offset * 2 if len(offset) == 1 else offset
        if layer.parameters["axis"] not in (2, -2) or len(offset) != 2:
            return self.graph.step("crop", inputs, layer.name, **layer.parameters)
        return self.graph.crop(x, reference.size, layer.name, offset)

    def interp(self, layer, inputs):
        (x,), facts = inputs, layer.parameters
        zoom, shrink = facts["zoom_factor"], facts["shrink_factor"]
        more = facts["pad_beg"] + facts["pad_end"]
        if more or min(zoom, shrink) < 1:
            return self.graph.step("interp", inputs, layer.name, **facts)
        # Aligned corners: a factor counts the spaces between pixels.
        size = tuple((side - 1) // shrink * zoom + 1 for side in x.size)
        if facts["height"] > 0 and facts["width"] > 0:
            size = facts["height"], facts["width"]
        return self.graph.resize(x, layer.name, size, "bilinear_align_corners")


def _window(layer):
    """All parameters, and among them rows and columns as `Steps` takes them."""
    facts = dict(layer.parameters)
    window = {name: facts[name] for name in ("kernel", "stride", "dilation") if name in facts}
    pairs = [*window.values(), facts["pad"]]
    usable = all(len(pair) == 2 for pair in pairs) and min(map(min, window.values())) > 0
    if not usable and not facts.get("global_pooling"):
        raise ConversionError(
            f"The layer {layer.name!r} of the prototxt needs kernel, stride, padding and dilation along rows and "
            f"columns. Received: {', '.join(f'{name} {value}' for name, value in facts.items())}"
        )
    return facts, window | {"pad": tuple((side, side) for side in facts["pad"])}


def _unusual(layer, *names):
    """Those of these parameters that have not Caffe's default, which is ours."""
    defaults = DEFAULTS[layer.type][1]
    return {name: layer.parameters[name] for name in names if layer.parameters[name] != defaults[name]}


def _constant(layer, name):
    """The number that a filler puts everywhere, or None."""
    for parameters in layer.fields.get("scale_param", ()):
        for filler in parameters.get(name, ()):
            if isinstance(filler, Message) and filler.get("type", ["constant"]) == ["constant"]:
                return next((value for value in filler.get("value", ()) if isinstance(value, int | float)), None)
    return None


# How a layer is read, and how many blobs it must read for that; None: any number.
_READERS = {
    "Convolution": (_Reader.convolution, 1),
    "Deconvolution": (_Reader.convolution, 1),
    "InnerProduct": (_Reader.dense, 1),
    "Pooling": (_Reader.pooling, 1),
    "BatchNorm": (_Reader.batch_norm, 1),
    "BN": (_Reader.batch_norm, 1),
    "Scale": (_Reader.scale, None),
    "Bias": (_Reader.scale, 1),
    "Power": (_Reader.power, 1),
    "ReLU": (_Reader.relu, 1),
    "Eltwise": (_Reader.eltwise, None),
    "Axpy": (_Reader.axpy, 3),
    "Concat": (_Reader.concat, None),
    "Crop": (_Reader.crop, 2),
    "Interp": (_Reader.interp, 1),
}
