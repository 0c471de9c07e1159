"""compare and verify: agreement found, divergence located."""

import keras
import numpy as np
import pytest
import torch
from helpers import checkpoints
from helpers.references import images, torchfcn_net, torchvision_net

import converters
import tfseg
from converters import ConversionError


def test_a_torch_module_layer_by_layer():
    module = torchvision_net("fcn_resnet50", aux_loss=True).train()
    model, _ = converters.convert(module, aux=True)
    comparison = converters.compare(model, module, images(65, 83))
    comparison.assert_close(1e-5)
    names = [row.layer for row in comparison]
    assert names[:2] == ["conv1_conv", "conv1_bn"]
    assert {"logits", "aux_logits", "conv5_block3_3_bn", "head_conv"} < set(names)
    assert len(names) == 2 * 53 + 2 * 3 + 2  # every convolution and BatchNorm, and two outputs
    assert [row.reference for row in comparison[-2:]] == ["out", "aux"]
    assert comparison[0].reference == "backbone.conv1"
    assert module.training  # as it was found
    assert "max |difference|" in str(comparison)


def test_the_first_layer_that_diverges_is_named():
    module = torchfcn_net("FCN8s", width=1 / 16)
    model, _ = converters.convert(module)
    kernel = model.get_layer("conv4_2").kernel
    kernel.assign(np.array(kernel)[::-1])
    comparison = converters.compare(model, module, images(33, 47))
    assert comparison.first_divergence().layer == "conv4_2"
    with pytest.raises(AssertionError, match=r"parts from the reference at conv4_2 \(conv4_2\)"):
        comparison.assert_close()
    model.get_layer("conv1_1").bias.assign(np.full(4, np.nan))
    assert converters.compare(model, module, images(33, 47)).first_divergence().layer == "conv1_1"


def test_arrays_in_either_channel_order():
    model = checkpoints.model("fcn_resnet50", num_classes=7, width=1 / 8)
    pixels = images(65, 83)
    names = ("conv1_conv", "logits")
    taps = keras.Model(model.input, [model.get_layer(name).output for name in names] + [model.output])
    first, logits, result = (np.array(value) for value in taps(pixels, training=False))
    reference = {"logits": logits.transpose(0, 3, 1, 2), "conv1_conv": first, "output": result}
    comparison = converters.compare(model, reference, pixels)
    assert [row.layer for row in comparison] == ["conv1_conv", "logits", model.output_names[0]]
    assert comparison.worst == 0
    reference["output"] = result + 1
    assert converters.compare(model, reference, pixels).first_divergence().reference == "output"


def test_refusals():
    model = checkpoints.model("fcn_resnet50", num_classes=7, width=1 / 8)
    with pytest.raises(ConversionError, match=r"a live torch module or a dictionary of arrays. Received: int"):
        converters.compare(model, 3, images(33, 33))
    with pytest.raises(ConversionError, match=r"no layer of the model 'fcn_resnet50'. Received: nothing"):
        converters.compare(model, {"nothing": np.zeros(3)}, images(33, 33))
    with pytest.raises(ConversionError, match=r"these are not the same layer"):
        converters.compare(model, {"logits": np.zeros((1, 3, 3, 7))}, images(65, 65))
    with pytest.raises(ConversionError, match=r"torch module Linear is of no family known here"):
        converters.compare(model, torch.nn.Linear(3, 3), images(33, 33))


@pytest.fixture(scope="module")
def photograph():
    return np.random.default_rng(0).integers(0, 256, (65, 83, 3), dtype="uint8")


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


def test_verify_fails_on_a_mismatch(tmp_path, photograph):
    path = tmp_path / "file.pth"
    torch.save(torchvision_net("resnet18").state_dict(), path)
    model, receipt = converters.convert(path)
    model.get_layer("conv3_block1_1_conv").kernel.assign_add(np.float32(0.1) * np.ones((3, 3, 64, 128), "float32"))
    with pytest.raises(ConversionError, match=r"parts from the reference at conv3_block1_1_conv"):
        converters.verify(model, receipt, path, photograph)


def test_verify_says_what_it_cannot_run(photograph):
    state = checkpoints.state("torchvision/resnet")
    model, receipt = converters.convert(state)
    with pytest.raises(ConversionError, match=r"(?s)cannot be run for this network.*size mismatch"):
        converters.verify(model, receipt, state, photograph)  # torchvision has no narrow ResNet
    module = torchvision_net("resnet18")
    model, receipt = converters.convert(module, output_stride=8)
    with pytest.raises(ConversionError, match=r"cannot be run for this network: Dilation > 1 not supported"):
        converters.verify(model, receipt, module, photograph)
    state = checkpoints.state("torchvision/vgg")
    model, receipt = converters.convert(state, network="fcn32s")
    with pytest.raises(ConversionError, match=r"no public implementation computes what this fcn32s does"):
        converters.verify(model, receipt, state, photograph)


def test_the_second_documents_trap_is_seen():
    """The `new` convention has the same tensors and another function: compare names the layer where they part."""
    module = torchvision_net("resnet50", replace_stride_with_dilation=[False, True, True])
    for convention, first in (("previous", None), ("new", "conv4_block1_2_conv"), ("one", "conv5_block1_2_conv")):
        model = tfseg.ResNet(50, output_stride=8, convention=convention, include_top=True)
        converters.import_weights(model, module)
        row = converters.compare(model, module, images(65, 83)).first_divergence()
        assert (row and row.layer) == first
