"""Networks by name: the list is complete, and every name builds its network."""

import re

import pytest
from helpers.references import images, output

import tfseg
from tfseg import specs

DECODERS = (
    "fpn_",
    "linknet_",
    "lraspp_",
    "manet_",
    "pan_",
    "segformer_",
    "segnet_",
    "unet_",
    "unetplusplus_",
    "upernet_",
)
HEADS = ("fcn_", "deeplabv2_", "deeplabv3_", "deeplabv3plus_", "pspnet_", "drnseg_", *DECODERS)
SLOW = "densenet(161|169|201)|resne|res2net|drn|efficientnet|mobilenet_v3|mit_|hrnet|xception|senet154|" + "|".join(
    name for name in DECODERS if name != "unet_"
)


@pytest.mark.quick_variants(12)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.full if re.search(SLOW, name.replace("resnet18", "")) else ())
        for name in tfseg.list_models()
        if not name.startswith(HEADS) or name.endswith(("_resnet18", "_drn_d_22"))  # a head is the same on all others
    ],
)
def test_every_listed_network_is_built(name):
    segments = name in (*specs.FCNS, *specs.DEEPLAB_VGGS, *specs.UNETS, *specs.SEGNETS) or name.startswith(HEADS)
    model = tfseg.build(name, width=1 / 32, num_classes=3, channels=2, **({} if segments else {"include_top": True}))
    assert model.name == name
    assert model.input_shape == (None, None, None, 2)
    assert model.output_shape == ((None, None, None, 3) if segments else (None, 3))
    assert not any("." in layer.name for layer in model.layers)  # the torch backend refuses dots


def test_the_groups_are_sorted_and_complete():
    backbones, decoders, networks = (tfseg.list_models(group) for group in ("backbones", "decoders", "networks"))
    assert tfseg.list_models() == sorted([*backbones, *networks]) == specs.network_names()
    assert {*specs.VGGS, *specs.RESNETS, *specs.DRNS, *specs.FURTHER_BACKBONES} == {*backbones}
    assert decoders == sorted(head.removesuffix("_") for head in HEADS)
    whole = {*specs.FCNS, *specs.DEEPLAB_VGGS, *specs.UNETS, *specs.SEGNETS}
    assert whole <= {*networks}
    assert {f"unet_{name}" for name in backbones} <= {*networks}
    assert {specs.SEGMENTERS[name][0] for name in networks if name not in whole} == {*decoders}
    with pytest.raises(ValueError, match=r"group is one of backbones, decoders, networks\. Received: 'heads'"):
        tfseg.list_models("heads")


def test_a_decoder_is_built_on_a_named_backbone():
    model = tfseg.build("unet", backbone="resnet18", num_classes=3, width=1 / 32, filters=(8, 8, 4, 4, 4))
    assert model.name == "unet_resnet18"
    with pytest.raises(ValueError, match=r"unet reads a backbone: .*vgg16.* Received: backbone=None"):
        tfseg.build("unet", num_classes=3)
    with pytest.raises(ValueError, match=r"drnseg reads a backbone: .* Received: backbone='resnet18'"):
        tfseg.build("drnseg", backbone="resnet18")


# One backbone of every kind.
KINDS = """vgg11_bn resnet18 drn_d_22 mobilenet_v2 mobilenet_v3_small efficientnet_b0 mit_b0 hrnet_w18 xception41
preact_resnet18""".split()


@pytest.mark.full
@pytest.mark.parametrize("backbone", KINDS)
def test_every_decoder_reads_every_kind_of_backbone(backbone):
    heads = [head for head, name in specs.SEGMENTERS.values() if name == backbone]
    assert {*specs.DECODERS} <= {*heads}
    for head in heads:
        model = tfseg.build(head, backbone=backbone, num_classes=3, width=1 / 16)
        assert model.name == f"{head}_{backbone}"
        side = 256 if head == "pan" else 64  # it halves the coarsest map three times
        assert output(model, images(side, side)).shape == (1, side, side, 3)


def test_build_takes_the_fields_of_a_resnet_spec():
    model = tfseg.build("resnet18", width=1 / 32, stem=(32, 32, 64), biases="stem")
    assert model.get_layer("conv1_3_conv").use_bias
    assert not model.get_layer("conv2_block1_1_conv").use_bias


def test_build_refuses_an_unknown_name():
    with pytest.raises(ValueError, match=r"Unknown network: 'resnet5'. tfseg.list_models\(\) names the \d+ known ones"):
        tfseg.build("resnet5")


def test_build_refuses_an_option_that_the_network_lacks():
    with pytest.raises(TypeError, match="padding"):
        tfseg.build("resnet18", padding="same")
