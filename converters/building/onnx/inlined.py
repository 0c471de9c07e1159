"""Graphs whose operators are defined in the file itself: each call becomes the nodes of its function.

Reference: https://onnx.ai/onnx/intro/concepts.html, "Functions"
"""

import dataclasses
from collections.abc import Callable, Mapping

from converters.errors import ConversionError
from converters.reading.onnx.model_file import (
    AttributeReference,
    AttributeValue,
    OnnxFunction,
    OnnxGraph,
    OnnxNode,
    OnnxSubgraph,
)

_DEEPEST = 32  # calls within calls
_MOST = 200_000  # nodes


def inlined(graph: OnnxGraph) -> OnnxGraph:
    """The graph without calls of its own functions.

    Args:
        graph: graph of a file.
    Raises:
        ConversionError: functions that call themselves, make too many nodes, or are of other versions of operators.
    """
    if not graph.functions:
        return graph
    nodes: list[OnnxNode] = []
    waiting = [(node, 0) for node in reversed(graph.nodes)]
    calls = 0
    while waiting:
        node, depth = waiting.pop()
        function = graph.functions.get((node.domain, node.type))
        if function is None:
            nodes.append(node)
            continue
        calls += 1
        if depth == _DEEPEST or len(nodes) + len(waiting) > _MOST:
            raise ConversionError(
                f"the function {node.domain}.{node.type} of the file calls itself, or functions call each other too "
                "often. Export the network again."
            )
        if function.opset not in (0, graph.opset):
            raise ConversionError(
                f"the function {node.domain}.{node.type} of the file is of version {function.opset} of ONNX's "
                f"operators, and the graph of version {graph.opset}. Export the network with inlined functions."
            )
        waiting += [(part, depth + 1) for part in reversed(_body(node, function, f"{node.name}#{calls}/"))]
    return graph._replace(nodes=nodes, functions={})


def _body(node: OnnxNode, function: OnnxFunction, prefix: str) -> list[OnnxNode]:
    """The nodes of a call, with the values of the graph around it."""
    given = dict(zip(function.inputs, [*node.inputs, *[""] * len(function.inputs)], strict=False))
    results = dict(zip(function.outputs, node.outputs, strict=False))
    passed = {name: result for name, result in results.items() if name in given}
    names = {**results, **given}

    def renamed(name: str) -> str:
        return names.get(name, f"{prefix}{name}" if name else "")

    attributes = {**function.defaults, **node.attributes}
    parts = [_renamed(part, renamed, attributes) for part in function.nodes]
    label = node.name or node.type
    parts = [
        dataclasses.replace(part, name=f"{label}/{part.name or part.type}", scopes=part.scopes or node.scopes)
        for part in parts
    ]
    return parts + [OnnxNode("Identity", label, [given[name]], [result], {}) for name, result in passed.items()]


def _renamed(node: OnnxNode, rename: Callable[[str], str], given: Mapping[str, AttributeValue]) -> OnnxNode:
    attributes: dict[str, AttributeValue] = {}
    for key, value in node.attributes.items():
        if isinstance(value, AttributeReference):
            if value.name in given:  # else the operator's own default counts
                attributes[key] = given[value.name]
        elif isinstance(value, OnnxSubgraph):
            attributes[key] = OnnxSubgraph(
                [_renamed(part, rename, given) for part in value.nodes],
                {rename(name): tensor for name, tensor in value.tensors.items()},
                [rename(name) for name in value.outputs],
            )
        else:
            attributes[key] = value
    inputs, outputs = [rename(name) for name in node.inputs], [rename(name) for name in node.outputs]
    return dataclasses.replace(node, inputs=inputs, outputs=outputs, attributes=attributes)
