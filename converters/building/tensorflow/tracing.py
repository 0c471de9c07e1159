"""A TensorFlow graph as a program in the builder's vocabulary, traced at several sizes of the image.

What the graph computes with sizes is computed here, at each of them. Every other node becomes steps by its rule. The
steps have maps with their channels first, and TensorFlow's have them last: each result knows the order of its axes.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from converters.building.graph import ProgramGraph
from converters.building.onnx.tracing import Tracer
from converters.building.onnx.values import Computed, Known, OtherSize
from converters.building.tensorflow.call import GraphCall
from converters.building.tensorflow.folding import FOLDABLE, fold
from converters.building.tensorflow.fusions import fused
from converters.building.tensorflow.values import CHANNELS_LAST, Dead, Meaning, Ordered, Random, Spaced
from converters.errors import ConversionError
from converters.reading.onnx.model_file import OnnxNode

_SMALL = 1024  # numbers of an array that is compared with that of another size
# Nodes that are given values which others may not read: branches not taken, random numbers, maps in blocks.
_BRANCHING = frozenset(("Switch", "RefSwitch", "Merge", "RefMerge"))
_RANDOM = frozenset(("RandomUniform", "StatelessRandomUniformV2"))
_OF_RANDOM = frozenset("Add AddV2 Sub Mul RealDiv Floor GreaterEqual Less Greater LessEqual Cast Identity".split())
_IN_BLOCKS = frozenset("Conv2D DepthwiseConv2dNative BiasAdd FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3".split())
_PASSED = frozenset("Identity StopGradient ReadVariableOp EnsureShape Snapshot PlaceholderWithDefault".split())
_BLOCK_ENDS = frozenset(("BatchToSpaceND", "BatchToSpace"))


class GraphTracer(Tracer):
    """One trace of a graph.

    Attributes:
        is_channels_last: whether the image has its channels after rows and columns.
        is_of_bytes: whether the image has whole numbers of 8 bits.
    """

    values: dict[str, Any]
    rules: Mapping[str, Any]

    def run(self, nodes: Sequence[OnnxNode]) -> list[Any]:
        """Traces the nodes; returns the values of the graph's outputs."""
        self.nodes = nodes
        self.by_name = {node.name: node for node in nodes}
        last = self.is_channels_last
        order = CHANNELS_LAST if last else ()
        shapes = [tuple(shape[axis] for axis in (0, 3, 1, 2)) if last else shape for shape in self.images]
        self.values[self.image] = Ordered("image", tuple(shapes), "u" if self.is_of_bytes else "f", order=order)
        self.shapes["image"] = tuple(shapes)
        self._names.add("image")
        for node in nodes:
            if node.outputs[0] not in self.values:
                self._node(node)
        return [self.value(name) for name in self.graph.outputs]

    is_channels_last = True
    is_of_bytes = False

    def value(self, name: str) -> Any:
        """What a name stands for."""
        if name not in self.values:
            array = self.graph.tensors.get(name)
            if not isinstance(array, np.ndarray):
                raise ConversionError(f"the graph reads {name!r}, which none of its nodes gives; the file is damaged.")
            self.values[name] = Known(name, (self._read(array),) * len(self.images), (name,))
        return self.values[name]

    def _read(self, tensor: Any) -> np.ndarray:
        narrow = tensor.dtype.kind == "f" or tensor.dtype.name == "bfloat16"
        if narrow and tensor.dtype != np.float32:
            tensor = tensor.astype("float32")  # half precision, which the model computes in single precision
        return tensor.astype("float64") if self.double and tensor.dtype.kind == "f" else tensor

    @property
    def in_double(self) -> Mapping[str, np.ndarray]:
        """The constants of the program, computed in double precision from the file's."""
        if not hasattr(self, "_doubled"):
            options: dict[str, Any] = {"batch": self.batch, "literals": self.literals, "double": True}
            again = type(self)(self.graph, self.rules, self.image, self.images, **options)
            again.is_channels_last, again.is_of_bytes = self.is_channels_last, self.is_of_bytes
            again.run(self.nodes)
            self._doubled = again.constants
        return self._doubled

    def _node(self, node: OnnxNode) -> None:
        call = GraphCall(self, node, [self.value(name) for name in node.inputs])
        for index, value in enumerate(self._values_of(call)):
            self.values[f"{node.name}:{index}" if index else node.name] = value

    def _values_of(self, call: GraphCall) -> list[Meaning]:
        node, inputs = call.node, call.inputs
        if any(isinstance(value, Dead) for value in inputs) and node.type not in _BRANCHING:
            return [Dead()] * 16
        if any(isinstance(value, Spaced) for value in inputs):
            return [self._in_blocks(call)]
        if any(isinstance(value, Random) for value in inputs) and node.type not in _OF_RANDOM:
            raise call.refusal(
                "computes with random numbers: the graph was frozen in training form, with its dropout. Freeze the one "
                "that was built for inference (is_training=False, keep_prob=1)"
            )
        computed = any(isinstance(value, Computed | Random) for value in inputs)
        if not computed and node.type not in _RANDOM | _BRANCHING:
            return list(self._folded(call))
        rule = self.rules.get(node.type)
        if rule is None:
            raise call.refusal("has no counterpart in Keras that is exact")
        try:
            result = rule(call)
        except (ConversionError, OtherSize):
            raise
        # The graph is anybody's: what is not as its operation wants it is refused by its node.
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise call.mismatch(str(error)) from error
        return result if isinstance(result, list) else [result]

    def _in_blocks(self, call: GraphCall) -> Meaning:
        """A node on a map in blocks; at the end of them, the dilated convolution that all of them are."""
        (first, *rest) = call.inputs
        node = call.node
        if not isinstance(first, Spaced) or any(isinstance(value, Spaced) for value in rest):
            raise call.refusal("reads a map that SpaceToBatchND cut into blocks, which only a convolution does here")
        if node.type in ("Identity",):
            return first
        if node.type in _IN_BLOCKS:
            return Spaced(first.x, first.block, first.pads, (*first.nodes, node.name))
        if node.type not in _BLOCK_ENDS or not first.nodes:
            raise call.refusal("reads a map that SpaceToBatchND cut into blocks, which only a convolution does here")
        from converters.building.tensorflow.rules.windows import crops_of, unblocked_pads

        pads = unblocked_pads(call, first, crops_of(call))
        result: Any = first.x
        for index, name in enumerate(first.nodes):
            inner = self.by_name[name]
            blocked = GraphCall(self, inner, [result, *(self.value(value) for value in inner.inputs[1:])])
            if inner.type in ("Conv2D", "DepthwiseConv2dNative"):
                if index:
                    raise call.refusal("ends the blocks of several convolutions")
                blocked.dilated = (first.block, pads)
            result = self.rules[inner.type](blocked)
            result = result[0] if isinstance(result, list) else result
        return result

    def _folded(self, call: GraphCall) -> list[Known]:  # type: ignore[override]
        """The results of a node that reads no image."""
        node = call.node
        inputs = [value for value in call.inputs if isinstance(value, Known)]
        if node.type in _PASSED:
            return [inputs[0]]
        if node.type not in FOLDABLE:
            raise call.refusal("computes with constants alone, and it is not known how")
        parents = tuple(dict.fromkeys(name for value in inputs for name in value.parents))
        same = all(array is value.arrays[0] for value in inputs for array in value.arrays)
        indices = range(len(self.images))
        try:
            results = [
                fold(node, [value.arrays[index] for value in inputs], double=self.double)
                for index in itertools.islice(indices, 1 if same else None)
            ]
        except ValueError as error:
            raise call.mismatch(str(error)) from error
        results = results * len(self.images) if same else results
        return [
            Known(f"{node.name}:{index}" if index else node.name, _shared(parts), parents)
            for index, parts in enumerate(zip(*results, strict=True))
        ]

    def program(self, name: str, outputs: Any, parameters: frozenset[str]) -> ProgramGraph:
        """The program of what was traced, without the steps that no output needs."""
        results = [ref.name for ref in (outputs if isinstance(outputs, list) else [outputs])]
        self.steps[:] = fused(self._live(self.steps, results), self.shapes, self.constants, results)
        return super().program(name, outputs, parameters)


def _shared(arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """The arrays; one for all where they are equal and small."""
    first = arrays[0]
    small = first.size < _SMALL and all(a.shape == first.shape and np.array_equal(a, first) for a in arrays)
    return (first,) * len(arrays) if small else tuple(arrays)
