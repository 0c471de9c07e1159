"""The bilinear kernel is that of the FCN paper's code, and interpolates like torch."""

import keras
import numpy as np
import pytest
from helpers.references import images, output, relative, torchfcn_models

import tfseg


@pytest.mark.parametrize("side", [*range(1, 18), 32, 64])
def test_bilinear_kernel_is_that_of_torchfcn(side):
    reference = torchfcn_models().fcn32s.get_upsampling_weight(3, 3, side).numpy()
    ours = tfseg.BilinearInitializer()((side, side, 3, 3))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(ours), reference.transpose(2, 3, 1, 0))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("strides", [(2, 2), (3, 3), (8, 8), (32, 32), (2, 8), (4, 3)])
def test_bilinear_kernel_resizes_the_interior_like_torch(strides, channels):
    torch = pytest.importorskip("torch")
    kernel_size = [2 * stride - stride % 2 for stride in strides]
    upscore = keras.layers.Conv2DTranspose(
        channels, kernel_size, strides, use_bias=False, kernel_initializer=tfseg.BilinearInitializer()
    )
    pixels = images(5, 6, channels=channels)
    reference = torch.nn.functional.interpolate(
        torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()), scale_factor=strides, mode="bilinear"
    )
    reference = reference.permute(0, 2, 3, 1).numpy()
    (top, left), (height, width) = (stride // 2 for stride in strides), reference.shape[1:3]
    ours = output(upscore, pixels)[:, top : top + height, left : left + width]
    interior = (slice(None), *(slice(stride, -stride) for stride in strides))
    assert relative(ours[interior], reference[interior]) <= 1e-6


def test_bilinear_kernel_has_the_requested_type_or_keras_own():
    initializer = tfseg.BilinearInitializer()
    assert keras.backend.standardize_dtype(initializer((4, 4, 2, 2)).dtype) == "float32"
    assert keras.backend.standardize_dtype(initializer((4, 4, 2, 2), dtype="float16").dtype) == "float16"


@pytest.mark.parametrize("shape", [(4, 4, 2, 3), (4, 4, 1, 2), (4, 4), (4, 4, 2, 2, 2)])
def test_other_kernel_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"as many channels out as in. Received: \(" + ", ".join(map(str, shape))):
        tfseg.BilinearInitializer()(shape)


def test_bilinear_initializer_survives_serialization_and_a_saved_model(tmp_path):
    config = keras.initializers.serialize(tfseg.BilinearInitializer())
    assert isinstance(keras.initializers.deserialize(config), tfseg.BilinearInitializer)
    model = keras.Sequential(
        [
            keras.Input((None, None, 2)),
            keras.layers.Conv2DTranspose(2, 4, 2, kernel_initializer=tfseg.BilinearInitializer(), name="upscore"),
        ]
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").get_layer("upscore")
    assert isinstance(loaded.kernel_initializer, tfseg.BilinearInitializer)
    np.testing.assert_array_equal(loaded.kernel, model.get_layer("upscore").kernel)
