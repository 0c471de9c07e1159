"""What an ONNX file computes in double precision, by the reference implementation of the onnx package.

It is slow, and asked only where a network amplifies the rounding of single precision.

Reference: https://onnx.ai/onnx/api/reference.html
"""

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from converters.building.onnx.file_images import Image
from converters.types import Path

_SINGLE, _DOUBLE, _HALF, _BRAIN = 1, 11, 10, 16  # element types
_FLOATS = (_SINGLE, _HALF, _BRAIN)


def is_available() -> bool:
    """Whether the onnx package is installed."""
    return importlib.util.find_spec("onnx") is not None


def double_runner(path: Path, image: Image) -> Callable[[np.ndarray], Any]:
    """A function that computes the file's results on images `(batch, channels, height, width)` in double precision.

    Args:
        path: path of the file.
        image: input of the file.
    Returns: function that gives the results as arrays: maps with their channels before rows and columns.
    """
    import onnx
    from onnx.reference import ReferenceEvaluator

    model = onnx.load(str(path))
    _double(model.graph)
    evaluator = ReferenceEvaluator(model)

    def run(images: Any) -> Any:
        named = image.named(images)
        number = len(named[image.name])
        step = image.batch or number
        results = []
        for start in range(0, number, step):
            given = {}
            for name, array in named.items():
                batch = array[start : start + step].astype("float64")
                batch = batch.transpose(0, 2, 3, 1) if image.channels_last else batch
                given[name] = np.ascontiguousarray(batch)
            results.append(evaluator.run(None, given))
        outputs = [np.concatenate(parts) for parts in zip(*results, strict=True)]
        if image.channels_last:
            outputs = [value.transpose(0, 3, 1, 2) if value.ndim == 4 else value for value in outputs]
        return outputs[0] if len(outputs) == 1 else outputs

    return run


def _double(graph: Any) -> None:
    """Turns every float of a graph into one of double precision, in place."""
    for tensor in graph.initializer:
        _double_tensor(tensor)
    for value in [*graph.input, *graph.output]:
        if value.type.tensor_type.elem_type in _FLOATS:
            value.type.tensor_type.elem_type = _DOUBLE
    del graph.value_info[:]
    for node in graph.node:
        kinds = {attribute.name for attribute in node.attribute}
        for attribute in node.attribute:
            if attribute.HasField("t"):
                _double_tensor(attribute.t)
            if attribute.HasField("g"):
                _double(attribute.g)
            if node.op_type == "GridSample" and attribute.s == b"bilinear":
                attribute.s = b"linear"  # its name since operators of version 20, the only one that is implemented
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i in _FLOATS:
                attribute.i = _DOUBLE
        if node.op_type == "Constant" and kinds & {"value_float", "value_floats"}:
            _double_constant(node)
        if node.op_type == "ConstantOfShape" and not kinds:
            import onnx

            node.attribute.append(
                onnx.helper.make_attribute("value", onnx.numpy_helper.from_array(np.zeros(1, "float64")))
            )


def _double_tensor(tensor: Any) -> None:
    import onnx

    if tensor.data_type in _FLOATS:
        array = onnx.numpy_helper.to_array(tensor).astype("float64")
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))


def _double_constant(node: Any) -> None:
    import onnx

    (attribute,) = node.attribute
    array = np.array(onnx.helper.get_attribute_value(attribute), "float64")
    del node.attribute[:]
    node.attribute.append(onnx.helper.make_attribute("value", onnx.numpy_helper.from_array(array)))
