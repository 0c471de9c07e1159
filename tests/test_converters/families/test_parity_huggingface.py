"""Converted networks compute what transformers' ResNet computes."""

import pytest
from helpers.references import SIZES, filled_module, images, relative
from helpers.torchvision_cpu import import_torchvision

import converters

PUBLIC = "transformers"
WIDTHS = {"hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"}


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize(("name", "options"), [("resnet18", {"depths": [2, 2, 2, 2]} | WIDTHS), ("resnet50", {})])
def test_classifiers(name, options, record):
    import torch

    import_torchvision()
    transformers = pytest.importorskip("transformers")
    config = transformers.ResNetConfig(num_labels=1000, **options)
    module = filled_module(lambda: transformers.ResNetForImageClassification(config), 0, 1.0)
    model, receipt = converters.convert(module)
    assert (receipt.family, receipt.network) == ("huggingface/resnet", name)
    for size in SIZES[:2]:
        pixels = images(*size)
        with torch.no_grad():
            reference = module(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())).logits.numpy()
        difference = relative(model(pixels, training=False), reference)
        record(name, difference)
        assert difference <= 1e-5
