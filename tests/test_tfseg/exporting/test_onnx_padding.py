"""Zeros before a maximum in ONNX files: ONNX Runtime's optimizer takes them for padding that is never the maximum."""

import keras
import numpy as np
import onnxruntime
import pytest
from helpers.random_weights import randomize_weights

from tfseg.exporting import onnx
from tfseg.exporting.job import ExportJob


@pytest.mark.parametrize("padding", [1, ((1, 0), (0, 2))])
def test_zeros_are_the_maximum_of_negative_numbers(padding, tmp_path):
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", name="conv")(image)
    x = keras.layers.MaxPooling2D(3, 1)(keras.layers.ZeroPadding2D(padding)(x))
    model = randomize_weights(keras.Model(image, keras.layers.Conv2D(4, 1)(x)))
    model.get_layer("conv").bias.assign(np.full(8, -100))  # every number before the zeros is negative
    onnx.write(ExportJob(model, preprocessing="torch"), tmp_path / "model.onnx")
    images = np.random.default_rng(0).normal(size=(2, 17, 23, 3)).astype("float32")
    (logits,) = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, {"images": images})
    np.testing.assert_allclose(logits, model(images), atol=1e-5 * np.abs(logits).max())
