"""Refusals name what a file looks like; and the nearest network only where its names are in the file."""

import re
import time

import numpy as np
import pytest
from helpers.torchvision_cpu import import_torchvision

import converters
from converters.errors import ConversionError
from converters.identification.signature_rows import BACKBONES, HEADS, STATES


def refusal(shapes):
    """The message for tensors of these shapes, which take no memory."""
    arrays = {key: np.broadcast_to(np.float32(0), tuple(shape)) for key, shape in shapes.items()}
    with pytest.raises(ConversionError) as caught:
        converters.identify(arrays)
    return str(caught.value)


def shapes_of(make):
    torch = pytest.importorskip("torch")
    with torch.device("meta"):
        return {key: tuple(tensor.shape) for key, tensor in make().state_dict().items()}


def named(*keys):
    return {key: (8, 8, 3, 3) if key.endswith(("weight", "kernel")) else (8,) for key in keys}


@pytest.mark.parametrize(
    ("network", "name"),
    [
        ("alexnet", "AlexNet"),
        ("squeezenet1_1", "SqueezeNet"),
        ("efficientnet_v2_s", "EfficientNet"),
        ("shufflenet_v2_x1_0", "ShuffleNetV2"),
        ("mnasnet1_0", "MNASNet"),
        ("convnext_tiny", "ConvNeXt"),
        ("swin_t", "Swin"),
        ("vit_b_32", "ViT"),
    ],
)
def test_networks_of_torchvision_are_named(network, name):
    models = import_torchvision().models
    message = refusal(shapes_of(lambda: getattr(models, network)()))
    assert f"It looks like {name} (torchvision)" in message or f"It looks like {name}." in message
    assert "vgg" not in message
    assert "Nearest" not in message


@pytest.mark.parametrize(
    ("network", "name"),
    [
        ("regnety_002", "RegNet"),
        ("convnext_atto", "ConvNeXt"),
        ("swin_tiny_patch4_window7_224", "Swin"),
        ("vit_tiny_patch16_224", "ViT"),
        ("vit_small_patch14_dinov2", "DINOv2 or DeiT III"),
        ("inception_v3", "Inception v3"),
    ],
)
def test_networks_of_timm_are_named(network, name):
    import_torchvision()
    timm = pytest.importorskip("timm")
    message = refusal(shapes_of(lambda: timm.create_model(network)))
    assert f"It looks like {name}" in message
    assert "vgg" not in message


@pytest.mark.parametrize(
    ("network", "encoder", "name"),
    [
        ("DeepLabV3Plus", "dpn68", "DeepLabV3+ of segmentation_models_pytorch on DPN"),
        ("Unet", "dpn68", "Unet of segmentation_models_pytorch on DPN"),
    ],
)
def test_networks_of_smp_are_named_with_their_encoder(network, encoder, name):
    import_torchvision()
    smp = pytest.importorskip("segmentation_models_pytorch")
    message = refusal(shapes_of(lambda: getattr(smp, network)(encoder, encoder_weights=None)))
    assert f"It looks like {name}." in message


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        (
            ("xception_65/entry_flow/block1/unit_1/xception_module/separable_conv1/weights",),
            "a network of TensorFlow's DeepLab",
        ),
        (("MobilenetV3/expanded_conv_3/depthwise/depthwise_weights",), "a MobileNet of TensorFlow"),
        (("visual.class_embedding", "visual.transformer.resblocks.0.ln_1.weight"), "CLIP with a ViT"),
        (("model.0.conv.weight", "model.2.cv1.conv.weight", "model.2.m.0.cv1.conv.weight"), "YOLOv5 or YOLOv8"),
        (
            ("patch_embed1.proj.weight", "block1.0.attn.q.weight", "decode_head.linear_c1.proj.weight"),
            "SegFormer of bubbliiiing",
        ),
        (
            ("a.stem.conv1.weight", "a.res2.0.conv1.weight", "a.res2.0.conv1.norm.weight", "fpn.weight"),
            "a ResNet of detectron2",
        ),
        (("resnet/root_block/a", "block1/unit01/a/standardized_conv2d/kernel"), "BiT"),
        (("base.layers.0.attn.lora_A.weight",), "a LoRA adapter"),
        (("lora_unet_down.lora_down.weight",), "a LoRA adapter"),
        (("conv1.weight", "conv1.scale", "conv1.zero_point"), "a network quantized by torch.ao"),
        (("0.activation_post_process.min_val", "1.weight"), "a network prepared for quantization"),
        (("state.0.exp_avg", "state.0.exp_avg_sq"), "the state of an optimizer"),
        (("initial_block.main_branch.weight", "downsample1_0.ext_conv1.0.weight"), "ENet"),
        (("conv11.weight", "bn11.weight", "conv53d.weight", "bn53d.weight"), "SegNet"),
        (("convbnrelu1_sub1.cbr_unit.0.weight", "classification.weight"), "a network of meetps"),
        (("backbone.conv1.weight", "ASSP.aspp1.0.weight", "decoder.conv1.weight"), "DeepLabV3+ of yassouali"),
        (("fc.weight", "fc.weight.absmax"), "a network quantized by bitsandbytes"),
        (("fc.qweight", "fc.qzeros", "fc.scales"), "a network quantized by GPTQ"),
    ],
)
def test_other_public_names_are_named(keys, name):
    message = refusal(named(*keys))
    assert f"It looks like {name}" in message
    assert "Nearest" not in message


@pytest.mark.parametrize("prefix", ["", "model.", "student.backbone."])
def test_networks_are_named_under_any_prefix(prefix):
    models = import_torchvision().models
    shapes = shapes_of(models.squeezenet1_1)
    assert "It looks like SqueezeNet" in refusal({f"{prefix}{key}": shape for key, shape in shapes.items()})


def test_strangers_have_no_nearest_network():
    message = refusal({"my.first.weight": (3, 3), "my.second.weight": (3, 3)})
    assert "none of its tensors has a name known here" in message
    assert re.search(r"Received: 2 tensors, my.first.weight, my.second.weight", message)
    assert "Nearest" not in message


def test_network_with_other_tensors_beside_has_a_nearest_network():
    models = import_torchvision().models
    message = refusal(shapes_of(models.resnet18) | {"extra.weight": (2, 2)})
    assert "Nearest: torchvision/resnet resnet18" in message
    assert "looks like" not in message


def test_keras_equivalent_is_named_and_exists():
    import keras

    models = import_torchvision().models
    assert "keras.applications.ConvNeXtTiny is such a network" in refusal(shapes_of(models.convnext_tiny))
    for signature in (*HEADS, *BACKBONES, *STATES):
        assert not signature.keras or hasattr(keras.applications, signature.keras)


@pytest.mark.parametrize(
    ("keys", "door"),
    [
        (("stages.0.blocks.0.gamma", "stages.0.blocks.0.conv_dw.weight"), r"hf://owner/name"),
        (("encoder.stages.0.layers.0.dwconv.weight",), r"config\.json"),
        (("MobilenetV3/expanded_conv_3/depthwise/depthwise_weights",), r"\.meta file.*frozen graph"),
        (("conv1.weight", "bn1.running_mean", "fire2.squeeze.weight"), r"converters\.convert\(module\).*ONNX export"),
    ],
)
def test_the_door_is_that_of_the_library(keys, door):
    assert re.search(door, refusal(named(*keys)))


def test_refusal_of_many_tensors_is_quick():
    shapes = named(*(f"net.part{a}.unit{b}.step{c}.weight" for a in range(20) for b in range(10) for c in range(10)))
    refusal(shapes)
    began = time.process_time()
    refusal(shapes)
    assert time.process_time() - began < 0.2
