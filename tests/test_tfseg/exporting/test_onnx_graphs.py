"""ONNX graphs that runtimes read wrongly, or do not run, unless they are written with care."""

import keras
import numpy as np
import onnxruntime
import pytest
from helpers.random_weights import randomize_weights

from tfseg.exporting import integers, onnx
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
    integers.onnx_int8(job.folded, tmp_path / "model.onnx")
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
