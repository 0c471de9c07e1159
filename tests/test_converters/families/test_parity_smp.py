"""Converted networks compute what segmentation_models.pytorch's do, layer by layer."""

import functools
import re

import numpy as np
import pytest
import torch
from helpers.references import filled_module, images
from helpers.torchvision_cpu import import_torchvision

import converters
from converters import ConversionError
from converters.families.pytorch.smp import SMP

PUBLIC = "segmentation_models_pytorch"
TOLERANCE = 1e-5
# Sides that the public networks take, odd and even numbers of pixels at the encoder's stride. The long ones are wider
# there than the rates, 36 at most.
SIZES = {
    ("DeepLabV3", 8): ((72, 104), (32, 312)),
    ("DeepLabV3", 16): ((80, 112), (32, 608)),
    ("DeepLabV3Plus", 16): ((80, 112), (32, 608)),
    ("DeepLabV3Plus", 8): ((72, 104), (32, 312)),
    ("PSPNet", 8): ((72, 104), (64, 96)),
}


def net(head, encoder, output_stride=8):
    import_torchvision()
    pytest.importorskip("segmentation_models_pytorch")
    builder = functools.partial(SMP.public, f"{head}_{encoder}", output_stride=output_stride)
    return filled_module(builder, 0, 1.0, num_classes=7, aux=False)


def check(head, encoder, output_stride, record):
    module = net(head, encoder, output_stride)
    options = {} if head == "PSPNet" else {"output_stride": output_stride}
    model, receipt = converters.convert(module, **options)
    assert (receipt.family, receipt.network) == (SMP.name, f"{head.lower()}_{encoder}")
    weighted = {layer.name for layer in model.layers if layer.weights}
    for size in SIZES[head, output_stride]:
        comparison = converters.compare(model, module, images(*size))
        assert {row.layer for row in comparison} == weighted | set(model.output_names)
        record(f"{head} on {encoder}, output stride {output_stride}", comparison.worst)
        comparison.assert_close(TOLERANCE)


@pytest.mark.full
@pytest.mark.parametrize(("head", "output_stride"), SIZES)
def test_heads_on_the_smallest_encoder(head, output_stride, record):
    check(head, "resnet18", output_stride, record)


@pytest.mark.full
@pytest.mark.parametrize("encoder", ["resnet34", "resnet50", "resnet101", "resnext50_32x4d", "resnext101_32x8d"])
@pytest.mark.parametrize(("head", "output_stride"), SIZES)
def test_every_encoder(head, output_stride, encoder, record):
    check(head, encoder, output_stride, record)


@pytest.mark.full
@pytest.mark.parametrize("head", ["DeepLabV3", "DeepLabV3Plus", "PSPNet"])
def test_export_is_bit_identical(tmp_path, head):
    module = net(head, "resnet18")
    model, _ = converters.convert(module)
    converters.export_weights(model, tmp_path / "back.pth", family=SMP.name)
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    lost = r".*num_batches_tracked" + (r"|encoder\.layer[34]\..*" if head == "PSPNet" else "")
    expected = {key: value for key, value in module.state_dict().items() if not re.fullmatch(lost, key)}
    assert back.keys() == expected.keys()
    assert all(torch.equal(back[key], value) for key, value in expected.items())
    other = net(head, "resnet18")
    other.load_state_dict(back, strict=head != "PSPNet")
    again, _ = converters.convert(tmp_path / "back.pth", family=SMP.name)
    for ours, reference in zip(again.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours, reference)


OLD_NAMES = {
    "DeepLabV3": (("decoder.aspp.", "decoder.0."), ("decoder.conv.", "decoder.1."), ("decoder.bn.", "decoder.2.")),
    "PSPNet": (
        (".psp.blocks.", ".psp.stages."),
        (".pool.1.", ".pool.1.block."),
        ("decoder.conv.", "decoder.conv.block."),
        ("segmentation_head.0.", "decoder.final_conv."),
    ),
}


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("head", OLD_NAMES)
def test_old_names_are_read_and_new_ones_written(tmp_path, head):
    state = net(head, "resnet18").state_dict()
    old = {}
    for key, value in state.items():
        for new_part, old_part in OLD_NAMES[head]:
            key = key.replace(new_part, old_part)
        old[key] = value
    assert old.keys() != state.keys()
    wanted, _ = converters.convert(state)
    model, receipt = converters.convert(old)
    assert (receipt.family, receipt.network) == (SMP.name, f"{head.lower()}_resnet18")
    assert model.output_shape[-1] == converters.identify(old).num_classes == 7
    for ours, reference in zip(model.weights, wanted.weights, strict=True):
        np.testing.assert_array_equal(ours, reference)
    converters.export_weights(model, tmp_path / "new.safetensors", family=SMP.name)
    assert set(converters.read(tmp_path / "new.safetensors")) <= set(state)


@pytest.mark.full
def test_what_a_pspnet_does_not_read():
    module = net("PSPNet", "resnet18")
    model, receipt = converters.convert(module)
    assert receipt.ignored["encoder.layer4.1.conv2.weight"].startswith("part of a stage of the encoder")
    assert not any(layer.name.startswith(("conv4", "conv5")) for layer in model.layers)
    features, _ = converters.convert(module, include_top=False)
    assert features.output_names == ["conv3_block2_out"]
    with pytest.raises(ConversionError, match=r"pspnet_resnet18 has one output stride only"):
        converters.convert(module, output_stride=16)


@pytest.mark.full
def test_verify_cuts_the_photograph(tmp_path):
    module = net("DeepLabV3Plus", "resnet18", 16)
    torch.save(module.state_dict(), tmp_path / "file.pth")
    model, receipt = converters.convert(tmp_path / "file.pth")
    photograph = np.random.default_rng(0).integers(0, 256, (65, 83, 3), dtype="uint8")
    assert converters.verify(model, receipt, tmp_path / "file.pth", photograph).worst <= TOLERANCE
    assert receipt.parity["image"] == [64, 80]


def test_unused_conventions_are_refused():
    with pytest.raises(ConversionError, match=r"were trained with 'new'. Received: convention='previous'"):
        converters.convert(net("DeepLabV3", "resnet18"), convention="previous")
