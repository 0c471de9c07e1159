"""timm's EfficientNets and CLIP's ResNets from the file alone, under timm's and OpenAI's names."""

import pytest
import torch
from helpers.backbones import timm_features, torch_map
from helpers.references import images, output, relative, timm_net, torch_output
from helpers.renamed_states import openai_names
from safetensors.numpy import load_file

import converters
from converters import ConversionError
from converters.families.pytorch.timm_light import CLIP_RESNET, EFFICIENTNET, TF_EFFICIENTNET
from tfseg import specs

PUBLIC = "timm"
SIZES = ((64, 96), (96, 128))
QUICK = "efficientnet_b0"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(network.name, marks=() if network.name == QUICK else pytest.mark.full)
        for family in (EFFICIENTNET, TF_EFFICIENTNET, CLIP_RESNET)
        for network in family.networks
    ],
)
def test_classifiers_are_timms(name, tmp_path, record):
    module = timm_net(f"{name}_gap" if name.endswith("clip") else name, num_classes=7)
    torch.save(module.state_dict(), tmp_path / f"{name}_a1.pth")
    model, receipt = converters.convert(tmp_path / f"{name}_a1.pth")
    assert receipt.network == name
    for size in SIZES[: 1 if name == QUICK else 2]:
        difference = relative(output(model, images(*size)), torch_output(module, images(*size)))
        record(name, difference)
        assert difference <= 1e-5
    converters.export_weights(model, tmp_path / "back.safetensors", family=receipt.family)
    back = load_file(tmp_path / "back.safetensors")
    expected = {key: value for key, value in module.state_dict().items() if "num_batches" not in key}
    assert back.keys() == expected.keys()
    assert all((back[key] == value.numpy()).all() for key, value in expected.items())


@pytest.mark.full
def test_efficientnets_of_equal_tensors_name_each_other():
    module = timm_net("tf_efficientnet_b0", num_classes=7)
    state = dict(module.state_dict())
    _, receipt = converters.convert(state)
    assert receipt.network == "efficientnet_b0"
    assert "tf_efficientnet_b0" in str(receipt)
    model, receipt = converters.convert(state, network="tf_efficientnet_b0")
    assert relative(output(model, images(64, 96)), torch_output(module, images(64, 96))) <= 1e-5


@pytest.mark.full
@pytest.mark.parametrize("name", ["resnet50_clip", "resnet101_clip"])
def test_clip_gives_the_map_before_its_attention(name, tmp_path, record):
    module = timm_net(f"{name}_gap", num_classes=7)
    content = {"state_dict": {f"module.{key}": value for key, value in openai_names(module.state_dict()).items()}}
    torch.save(content, tmp_path / "RN50.pt")
    model, receipt = converters.convert(tmp_path / "RN50.pt")
    assert (receipt.family, receipt.network) == ("openai/CLIP", name)
    assert "attention that pools the map" in str(receipt.ignored)
    for size in SIZES:
        difference = relative(output(model, images(*size)), torch_map(timm_features, module, images(*size)))
        record(f"{name} of OpenAI", difference)
        assert difference <= 1e-5


@pytest.mark.full
def test_another_visual_side_is_refused(tmp_path):
    state = openai_names(timm_net("resnet50_clip_gap", num_classes=7).state_dict())
    state["visual.layer1.0.se.fc1.weight"] = torch.ones(4, 4)
    with pytest.raises(ConversionError):
        converters.convert(state)


def test_timms_own_efficientnets_have_one_epsilon():
    """torchvision's three largest ones have another, which files of the same names and shapes do not tell."""
    stated = {
        network.options.get("epsilon", specs.EFFICIENTNETS[network.name].epsilon) for network in EFFICIENTNET.networks
    }
    assert stated == {1e-5}
