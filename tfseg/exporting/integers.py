"""Integers of 8 bits in ONNX and OpenVINO: for processors that multiply them fast."""

import contextlib
import logging
import pathlib
import tempfile
from collections.abc import Iterator, Set
from typing import TYPE_CHECKING, Any

import numpy as np

from tfseg.exporting import onnx as floats
from tfseg.exporting.deployment import CalibratedDeployment
from tfseg.exporting.whole_number_resizing import whole_number_resizing
from tfseg.types import Array

if TYPE_CHECKING:
    import onnx

# Operations that multiply by weights.
_MULTIPLYING = ("Conv", "Gemm", "MatMul")
# What lies between them, so that maps stay in 8 bits. Enlarging is left in float32: its rounding would be seen at every
# edge.
_BETWEEN = ("Add", "AveragePool", "Clip", "Concat", "GlobalAveragePool", "MaxPool", "Relu")


def onnx_int8(job: CalibratedDeployment, path: pathlib.Path) -> None:
    """Writes an ONNX file whose convolutions multiply integers, with ranges from photographs.

    Weights have 7 bits and a scale for each filter: with 8, processors without VNNI would saturate in their sums, and
    the file would be another function there. Images and logits remain float32, and so does the layer of the logits.

    Args:
        job: model to write, with photographs.
        path: path of the `.onnx` file.
    Reference: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
    """
    import onnx
    from onnxruntime import quantization

    with tempfile.TemporaryDirectory(prefix="tfseg-int8-", dir=path.parent) as directory, _without_advice():
        exact = pathlib.Path(directory) / "model.onnx"
        floats.write(job, exact)
        nodes = _integers_of(onnx.load(exact).graph)
        if not nodes:  # ONNX Runtime would take all
            raise ValueError(
                "There is nothing to compute in integers: the only layers with weights make the logits, which stay in "
                'float32. Export the format "onnx" or "openvino".'
            )
        quantization.quantize_static(
            exact,
            path,
            _Photographs(job),
            quant_format=quantization.QuantFormat.QDQ,
            nodes_to_quantize=nodes,
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
    quantized = onnx.load(path)
    onnx.helper.set_model_props(quantized, {"tfseg": job.metadata_text})
    onnx.checker.check_model(quantized)
    onnx.save(quantized, path)


def openvino_int8(job: CalibratedDeployment, path: pathlib.Path) -> None:
    """Writes a directory as the format "openvino" does, whose convolutions multiply integers: those of `onnx_int8`.

    Args:
        job: model to write, with photographs.
        path: path of the directory.
    """
    import openvino

    path.mkdir()
    with tempfile.TemporaryDirectory(prefix="tfseg-int8-", dir=path.parent) as directory:
        file = pathlib.Path(directory) / "model.onnx"
        with whole_number_resizing(job.network):
            onnx_int8(job, file)
        openvino.save_model(openvino.convert_model(file), path / "model.xml", compress_to_fp16=False)


class _Photographs:
    """The photographs of a job, as ONNX Runtime asks for them.

    Args:
        job: model with photographs.
    """

    def __init__(self, job: CalibratedDeployment) -> None:
        self._images: Iterator[Any] = iter(job.calibration())

    def get_next(self) -> dict[str, Array] | None:
        """The next input of the graph; None after the last."""
        images = next(self._images, None)
        return None if images is None else {"images": np.asarray(images)}


def _integers_of(graph: "onnx.GraphProto") -> list[str]:
    """Names of the nodes that compute in integers: maps of features alone, no positions and no sizes.

    The layer of the logits is not among them: of 256 levels, two classes often have the same one.
    """
    weights = {tensor.name for tensor in graph.initializer}
    multiplying = {node.name for node in graph.node if node.op_type in _MULTIPLYING and node.input[1] in weights}
    chosen: list[str] = []
    maps: set[str] = set()
    multiplying -= _last(graph, multiplying)
    for node in graph.node:  # each comes after what it reads
        if node.name in multiplying or (node.op_type in _BETWEEN and maps & set(node.input)):
            chosen.append(node.name)
            maps.update(node.output)
    return chosen


def _last(graph: "onnx.GraphProto", multiplying: Set[str]) -> set[str]:
    """Those from which the output is reached without another one."""
    makers = {name: node for node in graph.node for name in node.output}
    last: set[str] = set()
    seen: set[str] = set()
    open_names = [graph.output[0].name]
    while open_names:
        node = makers.get(open_names.pop())
        if node is None or node.name in seen:
            continue
        seen.add(node.name)
        if node.name in multiplying:
            last.add(node.name)
        else:
            open_names += node.input
    return last


@contextlib.contextmanager
def _without_advice() -> Iterator[None]:
    """A context in which ONNX Runtime does not advise to prepare the file for integers: each BatchNorm is folded."""
    level = logging.root.manager.disable
    logging.disable(max(level, logging.WARNING))
    try:
        yield
    finally:
        logging.disable(level)
