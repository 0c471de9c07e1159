"""compare: agreement is confirmed, divergence is located."""

import keras
import numpy as np
import pytest
import torch
from helpers import checkpoints
from helpers.references import images, torchfcn_net, torchvision_net

import converters
import tfseg
from converters import ConversionError


def test_torch_module_is_compared_layer_by_layer():
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
    assert module.training  # as before
    assert "max |difference|" in str(comparison)


@pytest.mark.full
def test_first_diverging_layer_is_named():
    module = torchfcn_net("FCN8s", width=1 / 16)
    model, _ = converters.convert(module)
    kernel = model.get_layer("conv4_2").kernel
    kernel.assign(np.array(kernel)[::-1])
    comparison = converters.compare(model, module, images(33, 47))
    assert comparison.first_divergence().layer == "conv4_2"
    with pytest.raises(AssertionError, match=r"diverges from the reference at conv4_2 \(conv4_2\)"):
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


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (3, r"a live torch module or a dictionary of arrays. Received: int"),
        ({"nothing": np.zeros(3)}, r"no layer of the model 'fcn_resnet50'. Received: nothing"),
        ({"logits": np.zeros((1, 3, 3, 7))}, r"these are not the same layer"),
        (torch.nn.Linear(3, 3), r"torch module Linear is of no family known here"),
    ],
)
def test_unusable_reference_is_refused(reference, message):
    model = checkpoints.model("fcn_resnet50", num_classes=7, width=1 / 8)
    with pytest.raises(ConversionError, match=message):
        converters.compare(model, reference, images(65, 65))


@pytest.mark.full
def test_another_dilation_convention_diverges_at_its_first_layer(tmp_path):
    """The `new` convention has the same tensors and another function: compare names the layer where they diverge."""
    module = torchvision_net("resnet50", replace_stride_with_dilation=[False, True, True])
    for convention, first in (("previous", None), ("new", "conv4_block1_2_conv"), ("one", "conv5_block1_2_conv")):
        model = tfseg.ResNet(50, output_stride=8, convention=convention, include_top=True)
        checkpoint = tmp_path / "resnet50.pth"
        torch.save(module.state_dict(), checkpoint)  # tensors alone say nothing of a convention
        converters.import_weights(model, checkpoint)
        row = converters.compare(model, module, images(65, 83)).first_divergence()
        assert (row and row.layer) == first
