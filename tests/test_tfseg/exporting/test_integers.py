"""Convolutions of integers in ONNX and OpenVINO: which ones they are, and what they compute."""

import json

import numpy as np
import pytest
from helpers.exported_models import small_segmenter
from helpers.paths import EXAMPLES, STREET

import converters
import tfseg
from tfseg.exporting import FORMATS

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
numpy_helper = pytest.importorskip("onnx.numpy_helper")


def photographs():
    street = tfseg.read_image(STREET)
    return [street[top : top + 120, left : left + 160] for top, left in ((0, 0), (100, 60), (200, 300))]


def weights_of(model):
    """Name of a convolution's kernel, without what the quantization appends -> array as the file stores it."""
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    through = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    return {
        node.name: stored[through.get(node.input[1], node.input[1])]
        for node in model.graph.node
        if node.op_type == "Conv"
    }


def test_all_but_the_layer_of_the_logits_multiply_integers_of_seven_bits(tmp_path):
    folder = tfseg.export(small_segmenter(), tmp_path / "net", ["onnx_int8"], calibration=photographs())
    model = onnx.load(folder / FORMATS["onnx_int8"].artifact)
    kernels = weights_of(model)
    assert len(kernels) == 3
    (exact,) = (name for name, kernel in kernels.items() if kernel.dtype == "float32")
    assert "scores" in exact
    for name in set(kernels) - {exact}:
        assert kernels[name].dtype == "int8"
        assert np.abs(kernels[name].astype("int32")).max() == 64  # of each filter the largest, if it is not all zero
    scales = {
        tensor.name: numpy_helper.to_array(tensor).shape for tensor in model.graph.initializer if "scale" in tensor.name
    }
    assert sum(shape == (4,) for shape in scales.values()) >= 2  # one for each filter
    entry = json.loads((folder / "export.json").read_text())["onnx_int8"]
    assert entry["equal_pixels"] >= 0.8
    assert {entry.key for entry in model.metadata_props} == {"tfseg"}


@pytest.mark.full
@pytest.mark.parametrize("name", ["onnx_int8", "openvino_int8"])
@pytest.mark.parametrize("outputs", ["logits", "classes", "probabilities"])
def test_the_sample_keeps_its_classes(name, outputs, tmp_path):
    for module in FORMATS[name].runtime.modules:
        pytest.importorskip(module)
    model, _ = converters.convert(EXAMPLES / "fcn_resnet18_w50_os8_camvid.pth")
    street = [tfseg.read_image(STREET)]
    folder = tfseg.export(model, tmp_path / "net", [name], calibration=street, size=(360, 480), outputs=outputs)
    entry = json.loads((folder / "export.json").read_text())[name]
    assert entry["equal_pixels"] >= 0.98
    assert entry["bytes"] < 0.35 * sum(weight.numpy().nbytes for weight in model.weights)
