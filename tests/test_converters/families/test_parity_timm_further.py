"""timm's MobileNetV2, HRNet, Xception, ResNetV2, Big Transfer and Cadene's SE nets from the file alone."""

import numpy as np
import pytest
import torch
from helpers.references import images, output, relative, timm_net, torch_output
from helpers.torchvision_cpu import import_torchvision
from safetensors.numpy import load_file

import converters
from converters import ConversionError
from converters.families.pytorch.cadene import SENET
from converters.families.pytorch.timm_further import BIT, HRNET, MOBILENET_V2, RESNETV2, XCEPTION

PUBLIC = "timm"
SIZES = ((64, 96), (96, 128))
QUICK = "resnetv2_18"
FAMILIES = (MOBILENET_V2, HRNET, XCEPTION, RESNETV2, BIT, SENET)
NAMES = {network.public: (family, network.name) for family in FAMILIES for network in family.networks}
WIDTHS = dict.fromkeys(("mobilenetv2_050", "mobilenetv2_140"), (MOBILENET_V2, "mobilenet_v2"))
LARGE = ("resnetv2_50x3_bit", "resnetv2_101x3_bit", "resnetv2_152x2_bit", "resnetv2_152x4_bit")  # up to 3.7 GB each


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name == QUICK else pytest.mark.full)
        for name in (*NAMES, *WIDTHS)
        if name not in LARGE
    ],
)
def test_classifiers_are_timms(name, tmp_path, record):
    family, network = {**NAMES, **WIDTHS}[name]
    module = timm_net(name, num_classes=7)
    torch.save(module.state_dict(), tmp_path / "net.pth")
    model, receipt = converters.convert(tmp_path / "net.pth")
    assert (receipt.family, receipt.network) == (family.name, network)
    for numbers in ("mean", "std"):  # as timm states them for its published files, in parts of 255
        stated = np.array(receipt.preprocessing[numbers]) * receipt.preprocessing["divisor"] / 255
        np.testing.assert_allclose(stated, module.default_cfg[numbers])
    for size in SIZES[: 1 if name == QUICK else 2]:
        difference = relative(output(model, images(*size)), torch_output(module, images(*size)))
        record(name, difference)
        assert difference <= 1e-5
    converters.export_weights(model, tmp_path / "back.safetensors", family=family.name)
    back = load_file(tmp_path / "back.safetensors")
    expected = {key: value for key, value in module.state_dict().items() if "num_batches" not in key}
    assert back.keys() == expected.keys()
    assert all((back[key] == value.numpy()).all() for key, value in expected.items())


@pytest.mark.full
@pytest.mark.parametrize("name", LARGE)
def test_large_networks_are_found_by_their_tensors(name):
    import_torchvision()
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in timm.create_model(name).state_dict().items()}
    family, network = NAMES[name]
    identified = converters.identify(_blank(shapes))
    assert (identified.family, identified.network) == (family.name, network)


def _blank(shapes):
    return {key: np.broadcast_to(np.float32(0), shape) for key, shape in shapes.items()}


@pytest.mark.full
@pytest.mark.parametrize("stride", [16, 8])
@pytest.mark.parametrize("name", ["mobilenetv2_100", "xception41", "resnetv2_50", "resnetv2_50x1_bit"])
def test_dilated_as_timm_dilates(name, stride, record):
    module = timm_net(name, num_classes=7, output_stride=stride)
    model, _ = converters.convert(module.state_dict(), output_stride=stride)
    for size in SIZES:
        difference = relative(output(model, images(*size)), torch_output(module, images(*size)))
        record(f"{name} at output stride {stride}", difference)
        assert difference <= 1e-5


@pytest.mark.full
@pytest.mark.parametrize(
    "name",
    [
        *("mobilenetv2_110d", "mnasnet_100", "hrnet_w18_small", "xception41p", "resnetv2_50d"),
        *("resnetv2_50t", "resnetv2_50d_gn", "legacy_seresnext26_32x4d"),
    ],
)
def test_relatives_are_refused(name):
    import_torchvision()
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in timm.create_model(name).state_dict().items()}
    with pytest.raises(ConversionError):
        converters.identify(_blank(shapes))


@pytest.mark.full
def test_a_folder_of_timm_is_obeyed(tmp_path):
    from timm.models._hub import save_for_hf

    module = timm_net("mobilenetv2_050", num_classes=3)
    save_for_hf(module, tmp_path, safe_serialization=True)
    model, receipt = converters.convert(tmp_path)
    assert (receipt.family, receipt.network) == (MOBILENET_V2.name, "mobilenet_v2")
    assert relative(output(model, images(64, 96)), torch_output(module, images(64, 96))) <= 1e-5
