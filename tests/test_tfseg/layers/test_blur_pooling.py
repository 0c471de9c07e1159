"""BlurPooling: timm's blur, at all sizes; it survives saving, dilation, optimization and export."""

import keras
import numpy as np
import pytest
from helpers.references import images, randomize, relative, torch_output
from helpers.torchvision_cpu import import_torchvision

import tfseg
from tfseg.layers import BlurPooling


@pytest.fixture(scope="module")
def network():
    return tfseg.build("resnetblur18", width=1 / 8, num_classes=3, include_top=True)


@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("size", [(2, 2), (3, 9), (5, 8), (6, 7)])
def test_it_is_timms_blur(size, strides):
    import_torchvision()  # which timm imports
    layers = pytest.importorskip("timm.layers")
    pixels = images(*size)
    expected = torch_output(layers.BlurPool2d(3, filt_size=3, stride=strides), pixels)
    assert relative(BlurPooling(strides)(pixels), expected) < 1e-6


def test_rows_and_columns_may_have_their_own_strides():
    pixels = images(7, 8)
    both = np.array(BlurPooling(1)(pixels))
    assert np.array_equal(np.array(BlurPooling((2, 1))(pixels)), both[:, ::2])
    assert BlurPooling((2, 1))(keras.Input((None, 8, 3))).shape == (None, None, 8, 3)


def test_dilated_neighbors_are_those_of_the_sampled_map():
    pixels = images(12, 16)
    dilated = np.array(BlurPooling(1, dilation_rate=2)(pixels))
    assert np.allclose(dilated[:, ::2, ::2], np.array(BlurPooling(1)(pixels[:, ::2, ::2])), atol=1e-6)


@pytest.mark.full
def test_a_network_with_blurs_is_saved_and_optimized(network, tmp_path):
    pixels = images(65, 83)
    network.save(tmp_path / "blur.keras")
    assert np.array_equal(network(pixels), keras.saving.load_model(tmp_path / "blur.keras")(pixels))
    assert relative(tfseg.optimize(network)(pixels), network(pixels)) < 1e-5


def test_dilation_keeps_the_map():
    features, pixels = tfseg.build("resnetblur18", width=1 / 8), images(64, 96)
    coarse, fine = features(pixels), tfseg.dilate(features, 8)(pixels)
    assert relative(np.array(fine)[:, ::4, ::4], coarse) < 1e-5


@pytest.mark.full
def test_a_network_with_blurs_is_exported(tmp_path):
    for name in ("onnxruntime", "openvino", "ai_edge_litert"):
        pytest.importorskip(name)
    model = randomize(tfseg.FCN(tfseg.build("resnetblur18", width=1 / 8, output_stride=8), 3), seed=1)
    formats = ["saved_model", "onnx", "openvino", "litert_float32"]
    tfseg.export(model, tmp_path / "blur", formats)  # which compares the artifacts with the model
