"""What an ONNX graph computes, as far as weights go: its layers with weights, in order of computation.

The order is the graph's own, not that of its list: at a sum the longer branch comes first, at a concatenation the first
one, and of several results the deepest. So exporters and optimizers, which list nodes as they like, all give the same.

Reference: https://onnx.ai/onnx/operators
"""

import re
from collections import ChainMap
from typing import NamedTuple

from converters.errors import ConversionError
from converters.reading.files import map_file, naming
from converters.reading.onnx.model_file import load
from converters.reading.tensors import Tensor

_LAYERS = {"Conv": 4, "ConvTranspose": 4, "Gemm": 2, "MatMul": 2}  # axes of the weight
_NORM = "BatchNormalization"
_JOINS = {"Add", "Sum", "Concat", "Mul"}  # all inputs are data; of other nodes the first one is
_SETTINGS = {"Resize", "Upsample", "Clip", "Dropout", "Pad", "Reshape", "Unsqueeze", "Squeeze", "ReduceMean", "Slice"}
_QUANTIZED = re.compile(r"QLinear.*|.*Integer|.*QuantizeLinear|DequantizeLinear|QGemm|MatMulNBits")
NORM_PARTS = ("gamma", "beta", "moving_mean", "moving_variance")  # behind the data, in this order
# torch >= 1.13 names a node by the modules around it, one that is numbered with its parent: /layer1/layer1.0/conv1/Conv
_PATH = re.compile(r"/(.+)/(?:Conv|ConvTranspose|Gemm|MatMul)(?:_\d+)?")


class Layer(NamedTuple):
    """A node with weights.

    Attributes:
        module: name of the module that it was, or None where the file does not tell.
        weight, bias: tensors, as torch lays them out; the bias may be None.
        facts: what Keras calls `strides`, `dilation_rate` and `groups`.
        centred: whether a convolution with stride 1 would keep the size: as many zeros on all sides as it reaches over.
        norm: `{"gamma", "beta", "moving_mean", "moving_variance"}` of the normalisation right behind it, or None.
        epsilon: of that.
        feeds: indices of the layers whose results reach this one without another layer between.
    """

    module: str | None
    weight: Tensor
    bias: Tensor | None
    facts: dict
    centred: bool
    norm: dict | None
    epsilon: float
    feeds: frozenset


class Network(NamedTuple):
    """Attributes:
    layers: in order of computation.
    operations: types of all nodes on the way of the data.
    pools: `(kernel, strides, pads, whether sizes are rounded up)` of the maximum poolings.
    others: tensors that enter the data elsewhere, by name.
    files: that hold the model's data beside it.
    """

    layers: list
    operations: set
    pools: set
    others: dict
    files: tuple


def load_network(path) -> Network:
    """The layers of the graph in a file.

    Raises: ConversionError for a damaged file, a quantized network, weights that the graph computes, and nodes that
        are not in order.
    """
    with naming(path):
        return _Walk(load(path, map_file(path))).network()


class _Walk:
    def __init__(self, graph):
        self._graph = graph
        self._constants = {
            node.outputs[0]: node.attributes["value"]
            for node in graph.nodes
            if node.type == "Constant" and node.outputs and isinstance(node.attributes.get("value"), Tensor)
        }
        self._tensors = ChainMap(graph.tensors, self._constants)
        self._makers = {output: node for node in graph.nodes for output in node.outputs if output}
        self._users = {}
        for node in graph.nodes:
            for value in node.inputs:
                self._users.setdefault(value, []).append(node)

    def network(self):
        depths = self._depths()
        ways = [node for node in self._way(depths) if node.type not in ("Constant", "Identity")]
        quantized = [node.type for node in self._graph.nodes if _QUANTIZED.fullmatch(node.type)]
        if quantized:
            raise ConversionError(
                f"is a quantized network: its graph has {quantized[0]}. Export the network in float32, before it is "
                "quantized."
            )
        nodes = [node for node in ways if self._is_layer(node)]
        places = {id(node): index for index, node in enumerate(nodes)}
        sources, norms, others = {}, {}, {}
        additions = {id(self._addition(node)) for node in nodes if node.type == "MatMul"}
        for node in ways:
            inside = frozenset().union(*(sources.get(value, ()) for value in self._data(node)))
            before = id(self._makers.get(node.inputs[0])) if node.type == _NORM and len(node.inputs) == 5 else None
            if before in places:
                norms[places[before]] = node
            elif id(node) not in places and id(node) not in additions and node.type not in _SETTINGS:
                others |= {name: tensor for name in node.inputs if (tensor := self._floats(name)) is not None}
            for output in node.outputs:
                sources[output] = frozenset([places[id(node)]]) if id(node) in places else inside
        layers = [
            self._layer(node, norms.get(index), sources.get(node.inputs[0], frozenset()))
            for index, node in enumerate(nodes)
        ]
        pools = {_pool(node) for node in ways if node.type == "MaxPool"}
        return Network(layers, {node.type for node in ways}, pools, others, self._graph.files)

    def _depths(self):
        """Value -> how many layers lie before it, on the longest way."""
        depths, known = {}, set()
        for node in self._graph.nodes:
            for value in node.inputs:
                if value in self._makers and value not in known:
                    raise ConversionError(
                        f"the node {node.name or node.type!r} stands before the one that makes its input {value!r}; "
                        "the file is damaged."
                    )
            before = max((depths.get(value, 0) for value in self._data(node)), default=0)
            depths |= dict.fromkeys(node.outputs, before + self._is_layer(node))
            known.update(node.outputs)
        return depths

    def _way(self, depths):
        """The nodes on the way of the data, in order of computation."""
        found, seen = [], set()
        stack = [(value, False) for value in sorted(self._graph.outputs, key=lambda value: depths.get(value, 0))]
        while stack:
            value, done = stack.pop()
            node = self._makers.get(value)
            if node is None:
                continue
            if done:
                found.append(node)
            elif id(node) not in seen:
                seen.add(id(node))
                stack.append((value, True))
                inputs = self._data(node)
                if node.type != "Concat":
                    inputs = sorted(inputs, key=lambda value: -depths.get(value, 0))
                stack += [(value, False) for value in reversed(inputs)]
        return found

    @staticmethod
    def _data(node):
        return node.inputs if node.type in _JOINS else node.inputs[:1]

    def _is_layer(self, node):
        """A product of matrices is one if a weight takes part in it."""
        if node.type == "MatMul":
            return len(node.inputs) == 2 and self._resolve(node.inputs[1]) is not None
        return node.type in _LAYERS and len(node.inputs) > 1

    def _floats(self, name):
        tensor = self._resolve(name)
        return tensor if tensor is not None and tensor.dtype.kind not in "iub" else None

    def _resolve(self, value):
        """The tensor behind a name: an initializer, a constant, or one of them by another name or transposed."""
        if value in self._tensors:
            tensor = self._tensors[value]
            tensor.check()
            return tensor
        node = self._makers.get(value)
        if node is None or not node.inputs:
            return None
        if node.type == "Identity":
            return self._resolve(node.inputs[0])
        if node.type == "Transpose" and node.attributes.get("perm") in (None, (1, 0)):
            tensor = self._resolve(node.inputs[0])
            return _transpose(tensor) if tensor is not None and len(tensor.shape) == 2 else None
        return None

    def _layer(self, node, norm, feeds):
        weight = self._weight(node, node.inputs[1])
        bias = self._bias(node, node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
        names = [node.inputs[1]]
        given = node.attributes
        if node.type == "MatMul" and (addition := self._addition(node)):
            names += [name for name in addition.inputs if self._floats(name) is not None]
            bias = self._floats(names[-1])
        if node.type == "MatMul" or (node.type == "Gemm" and not given.get("transB", 0)):
            weight = _transpose(weight)
        scaled = given.get("alpha", 1) != 1 or given.get("beta", 1) != 1 or given.get("transA", 0)
        if node.type == "Gemm" and scaled:
            raise ConversionError(f"the node {node.name!r} scales or transposes its input, which no network here does.")
        facts, centred = _geometry(node, weight) if _LAYERS[node.type] == 4 else ({}, True)
        parts, epsilon = None, 0.0
        if norm:
            parts = {part: self._weight(norm, name) for part, name in zip(NORM_PARTS, norm.inputs[1:], strict=False)}
            epsilon = norm.attributes.get("epsilon", 1e-5)
        return Layer(_module(node, names), weight, bias, facts, centred, parts, epsilon, feeds)

    def _addition(self, node):
        """The sum with a bias behind a product, or None."""
        users = self._users.get(node.outputs[0], [])
        if len(users) != 1 or users[0].type != "Add":
            return None
        shapes = [tensor.shape for name in users[0].inputs if (tensor := self._floats(name)) is not None]
        return users[0] if len(shapes) == 1 and len(shapes[0]) == 1 else None

    def _weight(self, node, name):
        tensor = self._resolve(name)
        where = f"the weight {name!r} of the node {node.name or node.type!r}"
        if tensor is None:
            raise ConversionError(f"{where} is computed by the graph. Export the network with constant folding.")
        if tensor.dtype.kind in "iub":
            raise ConversionError(
                f"{where} is quantized ({tensor.dtype}). Export the network in float32, before it is quantized."
            )
        return tensor

    def _bias(self, node, name):
        """torch's newer exporter, without its optimizer, expands a zero to the bias of a convolution that has none."""
        maker = self._makers.get(name)
        while maker is not None and maker.type in ("Expand", "CastLike", "Cast") and maker.inputs:
            name = maker.inputs[0]
            zero = self._resolve(name)
            if zero is not None and zero.shape in ((), (1,)) and not zero.read().any():
                return None
            maker = self._makers.get(name)
        return self._weight(node, name)


def _transpose(tensor):
    rows, columns = tensor.shape
    return Tensor(tensor.block, tensor.dtype, (columns, rows), (1, columns) if tensor.strides is None else None)


def _module(node, names):
    for name, part in zip(names, (".weight", ".bias"), strict=False):
        if name.endswith(part):
            return name.removesuffix(part)
    found = _PATH.fullmatch(node.name)
    if not found:
        return None
    modules = []
    for module in found[1].split("/"):
        if modules and module.startswith(f"{modules[-1]}."):
            modules.pop()
        modules.append(module)
    return ".".join(modules)


def _geometry(node, weight):
    given, axes = node.attributes, max(len(weight.shape) - 2, 0)
    ones = (1,) * axes
    rates, pads = given.get("dilations", ones), given.get("pads", (0,) * 2 * axes)
    reach = tuple(rate * (size - 1) // 2 for rate, size in zip(rates, weight.shape[2:], strict=False))
    facts = {"strides": given.get("strides", ones), "dilation_rate": rates, "groups": given.get("group", 1)}
    return facts, pads == reach * 2 and given.get("auto_pad") in (None, "NOTSET")


def _pool(node):
    given = node.attributes
    kernel = given.get("kernel_shape", ())
    pads, strides = given.get("pads", (0,) * 2 * len(kernel)), given.get("strides", (1,) * len(kernel))
    return kernel, strides, pads, bool(given.get("ceil_mode", 0))
