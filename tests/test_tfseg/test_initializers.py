"""A bilinear kernel is the paper's surgery, and interpolates as torch does."""

import keras
import numpy as np
import pytest
from helpers.references import images, output, relative, torchfcn_models

import tfseg


@pytest.mark.parametrize("side", [*range(1, 18), 32, 64])
def test_the_kernel_is_that_of_the_surgery(side):
    theirs = torchfcn_models().fcn32s.get_upsampling_weight(3, 3, side).numpy()
    ours = tfseg.BilinearInitializer()((side, side, 3, 3))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(ours), theirs.transpose(2, 3, 1, 0))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("strides", [(2, 2), (3, 3), (8, 8), (32, 32), (2, 8), (4, 3)])
def test_upsampling_is_bilinear_resizing_in_the_interior(strides, channels):
    torch = pytest.importorskip("torch")
    kernel_size = [2 * stride - stride % 2 for stride in strides]
    upscore = keras.layers.Conv2DTranspose(
        channels, kernel_size, strides, use_bias=False, kernel_initializer=tfseg.BilinearInitializer()
    )
    pixels = images(5, 6, channels=channels)
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()), scale_factor=strides, mode="bilinear"
    )
    theirs = theirs.permute(0, 2, 3, 1).numpy()
    (top, left), (height, width) = (stride // 2 for stride in strides), theirs.shape[1:3]
    ours = output(upscore, pixels)[:, top : top + height, left : left + width]
    interior = (slice(None), *(slice(stride, -stride) for stride in strides))
    assert relative(ours[interior], theirs[interior]) <= 1e-6


def test_the_type_is_keras_own_unless_another_is_asked_for():
    initializer = tfseg.BilinearInitializer()
    assert keras.backend.standardize_dtype(initializer((4, 4, 2, 2)).dtype) == "float32"
    assert keras.backend.standardize_dtype(initializer((4, 4, 2, 2), dtype="float16").dtype) == "float16"


@pytest.mark.parametrize("shape", [(4, 4, 2, 3), (4, 4, 1, 2), (4, 4), (4, 4, 2, 2, 2)])
def test_unequal_channels_are_refused(shape):
    with pytest.raises(ValueError, match=r"as many channels out as in. Received: \(" + ", ".join(map(str, shape))):
        tfseg.BilinearInitializer()(shape)


def test_it_survives_its_configuration_and_a_saved_model(tmp_path):
    config = keras.initializers.serialize(tfseg.BilinearInitializer())
    assert isinstance(keras.initializers.deserialize(config), tfseg.BilinearInitializer)
    model = keras.Sequential(
        [
            keras.Input((None, None, 2)),
            keras.layers.Conv2DTranspose(2, 4, 2, kernel_initializer=tfseg.BilinearInitializer(), name="upscore"),
        ]
    )
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras").get_layer("upscore")
    assert isinstance(again.kernel_initializer, tfseg.BilinearInitializer)
    np.testing.assert_array_equal(again.kernel, model.get_layer("upscore").kernel)
