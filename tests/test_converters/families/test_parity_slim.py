"""TensorFlow 1's networks through checkpoints on disk, against the same in TensorFlow's own functions."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.references import images, relative
from helpers.tf1_nets import DrSleep, Slim, SlimV2, save

import converters
import tfseg

PUBLIC = "a twin in TensorFlow's own functions"
TOLERANCE = 1e-5
SIZES = ((65, 83), (96, 128))  # the stem's pooling sees odd and even rows and columns


def check(outputs, reference, record, name):
    """Every output at every size."""
    for size in SIZES:
        pixels = images(*size)
        expected = reference(pixels)
        for ours, wanted in zip(outputs(pixels), expected, strict=True):
            difference = relative(keras.ops.convert_to_numpy(ours), wanted)
            record(name, difference)
            assert difference <= TOLERANCE


def saved(net, tmp_path, **options):
    """The checkpoint of a network that has been called once, with what training leaves in it."""
    net(images(65, 65))
    beside = {"global_step": np.int64(7)}
    beside |= {f"{name}/Momentum": value for name, value in net.variables.items() if name.endswith("biases")}
    return save(tmp_path / "model.ckpt", net.variables | beside, **options)


def leads_back(model, family, net, tmp_path):
    """What was read is written under the same names, bit by bit."""
    converters.export_weights(model, tmp_path / "back.safetensors", family=family)
    back = converters.read(tmp_path / "back.safetensors")
    assert set(back) == {name for name in net.variables if not name.endswith("mean_rgb")}
    assert all(np.array_equal(value, net.variables[name]) for name, value in back.items())


@pytest.mark.full
@pytest.mark.parametrize("depth", [50, *(pytest.param(depth, marks=pytest.mark.full) for depth in (101, 152))])
def test_slim_classifies_with_norms_before_convolutions(depth, tmp_path, record):
    net = SlimV2(depth)
    model, receipt = converters.convert(saved(net, tmp_path))
    assert (receipt.family, receipt.network) == ("tensorflow/slim-resnet-v2", f"resnetv2_{depth}_slim")
    assert (receipt.untouched, receipt.others) == ({}, [])
    check(lambda pixels: [model(pixels)], lambda pixels: [net(pixels)], record, model.name)
    leads_back(model, receipt.family, net, tmp_path)
    features, _ = converters.convert(saved(net, tmp_path), output_stride=8, include_top=False)
    check(lambda pixels: [features(pixels)], lambda pixels: [net.features(pixels, 8)], record, f"{model.name} dilated")


@pytest.mark.parametrize(
    ("depth", "version"),
    [(50, 1), *(pytest.param(depth, 2, marks=pytest.mark.full) for depth in (50, 101, 152))],
)
def test_slim_classifies(depth, version, tmp_path, record):
    net = Slim(depth)
    net.variables[f"{net.scope}/mean_rgb"] = np.array([123.68, 116.78, 103.94], "float32")
    model, receipt = converters.convert(saved(net, tmp_path, version=version))
    assert (receipt.family, receipt.network, receipt.untouched) == ("tensorflow/slim", f"resnet{depth}", {})
    assert receipt.ignored == {f"{net.scope}/mean_rgb": "the mean color, which the preprocessing has"}
    assert [value["path"].rpartition(".ckpt")[2] for value in receipt.files] == (
        [""] if version == 1 else [".index", ".data-00000-of-00001"]
    )
    assert receipt.preprocessing["channel_order"] == "RGB"
    check(lambda pixels: [model(pixels)], lambda pixels: [net(pixels)], record, f"tf-slim ResNet-{depth}")
    leads_back(model, receipt.family, net, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("output_stride", [8, *(pytest.param(value, marks=pytest.mark.full) for value in (32, 16, 4))])
def test_slim_at_finer_output_strides(output_stride, tmp_path, record):
    net = Slim(50, width=1 / 16)
    model, _ = converters.convert(saved(net, tmp_path), include_top=False, output_stride=output_stride)
    name = f"tf-slim ResNet-50, output stride {output_stride}"
    check(lambda pixels: [model(pixels)], lambda pixels: [net.features(pixels, output_stride)], record, name)


@pytest.mark.full
def test_the_surgery_makes_slims_own_dilated_network(tmp_path, record):
    net = Slim(50, width=1 / 16)
    coarse, _ = converters.convert(saved(net, tmp_path), include_top=False)
    fine = tfseg.dilate(coarse, 8)
    name = "tf-slim ResNet-50, dilated to 8"
    check(lambda pixels: [fine(pixels)], lambda pixels: [net.features(pixels, 8)], record, name)


@pytest.mark.full
def test_slim_goes_into_a_segmenter(tmp_path):
    net = Slim(50, width=1 / 16)
    model, receipt = converters.convert(saved(net, tmp_path), network="fcn_resnet50", num_classes=3)
    assert receipt.transplant == "a ResNet classifier into a segmenter"
    pixels = images(65, 83)
    features = keras.Model(model.input, model.get_layer("conv5_block3_out").output)
    assert relative(features(pixels), net.features(pixels, 8)) <= TOLERANCE


@pytest.mark.parametrize("size", [(9, 11), (16, 7), (65, 83)])
def test_resize_equals_tensorflow_1(size, record):
    pixels = images(9, 11, channels=2)
    ours = tfseg.layers.ResizeLike("bilinear_asymmetric")([pixels, np.zeros((1, *size, 1), "float32")])
    difference = relative(ours, tf.compat.v1.image.resize_bilinear(pixels, size))
    record("resize_bilinear", difference)
    assert difference <= TOLERANCE


def test_stages_stride_first_or_last():
    spec = dataclasses.replace(tfseg.specs.RESNETS["resnet18"], stride_at="middle")
    with pytest.raises(ValueError, match=r"stride_at must be one of 'first', 'last'. Received: 'middle'"):
        tfseg.ResNet(spec)


@pytest.mark.full
def test_deeplabv2(tmp_path, record):
    net = DrSleep(width=1 / 16)
    model, receipt = converters.convert(saved(net, tmp_path, version=1))
    assert (receipt.family, receipt.network) == ("DrSleep/tensorflow-deeplab-resnet", "deeplabv2_resnet101")
    assert receipt.ignored == {}
    assert tfseg.metadata(model)["classes"][1] == "aeroplane"
    both = keras.Model(model.input, [model.get_layer("logits").output, model.output])
    check(both, net, record, "DrSleep's DeepLabV2")
    leads_back(model, receipt.family, net, tmp_path)
