"""Dense poolings and paddings, sampled on the old grid, are those of stock layers."""

import keras
import pytest
from helpers.layer_outputs import every_way
from helpers.references import images, relative

from tfseg.layers import DensePadding, DilatedPooling

TOLERANCE = 1e-6
# Stock layers on every `rate`-th pixel are the reference of their dense forms.
POOLINGS = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}
every_rate = pytest.mark.parametrize("rate", [1, 2, 4])
every_stride = pytest.mark.parametrize("strides", [1, 2, 3])


def sampled(tensor, step):
    return keras.ops.convert_to_numpy(tensor)[:, ::step, ::step]


@pytest.mark.quick_variants(every=4)
@every_stride
@every_rate
@pytest.mark.parametrize("pool_size", [1, 2, 3, (1, 4)])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("mode", POOLINGS)
def test_dilated_pooling_is_strided_pooling_on_the_old_grid(mode, padding, pool_size, rate, strides):
    for size in ((25, 26), (27, 16)):
        pixels = images(*size, channels=3, batch=2) - 5  # negative: a zero in the padding would show
        reference = POOLINGS[mode](pool_size, strides, padding)(sampled(pixels, rate))
        ours = DilatedPooling(pool_size, mode, strides, rate, padding)(pixels)
        assert relative(sampled(ours, rate * strides), reference) <= (0 if mode == "max" else TOLERANCE)


@pytest.mark.quick_variants(every=4)
@every_stride
@every_rate
@pytest.mark.parametrize("kernel_size", [1, 2, 3, (5, 2)])
@pytest.mark.parametrize(("padding", "border"), [("same", 0), ("valid", 0), ("valid", 1)])
def test_dense_padding_is_strided_padding_on_the_old_grid(padding, border, kernel_size, rate, strides):
    pad = keras.layers.ZeroPadding2D(((0, border), (0, border)))
    coarse = keras.layers.Conv2D(2, kernel_size, strides, padding)
    wide = keras.layers.ZeroPadding2D(((0, border * rate), (0, border * rate)))
    fill = DensePadding(kernel_size, strides, rate, padding, border)
    dense = keras.layers.Conv2D(2, kernel_size, dilation_rate=rate)
    dense.build((None, None, None, 3))
    for size in ((25, 26), (27, 16)):
        pixels = images(*size)
        reference = coarse(pad(sampled(pixels, rate)))
        dense.set_weights(coarse.get_weights())
        ours = dense(fill(wide(pixels)))
        assert padding == "valid" or ours.shape[1:3] == size
        assert relative(sampled(ours, rate * strides), reference) <= TOLERANCE


@pytest.mark.parametrize("layer", [DilatedPooling(2, "max", 2), DilatedPooling((3, 2), "average", 2, padding="same")])
def test_pooling_keeps_the_size_if_windows_cover_all_pixels(layer):
    assert layer(images(24, 32)).shape[1:3] == (24, 32)
    assert DilatedPooling(2, "max", 2, 2)(images(24, 30)).shape[1:3] == (24, 28)


@pytest.mark.parametrize(
    "layer",
    [
        DilatedPooling(3, "max", 2, 2, "same"),
        DilatedPooling((3, 2), "average", 2, 3, "same"),
        DilatedPooling((2, 3), "average", 2, 3),
        DilatedPooling(2, "max", 2, 3),
        DensePadding((2, 3), 2, 3),
        DensePadding((2, 3), 2, 3, "valid", 1),
    ],
)
def test_dense_layers_take_sizes_that_come_with_the_image(layer):
    for size in ((25, 26), (28, 23)):
        pixels = images(*size, channels=3, batch=2)
        first, *rest = every_way(layer, pixels)
        assert all(relative(result, first) <= TOLERANCE for result in rest)
