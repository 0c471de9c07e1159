"""Weights of divamgupta's package for Keras, against a twin of its networks."""

import keras
import numpy as np
import pytest
from helpers.divamgupta import vgg
from helpers.qubvel_keras import save_weights
from helpers.references import images, output, relative

import converters
from tfseg import specs

PUBLIC = "a twin in Keras"
TOLERANCE = 1e-5
FORMS = {
    "unet": {"skips": True},
    "segnet": {"skips": False},
    "segnet-before-2021": {"skips": False, "named": False},
}


@pytest.mark.quick_variants("unet")
@pytest.mark.parametrize("form", FORMS)
def test_vgg(form, tmp_path, record):
    keras.Sequential([keras.layers.Input((8, 8, 1)), keras.layers.Conv2D(1, 1)])  # so that Keras counts on
    twin = vgg(**FORMS[form])
    path = save_weights(twin, tmp_path / "vgg.24")
    model, receipt = converters.convert(path)
    assert (receipt.family, receipt.network) == ("divamgupta/image-segmentation-keras", "segnet_vgg16")
    assert (receipt.untouched, receipt.ignored, receipt.others) == ({}, {}, [])
    assert receipt.preprocessing == specs.PREPROCESSING["caffe_rgb"]
    assert any("half of the image's size" in note for note in receipt.notes)
    logits = keras.Model(model.input, [model.get_layer("logits").output, model.output])
    for size in ((64, 96), (128, 160)):  # the package takes multiples of 32
        pixels = images(*size)
        expected = output(twin, pixels)
        small, large = (keras.ops.convert_to_numpy(result) for result in logits(pixels))
        record(f"{form}, VGG16", relative(small, expected))
        assert relative(small, expected) <= TOLERANCE
        assert np.array_equal(large[:, ::2, ::2], small)
        assert np.array_equal(large[:, 1::2, 1::2], small)
    converters.export_weights(model, tmp_path / "back.safetensors", family=receipt.family)
    arrays = sorted((array.shape, array.tobytes()) for array in converters.read(path).values())
    back = sorted((array.shape, array.tobytes()) for array in converters.read(tmp_path / "back.safetensors").values())
    assert arrays == back


def test_an_older_unet_does_not_say_its_activation(tmp_path):
    """Until March 2020 its decoder had no ReLU; only from March 2021 on a layer's name says that it has."""
    path = save_weights(vgg(skips=True, named=False), tmp_path / "vgg_unet.h5")
    with pytest.raises(converters.ConversionError, match=r"image-segmentation-keras.*whole model.*model.save"):
        converters.convert(path)
