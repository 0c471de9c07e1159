"""What `tfseg.export` refuses, and that a refused or failed export leaves nothing."""

import dataclasses
import importlib.util

import keras
import numpy as np
import pytest
from helpers.exported_models import METADATA, small_segmenter

import tfseg
from tfseg.exporting import FORMATS, comparison

tf = pytest.importorskip("tensorflow")
if keras.backend.backend() != "tensorflow":
    pytest.skip("exports come from TensorFlow", allow_module_level=True)


@pytest.fixture(scope="module")
def model():
    return small_segmenter()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def with_writer(monkeypatch, name, write):
    """Replaces the function that writes a format."""
    monkeypatch.setitem(FORMATS, name, dataclasses.replace(FORMATS[name], write=write))


# ------------------------------------------------------------------------------------------------------ wrong arguments


def test_existing_target_is_not_replaced(model, tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(ValueError, match=r"target '.*taken' exists: remove it, or choose another one"):
        tfseg.export(model, tmp_path / "taken")
    assert names(tmp_path) == ["taken"]


def test_target_in_a_missing_directory_is_refused(model, tmp_path):
    with pytest.raises(ValueError, match=r"missing.model: its directory .*missing does not exist. Create it first"):
        tfseg.export(model, tmp_path / "missing" / "model")
    assert names(tmp_path) == []


@pytest.mark.parametrize("formats", [["tflite"], ["onnx", "onnx"], [], "onnx"])
def test_unknown_or_repeated_formats_are_refused(model, tmp_path, formats):
    with pytest.raises(ValueError, match=r"formats is a list of some of saved_model, litert_float32.*Received: .*"):
        tfseg.export(model, tmp_path / "model", formats)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [
        ("onnx", "tf2onnx", "onnx"),
        ("litert_float16", "ai_edge_litert", "litert"),
        ("openvino", "openvino", "openvino"),
        ("safetensors", "safetensors", "safetensors"),
    ],
)
def test_missing_extra_is_named(model, tmp_path, monkeypatch, name, module, extra):
    monkeypatch.setattr(importlib.util, "find_spec", lambda asked: None if asked == module else "found")
    with pytest.raises(
        ValueError, match=rf"The format '{name}' needs {module}, not installed here: pip install \"tfseg\[{extra}\]\""
    ):
        tfseg.export(model, tmp_path / "model", ["saved_model", name])
    assert names(tmp_path) == []


def classifier():
    image = keras.Input((64, 64, 3))
    return keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(image)), name="classifier")


def backbone():
    image = keras.Input((None, None, 3))
    features = keras.layers.Conv2D(3, 1, strides=2)(tfseg.layers.Metadata(**METADATA)(image))
    return keras.Model(image, features, name="backbone")


def of_one_size():
    image = keras.Input((64, 96, 3))
    return keras.Model(image, keras.layers.Conv2D(3, 1)(image), name="fixed")


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        (classifier, {}, r"A segmentation model turns images .* into logits .*Received: 'classifier'"),
        (backbone, {}, r"gives every pixel logits. Received: 'backbone', \(2, 64, 96, 3\) to \(2, 32, 48, 3\)"),
        (lambda: small_segmenter({}), {}, r"'small' does not say how its input is prepared: pass preprocessing=\"torch\""),
        (small_segmenter, {"preprocessing": "tensorflow"}, r"Preprocessing is a dictionary or one of .*'tensorflow'"),
        (small_segmenter, {"formats": ["litert_int8"]}, r"'litert_int8' takes .* from photographs: pass calibration=, a dir"),
        (small_segmenter, {"formats": ["onnx_int8"]}, r"'onnx_int8' takes .* from photographs: pass calibration=, a dir"),
        (small_segmenter, {"calibration": "no/such"}, r"No images: 'no/such' is neither a directory with images"),
        (small_segmenter, {"calibration": [np.zeros((9, 9, 3))]}, r"is uint8 \(height, width, 3\), RGB. .*float64 \(9, 9, 3\)"),
        (small_segmenter, {"size": (64, -1)}, r"size is height and width, in pixels. Received: \(64, -1\)"),
        (small_segmenter, {"size": ["64"]}, r"size is height and width, in pixels. Received: \['64'\]"),
        (of_one_size, {"size": (65, 96)}, r"'fixed' takes images of \(64, 96\). Received: size=\(65, 96\)"),
        (lambda: "street.keras", {}, r"A functional or Sequential Keras model is exported. Received: 'street.keras'"),
    ],
    ids=[
        "classifier",
        "backbone",
        "no_preprocessing",
        "unknown_preprocessing",
        "no_calibration",
        "no_calibration_of_onnx",
        "missing_photographs",
        "float_photographs",
        "negative_size",
        "text_size",
        "other_size",
        "path",
    ],
)  # fmt: skip
def test_unusable_model_or_option_is_refused(tmp_path, build, options, message):
    with pytest.raises(ValueError, match=message):
        tfseg.export(build(), tmp_path / "model", **options)
    assert names(tmp_path) == []


def test_other_backends_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(ValueError, match=r"come from the TensorFlow backend of Keras. Received: KERAS_BACKEND=torch"):
        tfseg.export(None, tmp_path / "model")
    assert names(tmp_path) == []


# ------------------------------------------------------------------------------------------------------- failed exports


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (RuntimeError("died"), ValueError, r"The model 'small' cannot be written as 1: died$"),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
        (OSError(28, "No space left"), OSError, "No space left"),
        (tf.errors.ResourceExhaustedError(None, None, "No space"), OSError, "1 cannot be written: No space$"),
    ],
    ids=["converter", "ctrl_c", "full_disk", "full_disk_in_tensorflow"],
)
def test_failed_writer_leaves_nothing(error, expected, message, model, tmp_path, monkeypatch):
    def write(job, path):
        path.mkdir()
        (path / "saved_model.pb").write_bytes(b"half")
        raise error

    with_writer(monkeypatch, "saved_model", write)
    with pytest.raises(expected, match=message):
        tfseg.export(model, tmp_path / "model")
    assert names(tmp_path) == []


def test_corrupt_artifact_is_not_exported(model, tmp_path, monkeypatch):
    with_writer(monkeypatch, "onnx", lambda job, path: path.write_bytes(b"corrupt"))
    with pytest.raises(
        ValueError, match=r"model.onnx was written, but onnxruntime does not run it: .*Protobuf.*Nothing was exported"
    ):
        tfseg.export(model, tmp_path / "model", ["onnx"])
    assert names(tmp_path) == []


def test_runtime_that_hangs_is_stopped(model, tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "TIMEOUT", 0.01)
    with_writer(monkeypatch, "keras", lambda job, path: path.touch())
    with pytest.raises(
        ValueError, match=r"model.keras was written, but keras has not run it within 0 s. Nothing was exported."
    ):
        tfseg.export(model, tmp_path / "model", ["keras"])
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("factor", "message"),
    [
        (1.001, r"does not compute what the model computes: logits differ by .*e-0[34] of the largest \(at most 1e-05"),
        (np.nan, r"logits differ by nan"),
    ],
)
def test_artifact_that_computes_something_else_is_not_exported(model, tmp_path, monkeypatch, factor, message):
    onnx = pytest.importorskip("onnx")
    write = FORMATS["onnx"].write

    def write_changed(job, path):
        write(job, path)
        network = onnx.load(path)
        kernel = max(network.graph.initializer, key=lambda tensor: np.prod(tensor.dims))
        values = onnx.numpy_helper.to_array(kernel) * np.float32(factor)
        kernel.CopyFrom(onnx.numpy_helper.from_array(values, kernel.name))
        onnx.save(network, path)

    with_writer(monkeypatch, "onnx", write_changed)
    with pytest.raises(ValueError, match=message):
        tfseg.export(model, tmp_path / "model", ["onnx"])
    assert names(tmp_path) == []


def test_runtime_that_is_killed_is_told(model, tmp_path, monkeypatch):
    script = tmp_path / "killed.py"
    script.write_text("import os, signal, sys\nprint('a log', file=sys.stderr)\nos.kill(os.getpid(), signal.SIGKILL)\n")
    monkeypatch.setattr(comparison, "_SCRIPT", script)
    with_writer(monkeypatch, "keras", lambda job, path: path.touch())
    with pytest.raises(ValueError, match=r"model.keras was written, but keras does not run it: .*ended by signal 9"):
        tfseg.export(model, tmp_path / "model", ["keras"])
    assert names(tmp_path) == ["killed.py"]
