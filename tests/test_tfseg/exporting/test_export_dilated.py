"""Dilated kernels are single operations in the files of other runtimes."""

import keras
import pytest
from helpers.references import randomize

import tfseg
from tfseg.rewrites import slice_convolutions, split_filters

if keras.backend.backend() != "tensorflow":
    pytest.skip("exports come from TensorFlow", allow_module_level=True)


@pytest.mark.parametrize("rewrites", [(), ("split_filters",)], ids=["plain", "split_filters"])
def test_dilated_kernels_in_onnx_are_constants_that_tf2onnx_did_not_see(rewrites, monkeypatch, tmp_path):
    onnx = pytest.importorskip("onnx")
    monkeypatch.setattr(split_filters, "FILTERS_PER_PART", 40)
    monkeypatch.setattr(slice_convolutions, "LEAST_CHANNELS_X_FILTERS", 1)
    load, written_by_tf2onnx = onnx.load, []

    def recording_load(path):
        network = load(path)
        written_by_tf2onnx.extend(onnx.numpy_helper.to_array(tensor).size for tensor in network.graph.initializer)
        return network

    image = x = keras.Input((None, None, 3))
    # The even kernel is padded unevenly.
    for name, size, rate in (("odd", 3, (1, 3)), ("even", (4, 2), 2)):
        x = keras.layers.Conv2D(80, size, padding="same", dilation_rate=rate, activation="relu", name=name)(x)
    model = randomize(keras.Model(image, keras.layers.Conv2D(3, 1)(x)), seed=1)
    model = tfseg.optimize(model, rewrites=rewrites)
    assert any(isinstance(layer, split_filters.SplitConv2D) for layer in model.layers) == bool(rewrites)
    with monkeypatch.context() as patch:
        patch.setattr(onnx, "load", recording_load)
        folder = tfseg.export(model, tmp_path / "dilated", ["onnx"], preprocessing="torch")
    graph = load(folder / "model.onnx").graph
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) == (5 if rewrites else 3)
    assert {node.op_type for node in graph.node} <= {"Conv", "Relu", "Add", "Concat", "Transpose"}
    assert {node.input[1] for node in convolutions} <= {tensor.name for tensor in graph.initializer}
    assert max(written_by_tf2onnx) < 10_000  # the larger kernel has 51,200 numbers


@pytest.mark.full
def test_dilated_kernels_are_single_operations_in_openvino_and_litert(tmp_path):
    interpreters = pytest.importorskip("ai_edge_litert.interpreter")
    pytest.importorskip("openvino")
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", dilation_rate=2, activation="relu")(image)
    model = randomize(keras.Model(image, keras.layers.Conv2D(3, 1)(x)), seed=1)
    folder = tfseg.export(model, tmp_path / "dilated", ["openvino", "litert_float32"], preprocessing="torch")
    assert "SpaceToBatch" not in (folder / "openvino" / "model.xml").read_text()
    interpreter = interpreters.Interpreter(str(folder / "model_float32.tflite"))
    assert "SPACE_TO_BATCH_ND" not in {operation["op_name"] for operation in interpreter._get_ops_details()}
