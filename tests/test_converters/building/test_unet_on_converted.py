"""`tfseg.Unet` on classifiers that were converted: built, trained, saved, loaded and exported."""

import pytest
from helpers.references import timm_net, torchvision_net
from helpers.unet_steps import trains_and_is_exported

import converters
import tfseg

MODULES = {
    "resnet18": torchvision_net,
    "mobilenet_v3_small": torchvision_net,
    "efficientnet_b0": torchvision_net,
    "regnet_y_400mf": torchvision_net,
    "densenet121": torchvision_net,
    "convnext_atto": timm_net,
}


@pytest.mark.full
@pytest.mark.parametrize("name", MODULES)
def test_a_unet_on_it_trains_and_is_saved_and_exported(name, tmp_path):
    backbone, _ = converters.convert(MODULES[name](name))
    strides = list(tfseg.last_maps(backbone))
    assert strides == ([4, 8, 16, 32] if name == "convnext_atto" else [2, 4, 8, 16, 32])
    trains_and_is_exported(tfseg.Unet(backbone, 3, filters=(16, 16, 8, 8, 4)), 64, tmp_path)
