"""What an ONNX graph computes with weights: its layers, in order of computation.

The order follows the wires of the graph, not the order of its list. At a sum the longer branch comes first, at a
concatenation the first one, and among several results the deepest. Exporters and optimizers list nodes as they like;
for the same network, this order is always the same.

Reference: https://onnx.ai/onnx/operators
"""

import dataclasses
import re
from collections import ChainMap
from collections.abc import Mapping

from converters.errors import ConversionError
from converters.reading.onnx.model_file import OnnxGraph, OnnxNode
from converters.reading.tensors import AnyTensor, Tensor
from converters.types import Path

_LAYERS = {"Conv": 4, "ConvTranspose": 4, "Gemm": 2, "MatMul": 2}  # axes of the weight
_NORM = "BatchNormalization"
_JOINS = {"Add", "Sum", "Concat", "Mul"}  # all inputs are data; for other nodes only the first one
_SETTINGS = {"Resize", "Upsample", "Clip", "Dropout", "Pad", "Reshape", "Unsqueeze", "Squeeze", "ReduceMean", "Slice"}
_QUANTIZED = re.compile(r"QLinear.*|.*Integer|.*QuantizeLinear|DequantizeLinear|QGemm|MatMulNBits")
NORM_PARTS = ("gamma", "beta", "moving_mean", "moving_variance")  # inputs after the data, in this order
# torch >= 1.13 names a node by the modules around it, one that is numbered with its parent: /layer1/layer1.0/conv1/Conv
_PATH = re.compile(r"/(.+)/(?:Conv|ConvTranspose|Gemm|MatMul)(?:_\d+)?")

_MOST_CASTS = 8  # between a zero and the bias that it is
_MOST_FEEDS = 300_000  # links between layers; a ResNet with 333 sums has 55,000
# What onnxruntime's optimizer puts before the name of a tensor that it has folded: ConvBnFusion_W_layer1.0.conv1.weight
_FOLDED = re.compile(r"(?:[A-Z][A-Za-z]*Fusion_(?:[A-Z]+_)+)+")


@dataclasses.dataclass(frozen=True)
class WeightedLayer:
    """A node with weights.

    Attributes:
        module: name of the torch module that the node was, or None where the file does not tell.
        weight, bias: tensors, as torch lays them out; the bias may be None.
        norm: tensors of the BatchNorm directly after the node, by `NORM_PARTS`, or None.
        feeds: indices of the layers whose results reach this one without another layer between.
        tensor: name that the graph has for the weight.
        value: name of the node's result.
        sum_value: name of the sum with a bias after a product of matrices, or None.
        norm_value: name of the result of the BatchNorm, or None.
    """

    module: str | None
    weight: Tensor
    bias: Tensor | None
    norm: dict[str, Tensor] | None
    feeds: frozenset[int]
    tensor: str
    value: str
    sum_value: str | None
    norm_value: str | None


@dataclasses.dataclass(frozen=True)
class WeightedGraph:
    """A graph, reduced to what has weights.

    Attributes:
        layers: nodes with weights, in order of computation.
        others: tensors that enter the data elsewhere, by name.
        files: files beside the model that hold its data.
    """

    layers: list[WeightedLayer]
    others: dict[str, Tensor]
    files: tuple[Path, ...]


def weighted_graph(graph: OnnxGraph) -> WeightedGraph:
    """The layers with weights of a graph, in order of computation.

    Args:
        graph: graph of the file, as `Checkpoint.graph` has it.
    Raises: ConversionError for a quantized network, weights that the graph computes, and nodes that are not in order.
    """
    return _Walk(graph).result()


class _Walk:
    def __init__(self, graph: OnnxGraph) -> None:
        self._graph = graph
        constants: dict[str, AnyTensor] = {
            node.outputs[0]: value
            for node in graph.nodes
            if node.type == "Constant" and node.outputs and isinstance(value := node.attributes.get("value"), Tensor)
        }
        self._tensors = ChainMap(graph.tensors, constants)
        self._makers = {output: node for node in graph.nodes for output in node.outputs if output}
        self._resolved: dict[str, Tensor | None] = {}
        self._users: dict[str, list[OnnxNode]] = {}
        for node in graph.nodes:
            for value in node.inputs:
                self._users.setdefault(value, []).append(node)

    def result(self) -> WeightedGraph:
        depths = self._depths()
        way = [node for node in self._way(depths) if node.type not in ("Constant", "Identity")]
        quantized = [node.type for node in self._graph.nodes if _QUANTIZED.fullmatch(node.type)]
        if quantized:
            raise ConversionError(
                f"is a quantized network: its graph has {quantized[0]}. Export the network in float32, before it is "
                "quantized."
            )
        nodes = [node for node in way if self._is_layer(node)]
        places = {id(node): index for index, node in enumerate(nodes)}
        sources: dict[str, frozenset[int]] = {}
        left = _MOST_FEEDS
        norms: dict[int, OnnxNode] = {}
        others: dict[str, Tensor] = {}
        additions = {id(self._addition(node)) for node in nodes if node.type == "MatMul"}
        for node in way:
            before_it = [sources[value] for value in self._data(node) if value in sources]
            inside = _union(before_it)
            left -= len(inside) if len(before_it) > 1 else 0
            if left < 0:
                raise ConversionError(
                    f"has sums of sums without a layer between them, more than {_MOST_FEEDS} links in all, which no "
                    "network here has. Export the part that is wanted."
                )
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
        return WeightedGraph(layers, others, self._graph.files)

    def _depths(self) -> dict[str, int]:
        """Value -> how many layers lie before it, on the longest way."""
        depths: dict[str, int] = {}
        known: set[str] = set()
        for node in self._graph.nodes:
            for value in node.inputs:
                if value in self._makers and value not in known:
                    raise ConversionError(
                        f"the node {node.name or node.type!r} stands before the one that makes its input {value!r}; "
                        "the file is damaged."
                    )
            if twice := known.intersection(node.outputs) - {""}:
                raise ConversionError(f"two nodes of the graph make the value {min(twice)!r}; the file is damaged.")
            before = max((depths.get(value, 0) for value in self._data(node)), default=0)
            depths |= dict.fromkeys(node.outputs, before + self._is_layer(node))
            known.update(node.outputs)
        return depths

    def _way(self, depths: Mapping[str, int]) -> list[OnnxNode]:
        """The nodes on the way of the data, in order of computation."""
        way, seen = [], set()
        stack = [(value, False) for value in sorted(self._graph.outputs, key=lambda value: depths.get(value, 0))]
        while stack:
            value, done = stack.pop()
            node = self._makers.get(value)
            if node is None:
                continue
            if done:
                way.append(node)
            elif id(node) not in seen:
                seen.add(id(node))
                stack.append((value, True))
                inputs = self._data(node)
                if node.type != "Concat":
                    inputs = sorted(inputs, key=lambda value: -depths.get(value, 0))
                stack += [(value, False) for value in reversed(inputs)]
        return way

    @staticmethod
    def _data(node: OnnxNode) -> list[str]:
        return node.inputs if node.type in _JOINS else node.inputs[:1]

    def _is_layer(self, node: OnnxNode) -> bool:
        """Whether a node has weights; a product of matrices has, if a matrix of the file takes part in it."""
        if node.type == "MatMul":
            matrix = self._resolve(node.inputs[1]) if len(node.inputs) == 2 else None
            return matrix is not None and len(matrix.shape) == 2
        return node.type in _LAYERS and len(node.inputs) > 1

    def _floats(self, name: str) -> Tensor | None:
        tensor = self._resolve(name)
        return tensor if tensor is not None and tensor.dtype.kind not in "iub" else None

    def _resolve(self, value: str) -> Tensor | None:
        """The tensor for a name: an initializer, a constant, or one of these by another name or transposed."""
        if value not in self._resolved:
            self._resolved[value] = self._look_up(value)
        return self._resolved[value]

    def _look_up(self, value: str) -> Tensor | None:
        if value in self._tensors:
            return self._tensors[value].check()
        node = self._makers.get(value)
        if node is None or not node.inputs:
            return None
        if node.type == "Identity":
            return self._resolve(node.inputs[0])
        if node.type == "Transpose" and node.attributes.get("perm") in (None, (1, 0)):
            tensor = self._resolve(node.inputs[0])
            return _transpose(tensor) if tensor is not None and len(tensor.shape) == 2 else None
        return None

    def _layer(self, node: OnnxNode, norm: OnnxNode | None, feeds: frozenset[int]) -> WeightedLayer:
        weight = self._weight(node, node.inputs[1])
        bias = self._bias(node, node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
        names = [node.inputs[1]]
        given = node.attributes
        addition = self._addition(node) if node.type == "MatMul" else None
        if addition:
            names += [name for name in addition.inputs if self._floats(name) is not None]
            bias = self._floats(names[-1])
        if node.type == "MatMul" or (node.type == "Gemm" and not given.get("transB", 0)):
            weight = _transpose(weight)
        scaled = given.get("alpha", 1) != 1 or given.get("beta", 1) != 1 or given.get("transA", 0)
        if node.type == "Gemm" and scaled:
            raise ConversionError(f"the node {node.name!r} scales or transposes its input, which no network here does.")
        parts = None
        if norm:
            parts = {part: self._weight(norm, name) for part, name in zip(NORM_PARTS, norm.inputs[1:], strict=False)}
        return WeightedLayer(
            _module(node, names),
            weight,
            bias,
            parts,
            feeds,
            node.inputs[1],
            node.outputs[0],
            addition.outputs[0] if addition else None,
            norm.outputs[0] if norm else None,
        )

    def _addition(self, node: OnnxNode) -> OnnxNode | None:
        """The sum with a bias after a product, or None."""
        users = self._users.get(node.outputs[0], [])
        if len(users) != 1 or users[0].type != "Add":
            return None
        shapes = [tensor.shape for name in users[0].inputs if (tensor := self._floats(name)) is not None]
        return users[0] if len(shapes) == 1 and len(shapes[0]) == 1 else None

    def _weight(self, node: OnnxNode, name: str) -> Tensor:
        tensor = self._resolve(name)
        where = f"the weight {name!r} of the node {node.name or node.type!r}"
        if tensor is None:
            raise ConversionError(f"{where} is computed by the graph. Export the network with constant folding.")
        if tensor.dtype.kind in "iub":
            raise ConversionError(
                f"{where} is quantized ({tensor.dtype}). Export the network in float32, before it is quantized."
            )
        return tensor

    def _bias(self, node: OnnxNode, name: str) -> Tensor | None:
        """The bias of a convolution, or None.

        torch's newer exporter, without its optimizer, expands a zero where there is no bias.
        """
        maker = self._makers.get(name)
        for _ in range(_MOST_CASTS):
            if maker is None or maker.type not in ("Expand", "CastLike", "Cast") or not maker.inputs:
                break
            name = maker.inputs[0]
            zero = self._resolve(name)
            if zero is not None and zero.shape in ((), (1,)) and not zero.read().any():
                return None
            maker = self._makers.get(name)
        return self._weight(node, name)


def _union(sets: list[frozenset[int]]) -> frozenset[int]:
    """All members; a single set itself and no copy of it."""
    return sets[0] if len(sets) == 1 else frozenset[int]().union(*sets)


def _transpose(tensor: Tensor) -> Tensor:
    if len(tensor.shape) != 2:
        raise ConversionError(f"has a matrix of {len(tensor.shape)} axes in its graph; the file is damaged.")
    rows, columns = tensor.shape
    return Tensor(tensor.block, tensor.dtype, (columns, rows), (1, columns) if tensor.strides is None else None)


def _module(node: OnnxNode, names: list[str]) -> str | None:
    """The name of the torch module that a node was, by the names of its tensors or by its own."""
    for name, part in zip(names, (".weight", ".bias"), strict=False):
        if name.endswith(part):
            return _FOLDED.sub("", name, count=1).removesuffix(part)
    path = _PATH.fullmatch(node.name)
    if not path:
        return None
    modules: list[str] = []
    for module in path[1].split("/"):
        if modules and module.startswith(f"{modules[-1]}."):
            modules.pop()
        modules.append(module)
    return ".".join(modules)
