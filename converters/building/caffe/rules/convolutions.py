"""Convolutions and fully connected layers."""

import math
from typing import Any

from converters.building.caffe.tracing import Call, Rule
from converters.building.onnx.values import Computed


class Window:
    """Kernel, stride, padding and dilation of a convolution, as rows and columns."""

    def __init__(self, call: Call) -> None:
        if call.parameters["axis"] not in (1, -3):
            raise call.refusal(f"convolves from the axis {call.parameters['axis']} on")
        self.kernel = call.pixels("kernel_size", "kernel", 0)
        self.stride = call.pixels("stride", "stride", 1)
        self.pad = call.pixels("pad", "pad", 0)
        self.dilation = call.pixels("dilation", "dilation", 1)
        holes = call.pixels("hole", "hole", 1)  # DeepLab's first fork
        if holes != (1, 1):
            if self.dilation != (1, 1):
                raise call.refusal("has both dilation and hole")
            self.dilation = holes
        if min(*self.kernel, *self.stride, *self.dilation) < 1 or min(self.pad) < 0:
            raise call.refusal(f"needs a kernel, and a stride and a dilation from 1 on: it has {self._words()}")

    def _words(self) -> str:
        return f"kernel {self.kernel}, stride {self.stride}, pad {self.pad}, dilation {self.dilation}"

    @property
    def reach(self) -> tuple[int, int]:
        """Pixels from the first to the last that a window reads, both counted."""
        rows, columns = (rate * (size - 1) + 1 for size, rate in zip(self.kernel, self.dilation, strict=True))
        return rows, columns

    def arguments(self) -> dict[str, Any]:
        """What a step is told of it."""
        return {"stride": list(self.stride), "padding": list(self.pad), "dilation": list(self.dilation)}


def _outputs(call: Call) -> int:
    outputs = call.parameters["num_output"]
    if outputs < 1:
        raise call.refusal("does not state its num_output")
    return int(outputs)


def _channels(call: Call, x: Computed) -> int:
    if x.is_free(1):
        raise call.refusal("reads channels whose number depends on the size of the image")
    return x.sizes(1)[0]


def convolution(call: Call) -> Computed:
    """A convolution of maps."""
    x = call.input(rank=4)
    window, outputs, groups = Window(call), _outputs(call), call.parameters["group"]
    channels = _channels(call, x)
    if call.layer.type != "Convolution" and groups == 1 and outputs == channels:
        groups = channels  # a depthwise layer needs no group
    if groups < 1 or channels % groups or outputs % groups:
        raise call.refusal(f"has {groups} groups, {channels} channels and {outputs} filters")
    weights = call.weights(
        weight=(outputs, channels // groups, *window.kernel),
        bias=(outputs,) if call.parameters["bias_term"] else None,
    )
    shapes = [
        (
            shape[0],
            outputs,
            *(
                (size + 2 * pad - reach) // step + 1
                for size, pad, reach, step in zip(shape[2:], window.pad, window.reach, window.stride, strict=True)
            ),
        )
        for shape in x.shapes
    ]
    return call.emit("conv2d", shapes, input=x, **weights, **window.arguments(), groups=groups)


def deconvolution(call: Call) -> Computed:
    """A transposed convolution of maps."""
    x = call.input(rank=4)
    window, outputs, groups = Window(call), _outputs(call), call.parameters["group"]
    channels = _channels(call, x)
    if groups < 1 or channels % groups or outputs % groups:
        raise call.refusal(f"has {groups} groups, {channels} channels and {outputs} filters")
    weights = call.weights(
        weight=(channels, outputs // groups, *window.kernel),
        bias=(outputs,) if call.parameters["bias_term"] else None,
    )
    shapes = [
        (
            shape[0],
            outputs,
            *(
                step * (size - 1) + reach - 2 * pad
                for size, pad, reach, step in zip(shape[2:], window.pad, window.reach, window.stride, strict=True)
            ),
        )
        for shape in x.shapes
    ]
    arguments = window.arguments() | {"output_padding": [0, 0]}
    return call.emit("conv_transpose2d", shapes, input=x, **weights, **arguments, groups=groups)


def inner_product(call: Call) -> Computed:
    """A fully connected layer on all axes from one on."""
    x = call.input()
    outputs, axis = _outputs(call), call.axis(x, call.parameters["axis"])
    if axis == 0:
        raise call.refusal("connects the images of a batch")
    lengths = {math.prod(shape[axis:]) for shape in x.shapes}
    shape = call.shape_of("weight") or (0, 0)
    if lengths != {shape[1]}:
        raise call.mismatch(f"its weights are for {shape[1]} numbers, and there are {max(lengths)}")
    weights = call.weights(weight=(outputs, shape[1]), bias=(outputs,) if call.parameters["bias_term"] else None)
    if x.rank > axis + 1:
        x = call.emit("reshape", [(*shape[:axis], math.prod(shape[axis:])) for shape in x.shapes], input=x)
    return call.emit("linear", [(*shape[:axis], outputs) for shape in x.shapes], input=x, **weights)


RULES: dict[str, Rule] = {
    "Convolution": convolution,
    "ConvolutionDepthwise": convolution,
    "DepthwiseConvolution": convolution,
    "Deconvolution": deconvolution,
    "InnerProduct": inner_product,
}
