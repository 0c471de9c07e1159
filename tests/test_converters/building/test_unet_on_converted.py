"""`tfseg.Unet` on classifiers that were converted: built, trained, saved, loaded and exported."""

import pytest
from helpers.references import randomized_state
from helpers.torchvision_cpu import import_torchvision
from helpers.unet_steps import trains_and_is_exported

import converters
import tfseg

MODULES = "resnet18 mobilenet_v3_small efficientnet_b0 regnet_y_400mf densenet121 convnext_atto".split()


def public(name):
    """A classifier of torchvision, or of timm."""
    models = import_torchvision().models
    if hasattr(models, name):
        return getattr(models, name)(weights=None)
    return pytest.importorskip("timm").create_model(name, pretrained=False)


@pytest.mark.full
@pytest.mark.parametrize("name", MODULES)
def test_a_unet_on_it_trains_and_is_saved_and_exported(name, tmp_path):
    backbone, _ = converters.convert(randomized_state(public(name)))
    strides = list(tfseg.last_maps(backbone))
    assert strides == ([4, 8, 16, 32] if name == "convnext_atto" else [2, 4, 8, 16, 32])
    trains_and_is_exported(tfseg.Unet(backbone, 3, filters=(16, 16, 8, 8, 4)), 64, tmp_path)
