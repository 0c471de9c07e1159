"""ONNX graphs that runtimes read wrongly, or do not run, unless they are written with care."""

import keras
import numpy as np
import onnx as onnx_library
import onnxruntime
import pytest
from helpers.optimized_models import randomize_with_bilinear_upsampling
from helpers.random_weights import randomize_weights

import tfseg
from tfseg.exporting import FORMATS, integers, onnx
from tfseg.exporting.job import ExportJob

IMAGES = np.random.default_rng(0).normal(size=(2, 17, 23, 3)).astype("float32")


def runtimes_logits(model, path):
    onnx.write(ExportJob(model, preprocessing="torch"), path)
    (logits,) = onnxruntime.InferenceSession(path).run(None, {"images": IMAGES})
    return logits


@pytest.mark.parametrize("padding", [1, ((1, 0), (0, 2))])
def test_zeros_are_the_maximum_of_negative_numbers(padding, tmp_path):
    """ONNX Runtime's optimizer takes them for padding that is never the maximum."""
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", name="conv")(image)
    x = keras.layers.MaxPooling2D(3, 1)(keras.layers.ZeroPadding2D(padding)(x))
    model = randomize_weights(keras.Model(image, keras.layers.Conv2D(4, 1)(x)))
    model.get_layer("conv").bias.assign(np.full(8, -100))  # every number before the zeros is negative
    logits = runtimes_logits(model, tmp_path / "model.onnx")
    np.testing.assert_allclose(logits, model(IMAGES), atol=1e-5 * np.abs(logits).max())


def test_integers_around_a_padded_maximum(tmp_path):
    """ONNX Runtime's optimizer moves a Transpose across the Pad, on processors that multiply integers in AVX-512."""
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    x = keras.layers.MaxPooling2D(3, 2)(keras.layers.ZeroPadding2D(1)(x))
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    model = randomize_weights(keras.Model(image, keras.layers.Conv2D(4, 1)(x)))
    photographs = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3), "uint8")
    job = ExportJob(model, preprocessing="torch", calibration=list(photographs), size=(32, 48))
    integers.onnx_int8(job.rewritten(FORMATS["onnx_int8"].rewrites), tmp_path / "model.onnx")
    images = job.preprocess(photographs)
    (logits,) = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, {"images": np.asarray(images)})
    np.testing.assert_allclose(logits, model(images), atol=0.1 * np.abs(logits).max())


def test_tensors_that_layers_hold_are_constants(tmp_path):
    """Keras's Normalization holds two, as the EfficientNets of keras.applications have it."""
    image = keras.Input((None, None, 3))
    x = keras.layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1, 2, 3])(image)
    model = randomize_weights(keras.Model(image, keras.layers.Conv2D(4, 1)(x)))
    expected = np.asarray(model(IMAGES))
    logits = runtimes_logits(model, tmp_path / "model.onnx")
    np.testing.assert_allclose(logits, expected, atol=1e-5 * np.abs(logits).max())
    np.testing.assert_array_equal(model(IMAGES), expected)


@pytest.mark.parametrize("size", [None, (48, 64)])
def test_integers_of_a_network_with_a_border_and_bilinear_upsampling(tmp_path, size):
    """The layer of the logits and their enlarging stay in float32, also where its matrix is a constant."""
    model = randomize_with_bilinear_upsampling(tfseg.FCN32s(4, width=1 / 16))
    photographs = np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3), "uint8")
    job = ExportJob(model, preprocessing="caffe", calibration=list(photographs), size=size)
    integers.onnx_int8(job.rewritten(FORMATS["onnx_int8"].rewrites), tmp_path / "model.onnx")
    graph = onnx_library.load(tmp_path / "model.onnx").graph
    makers = {name: node for node in graph.node for name in node.output}
    multiplying = [node for node in graph.node if node.op_type in ("Conv", "MatMul")]
    floats = [node.op_type for node in multiplying if makers.get(node.input[1], node).op_type != "DequantizeLinear"]
    assert sorted(floats) == ["Conv", "MatMul", "MatMul"]
    images = job.preprocess(photographs)
    (logits,) = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, {"images": np.asarray(images)})
    np.testing.assert_allclose(logits, model(images), atol=0.1 * np.abs(logits).max())


def test_a_network_with_nothing_but_logits_has_no_integers(tmp_path):
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Conv2D(4, 3, padding="same")(image))
    photographs = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3), "uint8")
    job = ExportJob(model, preprocessing="torch", calibration=list(photographs))
    with pytest.raises(ValueError, match="nothing to compute in integers"):
        integers.onnx_int8(job, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
