"""Checkpoints of TensorFlow's DeepLab and of slim's MobileNetV2 and VGG, against twins in TensorFlow's own functions."""

import keras
import numpy as np
import pytest
from helpers.references import images, output, relative
from helpers.tf1_deeplab import Beta, BetaPlus, MobileNet, Vgg, Xception
from helpers.tf1_nets import save

import converters
from tfseg import specs

PUBLIC = "a twin in TensorFlow's own functions"
TOLERANCE = 1e-5
SIZES = ((65, 83), (96, 128))
full = pytest.mark.full


def saved(net, tmp_path):
    return save(tmp_path / "model.ckpt", net.variables | {"global_step": np.int64(7)})


def leads_back(model, receipt, net, tmp_path):
    """What was read is written under the same names, bit by bit."""
    converters.export_weights(model, tmp_path / "back.safetensors", family=receipt.family)
    back = converters.read(tmp_path / "back.safetensors")
    assert set(back) == set(net.variables)
    assert all(np.array_equal(value, net.variables[name]) for name, value in back.items())


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize(
    ("make", "network"),
    [
        (lambda: MobileNet(classes=21), "deeplabv3_mobilenet_v2"),
        pytest.param(lambda: MobileNet(width=0.5), "deeplabv3_mobilenet_v2", marks=full),
        (lambda: Xception(65, classes=21), "deeplabv3plus_xception65"),
        pytest.param(lambda: Xception(41, classes=19), "deeplabv3plus_xception41", marks=full),
        pytest.param(lambda: Xception(71, classes=151), "deeplabv3plus_xception71", marks=full),
        pytest.param(lambda: Xception(65, output_stride=8), "deeplabv3plus_xception65", marks=full),
        pytest.param(lambda: MobileNet(output_stride=8), "deeplabv3_mobilenet_v2", marks=full),
        pytest.param(lambda: MobileNet(width=0.25, decodes=True), "deeplabv3plus_mobilenet_v2", marks=full),
        (lambda: BetaPlus(50), "deeplabv3plus_resnet50"),
        pytest.param(lambda: BetaPlus(101, classes=19, output_stride=8), "deeplabv3plus_resnet101", marks=full),
        pytest.param(lambda: BetaPlus(50, aspp=False), "deeplabv3plus_resnet50", marks=full),
    ],
    ids=[
        *("mobilenet", "narrow-mobilenet", "xception65", "xception41", "xception71", "stride-8", "mobilenet-stride-8"),
        *("mobilenet-decoder", "beta-50", "beta-101-stride-8", "beta-50-without-rates"),
    ],
)
def test_deeplab(make, network, tmp_path, record):
    net = make()
    net(images(33, 33))
    options = {} if net.output_stride == 16 else {"output_stride": net.output_stride}
    model, receipt = converters.convert(saved(net, tmp_path), **options)
    assert (receipt.family, receipt.network) == ("tensorflow/deeplab", network)
    assert (receipt.untouched, receipt.ignored, receipt.others) == ({}, {}, [])
    assert receipt.preprocessing == specs.PREPROCESSING["inception"]
    assert any("513x513" in note for note in receipt.notes)
    both = keras.Model(model.input, [model.get_layer("logits").output, model.output])
    for size in SIZES:
        pixels = images(*size)
        for ours, expected in zip(both(pixels), net(pixels), strict=True):
            difference = relative(keras.ops.convert_to_numpy(ours), expected)
            record(f"{network}, output stride {net.output_stride}", difference)
            assert difference <= TOLERANCE
    leads_back(model, receipt, net, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize(
    ("make", "network"),
    [
        (lambda: Xception(41), "xception41"),
        pytest.param(lambda: Xception(65), "xception65", marks=full),
        pytest.param(lambda: Xception(71), "xception71", marks=full),
        pytest.param(lambda: MobileNet(), "mobilenet_v2", marks=full),
        pytest.param(lambda: MobileNet(width=0.5), "mobilenet_v2", marks=full),
        pytest.param(lambda: Beta(50), "resnet50", marks=full),
        pytest.param(lambda: Beta(101), "resnet101", marks=full),
    ],
    ids=["xception41", "xception65", "xception71", "mobilenet", "narrow-mobilenet", "beta-50", "beta-101"],
)
def test_backbones(make, network, tmp_path, record):
    net = make()
    classify = getattr(net, "classify", net)
    classify(images(33, 33))
    model, receipt = converters.convert(saved(net, tmp_path))
    assert (receipt.family, receipt.network) == ("tensorflow/deeplab-backbones", network)
    assert (receipt.untouched, receipt.ignored) == ({}, {})
    for size in SIZES:
        pixels = images(*size)
        difference = relative(output(model, pixels), classify(pixels))
        record(network, difference)
        assert difference <= TOLERANCE
    leads_back(model, receipt, net, tmp_path)


@full
@pytest.mark.parametrize("depth", [16, 19])
def test_vgg(depth, tmp_path, record):
    net = Vgg(depth)
    pixels = images(224, 224)
    expected = net(pixels)
    model, receipt = converters.convert(saved(net, tmp_path))
    assert (receipt.family, receipt.network) == ("tensorflow/slim-vgg", f"vgg{depth}")
    assert receipt.preprocessing == specs.PREPROCESSING["slim"]
    difference = relative(output(model, pixels), expected)
    record(f"VGG{depth}", difference)
    assert difference <= TOLERANCE
    leads_back(model, receipt, net, tmp_path)
