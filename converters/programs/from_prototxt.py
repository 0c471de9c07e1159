"""The steps of a network that a prototxt describes."""

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

from converters.errors import ConversionError
from converters.programs.steps import ProgramStep, StepFactory
from converters.reading.caffe.prototxt import DEFAULTS, PrototxtLayer, PrototxtNet
from converters.reading.protobuf.text_format import Message

_IDENTITY = {"Dropout", "Split", "Flatten"}  # layers that change nothing at test time
_NOTHING = re.compile(r".*Loss|SoftmaxWithLoss|.*Accuracy|Silence|HDF5Output|MatWrite")
_FUNCTIONS = {"Sigmoid": "sigmoid", "TanH": "tanh", "ELU": "elu", "Softmax": "softmax", "ArgMax": "argmax"}
_ELTWISE = {"SUM": "sum", "MAX": "maximum", "PROD": "product"}
WEIGHTED = {"Convolution", "Deconvolution", "InnerProduct", "BatchNorm", "BN", "Scale", "Bias", "PReLU"}


def describe(
    net: PrototxtNet, module: Callable[[str], str | None], layers: Collection[str], factory: StepFactory
) -> list[ProgramStep]:
    """The ends of a prototxt's network, in their order: the steps whose results no other step reads.

    Args:
        net: network that the prototxt describes.
        module: function that returns the Keras layer of a Caffe layer's name, or None.
        layers: names of the Keras layers that have weights.
        factory: factory for the size of image at which programs are compared.
    """
    return _PrototxtReader(net, module, layers, factory).read()


class _PrototxtReader:
    def __init__(
        self, net: PrototxtNet, module: Callable[[str], str | None], layers: Collection[str], factory: StepFactory
    ) -> None:
        self.net, self.module, self.layers, self.factory = net, module, layers, factory
        self.blobs: dict[str, ProgramStep] = {}
        self.owners: dict[str, str] = {}  # name of shared weights -> the first layer that has them

    def read(self) -> list[ProgramStep]:
        """The ends of the network."""
        steps: list[ProgramStep] = []
        read: set[int] = set()
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
                if all(step is not result for result in inputs):
                    read.update(map(id, inputs))
                    steps.append(step)
                self.blobs[top] = step
        return [step for step in steps if id(step) not in read]

    def source(self, blob: str) -> ProgramStep:
        """The step for a blob that no layer makes: the first one is the image."""
        shape: tuple[int | None, ...] = self.net.inputs.get(blob) or ()
        channels = shape[1] if len(shape) == 4 else None
        if self.blobs:
            made = self.factory.step(f"the blob {blob}", (), blob, channels=channels)
        else:
            made = self.factory.image(blob, channels)
        return self.blobs.setdefault(blob, made)

    def step(self, layer: PrototxtLayer, inputs: Sequence[ProgramStep], index: int) -> ProgramStep:
        """The step for the result `index` of a layer."""
        if layer.type in _IDENTITY:
            return inputs[0]
        reader, bottoms = _READERS.get(layer.type, (None, None))
        if reader is not None and bottoms in (len(inputs), None):
            return reader(self, layer, inputs)
        kind = _FUNCTIONS.get(layer.type, layer.type or "a layer without a type")
        which: dict[str, Any] = {"top": index} if len(layer.tops) > 1 else {}
        return self.factory.step(kind, inputs, layer.name, self.key(layer), nonnegative=kind == "sigmoid", **which)

    def key(self, layer: PrototxtLayer) -> str:
        """The Keras layer that has this layer's weights, or the weights of the layer that it shares them with."""
        if layer.type not in WEIGHTED:
            return ""
        owner = self.owners.get(layer.shared[0], layer.name) if layer.shared else layer.name
        return self.module(owner) or f"?{layer.name}"

    def convolution(self, layer: PrototxtLayer, inputs: Sequence[ProgramStep]) -> ProgramStep:
        facts, window = _window(layer)
        make = self.factory.convolution if layer.type == "Convolution" else self.factory.deconvolution
        facts = {"outputs": facts["num_output"], "groups": facts["group"], "bias": facts["bias_term"]}
        return make(inputs[0], layer.name, self.key(layer), **window, **facts)

    def dense(self, layer: PrototxtLayer, inputs: Sequence[ProgramStep]) -> ProgramStep:
        facts = {"outputs": layer.parameters["num_output"], "bias": layer.parameters["bias_term"]}
        facts |= _unusual(layer, "axis")
        return self.factory.step(
            "fully connected layer", inputs, layer.name, self.key(layer), size=(1, 1), nonnegative=False, **facts
        )

    def pooling(self, layer: PrototxtLayer, inputs: Sequence[ProgramStep]) -> ProgramStep:
        facts, window = _window(layer)
        if facts["global_pooling"]:
            return self.factory.global_pooling(inputs[0], layer.name, facts["pool"])
        return self.factory.pooling(
            inputs[0], layer.name, pool=facts["pool"], ceil_mode=facts["round_mode"] == "CEIL", **window
        )

    def batch_norm(self, layer: PrototxtLayer, inputs: Sequence[ProgramStep]) -> ProgramStep:
        both = layer.type == "BN"
        facts = {"epsilon": layer.parameters["eps"], "scale": both, "shift": both}
        if not layer.parameters.get("use_global_stats", True):
            facts["statistics"] = "of the batch"
        return self.factory.step("normalization", inputs, layer.name, self.key(layer), nonnegative=False, **facts)

    def scale(self, layer: PrototxtLayer, inputs: Sequence[ProgramStep]) -> ProgramStep:
        """The second half of a normalization, or a multiplication by another map or by constants in the file."""
        if len(inputs) == 2 and layer.type == "Scale":
            return self.factory.step("product", inputs, layer.name)
        x, key = inputs[0], self.key(layer)
        facts = {"scale": layer.type == "Scale", "shift": layer.parameters.get("bias_term", True)}
        unusual = _unusual(layer, "axis", "num_axes")
        if x.op == "normalization" and x.key == key and not any(x.facts[name] and facts[name] for name in facts):
            facts = {name: x.facts[name] or facts[name] for name in facts}
            return self.factory.step(x.op, x.inputs, x.name, key, nonnegative=False, **{**x.facts, **facts, **unusual})
        scale, shift = (_constant(layer, name) for name in ("filler", "bias_filler"))
        if key not in self.layers and layer.type == "Scale" and scale is not None:
            return self.factory.affine(x, layer.name, scale, (shift or 0) if facts["shift"] else 0)
        return self.factory.step("scale", inputs, layer.name, key, nonnegative=False, **facts, **unusual)

    def power(self, layer: PrototxtLayer, inputs: Sequence[ProgramStep]) -> ProgramStep:
        facts = layer.parameters
        if facts["power"] == 1:
            return self.factory.affine(inputs[0], layer.name, facts["scale"], facts["shift"])
        return self.factory.step("power", inputs, layer.name, nonnegative=False, **facts)

    def relu(self, layer: PrototxtLayer, inputs: Sequence[ProgramStep]) -> ProgramStep:
        if slope := layer.parameters["negative_slope"]:
            return self.factory.step("leaky relu", inputs, layer.name, nonnegative=False, slope=slope)
        return self.factory.relu(inputs[0], layer.name)

    def eltwise(self, layer: PrototxtLayer, inputs: Sequence[ProgramStep]) -> ProgramStep:
        op, weights = _ELTWISE.get(layer.parameters["operation"], "eltwise"), layer.parameters["coeff"]
        if op == "sum" and set(weights) - {1.0}:
            return self.factory.step("weighted sum", inputs, layer.name, nonnegative=False, weights=weights)
        return self.factory.step(op, inputs, layer.name)

    def axpy(self, layer: PrototxtLayer, inputs: Sequence[ProgramStep]) -> ProgramStep:
        weight, x, y = inputs
        product = self.factory.step("product", (weight, x), layer.name)
        return self.factory.step("sum", (product, y), layer.name)

    def concat(self, layer: PrototxtLayer, inputs: Sequence[ProgramStep]) -> ProgramStep:
        if inputs[0].op == "image" and not any(step.inputs for step in inputs):  # color and depth: the image's channels
            channels = [step.facts["channels"] for step in inputs]
            return self.factory.image(layer.name, sum(channels) if all(channels) else None)
        if len(inputs) == 1:
            return inputs[0]
        return self.factory.step("concatenation", inputs, layer.name, **_unusual(layer, "axis"))

    def crop(self, layer: PrototxtLayer, inputs: Sequence[ProgramStep]) -> ProgramStep:
        x, reference = inputs
        offsets = [int(offset) for offset in layer.parameters["offset"]] or [0]
        if layer.parameters["axis"] not in (2, -2) or len(offsets) > 2:
            return self.factory.step("crop", inputs, layer.name, **layer.parameters)
        return self.factory.crop(x, reference.size, layer.name, (offsets[0], offsets[-1]))

    def interp(self, layer: PrototxtLayer, inputs: Sequence[ProgramStep]) -> ProgramStep:
        (x,), facts = inputs, layer.parameters
        zoom, shrink = facts["zoom_factor"], facts["shrink_factor"]
        more = facts["pad_beg"] + facts["pad_end"]
        if more or min(zoom, shrink) < 1:
            return self.factory.step("interp", inputs, layer.name, **facts)
        # Aligned corners: a factor counts the spaces between pixels.
        rows, columns = ((side - 1) // shrink * zoom + 1 for side in x.size)
        if facts["height"] > 0 and facts["width"] > 0:
            rows, columns = facts["height"], facts["width"]
        return self.factory.resize(x, layer.name, (rows, columns), "bilinear_align_corners")


def _window(layer: PrototxtLayer) -> tuple[dict[str, Any], dict[str, Any]]:
    """All parameters, and the kernel, stride, padding and dilation in the form that `StepFactory` takes."""
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


def _unusual(layer: PrototxtLayer, *names: str) -> dict[str, Any]:
    """The named parameters that differ from Caffe's defaults, which Keras layers correspond to."""
    defaults = DEFAULTS[layer.type][1]
    return {name: layer.parameters[name] for name in names if layer.parameters[name] != defaults[name]}


def _constant(layer: PrototxtLayer, name: str) -> float | None:
    """The number that a filler puts everywhere, or None."""
    for parameters in layer.fields.get("scale_param", ()):
        for filler in parameters.get(name, ()) if isinstance(parameters, Message) else ():
            if isinstance(filler, Message) and filler.get("type", ["constant"]) == ["constant"]:
                return next((value for value in filler.get("value", ()) if isinstance(value, int | float)), None)
    return None


# Type of a layer -> how it is read, and how many blobs it must read for that; None: any number.
_READERS: dict[str, tuple[Callable[..., ProgramStep], int | None]] = {
    "Convolution": (_PrototxtReader.convolution, 1),
    "Deconvolution": (_PrototxtReader.convolution, 1),
    "InnerProduct": (_PrototxtReader.dense, 1),
    "Pooling": (_PrototxtReader.pooling, 1),
    "BatchNorm": (_PrototxtReader.batch_norm, 1),
    "BN": (_PrototxtReader.batch_norm, 1),
    "Scale": (_PrototxtReader.scale, None),
    "Bias": (_PrototxtReader.scale, 1),
    "Power": (_PrototxtReader.power, 1),
    "ReLU": (_PrototxtReader.relu, 1),
    "Eltwise": (_PrototxtReader.eltwise, None),
    "Axpy": (_PrototxtReader.axpy, 3),
    "Concat": (_PrototxtReader.concat, None),
    "Crop": (_PrototxtReader.crop, 2),
    "Interp": (_PrototxtReader.interp, 1),
}
