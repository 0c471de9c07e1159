"""Weights of bubbliiiing's networks for Keras, against twins; layers without names of their own."""

import numpy as np
import pytest
from helpers import bonlime, bubbliiiing_keras
from helpers.qubvel_keras import save_weights
from helpers.references import images, output, relative

import converters
from tfseg import palettes, specs

PUBLIC = "a twin in Keras"
TOLERANCE = 1e-5


@pytest.mark.parametrize(
    ("name", "network", "options"),
    [
        pytest.param("mobilenet_plus", "deeplabv3plus_mobilenet_v2", {}, marks=pytest.mark.full),
        pytest.param("mobilenet_plus", "deeplabv3plus_mobilenet_v2", {"output_stride": 8}, marks=pytest.mark.full),
        pytest.param("xception_plus", "deeplabv3plus_xception65", {}, marks=pytest.mark.full),
    ],
)
def test_bubbliiiings_deeplabs(name, network, options, tmp_path, record):
    twin = getattr(bonlime, name)(**options)
    path = save_weights(twin, tmp_path / "weights.h5")
    model, receipt = converters.convert(path, **options)
    assert (receipt.family, receipt.network) == ("bubbliiiing/deeplabv3-plus-keras", network)
    assert (receipt.untouched, receipt.ignored, receipt.others) == ({}, {}, [])
    assert receipt.preprocessing == specs.PREPROCESSING["inception"]
    assert receipt.options["num_classes"] == len(palettes.CLASSES["voc"])
    for size in ((65, 83), (96, 128)):
        pixels = images(*size)
        difference = relative(output(model, pixels), output(twin, pixels))
        record(network, difference)
        assert difference <= TOLERANCE
    converters.export_weights(model, tmp_path / "back.safetensors", family=receipt.family)
    back, first = converters.read(tmp_path / "back.safetensors"), converters.read(path)
    assert len(back) == len(first)
    assert all(np.array_equal(array, back[_plain(key)]) for key, array in first.items())


@pytest.mark.quick_variants("vgg")
@pytest.mark.parametrize("backbone", ["vgg", "resnet50"])
def test_bubbliiiings_unets(backbone, tmp_path, record):
    twin = bubbliiiing_keras.unet(backbone)
    path = save_weights(twin, tmp_path / "unet.h5")
    model, receipt = converters.convert(path)
    network = "unet_vgg16" if backbone == "vgg" else "unet_resnet50"
    assert (receipt.family, receipt.network) == ("bubbliiiing/unet-keras", network)
    assert (receipt.untouched, receipt.ignored, receipt.others) == ({}, {}, [])
    assert receipt.preprocessing == specs.PREPROCESSING["inception"]
    for size in ((64, 96), (128, 160)):  # multiples of 32, as the public code needs
        pixels = images(*size)
        difference = relative(output(model, pixels), output(twin, pixels))
        record(network, difference)
        assert difference <= TOLERANCE
    assert _leads_back(model, receipt, path, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize(
    ("backbone", "output_stride"), [("mobilenet", 16), ("mobilenet", 8), ("resnet50", 16), ("resnet50", 8)]
)
def test_bubbliiiings_pspnets(backbone, output_stride, tmp_path, record):
    """At 473 pixels the windows of the public code are the pyramid's; the auxiliary head is left out."""
    twin = bubbliiiing_keras.pspnet(backbone, output_stride=output_stride)
    path = save_weights(twin, tmp_path / "pspnet.h5")
    model, receipt = converters.convert(path, **({} if output_stride == 16 else {"output_stride": output_stride}))
    network = "pspnet_mobilenet_v2" if backbone == "mobilenet" else "pspnet_resnet50"
    assert (receipt.family, receipt.network) == ("bubbliiiing/pspnet-keras", network)
    assert receipt.untouched == {}
    assert all(key.startswith("branch_") for key in receipt.ignored)
    assert receipt.preprocessing == specs.PREPROCESSING["unit"]
    pixels = images(473, 473)[:1]
    difference = relative(output(model, pixels), bubbliiiing_keras.main_scores(twin, pixels))
    record(network, difference)
    assert difference <= TOLERANCE
    assert _leads_back(model, receipt, path, tmp_path, "branch_")


def _leads_back(model, receipt, path, tmp_path, left_out=" "):
    """Whether the arrays that are written are those that were read, bit by bit, whatever number Keras gave a layer."""
    converters.export_weights(model, tmp_path / "back.safetensors", family=receipt.family)
    first = {key: array for key, array in converters.read(path).items() if not key.startswith(left_out)}
    back = converters.read(tmp_path / "back.safetensors")
    return _contents(first.values()) == _contents(back.values())


def _contents(arrays):
    return sorted((array.shape, np.ascontiguousarray(array).tobytes()) for array in arrays)


def _plain(key):
    """The logits' layer, whatever number Keras counted it with."""
    return f"conv2d/{key.partition('/')[2]}" if key.startswith("conv2d") else key
