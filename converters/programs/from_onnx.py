"""The steps of an ONNX graph.

A graph has channels before rows and columns; a step has rows and columns. What the graph computes with sizes is
computed here, at one size of the image. An operation without a rule is a step of its own, which equals no other.

Reference: https://onnx.ai/onnx/operators
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from converters.errors import ConversionError
from converters.identification.onnx_names import NamedGraph, NamedLayer
from converters.programs.onnx_constants import NoConstant, fold, small
from converters.programs.steps import NO_PADDING, Padding, ProgramStep, StepFactory
from converters.reading.onnx.model_file import OnnxNode
from converters.reading.tensors import Tensor
from tfseg.types import Size

_IMAGE_AXES = "nchw"
_FLOATS = {1, 10, 11, 16}  # element types of ONNX that differ by rounding
_LARGEST = 2**31  # a size beyond it is none
_IDENTITY = {"Identity", "Dropout"}
# What messages call an operation that no network here has.
_WORDS = {
    "ArgMax": "argmax",
    "Sub": "subtraction",
    "Div": "division",
    "Mul": "multiplication",
    "Add": "addition",
    "Pow": "power",
    "PRelu": "prelu",
    "HardSwish": "hard swish",
    "HardSigmoid": "hard sigmoid",
    "LogSoftmax": "log softmax",
    "InstanceNormalization": "instance normalization",
    "ReduceMean": "mean",
    "Slice": "slice",
    "Gather": "choice of channels",
    "Transpose": "exchange of axes",
    "Reshape": "change of shape",
    "Cast": "change of type",
}


class ImpossibleSize(Exception):
    """A size of the image that the graph does not take: maps of different sizes meet, or nothing is left of one."""


@dataclasses.dataclass(frozen=True, eq=False)
class _Map:
    """A result that depends on the image.

    `axes` has a letter for each axis: "nchw", another order of these, "nc" for one map made flat, or "" where it is not
    known. `shape` is None where it is not known.
    """

    step: ProgramStep
    shape: tuple[int, ...] | None
    axes: str

    def axis(self, axis: int) -> str:
        """The letter of an axis, which may be counted from the end."""
        return self.axes[axis]


@dataclasses.dataclass(frozen=True, eq=False)
class _Weights:
    """A constant that is not read: its numbers are weights."""

    name: str
    tensor: Tensor | None


_Value = _Map | _Weights | np.ndarray


def describe(
    named: NamedGraph, layer_of: Callable[[str], str | None], factory: StepFactory, *, batch: int = 1
) -> list[ProgramStep]:
    """The steps of the graph's outputs, in their order.

    Args:
        named: graph, whose layers have the keys of a network's tensors.
        layer_of: function that returns the Keras layer of a tensor's key, or None.
        factory: factory for the size of image at which programs are compared.
        batch: images in a batch.
    Raises:
        ConversionError: a value that no node makes.
        ImpossibleSize: the graph takes no image of this size.
    """
    return _GraphReader(named, layer_of, factory, batch).read()


class _GraphReader:
    def __init__(
        self, named: NamedGraph, layer_of: Callable[[str], str | None], factory: StepFactory, batch: int
    ) -> None:
        self.graph, self.layers, self.prefix = named.graph, named.layers, named.prefix
        self.folded = named.folded
        self.layer_of, self.factory, self.batch = layer_of, factory, batch
        self.values: dict[str, _Value] = {}
        self.counter = itertools.count()
        norms = [node for node in self.graph.nodes if node.type == "BatchNormalization"]
        # A network that was exported for training normalizes with the statistics of the batch, everywhere.
        self.training = bool(norms) and all(node.attributes.get("training_mode", 0) for node in norms)

    def read(self) -> list[ProgramStep]:
        """The steps of the outputs."""
        for index, (name, shape) in enumerate(self.graph.inputs.items()):
            self.values[name] = self.input(name, shape, image=index == 0)
        for node in self.graph.nodes:
            self.values.update(zip(node.outputs, self.run(node), strict=False))
        results = [self.values.get(name) for name in self.graph.outputs]
        return [result.step for result in results if isinstance(result, _Map)]

    def input(self, name: str, shape: tuple[int | None, ...] | None, *, image: bool) -> _Map:
        """The map for what the caller gives: the image first."""
        if not image:
            return _Map(self.factory.step(f"the input {name}", (), name), None, "")
        rows, columns = self.factory.image_size
        axes = image_axes(shape)
        stated = shape[axes.index("c")] if shape and axes else None
        step = self.factory.image(name, stated)
        sizes = {"n": self.batch, "c": stated or self.factory.channels, "h": rows, "w": columns}
        return _Map(step, tuple(sizes[axis] for axis in axes) if axes else None, axes)

    def value(self, name: str) -> _Value | None:
        """What a name stands for; None for an input that is left out."""
        if not name:
            return None
        if name not in self.values:
            tensor = self.graph.tensors.get(name)
            if tensor is None:
                raise ConversionError(f"the graph reads {name!r}, which none of its nodes makes; the file is damaged.")
            array = small(tensor)
            self.values[name] = _Weights(name, tensor if isinstance(tensor, Tensor) else None)
            if array is not None:
                self.values[name] = array
        return self.values[name]

    def run(self, node: OnnxNode) -> list[_Value]:
        """The results of a node."""
        inputs = [self.value(name) for name in node.inputs]
        maps = [value for value in inputs if isinstance(value, _Map)]
        if not maps:
            return self.constant(node, inputs)
        if node.type == "Shape":
            return self.shape(node, inputs)
        rule = _RULES.get(node.type) if node.domain in ("", "ai.onnx") else None
        if rule is not None and isinstance(inputs[0], _Map):
            try:
                result = rule(self, node, inputs)
            # The graph is anybody's: what is not as its operator wants it equals no step of a network.
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
                result = None
            if result is not None:
                _check_size(result.step.size)
                return [result, *(self.other(node, maps, index) for index in range(1, len(node.outputs)))]
        return [self.other(node, maps, index) for index in range(len(node.outputs))]

    def constant(self, node: OnnxNode, inputs: Sequence[_Value | None]) -> list[_Value]:
        """The results of a node that reads no map."""
        arrays = [value for value in inputs if value is None or isinstance(value, np.ndarray)]
        if len(arrays) == len(inputs):
            try:
                return [fold(node, arrays, self.graph.opset)]
            except NoConstant:
                pass
        tensor = node.attributes.get("value")
        return [_Weights(name, tensor if isinstance(tensor, Tensor) else None) for name in node.outputs]

    def shape(self, node: OnnxNode, inputs: Sequence[_Value | None]) -> list[_Value]:
        """The sizes of a map."""
        x = inputs[0]
        if not isinstance(x, _Map) or x.shape is None:
            maps = [value for value in inputs if isinstance(value, _Map)]
            return [self.other(node, maps, 0)]
        first, last = node.attributes.get("start", 0), node.attributes.get("end")
        if not isinstance(first, int) or not isinstance(last, int | None):
            return [self.other(node, [x], 0)]
        return [np.array(x.shape[first:last], "i8")]

    def other(self, node: OnnxNode, maps: Sequence[_Map], index: int) -> _Map:
        """A step that equals no other: an operation that no network here has."""
        word = _WORDS.get(node.type, node.type)
        step = self.factory.step(
            word, [value.step for value in maps], self.name(node), nonnegative=False, number=next(self.counter)
        )
        return _Map(step, None, "")

    def name(self, node: OnnxNode) -> str:
        """What messages call a node."""
        layer = self.layers.get(node.outputs[0]) if node.outputs else None
        return layer.key.rpartition(".")[0] if layer else node.name or (node.outputs[0] if node.outputs else node.type)

    def layer(self, node: OnnxNode, weight: str) -> tuple[NamedLayer, str]:
        """The layer that a node with weights is, and the name of the Keras layer."""
        layer = self.layers.get(node.outputs[0])
        if layer is None:
            layer = NamedLayer(weight.removeprefix(self.prefix), (), len(node.inputs) > 2, node.outputs[0])
        return layer, self.layer_of(layer.key) or f"?{layer.key}"

    # ---------------------------------------------------------------------------------------------- layers with weights

    def convolution(self, node: OnnxNode, inputs: Sequence[_Value | None]) -> _Map | None:
        """A convolution, or a transposed one."""
        x = _image(inputs[0])
        layer, key = self.layer(node, node.inputs[1])
        if len(layer.kernel) != 4:
            return None
        kernel = layer.kernel[2], layer.kernel[3]
        stride, dilation = _pair(node, "strides"), _pair(node, "dilations")
        groups = _integer(node, "group", 1)
        up = node.type == "ConvTranspose"
        outputs = layer.kernel[1] * groups if up else layer.kernel[0]
        facts: dict[str, Any] = {"outputs": outputs, "groups": groups, "bias": layer.bias}
        window: dict[str, Any] = {"kernel": kernel, "stride": stride, "dilation": dilation}
        if up:
            if "output_shape" in node.attributes or node.attributes.get("auto_pad", "NOTSET") != "NOTSET":
                return None
            more = _pair(node, "output_padding", 0)
            (above, below), (left, right) = _pads(node)
            pad = (above, below - more[0]), (left, right - more[1])
            step = self.factory.deconvolution(x.step, self.name(node), key, pad=pad, **window, **facts)
        else:
            pad = _automatic(node, x, kernel, stride, dilation)
            step = self.factory.convolution(x.step, self.name(node), key, pad=pad, **window, **facts)
        return self.map(step, outputs)

    def dense(self, node: OnnxNode, inputs: Sequence[_Value | None]) -> _Map | None:
        """A fully connected layer."""
        x = inputs[0]
        if not isinstance(x, _Map) or x.axes != "nc" or node.outputs[0] not in self.layers:
            return None
        layer, key = self.layer(node, node.inputs[1])
        facts = {"outputs": layer.kernel[0], "bias": layer.bias}
        step = self.factory.step(
            "fully connected layer", [x.step], self.name(node), key, size=(1, 1), nonnegative=False, **facts
        )
        return _Map(step, (self.batch, layer.kernel[0]), "nc")

    def norm(self, node: OnnxNode, inputs: Sequence[_Value | None]) -> _Map | None:
        """A BatchNorm."""
        x = _image(inputs[0])
        _, key = self.layer(node, node.inputs[1])
        facts: dict[str, Any] = {"epsilon": float(_number(node, "epsilon", 1e-5)), "scale": True, "shift": True}
        if node.attributes.get("training_mode", 0) and not self.training:
            facts["statistics"] = "of the batch"
        step = self.factory.step("normalization", [x.step], self.name(node), key, nonnegative=False, **facts)
        return _Map(step, x.shape, x.axes)

    # --------------------------------------------------------------------------------------------------------- poolings

    def pooling(self, node: OnnxNode, inputs: Sequence[_Value | None]) -> _Map:
        """A pooling with fixed windows."""
        x = _image(inputs[0])
        kernel, stride, dilation = _pair(node, "kernel_shape"), _pair(node, "strides"), _pair(node, "dilations")
        if "kernel_shape" not in node.attributes:
            raise ValueError("kernel_shape")
        pad = _automatic(node, x, kernel, stride, dilation)
        ceil_mode = bool(_integer(node, "ceil_mode", 0))
        facts: dict[str, Any] = {}
        if dilation != (1, 1):
            facts["dilation"] = dilation
        pool = "MAX" if node.type == "MaxPool" else "AVE"
        if pool == "AVE":
            counted = bool(_integer(node, "count_include_pad", 0))
            if pad != NO_PADDING and not counted:
                facts["divided by"] = "the pixels on the map"
            if ceil_mode and counted and pad == NO_PADDING:
                facts["divided by"] = "the pixels of the window"
        if pool == "MAX" and dilation != (1, 1):
            rates = tuple(rate * (side - 1) + 1 for rate, side in zip(dilation, kernel, strict=True))
            size = tuple(
                (side + sum(more) - window) // step + 1
                for side, more, window, step in zip(x.step.size, pad, rates, stride, strict=True)
            )
            step = self.factory.step(
                "pooling",
                [x.step],
                self.name(node),
                size=(size[0], size[1]),
                pool=pool,
                kernel=kernel,
                stride=stride,
                pad=pad,
                ceil_mode=ceil_mode,
                **facts,
            )
            return self.map(step, _channels(x))
        step = self.factory.pooling(
            x.step, self.name(node), pool=pool, kernel=kernel, stride=stride, pad=pad, ceil_mode=ceil_mode, **facts
        )
        return self.map(step, _channels(x))

    def whole_map(self, node: OnnxNode, inputs: Sequence[_Value | None]) -> _Map:
        """A pooling of the whole map."""
        x = _image(inputs[0])
        pool = "MAX" if node.type == "GlobalMaxPool" else "AVE"
        return self.map(self.factory.global_pooling(x.step, self.name(node), pool), _channels(x))

    def reduction(self, node: OnnxNode, inputs: Sequence[_Value | None]) -> _Map | None:
        """A mean or maximum over rows and columns."""
        x = inputs[0]
        axes = _integers(node, inputs, 1, "axes")
        if (
            not isinstance(x, _Map)
            or x.shape is None
            or not axes
            or sorted(x.axis(axis) for axis in axes) != ["h", "w"]
        ):
            return None
        pool = "MAX" if node.type == "ReduceMax" else "AVE"
        step = self.factory.global_pooling(x.step, self.name(node), pool)
        sizes = {"n": self.batch, "c": _channels(x), "h": 1, "w": 1}
        kept = x.axes if _integer(node, "keepdims", 1) else x.axes.replace("h", "").replace("w", "")
        return _Map(step, tuple(sizes[axis] for axis in kept), kept)

    # ------------------------------------------------------------------------------------------------------ activations

    def relu(self, node: OnnxNode, inputs: Sequence[_Value | None]) -> _Map:
        """A rectified map."""
        x = _any(inputs[0])
        return dataclasses.replace(x, step=self.factory.relu(x.step, self.name(node)))

    def leaky_relu(self, node: OnnxNode, inputs: Sequence[_Value | None]) -> _Map:
        """A leaky ReLU."""
        x = _any(inputs[0])
        slope = float(_number(node, "alpha", 0.01))
        step = self.factory.step("leaky relu", [x.step], self.name(node), nonnegative=False, slope=slope)
        return dataclasses.replace(x, step=step)

    def clip(self, node: OnnxNode, inputs: Sequence[_Value | None]) -> _Map:
        """Numbers between two bounds: ReLU6, or ReLU where there is no upper bound."""
        x = _any(inputs[0])
        bounds = []
        for index, (name, default) in enumerate((("min", -math.inf), ("max", math.inf)), 1):
            given = inputs[index] if len(inputs) > index else None
            if isinstance(given, _Map | _Weights):
                raise TypeError("the bounds are computed")
            bounds.append(float(_number(node, name, default)) if given is None else float(np.ravel(given)[0]))
        low, high = bounds
        if high >= np.finfo("f4").max and low == 0:
            return self.relu(node, inputs)
        if (low, high) == (0, 6):
            return dataclasses.replace(x, step=self.factory.step("relu6", [x.step], self.name(node), nonnegative=True))
        step = self.factory.step("clip", [x.step], self.name(node), nonnegative=low >= 0, low=low, high=high)
        return dataclasses.replace(x, step=step)

    def function(self, node: OnnxNode, inputs: Sequence[_Value | None]) -> _Map:
        """A function of each number."""
        x, op = _any(inputs[0]), _FUNCTIONS[node.type]
        given = {f"its {name}": value for name, value in node.attributes.items()}
        facts: dict[str, Any] = {name: value for name, value in given.items() if isinstance(value, float | int | str)}
        step = self.factory.step(op, [x.step], self.name(node), nonnegative=op == "sigmoid", **facts)
        return dataclasses.replace(x, step=step)

    def softmax(self, node: OnnxNode, inputs: Sequence[_Value | None]) -> _Map:
        """A softmax. Before version 13, it was one of all axes from the stated one on."""
        x, old = _any(inputs[0]), self.graph.opset < 13
        axis = _integer(node, "axis", 1 if old else -1)
        over = x.axis(axis) if not old else x.axes[axis % len(x.axes) :]
        facts: dict[str, Any] = {} if over == "c" else {"over": over}
        step = self.factory.step("softmax", [x.step], self.name(node), nonnegative=True, **facts)
        return dataclasses.replace(x, step=step)

    # ------------------------------------------------------------------------------------------------ sums and products

    def merge(self, node: OnnxNode, inputs: Sequence[_Value | None]) -> _Map | None:
        """A sum or product of maps, or of a map and constants."""
        if len(inputs) == 2 and not (isinstance(inputs[0], _Map) and isinstance(inputs[1], _Map)):
            return self.with_constant(node, inputs)
        maps = [_any(value) for value in inputs]
        if len(maps) == 1:
            return maps[0]
        x, *others = maps
        if x.shape is None or any(other.shape is None or other.axes != x.axes for other in others):
            return None
        shape = x.shape
        for other in others:
            try:
                shape = np.broadcast_shapes(shape, other.shape or ())
            except ValueError:
                raise ImpossibleSize(f"{shape} and {other.shape} meet at {self.name(node)}") from None
        steps = [value.step for value in maps]
        op = _MERGES[node.type]
        nonnegative = None if op != "difference" else False
        return _Map(self.factory.step(op, steps, self.name(node), nonnegative=nonnegative), shape, x.axes)

    def with_constant(self, node: OnnxNode, inputs: Sequence[_Value | None]) -> _Map | None:
        """A map with a constant added, or multiplied by it."""
        first, second = inputs
        x, constant = (first, second) if isinstance(first, _Map) else (second, first)
        if not isinstance(x, _Map):
            return None
        source = next((self.layers[name] for name in node.inputs if name in self.layers), None)
        if source is not None and source.ends == node.outputs[0]:
            return x  # the bias of the layer before
        if not isinstance(constant, np.ndarray):
            return None
        numbers = np.unique(constant.astype("f8"))
        exchanged = x is second
        if len(numbers) != 1 or constant.ndim > len(x.axes):
            return self.constants(node, x, constant, exchanged)
        number = float(numbers[0])
        scale, shift = {
            "Add": (1.0, number),
            "Sub": (-1.0, number) if exchanged else (1.0, -number),
            "Mul": (number, 0.0),
            "Div": (math.nan, 0.0) if exchanged else (1 / number, 0.0),
        }[node.type]
        if math.isnan(scale):
            return self.constants(node, x, constant, exchanged)
        return dataclasses.replace(x, step=self.factory.affine(x.step, self.name(node), scale, shift))

    def constants(self, node: OnnxNode, x: _Map, constant: np.ndarray, exchanged: bool) -> _Map:
        """A map with numbers for each channel or pixel."""
        facts: dict[str, Any] = {"by": tuple(float(number) for number in np.ravel(constant)[:4])}
        facts |= {"number": next(self.counter), "exchanged": exchanged}
        step = self.factory.step(_WORDS[node.type], [x.step], self.name(node), nonnegative=False, **facts)
        return dataclasses.replace(x, step=step)

    def subtraction(self, node: OnnxNode, inputs: Sequence[_Value | None]) -> _Map | None:
        """A difference of maps, or of a map and constants."""
        return self.merge(node, inputs)

    def division(self, node: OnnxNode, inputs: Sequence[_Value | None]) -> _Map | None:
        """A map divided by constants."""
        return self.with_constant(node, inputs) if isinstance(inputs[1], np.ndarray) else None

    def concatenation(self, node: OnnxNode, inputs: Sequence[_Value | None]) -> _Map | None:
        """Maps one after the other along their channels."""
        if not all(isinstance(value, _Map) for value in inputs):
            return None
        maps = [_any(value) for value in inputs]
        if len(maps) == 1:
            return maps[0]
        axes, axis = maps[0].axes, _integer(node, "axis", 1)
        if any(value.axes != axes or value.shape is None for value in maps) or maps[0].axis(axis) != "c":
            return None
        shapes = [value.shape or () for value in maps]
        place = axes.index("c")
        if len({(*shape[:place], *shape[place + 1 :]) for shape in shapes}) != 1:
            raise ImpossibleSize(f"{shapes} meet at {self.name(node)}")
        total = sum(shape[place] for shape in shapes)
        step = self.factory.step("concatenation", [value.step for value in maps], self.name(node))
        return _Map(step, (*shapes[0][:place], total, *shapes[0][place + 1 :]), axes)

    # ------------------------------------------------------------------------------------------------ sizes and shapes

    def resize(self, node: OnnxNode, inputs: Sequence[_Value | None]) -> _Map | None:
        """A map at another size."""
        x = inputs[0]
        if not isinstance(x, _Map) or x.shape is None or sorted(x.axes) != sorted(_IMAGE_AXES):
            return None
        scales, sizes = self.sizes(node, inputs, x)
        place = {axis: x.axes.index(axis) for axis in _IMAGE_AXES}
        if any(sizes[place[axis]] != x.shape[place[axis]] for axis in "nc"):
            return None
        size = sizes[place["h"]], sizes[place["w"]]
        sides = list(zip(x.step.size, size, (scales[place["h"]], scales[place["w"]]), strict=True))
        how = _interpolation(node, self.graph.opset, sides)
        step = self.factory.resize(x.step, self.name(node), size, how)
        if step is x.step and any(scale not in (None, 1) for _, _, scale in sides):
            return None
        return _Map(step, tuple(sizes), x.axes)

    def sizes(self, node: OnnxNode, inputs: Sequence[_Value | None], x: _Map) -> tuple[list[float | None], list[int]]:
        """The scale of each axis, None where it follows from the sizes, and the sizes."""
        shape = list(x.shape or ())
        scales: list[float | None] = [None] * len(shape)
        places = {("Resize", True): (2, 3), ("Resize", False): (1, 9), ("Upsample", False): (1, 9)}
        at_scales, at_sizes = places[node.type, node.type == "Resize" and self.graph.opset >= 11]
        axes = node.attributes.get("axes")
        chosen = [int(axis) % len(shape) for axis in axes] if isinstance(axes, tuple) else list(range(len(shape)))
        wanted = inputs[at_sizes] if len(inputs) > at_sizes else None
        if isinstance(wanted, np.ndarray) and wanted.size:
            if node.attributes.get("keep_aspect_ratio_policy", "stretch") != "stretch":
                raise ValueError("keep_aspect_ratio_policy")
            for axis, size in zip(chosen, np.ravel(wanted), strict=True):
                shape[axis] = int(size)
            return scales, shape
        given = inputs[at_scales] if len(inputs) > at_scales else node.attributes.get("scales")
        if not isinstance(given, np.ndarray | tuple):
            raise TypeError("scales")
        for axis, scale in zip(chosen, np.ravel(given), strict=True):
            size = math.floor(np.float32(shape[axis]) * np.float32(scale))
            if abs(shape[axis] * float(scale) - size) > 1e-4:
                scales[axis] = float(scale)
            shape[axis] = size
        return scales, shape

    def flatten(self, node: OnnxNode, inputs: Sequence[_Value | None]) -> _Map | None:
        """A map made flat."""
        x, axis = _any(inputs[0]), _integer(node, "axis", 1)
        shape = x.shape or ()
        axis = axis % len(shape) if axis < 0 else axis
        return self.reshaped(node, x, (math.prod(shape[:axis]), math.prod(shape[axis:])))

    def reshape(self, node: OnnxNode, inputs: Sequence[_Value | None]) -> _Map | None:
        """A map in another shape."""
        x, wanted = _any(inputs[0]), inputs[1] if len(inputs) > 1 else node.attributes.get("shape")
        if x.shape is None or not isinstance(wanted, np.ndarray | tuple):
            return None
        sizes = [int(size) for size in np.ravel(wanted)]
        zero = not _integer(node, "allowzero", 0)
        sizes = [x.shape[index] if size == 0 and zero else size for index, size in enumerate(sizes)]
        rest = math.prod(size for size in sizes if size != -1)
        sizes = [math.prod(x.shape) // rest if size == -1 else size for size in sizes]
        return self.reshaped(node, x, tuple(sizes))

    def squeeze(self, node: OnnxNode, inputs: Sequence[_Value | None]) -> _Map | None:
        """A map without its axes of size 1."""
        x, axes = _any(inputs[0]), _integers(node, inputs, 1, "axes")
        if x.shape is None:
            return None
        gone = {axis % len(x.shape) for axis in axes} if axes else {i for i, size in enumerate(x.shape) if size == 1}
        return self.reshaped(node, x, tuple(size for index, size in enumerate(x.shape) if index not in gone))

    def unsqueeze(self, node: OnnxNode, inputs: Sequence[_Value | None]) -> _Map | None:
        """A map with further axes of size 1."""
        x, axes = _any(inputs[0]), _integers(node, inputs, 1, "axes")
        if x.shape is None or not axes:
            return None
        rank = len(x.shape) + len(axes)
        new, sizes = {axis % rank for axis in axes}, iter(x.shape)
        return self.reshaped(node, x, tuple(1 if index in new else next(sizes) for index in range(rank)))

    def reshaped(self, node: OnnxNode, x: _Map, shape: tuple[int, ...]) -> _Map | None:
        """A map in another shape that keeps the order of its numbers; None where that is no flat map of an image."""
        if x.shape is None or math.prod(shape) != math.prod(x.shape):
            return None
        if shape == x.shape:
            return x
        flat = self.batch, math.prod(x.shape) // self.batch
        one_pixel = x.step.size == (1, 1)
        if shape == flat and (x.axes == _IMAGE_AXES or (one_pixel and sorted(x.axes) == sorted(_IMAGE_AXES))):
            return _Map(x.step, shape, "nc")
        if x.axes == "nc" and one_pixel and shape == (*flat, 1, 1):
            return _Map(x.step, shape, _IMAGE_AXES)
        return None

    def transpose(self, node: OnnxNode, inputs: Sequence[_Value | None]) -> _Map | None:
        """A map with its axes in another order, which changes no number."""
        x, order = _any(inputs[0]), node.attributes.get("perm")
        if x.shape is None or not isinstance(order, tuple) or sorted(order) != list(range(len(x.shape))):
            return None
        places = [int(place) for place in order]
        return _Map(x.step, tuple(x.shape[place] for place in places), "".join(x.axes[place] for place in places))

    def expand(self, node: OnnxNode, inputs: Sequence[_Value | None]) -> _Map | None:
        """One pixel repeated."""
        x, wanted = _image(inputs[0]), inputs[1]
        if not isinstance(wanted, np.ndarray) or x.shape is None:
            return None
        shape = np.broadcast_shapes(x.shape, tuple(int(size) for size in wanted))
        if len(shape) != 4 or shape[:2] != x.shape[:2] or x.step.size != (1, 1):
            return None
        step = self.factory.resize(x.step, self.name(node), (shape[2], shape[3]), "nearest")
        return _Map(step, shape, x.axes)

    def slice(self, node: OnnxNode, inputs: Sequence[_Value | None]) -> _Map | None:
        """A window of a map."""
        x = _any(inputs[0])
        starts, ends = _integers(node, inputs, 1, "starts"), _integers(node, inputs, 2, "ends")
        axes, steps = _integers(node, inputs, 3, "axes"), _integers(node, inputs, 4, "steps")
        if x.shape is None or starts is None or ends is None:
            return None
        shape, offset = list(x.shape), {"h": 0, "w": 0}
        for index, (start, end) in enumerate(zip(starts, ends, strict=True)):
            axis = (axes[index] if axes else index) % len(shape)
            first, last, _ = slice(start, end).indices(shape[axis])
            whole = (first, last) == (0, shape[axis])
            if (steps and steps[index] != 1) or (not whole and x.axis(axis) not in "hw"):
                return None
            if not whole:
                offset[x.axis(axis)] += first
            shape[axis] = last - first
        if tuple(shape) == x.shape:
            return x
        if sorted(x.axes) != sorted(_IMAGE_AXES):
            return None
        size = shape[x.axes.index("h")], shape[x.axes.index("w")]
        _check_size(size)
        step = self.factory.crop(x.step, size, self.name(node), (offset["h"], offset["w"]))
        return _Map(step, tuple(shape), x.axes)

    def pad(self, node: OnnxNode, inputs: Sequence[_Value | None]) -> _Map | None:
        """Pixels around a map."""
        x = inputs[0]
        sides = _integers(node, inputs, 1, "pads")
        if not isinstance(x, _Map) or x.shape is None or sides is None or sorted(x.axes) != sorted(_IMAGE_AXES):
            return None
        rank = len(x.shape)
        axes = _integers(node, inputs, 3, "axes") if len(inputs) > 3 else None
        chosen = [axis % rank for axis in axes] if axes else list(range(rank))
        before, after = sides[: len(chosen)], sides[len(chosen) :]
        amounts = {x.axes[axis]: pair for axis, pair in zip(chosen, zip(before, after, strict=True), strict=True)}
        rows, columns = amounts.get("h", (0, 0)), amounts.get("w", (0, 0))
        if any(any(amounts.get(axis, (0, 0))) for axis in "nc"):
            return None
        mode = str(node.attributes.get("mode", "constant"))
        given = inputs[2] if len(inputs) > 2 else node.attributes.get("value")
        if isinstance(given, _Map | _Weights):
            return None
        value = 0.0 if given is None else float(np.ravel(np.asarray(given))[0])
        name, pad = self.name(node), (rows, columns)
        if mode == "constant" and value == 0 and min(*rows, *columns) >= 0:
            step = self.factory.zero_padding(x.step, name, pad)
        elif max(*rows, *columns) <= 0:
            reference = x.step.size[0] + sum(rows), x.step.size[1] + sum(columns)
            _check_size(reference)
            step = self.factory.crop(x.step, reference, name, (-rows[0], -columns[0]))
        else:
            size = x.step.size[0] + sum(rows), x.step.size[1] + sum(columns)
            facts: dict[str, Any] = {"pad": pad, "mode": mode, "value": value}
            step = self.factory.step("padding", [x.step], name, size=size, nonnegative=False, **facts)
        _check_size(step.size)
        sizes = dict(zip(x.axes, x.shape, strict=True)) | {"h": step.size[0], "w": step.size[1]}
        return _Map(step, tuple(sizes[axis] for axis in x.axes), x.axes)

    def cast(self, node: OnnxNode, inputs: Sequence[_Value | None]) -> _Map | None:
        """Another type of numbers, which rounds at most."""
        return _any(inputs[0]) if node.attributes.get("to") in _FLOATS else None

    def same(self, node: OnnxNode, inputs: Sequence[_Value | None]) -> _Map:
        """What changes nothing once the network is trained."""
        return _any(inputs[0])

    def map(self, step: ProgramStep, channels: int) -> _Map:
        """The map of a step that made an image's map."""
        return _Map(step, (self.batch, channels, *step.size), _IMAGE_AXES)


def image_axes(shape: tuple[int | None, ...] | None) -> str:
    """The letters of an image's axes: TensorFlow has the channels last.

    Args:
        shape: shape that the graph states, or None; an axis of any size is None.
    """
    if shape is None:
        return _IMAGE_AXES
    if len(shape) != 4:
        return ""
    last, first = shape[3], shape[1]
    return "nhwc" if last is not None and last <= 4 and (first is None or first > 4) else _IMAGE_AXES


def _image(value: _Value | None) -> _Map:
    """A map with channels before rows and columns.

    Raises:
        TypeError: anything else.
    """
    if not isinstance(value, _Map) or value.axes != _IMAGE_AXES or value.shape is None:
        raise TypeError("no map of an image")
    return value


def _any(value: _Value | None) -> _Map:
    if not isinstance(value, _Map):
        raise TypeError("no map")
    return value


def _channels(x: _Map) -> int:
    return (x.shape or ())[x.axes.index("c")]


def _check_size(size: Size) -> None:
    if not all(0 < side < _LARGEST for side in size):
        raise ImpossibleSize(f"a map of the size {size}")


def _number(node: OnnxNode, name: str, default: float) -> float:
    value = node.attributes.get(name, default)
    if not isinstance(value, float | int):
        raise TypeError(name)
    return value


def _integer(node: OnnxNode, name: str, default: int) -> int:
    value = node.attributes.get(name, default)
    if not isinstance(value, int):
        raise TypeError(name)
    return value


def _integers(node: OnnxNode, inputs: Sequence[_Value | None], index: int, name: str) -> list[int] | None:
    """A list that one version of an operator has as input, another as attribute; None if there is none."""
    given: Any = inputs[index] if len(inputs) > index else node.attributes.get(name)
    if given is None:
        return None
    if isinstance(given, _Map | _Weights):
        raise TypeError(name)
    return [int(number) for number in np.ravel(given)]


def _pair(node: OnnxNode, name: str, default: int = 1) -> Size:
    value = node.attributes.get(name, (default, default))
    if not isinstance(value, tuple) or len(value) != 2 or not all(isinstance(part, int) for part in value):
        raise TypeError(name)
    rows, columns = int(value[0]), int(value[1])
    if min(rows, columns) < min(default, 1):
        raise ValueError(name)
    return rows, columns


def _pads(node: OnnxNode) -> Padding:
    value = node.attributes.get("pads", (0, 0, 0, 0))
    if not isinstance(value, tuple) or len(value) != 4 or not all(isinstance(part, int) for part in value):
        raise TypeError("pads")
    above, left, below, right = (int(part) for part in value)
    return (above, below), (left, right)


def _automatic(node: OnnxNode, x: _Map, kernel: Size, stride: Size, dilation: Size) -> Padding:
    """The padding, which `auto_pad` may leave to the size of the map."""
    how = node.attributes.get("auto_pad", "NOTSET")
    if how == "NOTSET":
        return _pads(node)
    if how == "VALID":
        return NO_PADDING
    if how not in ("SAME_UPPER", "SAME_LOWER"):
        raise ValueError("auto_pad")
    pads: list[Size] = []
    for side, window, step, rate in zip(x.step.size, kernel, stride, dilation, strict=True):
        more = max((-(-side // step) - 1) * step + rate * (window - 1) + 1 - side, 0)
        less = more // 2
        pads.append((less, more - less) if how == "SAME_UPPER" else (more - less, less))
    return pads[0], pads[1]


def _interpolation(node: OnnxNode, opset: int, sides: Sequence[tuple[int, int, float | None]]) -> str:
    """The name of an interpolation, in tfseg's words where it is one of tfseg's.

    Args:
        node: operation.
        opset: version of ONNX's operators.
        sides: size before, size after, and the scale where it is not their ratio, along rows and columns.
    """
    given, old = node.attributes, node.type == "Upsample" or opset < 11
    mode = str(given.get("mode", "nearest"))
    where = "asymmetric" if old else str(given.get("coordinate_transformation_mode", "half_pixel"))
    if where == "pytorch_half_pixel" and all(after > 1 for _, after, _ in sides):
        where = "half_pixel"
    odd = [scale for _, _, scale in sides if scale is not None and where != "align_corners"]
    more = "".join(f", at the scale {scale:g}" for scale in odd[:1])
    if given.get("antialias", 0) and any(after < before for before, after, _ in sides):
        more += ", antialiased"
    if mode == "nearest":
        rounding = "floor" if old else str(given.get("nearest_mode", "round_prefer_floor"))
        if not more and all(_is_nearest(before, after, where, rounding) for before, after, _ in sides):
            return "nearest"
        return f"nearest, {where}, {rounding}{more}"
    if mode in ("linear", "bilinear"):
        names = {"half_pixel": "bilinear", "align_corners": "bilinear_align_corners"}
        names["asymmetric"] = "bilinear_asymmetric"
        return f"{names.get(where, f'bilinear, {where}')}{more}"
    return f"{mode}, {where}{more}"


def _is_nearest(before: int, after: int, where: str, rounding: str) -> bool:
    """Whether an axis gets the pixels that torch's "nearest" gives it."""
    output = np.arange(after, dtype="f8")
    ratio = before / after
    if where == "asymmetric":
        place = output * ratio
    elif where == "half_pixel":
        place = (output + 0.5) * ratio - 0.5
    elif where == "align_corners" and after > 1:
        place = output * (before - 1) / (after - 1)
    elif where == "tf_half_pixel_for_nn":
        place = (output + 0.5) * ratio
    else:
        return False
    near = np.round(place, 9)
    rounded = {
        "floor": np.floor(near),
        "ceil": np.ceil(near),
        "round_prefer_floor": np.ceil(near - 0.5),
        "round_prefer_ceil": np.floor(near + 0.5),
    }.get(rounding)
    if rounded is None:
        return False
    wanted = np.floor(np.round(output * ratio, 9))
    return bool((np.clip(rounded, 0, before - 1) == np.clip(wanted, 0, before - 1)).all())


_FUNCTIONS = {
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Elu": "elu",
    "Selu": "selu",
    "Celu": "celu",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Gelu": "gelu",
    "HardSwish": "hard swish",
    "HardSigmoid": "hard sigmoid",
    "Mish": "mish",
    "Exp": "exponential",
    "Log": "logarithm",
    "Sqrt": "square root",
    "Neg": "negation",
    "Abs": "absolute value",
    "Erf": "error function",
    "Reciprocal": "reciprocal",
    "Floor": "floor",
    "Round": "rounding",
}
_MERGES = {"Add": "sum", "Sum": "sum", "Mul": "product", "Max": "maximum", "Sub": "difference"}

_Rule = Callable[[_GraphReader, OnnxNode, Sequence[_Value | None]], _Map | None]
_RULES: dict[str, _Rule] = {
    "Conv": _GraphReader.convolution,
    "ConvTranspose": _GraphReader.convolution,
    "Gemm": _GraphReader.dense,
    "MatMul": _GraphReader.dense,
    "BatchNormalization": _GraphReader.norm,
    "MaxPool": _GraphReader.pooling,
    "AveragePool": _GraphReader.pooling,
    "GlobalAveragePool": _GraphReader.whole_map,
    "GlobalMaxPool": _GraphReader.whole_map,
    "ReduceMean": _GraphReader.reduction,
    "ReduceMax": _GraphReader.reduction,
    "Relu": _GraphReader.relu,
    "LeakyRelu": _GraphReader.leaky_relu,
    "Clip": _GraphReader.clip,
    "Softmax": _GraphReader.softmax,
    **dict.fromkeys(_FUNCTIONS, _GraphReader.function),
    "Add": _GraphReader.merge,
    "Sum": _GraphReader.merge,
    "Max": _GraphReader.merge,
    "Mul": _GraphReader.merge,
    "Sub": _GraphReader.subtraction,
    "Div": _GraphReader.division,
    "Concat": _GraphReader.concatenation,
    "Resize": _GraphReader.resize,
    "Upsample": _GraphReader.resize,
    "Flatten": _GraphReader.flatten,
    "Reshape": _GraphReader.reshape,
    "Squeeze": _GraphReader.squeeze,
    "Unsqueeze": _GraphReader.unsqueeze,
    "Transpose": _GraphReader.transpose,
    "Expand": _GraphReader.expand,
    "Slice": _GraphReader.slice,
    "Pad": _GraphReader.pad,
    "Cast": _GraphReader.cast,
    **dict.fromkeys(_IDENTITY, _GraphReader.same),
}
