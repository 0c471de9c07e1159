"""Networks by name: the list is complete, and every name builds its network."""

import re

import pytest

import tfseg
from tfseg import specs

DECODERS = ("fpn_", "linknet_", "lraspp_", "manet_", "pan_", "segformer_", "unet_", "unetplusplus_", "upernet_")
HEADS = ("fcn_", "deeplabv2_", "deeplabv3_", "deeplabv3plus_", "pspnet_", "drnseg_", *DECODERS)
SLOW = "resne|drn|" + "|".join(name for name in DECODERS if name != "unet_")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.full if re.search(SLOW, name.replace("resnet18", "")) else ())
        for name in tfseg.list_models()
        if not name.startswith(HEADS) or name.endswith(("_resnet18", "_drn_d_22"))  # a head is the same on all others
    ],
)
def test_every_listed_network_is_built(name):
    segments = name in (*specs.FCNS, *specs.DEEPLAB_VGGS) or name.startswith(HEADS)
    model = tfseg.build(name, width=1 / 32, num_classes=3, channels=2, **({} if segments else {"include_top": True}))
    assert model.name == name
    assert model.input_shape == (None, None, None, 2)
    assert model.output_shape == ((None, None, None, 3) if segments else (None, 3))
    assert not any("." in layer.name for layer in model.layers)  # the torch backend refuses dots


def test_list_models_is_sorted_and_complete():
    segmenters = [f"{head}{name}" for head in HEADS if head != "drnseg_" for name in specs.RESNETS]
    segmenters += [f"{head}{name}" for head in ("fcn_", "deeplabv3_", "pspnet_", "drnseg_") for name in specs.DRNS]
    segmenters += [*specs.FCNS, *specs.DEEPLAB_VGGS]
    assert tfseg.list_models() == sorted([*specs.VGGS, *specs.RESNETS, *specs.DRNS, *segmenters])


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
