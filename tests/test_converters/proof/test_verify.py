"""verify: the public implementation runs with the same file."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers import checkpoints
from helpers.references import filled_module, torchvision_net

import converters
from converters import ConversionError


@pytest.fixture(scope="module")
def photograph():
    return np.random.default_rng(0).integers(0, 256, (65, 83, 3), dtype="uint8")


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet18", {}),
        ("resnet50", {"output_stride": 8}),
        ("resnet18", {"include_top": False}),
        ("fcn_resnet50", {"aux": True}),
        ("fcn_resnet50", {"include_top": False}),
    ],
)
def test_verify_runs_the_public_implementation(tmp_path, photograph, name, options):
    module = torchvision_net(name, **({"aux_loss": True} if name.startswith("fcn") else {}))
    path = tmp_path / "file.pth"
    torch.save(module.state_dict(), path)
    model, receipt = converters.convert(path, **options)
    comparison = converters.verify(model, receipt, path, photograph)
    assert comparison.worst <= 1e-5
    assert receipt.parity["layers"] == len(comparison) > 30
    assert "parity" in str(receipt)


def test_verify_refuses_a_model_that_diverges(tmp_path, photograph):
    path = tmp_path / "file.pth"
    torch.save(torchvision_net("resnet18").state_dict(), path)
    model, receipt = converters.convert(path)
    model.get_layer("conv3_block1_1_conv").kernel.assign_add(np.float32(0.1) * np.ones((3, 3, 64, 128), "float32"))
    with pytest.raises(ConversionError, match=r"diverges from the reference at conv3_block1_1_conv"):
        converters.verify(model, receipt, path, photograph)


def test_verify_refuses_widths_that_the_public_network_lacks(photograph):
    state = checkpoints.state("torchvision/resnet")  # torchvision has no narrow ResNet
    model, receipt = converters.convert(state)
    with pytest.raises(ConversionError, match=r"(?s)cannot be run for this network.*size mismatch"):
        converters.verify(model, receipt, state, photograph)


@pytest.mark.full
def test_verify_refuses_dilation_that_the_public_network_lacks(photograph):
    module = torchvision_net("resnet18")
    model, receipt = converters.convert(module, output_stride=8)
    with pytest.raises(ConversionError, match=r"cannot be run for this network: Dilation > 1 not supported"):
        converters.verify(model, receipt, module, photograph)


def test_verify_refuses_a_transplant(photograph):
    state = checkpoints.state("torchvision/vgg")
    model, receipt = converters.convert(state, network="fcn32s")
    with pytest.raises(ConversionError, match=r"no public implementation computes what this fcn32s does"):
        converters.verify(model, receipt, state, photograph)


@pytest.mark.full
def test_verify_runs_beside_a_triton_that_crashes_after_tensorflow(tmp_path):
    """Importing triton 3 after TensorFlow 2.21 crashes the process, and torchvision makes torch import it."""
    (tmp_path / "triton").mkdir()
    (tmp_path / "triton" / "__init__.py").write_text("import os\nos._exit(139)\n")
    torch.save(torchvision_net("resnet18").state_dict(), tmp_path / "file.pth")
    program = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import numpy as np, tfseg, converters
from torch.utils._triton import has_triton_package  # what torch asks
model, receipt = converters.convert("file.pth")
print(converters.verify(model, receipt, "file.pth", np.full((65, 83, 3), 90, "uint8")).worst <= 1e-5)
from converters.proof.without_triton import without_triton
with without_triton():
    print(has_triton_package())
print("triton" in sys.modules)
"""
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.stdout.split() == ["True", "False", "False"], result.stderr


@pytest.mark.quick_variants("options1-rates")
@pytest.mark.parametrize(
    ("options", "stated"), [({"encoder_output_stride": 16}, ""), ({"decoder_atrous_rates": (6, 12, 18)}, "rates")]
)
def test_verify_obeys_or_names_what_is_stated_beside_the_weights(tmp_path, photograph, options, stated):
    smp = pytest.importorskip("segmentation_models_pytorch")
    options |= {"encoder_name": "resnet18", "encoder_weights": None, "classes": 2, "aux_params": {"classes": 3}}
    filled_module(smp.DeepLabV3, 0, 1.0, **options).save_pretrained(tmp_path)
    model, receipt = converters.convert(tmp_path)
    if stated:
        with pytest.raises(ConversionError, match=r"built with rates=\(6, 12, 18\).*DeepLabV3_resnet18.*usual form"):
            converters.verify(model, receipt, tmp_path, photograph)
    else:
        assert converters.verify(model, receipt, tmp_path, photograph).worst <= 1e-5
