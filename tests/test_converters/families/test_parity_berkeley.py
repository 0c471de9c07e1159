"""The Berkeley FCNs of every data set against OpenCV's importer: two heads, four channels, factors as weights."""

import json

import keras
import numpy as np
import pytest
from helpers import caffe_nets
from helpers.opencv_caffe import opencv
from helpers.references import images, output, relative

import converters
import tfseg
from converters import ConversionError

PUBLIC = "OpenCV"
TOLERANCE = 1e-5
SIZES = ((65, 83), (96, 128))
HEADS = {"_sem": 33, "_geo": 3}
FEW = {"_sem": 5, "_geo": 3}  # a kernel of 64 x 64 for every pair of classes takes its time
# name: network, options of the network that the test writes, family, preprocessing, data set
NETS = {
    "pascalcontext-fcn32s": ("fcn32s", {"classes": 60}, "pascalcontext-fcn", "pascal_context", "pascal_context"),
    "pascalcontext-fcn16s": ("fcn16s", {"classes": 60}, "pascalcontext-fcn", "pascal_context", "pascal_context"),
    "pascalcontext-fcn8s": ("fcn8s", {"classes": 60}, "pascalcontext-fcn", "pascal_context", "pascal_context"),
    "siftflow-fcn32s": ("fcn32s", {"classes": FEW}, "siftflow-fcn", "siftflow", None),
    "siftflow-fcn16s": ("fcn16s", {"classes": FEW}, "siftflow-fcn", "siftflow", None),
    "siftflow-fcn8s": ("fcn8s", {"classes": HEADS}, "siftflow-fcn", "siftflow", "siftflow"),
    "nyud-fcn32s-color": ("fcn32s", {"classes": 40}, "nyud-fcn", "nyud", "nyud"),
    "nyud-fcn32s-color-d": (
        "fcn32s",
        {"classes": 6, "channels": 4, "first": "conv1_1_bgrd"},
        "nyud-fcn-color-d",
        "nyud_color_d",
        None,
    ),
    "voc-fcn8s-atonce": ("fcn8s_atonce", {"classes": 21}, "fcn.berkeleyvision.org", "fcn", "voc"),
}
SLIM = 1 / 32
MANY = ("pascalcontext-fcn32s", "pascalcontext-fcn16s", "nyud-fcn32s-color")  # classes; VOC's networks but for those


def files(name, size, directory):
    network, options, *_ = NETS[name]
    net, tops = caffe_nets.fcn(network, *size, SLIM, **options)
    return net.write(directory), tops if isinstance(tops, list) else [tops]


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.full] * (name in MANY)) for name in NETS])
def test_outputs_equal_opencvs(name, tmp_path, record):
    network, options, family, preprocessing, dataset = NETS[name]
    for size in SIZES:
        paths, tops = files(name, size, tmp_path)
        model, receipt = converters.convert(paths[1])
        assert (receipt.family, receipt.network) == (f"shelhamer/{family}", network)
        pixels = images(*size, channels=options.get("channels", 3))
        ours = output(model, pixels)
        for mine, top in zip(ours if isinstance(ours, list) else [ours], tops, strict=True):
            difference = relative(mine, opencv(paths, pixels, top))
            record(name, difference)
            assert difference <= TOLERANCE
    facts = tfseg.metadata(model)
    assert facts["preprocessing"]["mean"] == list(tfseg.specs.PREPROCESSING[preprocessing]["mean"])
    assert facts["classes"] == (dataset and tfseg.specs.CLASSES[dataset])
    assert not [other for other in receipt.others if other.startswith("wkentaro")]


@pytest.mark.parametrize("name", ["siftflow-fcn8s", "nyud-fcn32s-color-d", "voc-fcn8s-atonce"])
def test_export_to_caffemodel_is_bit_identical(name, tmp_path):
    """OpenCV computes the same with what we write; we read the same bits again."""
    size = (65, 83)
    (prototxt, path), tops = files(name, size, tmp_path)
    model, receipt = converters.convert(path)
    first = converters.read(path)
    for suffix in ("caffemodel", "safetensors"):
        back = tmp_path / f"back.{suffix}"
        written = converters.export_weights(model, back, family=None if suffix == "caffemodel" else receipt.family)
        assert (written.family, written.network) == (receipt.family, receipt.network)
        again = converters.read(back)
        assert again.keys() == first.keys()
        assert all(np.array_equal(again[key], first[key]) for key in first)
    pixels = images(*size, channels=NETS[name][1].get("channels", 3))
    for top in tops:
        ours = opencv((prototxt, tmp_path / "back.caffemodel"), pixels, top)
        assert relative(ours, opencv((prototxt, path), pixels, top)) <= 1e-6


def test_two_heads_are_two_outputs(tmp_path):
    """Their names, sizes, the map that predict shows, and what saving keeps."""
    (_, path), _ = files("siftflow-fcn16s", (65, 83), tmp_path)
    identified = converters.identify(path)
    assert identified.num_classes == {"sem": 5, "geo": 3}
    assert "fcn16s (5 sem and 3 geo classes" in str(identified)
    model, receipt = converters.convert(path)
    assert json.loads(json.dumps(receipt.options))["num_classes"] == {"sem": 5, "geo": 3}
    assert [tensor.shape[-1] for tensor in model.outputs] == [5, 3]
    assert {"score_sem", "score_geo", "fuse_pool4_sem", "score_pool4_geoc", "upscore16_geo"} <= {
        layer.name for layer in model.layers
    }
    photograph = np.random.default_rng(0).integers(0, 256, (40, 50, 3), "uint8")
    classes = tfseg.predict(model, photograph)
    logits = output(model, tfseg.preprocess(photograph[None], "siftflow"))
    np.testing.assert_array_equal(classes, logits[0][0].argmax(-1))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for tensor, other in zip(output(again, images(40, 50)), output(model, images(40, 50)), strict=True):
        np.testing.assert_array_equal(tensor, other)
    features, _ = converters.convert(path, include_top=False)
    assert features.output.shape[-1] == 512 * SLIM


def test_heads_of_other_sizes(tmp_path):
    (_, path), _ = files("siftflow-fcn32s", (65, 83), tmp_path)
    classes = {"sem": 7, "geo": 2}
    model, receipt = converters.convert(path, num_classes=classes, skip=["score", "upscore"])
    assert [tensor.shape[-1] for tensor in model.outputs] == [7, 2]
    assert receipt.family == "shelhamer/siftflow-fcn"
    built = tfseg.FCN32s(classes, width=SLIM)
    with pytest.raises(
        ConversionError, match=r"5 classes; the model has 7. Build it with num_classes=\{'sem': 5, 'geo': 3\}, or"
    ):
        converters.import_weights(built, path)
    light = tfseg.FCN8s(classes, width=SLIM, padding="same")
    assert [tensor.shape for tensor in output(light, images(41, 50))] == [(1, 41, 50, 7), (1, 41, 50, 2)]
    with pytest.raises(ConversionError, match=r"Missing: 3\n  score_fr/kernel"):
        converters.convert(path, num_classes=7)
    with pytest.raises(ValueError, match=r"a number, or one for each head: .* Received: \{\}"):
        tfseg.FCN8s({})


@pytest.mark.parametrize(
    ("name", "target", "transplant"),
    [
        ("siftflow-fcn32s", "fcn16s", "FCN-32s into FCN-16s"),
        ("siftflow-fcn32s", "fcn8s", "FCN-32s into FCN-8s"),
        ("siftflow-fcn16s", "fcn8s", "FCN-16s into FCN-8s"),
    ],
)
def test_the_next_finer_network_of_two_heads(name, target, transplant, tmp_path):
    (_, path), _ = files(name, (65, 83), tmp_path)
    model, receipt = converters.convert(path, network=target)
    assert receipt.transplant == transplant
    assert [tensor.shape[-1] for tensor in model.outputs] == [5, 3]


def test_a_vgg16_goes_under_two_heads(tmp_path):
    net, _ = caffe_nets.vgg16(width=SLIM)
    model = tfseg.FCN8s({"sem": 33, "geo": 3}, width=SLIM)
    receipt = converters.import_weights(model, net.write(tmp_path)[1])
    assert receipt.transplant == "a VGG16 classifier into an FCN"


def test_an_fcn32s_goes_into_the_scaled_form(tmp_path):
    net, _ = caffe_nets.fcn("fcn32s", 65, 83, SLIM)
    model, receipt = converters.convert(net.write(tmp_path)[1], network="fcn8s_atonce")
    assert receipt.transplant == "FCN-32s into FCN-8s"
    assert np.all(model.get_layer("scale_pool4").kernel == np.float32(0.01))


def test_atonce_scale_factors_are_kept(tmp_path):
    (_, path), _ = files("voc-fcn8s-atonce", (65, 83), tmp_path)
    with pytest.raises(ConversionError, match=r"Unexpected: 2\n  scale_pool4.gamma"):
        converters.import_weights(tfseg.FCN8sAtOnce(21, width=SLIM), path)
    receipt = converters.import_weights(tfseg.FCN8sAtOnce(21, width=SLIM, channel_scales=True), path)
    assert not receipt.transplant


@pytest.mark.parametrize(
    ("classes", "family", "mean"), [(40, "nyud-fcn", 116.19), (21, "fcn.berkeleyvision.org", 104.00698793)]
)
def test_a_new_head_does_not_hide_the_data_set(classes, family, mean, tmp_path):
    net, _ = caffe_nets.fcn("fcn32s", 65, 83, SLIM, classes=classes)
    model, receipt = converters.convert(net.write(tmp_path)[1], num_classes=7, skip=["score_fr", "upscore"])
    assert receipt.family == f"shelhamer/{family}"
    assert receipt.preprocessing["mean"][0] == mean
    assert model.output.shape[-1] == 7


def test_receipt_names_other_networks_that_fit(tmp_path):
    (_, path), _ = files("nyud-fcn32s-color", (65, 83), tmp_path)
    model, receipt = converters.convert(path, preprocessing="nyud_hha")
    assert any("preprocessing='nyud_hha': nyud-fcn32s-hha" in other for other in receipt.others)
    assert "shelhamer/fcn.berkeleyvision.org fcn32s: it has PASCAL VOC's mean" in receipt.others
    assert tfseg.metadata(model)["preprocessing"]["channel_order"] == "RGB"


def test_depth_is_a_fourth_channel(tmp_path):
    (_, path), _ = files("nyud-fcn32s-color-d", (65, 83), tmp_path)
    model, _ = converters.convert(path)
    pixels = np.full((8, 9, 4), [10, 20, 30, np.log(2550)])
    x = tfseg.preprocess(pixels, tfseg.metadata(model)["preprocessing"])
    np.testing.assert_allclose(x[0, 0], [30 - 116.19, 20 - 97.203, 10 - 92.318, np.log(2550) - 7.844], atol=1e-5)
    with pytest.raises(ValueError, match=r"Images for BGRD have 4 channels. Received: 3"):
        tfseg.preprocess(pixels[..., :3], "nyud_color_d")
    with pytest.raises(ValueError, match="takes color and the logarithm of depth"):
        tfseg.predict(model, pixels[..., :3])


def test_every_data_set_has_its_names_and_colors():
    for dataset, count in (("pascal_context", 60), ("siftflow", 33), ("nyud", 40)):
        assert len(set(tfseg.specs.CLASSES[dataset])) == count
        assert len(set(tfseg.specs.COLORS[dataset])) == count
