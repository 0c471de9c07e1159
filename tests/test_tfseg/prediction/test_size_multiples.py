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


@pytest.mark.parametrize(
    ("build", "least"),
    [
        (lambda: tfseg.PAN(tfseg.ResNet(18, output_stride=16, width=1 / 16), 5, filters=8), 113),  # 8 rows of stride 16
        (lambda: tfseg.Unet(tfseg.VGG(11, width=1 / 16), 5), 32),
    ],
)
def test_images_of_which_a_map_has_no_pixels_left_are_refused(build, least):
    model = build()
    for size in ((least - 1, 256), (256, least - 1)):
        with pytest.raises(ValueError, match=rf"takes larger images: of \({size[0]}, {size[1]}\), .* Enlarge them"):
            tfseg.predict(model, np.zeros((*size, 3), "uint8"), preprocessing="torch")
    for size in ((least, least), (least, least + 1)):
        assert tfseg.predict(model, np.zeros((*size, 3), "uint8"), preprocessing="torch").shape == size


def test_layers_that_say_no_shapes_are_run():
    class Odd(keras.layers.Layer):
        def call(self, x):
            return x

        def compute_output_spec(self, x):
            if x.shape[1] is not None:
                raise RuntimeError("no shapes from here")
            return keras.KerasTensor(x.shape, x.dtype)

    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Conv2D(2, 1)(Odd()(image)))
    assert tfseg.predict(model, np.zeros((9, 7, 3), "uint8"), preprocessing="torch").shape == (9, 7)
