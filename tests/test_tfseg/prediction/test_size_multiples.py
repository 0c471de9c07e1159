"""Models that take images whose sides are multiples of a number: they say so, and predictions name the way out."""

import keras
import numpy as np
import pytest

import tfseg
from tfseg.layers.metadata import set_size_multiple, size_multiple


def test_sides_that_are_no_multiples_are_refused_with_a_window(tmp_path):
    image = keras.Input((None, None, 3), name="image")
    x = tfseg.layers.Metadata(tfseg.specs.PREPROCESSING["torch"])(image)
    model = keras.Model(image, keras.layers.Conv2D(2, 1)(x))
    assert size_multiple(model) == 1
    set_size_multiple(model, 48)
    model.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    assert size_multiple(loaded) == 48
    pixels = np.zeros((100, 600, 3), "uint8")
    with pytest.raises(ValueError, match=r"multiples of 48 pixels\. Received: \(100, 600\)\. .*window=\(480, 480\)"):
        tfseg.predict(loaded, pixels)
    assert tfseg.predict(loaded, pixels, window=(96, 96)).shape == (100, 600)
    assert tfseg.predict(loaded, pixels[:96, :96]).shape == (96, 96)
