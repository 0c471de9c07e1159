"""mmpretrain's classifiers from the file alone: the networks of torchvision and timm under its names."""

import re

import numpy as np
import pytest
import torch
from helpers.references import images, output, relative, timm_net, torch_output, torchvision_net

import converters
from converters import ConversionError
from converters.families.pytorch.mmpretrain import RESNET

PUBLIC = "torchvision and timm under mmpretrain's names"
TOLERANCE = 1e-5
SIZES = ((64, 83), (97, 128))
STEM = {"conv1.0": "stem.0.conv", "conv1.1": "stem.0.bn", "conv1.3": "stem.1.conv", "conv1.4": "stem.1.bn"}


def theirs(name, key):
    """A key of timm's as mmpretrain has it."""
    module, _, tensor = key.rpartition(".")
    if module == "fc":
        return f"head.fc.{tensor}"
    if re.fullmatch(r"resnet\d+[cd]", name):
        module = {**STEM, "conv1.6": "stem.2.conv", "bn1": "stem.2.bn"}.get(module, module)
    if re.fullmatch(r"resnet\d+d", name):  # its first stage has no pooling in front of the projection
        module = re.sub(r"layer1.0.downsample.(\d)", lambda m: f"layer1.0.downsample.{int(m[1]) - 1}", module)
    module = re.sub(r"se\.fc(\d)", r"se_layer.conv\1.conv", module)
    return f"backbone.{module}.{tensor}"


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        *(
            pytest.param(name, marks=pytest.mark.full)
            for name in ("resnet50", "resnext50_32x4d", "wide_resnet50_2", "resnet50c", "resnet50d", "resnet101d")
        ),
        *(pytest.param(name, marks=pytest.mark.full) for name in ("seresnet50", "seresnext50_32x4d")),
    ],
)
def test_classifiers(name, record, tmp_path):
    module = torchvision_net(name) if name == "resnet18" else timm_net(name)
    state = {theirs(name, key): value for key, value in module.state_dict().items()}
    torch.save({"meta": {"epoch": 100}, "state_dict": state}, tmp_path / "epoch_100.pth")
    model, receipt = converters.convert(tmp_path / "epoch_100.pth")
    assert (receipt.family, receipt.network) == (RESNET.name, name)
    worst = max(relative(output(model, images(*size)), torch_output(module, images(*size))) for size in SIZES)
    record(name, worst)
    assert worst <= TOLERANCE
    converters.export_weights(model, tmp_path / "back.pth", family=RESNET.name)
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    assert back.keys() == {key for key in state if "num_batches" not in key}
    assert all(torch.equal(back[key], state[key]) for key in back)


def test_the_networks_of_cifar_are_refused():
    """Their stem is one 3x3 convolution without a pooling."""
    shapes = {
        theirs("resnet18", key): tuple(value.shape) for key, value in torchvision_net("resnet18").state_dict().items()
    }
    shapes["backbone.conv1.weight"] = (64, 3, 3, 3)
    weightless = {key: np.broadcast_to(np.float32(0), shape) for key, shape in shapes.items()}
    with pytest.raises(ConversionError, match=r"of 3x3x3x64 instead of 7x7xanyx64"):
        converters.identify(weightless)
