"""What caffe-tensorflow converted, and PSPNet in TensorFlow 1, against twins in TensorFlow's own functions."""

import numpy as np
import pytest
from helpers import kaffe_nets
from helpers.references import images, output, relative

import converters
import tfseg
from tfseg import specs

PUBLIC = "TensorFlow's own functions"
TOLERANCE = 1e-5


def check(builder, family, network, sizes, path, record):
    """Converts the twin's weights, compares at every size, and writes the same bits back under TensorFlow's names."""
    net = kaffe_nets.KaffeNet()
    expected = [builder(net, images(*size)) for size in sizes]
    model, receipt = converters.convert(net.save(path))
    assert (receipt.family, receipt.network, receipt.untouched) == (family, network, {})
    for size, reference in zip(sizes, expected, strict=True):
        difference = relative(output(model, images(*size)), reference)
        record(f"{family}: {network}", difference)
        assert difference <= TOLERANCE
    back = path.parent / "back.safetensors"
    converters.export_weights(model, back, family=family)
    again = converters.read(back)
    kept = net.variables() if path.suffix != ".npy" or "PSPNet" in family else dict(converters.read(path))
    assert set(again) == set(kept)
    assert all(np.array_equal(again[key], kept[key]) for key in kept)


@pytest.mark.parametrize("depth", [16, pytest.param(19, marks=pytest.mark.full)])
def test_vgg(depth, tmp_path, record):
    def builder(net, pixels):
        return kaffe_nets.vgg(net, pixels, specs.VGG_CONVS[depth])

    check(builder, "ethereon/caffe-tensorflow-vgg", f"vgg{depth}", [(224, 224)], tmp_path / "net.npy", record)


def test_vgg16_goes_into_an_fcn(tmp_path):
    net = kaffe_nets.KaffeNet()
    kaffe_nets.vgg(net, images(224, 224))
    model = tfseg.FCN32s(width=1 / 16)
    receipt = converters.import_weights(model, net.save(tmp_path / "net.npy"))
    assert receipt.transplant == "a VGG16 classifier into an FCN"
    weights = net.layers["fc6"]["weights"]
    np.testing.assert_array_equal(model.get_layer("fc6").kernel, weights.reshape(7, 7, -1, weights.shape[1]))


@pytest.mark.full
@pytest.mark.parametrize("depth", [50, pytest.param(101, marks=pytest.mark.full)])
def test_resnet(depth, tmp_path, record):
    """At even sizes SAME samples other pixels than Caffe."""

    def builder(net, pixels):
        return kaffe_nets.resnet(net, pixels, depth)

    sizes = [(65, 84), (66, 98)]
    check(builder, "ethereon/caffe-tensorflow-resnet", f"resnet{depth}", sizes, tmp_path / "net.npy", record)


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("file", ["net.npy", "net.ckpt"])
@pytest.mark.parametrize("depth", [50, pytest.param(101, marks=pytest.mark.full)])
def test_pspnet(depth, file, tmp_path, record):
    """At sizes whose features fall into equal parts, over all parities of the two maps of the stem."""

    def builder(net, pixels):
        return kaffe_nets.pspnet(net, pixels, depth)

    sizes = [(89, 94), (96, 91)]
    check(builder, "hellochick/PSPNet-tensorflow", f"pspnet_resnet{depth}", sizes, tmp_path / file, record)


@pytest.mark.full
@pytest.mark.parametrize("depth", [50, pytest.param(101, marks=pytest.mark.full)])
def test_classifier(depth, tmp_path, record):
    def builder(net, pixels):
        return kaffe_nets.classifier(net, pixels, depth)

    sizes = [(65, 84), (66, 96)]
    check(builder, "manutdzou/Image-Parsing", f"resnet{depth}", sizes, tmp_path / "model.ckpt-9", record)


def test_caffes_own_padding_is_another_function(tmp_path):
    net, pixels = kaffe_nets.KaffeNet(), images(64, 66)
    reference = kaffe_nets.resnet(net, pixels)
    options = {"biases": "stem", "stride_in": "1x1", "width": 1 / 8, "num_classes": 10, "include_top": True}
    model = tfseg.build("resnet50", stem_pool=(0, 1), **options)
    converters.import_weights(model, net.save(tmp_path / "net.npy"))
    assert relative(output(model, pixels), reference) > 0.01
