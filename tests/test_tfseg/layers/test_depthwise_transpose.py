"""The depthwise transposed convolution is torch's, and begins as bilinear interpolation."""

import keras
import pytest
from helpers.layer_outputs import every_way, from_torch, to_torch
from helpers.references import images, relative

from tfseg.layers import DepthwiseConv2DTranspose

torch = pytest.importorskip("torch")
functional = torch.nn.functional
TOLERANCE = 1e-6


@pytest.mark.parametrize(("strides", "padding"), [(2, 1), (8, 4), ((4, 2), (2, 1))])
@pytest.mark.parametrize("size", [(1, 1), (5, 9), (13, 4)])
def test_depthwise_transposed_convolution_is_torchs(size, strides, padding):
    pixels = images(*size, channels=5, batch=2)
    layer = DepthwiseConv2DTranspose(strides, "random_normal")
    layer.build(pixels.shape)
    kernel = torch.from_numpy(keras.ops.convert_to_numpy(layer.kernel).transpose(2, 0, 1).copy())[:, None]
    reference = functional.conv_transpose2d(to_torch(pixels), kernel, stride=strides, padding=padding, groups=5)
    ours = layer(pixels)
    assert layer.compute_output_spec(keras.KerasTensor(pixels.shape)).shape == ours.shape
    assert relative(keras.ops.convert_to_numpy(ours), from_torch(reference)) <= TOLERANCE


def test_depthwise_transposed_convolution_begins_bilinear():
    layer = DepthwiseConv2DTranspose(8)
    pixels = images(6, 9, channels=4, batch=2)
    first, *rest = every_way(layer, pixels)
    reference = functional.interpolate(to_torch(pixels), scale_factor=8, mode="bilinear")
    interior = (slice(None), slice(4, -4), slice(4, -4))
    assert relative(first[interior], from_torch(reference)[interior]) <= TOLERANCE
    assert all(relative(result, first) <= TOLERANCE for result in rest)


def test_odd_strides_are_refused():
    with pytest.raises(ValueError, match=r"strides must be even.* Received: strides=3"):
        DepthwiseConv2DTranspose(3)
