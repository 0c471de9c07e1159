"""The page of the networks: its counts are those of torch's profiler, and of the networks as they are."""

import pathlib

import pytest
from helpers import model_table
from helpers.multiplications import multiplications
from helpers.references import timm_net, torchvision_net
from helpers.smp_decoders import smp

import tfseg

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "networks.md"


def counted_by_torch(module, height, width):
    """Half of the operations that torch counts: a product and a sum are two."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module.eval()(torch.zeros(1, 3, height, width))
    assert counter.get_total_flops() % 2 == 0
    return counter.get_total_flops() // 2


@pytest.mark.quick_variants("resnet18")
@pytest.mark.parametrize(
    ("name", "options", "build"),
    [
        ("resnet18", {"include_top": True}, lambda: torchvision_net("resnet18")),
        ("resnext50_32x4d", {"include_top": True}, lambda: torchvision_net("resnext50_32x4d")),
        ("mobilenet_v2", {"include_top": True}, lambda: torchvision_net("mobilenet_v2")),
        ("efficientnet_b0", {"include_top": True}, lambda: timm_net("efficientnet_b0")),
        ("vgg16", {"output_stride": 32}, lambda: torchvision_net("vgg16").features),
        ("deeplabv3_resnet50", {"num_classes": 21}, lambda: torchvision_net("deeplabv3_resnet50", aux_loss=False)),
        ("unet_resnet34", {"num_classes": 3}, lambda: smp().Unet("resnet34", encoder_weights=None, classes=3)),
        ("linknet_resnet18", {"num_classes": 3}, lambda: smp().Linknet("resnet18", encoder_weights=None, classes=3)),
        ("manet_resnet18", {"num_classes": 3}, lambda: smp().MAnet("resnet18", encoder_weights=None, classes=3)),
        ("segformer_mit_b0", {"num_classes": 3}, lambda: smp().Segformer("mit_b0", encoder_weights=None, classes=3)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_multiplications_are_those_that_torch_counts(name, options, build):
    assert multiplications(tfseg.build(name, **options), 64, 96) == counted_by_torch(build(), 64, 96)


@pytest.mark.full
def test_every_network_of_the_page_has_a_row():
    rows, _ = model_table.read_page(PAGE)
    assert list(rows) == [name for names in model_table.sections().values() for name in names]


@pytest.mark.quick_variants("unet_mobilenet_v2")
@pytest.mark.parametrize("name", [name for names in model_table.sections().values() for name in names])
def test_the_page_has_the_counts_of_the_network(name):
    row = model_table.read_page(PAGE)[0][name]
    assert model_table.counted(name, row) == row
