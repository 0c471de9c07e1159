"""Converted networks compute what PyTorch-Encoding's FCNs do, layer by layer, auxiliary heads included."""

import numpy as np
import pytest
import torch
from helpers.fcn_twins import Encoding
from helpers.references import filled_module, images

import converters
from converters import ConversionError

PUBLIC = "a twin of zhanghang1989/PyTorch-Encoding"
FAMILY = "zhanghang1989/PyTorch-Encoding"
TOLERANCE = 1e-5
SIZES = ((65, 83), (96, 128))


def net(depth=50, letter="s", **options):
    return filled_module(Encoding, 0, 1.0, depth=depth, letter=letter, **options)


def check(depth, letter, width, record):
    module = net(depth, letter, width=width)
    model, receipt = converters.convert(module, aux=True)
    assert (receipt.family, receipt.network) == (FAMILY, f"fcn_resnet{depth}{letter}")
    weighted = {layer.name for layer in model.layers if layer.weights}
    for size in SIZES:
        comparison = converters.compare(model, module, images(*size))
        assert {row.layer for row in comparison} == weighted | set(model.output_names)
        record(f"fcn_resnet{depth}{letter}, width {width:g}", comparison.worst)
        comparison.assert_close(TOLERANCE)


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("letter", ["s", pytest.param("d", marks=pytest.mark.full), ""])
def test_stems_and_projections(letter, record):
    check(50, letter, 1 / 8, record)


@pytest.mark.full
@pytest.mark.parametrize(("depth", "letter"), [(50, "s"), (50, "d"), (50, ""), (101, "s"), (101, "")])
def test_every_network_at_full_width(depth, letter, record):
    check(depth, letter, 1, record)


@pytest.mark.full
@pytest.mark.parametrize("letter", [pytest.param("s", marks=pytest.mark.full), "d"])
def test_export_is_bit_identical(tmp_path, letter):
    module = net(letter=letter, width=1 / 16)
    model, _ = converters.convert(module, aux=True)
    converters.export_weights(model, tmp_path / "back.safetensors", family=FAMILY)
    back = converters.read(tmp_path / "back.safetensors")
    expected = {key: value for key, value in module.state_dict().items() if not key.endswith("num_batches_tracked")}
    assert back.keys() == expected.keys()
    assert all(np.array_equal(back[key], value) for key, value in expected.items())


@pytest.mark.full
def test_the_backbones_classifier_is_left_out_and_a_global_branch_refused():
    state = net(width=1 / 16).state_dict()
    _, receipt = converters.convert(state | {"pretrained.fc.weight": torch.ones(1000, 128)})
    assert "pretrained.fc.weight" in receipt.ignored
    state["head.conv5.3.1.gap.1.weight"] = torch.ones(32, 32, 1, 1)
    with pytest.raises(ConversionError, match=r"tensors of other names \(head.conv5.3.1.gap.1.weight\)"):
        converters.convert(state)
