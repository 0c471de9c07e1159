"""Converted networks compute what mmsegmentation's do, layer by layer, auxiliary heads included."""

import re

import pytest
import torch
from helpers.fcn_twins import Mmseg
from helpers.references import filled_module, images

import converters
from converters import ConversionError

PUBLIC = "a twin of open-mmlab/mmsegmentation"
FAMILY = "open-mmlab/mmsegmentation"
FAMILIES = {head: f"{FAMILY}/{head}" for head in ("upernet", "fpn")}
TOLERANCE = 1e-5
SIZES = ((65, 83), (64, 312))  # the second is 39 pixels wide at stride 8: rate 36 reads some


def net(depth=50, letter="c", head="fcn", **options):
    return filled_module(Mmseg, 0, 1.0, depth=depth, letter=letter, head=head, **options)


def check(depth, letter, head, width, record):
    module = net(depth, letter, head, width=width)
    model, receipt = converters.convert(module, aux=None if head in FAMILIES else True)
    assert (receipt.family, receipt.network) == (FAMILIES.get(head, FAMILY), f"{head}_resnet{depth}{letter}")
    weighted = {layer.name for layer in model.layers if layer.weights}
    for size in SIZES:
        comparison = converters.compare(model, module, images(*size))
        assert {row.layer for row in comparison} == weighted | set(model.output_names)
        record(f"{head}_r{depth}, v1{letter or 'b'}, width {width:g}", comparison.worst)
        comparison.assert_close(TOLERANCE)


@pytest.mark.full
@pytest.mark.parametrize(
    ("depth", "letter", "head"),
    [
        pytest.param(50, "c", "fcn", marks=pytest.mark.full),
        pytest.param(50, "", "fcn", marks=pytest.mark.full),
        (50, "d", "fcn"),
        (50, "c", "deeplabv3"),
        (50, "c", "pspnet"),
        (50, "", "upernet"),
        (50, "d", "upernet"),
        (50, "c", "deeplabv3plus"),
        (50, "c", "fpn"),
    ],
)
def test_heads_and_stems(depth, letter, head, record):
    check(depth, letter, head, 1 / 16, record)


@pytest.mark.full
@pytest.mark.parametrize("head", ["fcn", "pspnet", "deeplabv3", "deeplabv3plus", "upernet", "fpn"])
@pytest.mark.parametrize("letter", ["c", "", "d"])
@pytest.mark.parametrize("depth", [50, 101])
def test_every_network_at_full_width(depth, letter, head, record):
    check(depth, letter, head, 1, record)


@pytest.mark.full
@pytest.mark.parametrize(
    ("letter", "head"),
    [
        pytest.param("c", "fcn", marks=pytest.mark.full),
        ("d", "fcn"),
        ("", "deeplabv3"),
        ("c", "pspnet"),
        ("d", "upernet"),
        ("c", "deeplabv3plus"),
        ("c", "fpn"),
    ],
)
def test_export_is_bit_identical(tmp_path, letter, head):
    module, alone = net(letter=letter, head=head, width=1 / 16), head in FAMILIES
    model, receipt = converters.convert(module, aux=None if alone else True)
    converters.export_weights(model, tmp_path / "back.pth", family=receipt.family)
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    left = r".*num_batches_tracked|auxiliary_head.*" if alone else r".*num_batches_tracked"
    expected = {key: value for key, value in module.state_dict().items() if not re.fullmatch(left, key)}
    assert back.keys() == expected.keys()
    assert all(torch.equal(back[key], value) for key, value in expected.items())


@pytest.mark.full
def test_aligned_corners_of_the_configuration(tmp_path):
    """The files for images of 769 pixels have them, and only their configuration says so."""
    path = tmp_path / "iter_1.pth"
    for head, kind in (("deeplabv3plus", "DepthwiseSeparableASPPHead"), ("fpn", "FPNHead")):
        module = net(head=head, width=1 / 16)
        config = f"model = dict(backbone=dict(type='ResNetV1c', depth=50), decode_head=dict(type='{kind}', align_corners=True))"
        torch.save({"meta": {"config": config}, "state_dict": module.state_dict()}, path)
        if head == "fpn":
            with pytest.raises(ConversionError, match=r"says decode_head FPNHead with align_corners=True"):
                converters.convert(path)
            continue
        model, receipt = converters.convert(path)
        assert receipt.options["upsampling"] == "bilinear_align_corners"
        assert {model.get_layer(name).interpolation for name in ("score", "aspp_out_resize")} == {
            "bilinear_align_corners"
        }
        assert converters.convert(path, include_top=False)[0].output_shape[-1] == 128


@pytest.mark.full
def test_a_training_file_and_its_features(tmp_path):
    module = net(width=1 / 16)
    torch.save({"meta": {"epoch": 3, "classes": ["a"]}, "state_dict": module.state_dict()}, tmp_path / "iter_1.pth")
    model, receipt = converters.convert(tmp_path / "iter_1.pth", include_top=False)
    assert model.output_shape == (None, None, None, 128)
    assert receipt.network == "fcn_resnet50c"
    with pytest.raises(ConversionError, match=r"were trained with 'previous'. Received: convention='new'"):
        converters.convert(tmp_path / "iter_1.pth", convention="new")


def test_basic_blocks_are_not_taken_for_bottlenecks():
    with pytest.raises(ConversionError, match=r"basic blocks where bottlenecks are expected"):
        converters.convert(net(depth=18, width=1 / 8).state_dict())
