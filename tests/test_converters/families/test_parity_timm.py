"""Converted networks compute what timm's compute, in timm's own dilated form too."""

import pytest
from helpers.references import SIZES, filled_module, images, timm_net
from helpers.torchvision_cpu import import_torchvision

import converters
from converters.families import FAMILIES
from tfseg import specs

PUBLIC = "timm"
TOLERANCE = 1e-5


def wide_resnext(output_stride):
    """A row of WSL's that `timm.create_model` does not have."""
    import_torchvision()
    from timm.models import resnet

    options = {"layers": [3, 4, 23, 3], "cardinality": 32, "base_width": 48, "output_stride": output_stride}
    return filled_module(lambda: resnet.ResNet(resnet.Bottleneck, **options), 0, 1.0)


def check(name, output_stride, sizes, record):
    module = wide_resnext(output_stride) if name == "resnext101_32x48d" else timm_net(name, output_stride=output_stride)
    network = name if name in specs.RESNET_DOUBLES else None  # others have their tensors
    model, receipt = converters.convert(module, family="timm/resnet", network=network, output_stride=output_stride)
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
    # Where sides become odd, timm's averages and its shortcuts do not fit together.
    check(name, output_stride, ((64, 96), (66, 98)) if "aa" in name else SIZES[:2], record)


@pytest.mark.full
def test_a_plain_resnet_is_torchvisions_first():
    module = timm_net("resnet50")
    _, receipt = converters.convert(module)
    assert receipt.family == "torchvision/resnet"
    assert [other for other in receipt.others if other.startswith("timm/resnet resnet50:")]
