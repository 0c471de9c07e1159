"""SENet, VGGFace2, open_nsfw and DeepLab on VGG16 against OpenCV's importer, which knows nothing of ours."""

import keras
import numpy as np
import pytest
from helpers import caffe_nets
from helpers.opencv_caffe import opencv
from helpers.references import images, relative

import converters
import tfseg
from converters import ConversionError

PUBLIC = "OpenCV"
TOLERANCE = 1e-5
SIZES = ((65, 83), (96, 128))
ASPP = (6, 12, 18, 24)


def check(build, sizes, tmp_path, record, name, layer=None, **options):
    """The same weights at every size; the receipt."""
    built = [build(*size) for size in sizes]
    model, receipt = converters.convert(built[0][0].write(tmp_path)[1], **options)
    net = model if layer is None else keras.Model(model.input, model.get_layer(layer).output)
    for size, (reference, output) in zip(sizes, built, strict=True):
        pixels = images(*size)
        ours = keras.ops.convert_to_numpy(net(pixels))
        difference = relative(ours, opencv(reference.write(tmp_path), pixels, output))
        record(name, difference)
        assert difference <= TOLERANCE
    return receipt


SENETS = {
    ("hujie-frank/SENet", "seresnet50"): {"depth": 50},
    ("hujie-frank/SENet", "seresnet101"): {"depth": 101},
    ("hujie-frank/SENet", "seresnet152"): {"depth": 152},
    ("hujie-frank/SENet", "seresnext50_32x4d"): {"depth": 50, "groups": 32},
    ("hujie-frank/SENet", "seresnext101_32x4d"): {"depth": 101, "groups": 32},
    ("ox-vgg/vgg_face2", "resnet50"): {"depth": 50, "classes": 8631, "squeeze": 0},
    ("ox-vgg/vgg_face2", "seresnet50"): {"depth": 50, "classes": 8631},
}
QUICK = ("hujie-frank/SENet", "seresnet50")


@pytest.mark.full
@pytest.mark.parametrize(
    ("family", "network"),
    [pytest.param(*row, marks=() if row == QUICK else pytest.mark.full) for row in SENETS],
)
def test_senet(family, network, tmp_path, record):
    form = SENETS[family, network]
    receipt = check(
        lambda *size: caffe_nets.senet(height=size[0], width=size[1], **form), SIZES, tmp_path, record, network
    )
    assert (receipt.family, receipt.network, receipt.untouched) == (family, network, {})
    assert receipt.preprocessing["mean"][0] == (104 if "SENet" in family else 91.4953)


@pytest.mark.full
def test_open_nsfw(tmp_path, record):
    receipt = check(caffe_nets.open_nsfw, SIZES, tmp_path, record, "open_nsfw")
    assert (receipt.family, receipt.network, receipt.untouched) == ("yahoo/open_nsfw", "resnet50", {})
    assert (receipt.options["width"], receipt.options["num_classes"]) == (1 / 8, 2)


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize(("network", "rates"), [("deeplab_largefov", (12,)), ("deeplabv2_vgg16", ASPP)])
def test_deeplab_on_vgg(network, rates, tmp_path, record):
    """The map at any size; at 8 k + 1 pixels the enlarged one too."""
    receipt = check(
        lambda *size: caffe_nets.deeplab_vgg(*size, rates=rates), SIZES, tmp_path, record, network, layer="fc8_score"
    )
    assert (receipt.family, receipt.network, receipt.untouched) == (f"liangchiehchen/{network}", network, {})
    check(lambda *size: caffe_nets.deeplab_vgg(*size, rates=rates, enlarge=True), [(65, 81)], tmp_path, record, network)


@pytest.mark.parametrize("rate", [12, 6])
def test_the_reduced_vgg16_begins_a_segmenter(rate, tmp_path, record):
    """LargeFOV's rate, and SSD's."""
    net, _ = caffe_nets.deeplab_vgg(65, 83, rates=(rate,), classes=1000, score="fc8")
    paths = net.write(tmp_path)
    model = tfseg.DeepLabLargeFOV(7, rates=(rate,), width=1 / 8)
    scores = model.get_layer("fc8_score").get_weights()
    receipt = converters.import_weights(model, paths[1])
    assert receipt.transplant == "the reduced VGG16 into DeepLab-LargeFOV"
    assert set(receipt.ignored) == {"fc8.weight", "fc8.bias"}
    assert set(receipt.untouched) == {"fc8_score/kernel", "fc8_score/bias"}
    assert all(map(np.array_equal, scores, model.get_layer("fc8_score").get_weights()))
    pixels = images(65, 83)
    ours = keras.Model(model.input, model.get_layer("relu7").output)(pixels)
    difference = relative(ours, opencv(paths, pixels, "fc7_relu"))
    record("the reduced VGG16", difference)
    assert difference <= TOLERANCE


def test_the_reduced_vgg16_is_converted_with_new_scores(tmp_path):
    net, _ = caffe_nets.deeplab_vgg(65, 83, classes=1000, score="fc8", slim=1 / 16)
    path = net.write(tmp_path)[1]
    model, receipt = converters.convert(path, num_classes=4)
    assert (receipt.family, receipt.network) == ("liangchiehchen/deeplab_largefov", "deeplab_largefov")
    assert model.output_shape == (None, None, None, 4)
    assert np.abs(model.get_layer("fc8_score").get_weights()[0]).max() > 0
    features, _ = converters.convert(path, include_top=False)
    assert features.layers[-1].name == "pool5a"


def test_a_vgg16_classifier_has_no_fc6_for_largefov(tmp_path):
    path = caffe_nets.vgg16(width=1 / 64)[0].write(tmp_path)[1]
    with pytest.raises(ConversionError, match=r"fc6.weight \[64, 392\], expected \[3, 3, 8, 16\] as fc6/kernel"):
        converters.import_weights(tfseg.DeepLabLargeFOV(width=1 / 64), path)


def test_a_deeplab_without_branches_is_refused():
    with pytest.raises(ValueError, match=r"needs the rate of at least one fc6, such as \(12,\). Received: rates=\(\)"):
        tfseg.build("deeplab_largefov", rates=())


ROUND = {
    "hujie-frank/SENet": lambda *size: caffe_nets.senet(50, *size, slim=1 / 16),
    "ox-vgg/vgg_face2": lambda *size: caffe_nets.senet(50, *size, slim=1 / 16, classes=8631, squeeze=0),
    "yahoo/open_nsfw": lambda *size: caffe_nets.open_nsfw(*size, slim=1 / 8),
    "liangchiehchen/deeplab_largefov": lambda *size: caffe_nets.deeplab_vgg(*size, slim=1 / 16),
    "liangchiehchen/deeplabv2_vgg16": lambda *size: caffe_nets.deeplab_vgg(*size, slim=1 / 16, rates=ASPP),
}


@pytest.mark.full
@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=pytest.mark.full if "vgg_face2" in name else ()) for name in ROUND]
)
def test_export_to_caffemodel_is_bit_identical(family, tmp_path):
    """OpenCV computes the same with what we write; we read the same bits again, from safetensors too."""
    net, output = ROUND[family](65, 65)
    prototxt, path = net.write(tmp_path)
    model, receipt = converters.convert(path)
    assert receipt.family == family
    first = converters.read(path)
    for name in ("back.caffemodel", "back.safetensors"):
        converters.export_weights(model, tmp_path / name, family=family)
        again = converters.read(tmp_path / name)
        assert {key: again.shapes[key] for key in again} == {key: first.shapes[key] for key in first}
        assert all(np.array_equal(again[key], first[key]) for key in first)
    pixels = images(65, 65)
    ours, reference = (opencv((prototxt, file), pixels, output) for file in (tmp_path / "back.caffemodel", path))
    assert relative(ours, reference) <= 1e-6
