"""Caffe networks against OpenCV's importer, which shares nothing with ours: its own reader, its own layers."""

import dataclasses

import keras
import numpy as np
import pytest
from helpers import caffe_nets
from helpers.opencv_caffe import opencv
from helpers.paths import SHARED_DATA, STREET
from helpers.references import images, relative

import converters
import tfseg
from converters import ConversionError

cv2 = pytest.importorskip("cv2")

PUBLIC = "OpenCV"
TOLERANCE = 1e-5
REAL = SHARED_DATA / "vgg16_imagenet_conv.caffemodel"
OUTPUTS = {"vgg16": "fc8", "resnet50": "fc1000"}


def check(net, output, size, tmp_path, record, name, *, form=None, **options):
    paths = net.write(tmp_path, **(form or {}))
    model, receipt = converters.convert(paths[1], **options)
    pixels = images(*size)
    difference = relative(keras.ops.convert_to_numpy(model(pixels)), opencv(paths, pixels, output))
    record(name, difference)
    assert difference <= TOLERANCE
    return model, receipt


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("form", [{"version": 1, "legacy": True}, {"packed": False}, {}], ids=str)
@pytest.mark.parametrize(("depth", "convolutions"), [(16, (2, 2, 3, 3, 3)), (19, (2, 2, 4, 4, 4))])
def test_vgg(depth, convolutions, form, tmp_path, record):
    net, output = caffe_nets.vgg16(convolutions=convolutions)
    if form.get("version") == 1:
        net.layers = [(name, kind, blobs) for name, kind, blobs in net.layers if blobs]
    _, receipt = check(net, output, (224, 224), tmp_path, record, f"VGG{depth}", form=form)
    assert (receipt.family, receipt.network, receipt.untouched) == ("oxford/vgg", f"vgg{depth}", {})


def test_odd_maps_of_a_vgg_are_rounded_up(tmp_path, record):
    net = caffe_nets.CaffeNet(97, 131)
    output = caffe_nets.vgg_convolutions(net, 1 / 16)[-1]
    model, _ = check(net, output, (97, 131), tmp_path, record, "VGG16, features", include_top=False)
    assert model.name == "vgg16"


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("network", ["fcn32s", "fcn16s", "fcn8s", "fcn8s_atonce"])
def test_fcn(network, tmp_path, record):
    for size in ((65, 83), (96, 128)):
        net, output = caffe_nets.fcn(network, *size)
        _, receipt = check(net, output, size, tmp_path, record, network, network=network)
        assert receipt.family == "shelhamer/fcn.berkeleyvision.org"


@pytest.mark.full
@pytest.mark.parametrize("depth", [50, 101])
def test_resnet(depth, tmp_path, record):
    for size in ((224, 224), (225, 225)):
        net, output = caffe_nets.resnet(depth, *size)
        _, receipt = check(net, output, size, tmp_path, record, f"ResNet-{depth}")
        assert (receipt.family, receipt.network) == ("KaimingHe/deep-residual-networks", f"resnet{depth}")


@pytest.mark.full
@pytest.mark.parametrize(("output_stride", "dilations"), [(16, (1, 1, 1, 2)), (8, (1, 1, 2, 4))])
def test_dilated_resnet(output_stride, dilations, tmp_path, record):
    for size in ((97, 129), (96, 128)):
        net, output = caffe_nets.resnet(50, *size, dilations=dilations, top=False)
        name = f"ResNet-50, output stride {output_stride}"
        check(net, output, size, tmp_path, record, name, include_top=False, output_stride=output_stride)


def test_a_resnet_goes_into_a_segmenter(tmp_path):
    net, _ = caffe_nets.resnet(50, 64, 64)
    spec = dataclasses.replace(tfseg.specs.RESNETS["resnet50"], stride_in="1x1", stem_pool=(0, 1), biases="stem")
    model = tfseg.FCN(tfseg.ResNet(spec, output_stride=8, width=1 / 8), num_classes=3)
    receipt = converters.import_weights(model, net.write(tmp_path)[1])
    assert receipt.transplant == "a ResNet classifier into a segmenter"


@pytest.mark.full
def test_deeplabv2(tmp_path, record):
    for size in ((97, 129), (96, 128)):
        net, output = caffe_nets.deeplabv2(*size)
        model, receipt = converters.convert(net.write(tmp_path)[1], multi_scale=False)
        assert receipt.family == "liangchiehchen/deeplab_aspp_resnet101"
        assert {why for key, why in receipt.ignored.items()} == {
            "the same weights again, for the image at another size"
        }
        single = keras.Model(model.input, model.get_layer("logits").output)
        # OpenCV holds a layer for every name in its prototxt, and passes over the others.
        pixels = images(*size)
        difference = relative(single(pixels), opencv(net.write(tmp_path), pixels, output))
        record("DeepLabV2 on ResNet-101, one size", difference)
        assert difference <= TOLERANCE
    model, receipt = converters.convert(net.write(tmp_path)[1])
    assert receipt.options["multi_scale"] == (0.75, 0.5)


@pytest.mark.quick_variants("50")
@pytest.mark.parametrize("depth", [50, 101])
def test_pspnet(depth, tmp_path, record):
    """At a size whose features fall into 1, 2, 3 and 6 equal parts, as those of 473 and 713 do."""
    size = 8 * 11 + 1
    plain, output = caffe_nets.pspnet(size, depth=depth)
    fork, _ = caffe_nets.pspnet(size, depth=depth, fork=True)
    (tmp_path / "fork").mkdir()
    model, receipt = converters.convert(fork.write(tmp_path / "fork")[1])
    assert (receipt.family, receipt.network) == ("hszhao/PSPNet", f"pspnet_resnet{depth}")
    pixels = images(size, size)
    logits = keras.Model(model.input, model.get_layer("logits").output)(pixels)
    difference = relative(logits, opencv(plain.write(tmp_path), pixels, output))
    record(f"PSPNet-{depth}", difference)
    assert difference <= TOLERANCE


@pytest.mark.full
@pytest.mark.skipif(not REAL.is_file(), reason="the real VGG16 is not here")
def test_published_vgg16_classifies_a_photograph_as_opencv_does(tmp_path, record):
    from tfseg.images import read_image
    from tfseg.preprocessing import preprocess

    photograph = read_image(STREET)
    net = caffe_nets.CaffeNet(*photograph.shape[:2])
    output = caffe_nets.vgg_convolutions(net, 1)[-1]
    prototxt, _ = net.write(tmp_path)
    model, receipt = converters.convert(REAL)
    assert (receipt.family, receipt.network) == ("oxford/vgg", "vgg16")
    pixels = preprocess(photograph[None], "caffe")
    difference = relative(keras.ops.convert_to_numpy(model(pixels)), opencv((prototxt, REAL), pixels, output))
    record("the real VGG16 on a photograph", difference)
    assert difference <= TOLERANCE
    fcn = tfseg.FCN32s()
    receipt = converters.import_weights(fcn, REAL)
    assert len(receipt.tensors) == 26
    assert receipt.transplant == "the convolutions of a VGG16 into an FCN"


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("name", ["vgg16", "fcn8s", "resnet50"])
def test_export_to_caffemodel_is_bit_identical(name, tmp_path):
    """OpenCV reads what we write under the same prototxt, and computes the same; we read the same bits again."""
    if name == "resnet50":
        net, output = caffe_nets.resnet(50, 64, 64)
    else:
        net, output = caffe_nets.vgg16() if name == "vgg16" else caffe_nets.fcn(name, 64, 64)
    prototxt, path = net.write(tmp_path)
    model, receipt = converters.convert(path)
    back = tmp_path / "back.caffemodel"
    written = converters.export_weights(model, back)
    assert (written.family, written.network) == (receipt.family, name)
    again, first = converters.read(back), converters.read(path)
    assert again.extras == {"name": model.name}
    assert {key: again.shapes[key] for key in again} == {key: first.shapes[key] for key in first}
    assert all(np.array_equal(again[key], first[key]) for key in first)
    pixels = images(224 if name == "vgg16" else 64, 224 if name == "vgg16" else 64)
    ours, reference = opencv((prototxt, back), pixels, output), opencv((prototxt, path), pixels, output)
    assert relative(ours, reference) <= 1e-6


def test_export_of_other_families_to_caffemodel_is_refused(tmp_path):
    model = tfseg.ResNet(18, width=1 / 16)
    with pytest.raises(ConversionError, match=r"files of torchvision/resnet are PyTorch zip, .*, not Caffe"):
        converters.export_weights(model, tmp_path / "a.caffemodel", family="torchvision/resnet")
    with pytest.raises(ConversionError, match=r"No network of .* is like the model 'resnet18'"):
        converters.export_weights(model, tmp_path / "a.caffemodel")
    with pytest.raises(ConversionError, match=r"A .caffemodel holds float32 numbers only. Received: float16"):
        converters.export_weights(tfseg.VGG(16, width=1 / 32), tmp_path / "a.caffemodel", dtype="float16")
    assert not list(tmp_path.iterdir())
