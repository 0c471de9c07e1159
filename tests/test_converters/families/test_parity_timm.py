"""Converted networks compute what timm's compute, in timm's own dilated form too."""

import pytest
from helpers.references import SIZES, images, timm_net

import converters
from converters.families import FAMILIES

PUBLIC = "timm"
TOLERANCE = 1e-5


def check(name, output_stride, sizes, record):
    module = timm_net(name, output_stride=output_stride)
    model, receipt = converters.convert(module, family="timm/resnet", output_stride=output_stride)
    assert receipt.network == name
    weighted = {layer.name for layer in model.layers if layer.weights}
    for size in sizes:
        comparison = converters.compare(model, module, images(*size))
        assert {row.layer for row in comparison} == weighted | set(model.output_names)
        record(f"{name}, output stride {output_stride}", comparison.worst)
        comparison.assert_close(TOLERANCE)


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize(("name", "output_stride"), [("resnet18d", 32), ("seresnet18", 16), ("resnest14d", 8)])
def test_stems_projections_and_squeezes(name, output_stride, record):
    check(name, output_stride, SIZES[:2], record)


@pytest.mark.full
@pytest.mark.parametrize("output_stride", [32, 16, 8])
@pytest.mark.parametrize("name", [network.name for network in FAMILIES["timm/resnet"].networks])
def test_every_network(name, output_stride, record):
    check(name, output_stride, SIZES[:2], record)


@pytest.mark.full
def test_a_plain_resnet_is_torchvisions_first():
    module = timm_net("resnet50")
    _, receipt = converters.convert(module)
    assert receipt.family == "torchvision/resnet"
    assert [other for other in receipt.others if other.startswith("timm/resnet resnet50:")]
