"""CSAILVision's UPerNet, HRNetV2 and MobileNetV2 compute what mit_semseg computes, layer by layer."""

import numpy as np
import pytest
import torch
from helpers.references import images, randomized_state
from helpers.torchvision_cpu import import_torchvision

import converters
from converters.families.pytorch.csail import public_pair
from converters.families.pytorch.csail_further import HRNET, MOBILENET, UPERNET

PUBLIC = "mit_semseg"
TOLERANCE = 1e-5
SIZES = ((65, 83), (96, 128))
# Family, network of mit_semseg, whether with deep supervision, network here.
NETWORKS = {
    "upernet_resnet50": (UPERNET, "resnet50", False, "upernet_resnet50"),
    "upernet_resnet101": (UPERNET, "resnet101", False, "upernet_resnet101"),
    "hrnetv2_c1": (HRNET, "hrnetv2", False, "fcn_hrnet_w48"),
    "mobilenetv2_c1": (MOBILENET, "mobilenetv2", False, "fcn_mobilenet_v2"),
    "mobilenetv2_c1_deepsup": (MOBILENET, "mobilenetv2", True, "fcn_mobilenet_v2"),
}


def net(name, num_classes=7):
    import_torchvision()
    pytest.importorskip("mit_semseg")
    family, network, deepsup, _ = NETWORKS[name]
    module = family.public(network, num_classes=num_classes, output_stride=8, aux=deepsup)
    return randomized_state(module).requires_grad_(False)


def check(module, model, record, label):
    weighted = {layer.name for layer in model.layers if layer.weights}
    for size in SIZES:
        comparison = converters.compare(model, module, images(*size))
        assert {row.layer for row in comparison} == weighted
        record(label, comparison.worst)
        comparison.assert_close(TOLERANCE)


@pytest.mark.full
@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer(name, record):
    family, _, deepsup, network = NETWORKS[name]
    module = net(name)
    model, receipt = converters.convert(module.state_dict(), aux=deepsup or None)
    assert (receipt.family, receipt.network) == (family.name, network)
    check(module, model, record, name)


def mobilenet_with_stride_16():
    import_torchvision()
    models = pytest.importorskip("mit_semseg.models.models")
    from mit_semseg.models import mobilenet

    encoder = models.MobileNetV2Dilated(mobilenet.mobilenetv2(), dilate_scale=16)
    module = public_pair(encoder, models.C1(num_class=7, fc_dim=320))
    return randomized_state(module).requires_grad_(False)


@pytest.mark.full
def test_another_output_stride_is_asked_for(record):
    module = mobilenet_with_stride_16()
    _, receipt = converters.convert(module.state_dict())
    assert "do not tell the output stride: it is 8" in str(receipt)
    model, receipt = converters.convert(module.state_dict(), output_stride=16)
    assert "do not tell the output stride" not in str(receipt)
    check(module, model, record, "mobilenetv2_c1 of output stride 16")


@pytest.mark.full
def test_upernet_says_what_its_tensors_do_not_tell():
    _, receipt = converters.convert(net("upernet_resnet50").state_dict())
    assert "do not tell the encoder's output stride or the sides of the pooled maps: they are 32" in str(receipt)


@pytest.mark.full
def test_the_lite_decoder(record):
    import_torchvision()
    models = pytest.importorskip("mit_semseg.models.models")
    from mit_semseg.models import resnet

    decoder = models.UPerNet(num_class=7, fc_dim=2048, fpn_dim=256)
    module = randomized_state(public_pair(models.Resnet(resnet.resnet50()), decoder)).requires_grad_(False)
    model, receipt = converters.convert(module.state_dict())
    assert receipt.network == "upernet_resnet50"
    check(module, model, record, "upernet_lite_resnet50")


@pytest.mark.full
@pytest.mark.parametrize("name", ["mobilenetv2_c1_deepsup", "hrnetv2_c1", "upernet_resnet50"])
def test_two_files_are_one_model_and_come_back(name, tmp_path):
    family, _, deepsup, _ = NETWORKS[name]
    state = {key: value for key, value in net(name).state_dict().items() if not key.startswith("_")}
    heads = ("cbr", "conv_last", "ppm", "fpn")
    torch.save({key: value for key, value in state.items() if key.startswith(heads)}, tmp_path / "decoder.pth")
    torch.save({key: value for key, value in state.items() if not key.startswith(heads)}, tmp_path / "encoder.pth")
    model, receipt = converters.convert([tmp_path / "encoder.pth", tmp_path / "decoder.pth"], aux=deepsup or None)
    assert receipt.family == family.name
    converters.export_weights(model, tmp_path / "back.safetensors", family=family.name)
    back = converters.read(tmp_path / "back.safetensors")
    buffers = ("tracked", "_tmp_running_mean", "_tmp_running_var", "_running_iter")
    expected = {key: value.numpy() for key, value in state.items() if not key.endswith(buffers)}
    assert back.keys() == expected.keys()
    assert all(np.array_equal(back[key], expected[key]) for key in expected)
    with pytest.raises(converters.ConversionError, match=r"Give all files together"):
        converters.convert(tmp_path / "decoder.pth")
