"""check_prototxt: prototxts are compared with the networks that are built for their weights."""

import contextlib
import functools
import json
import re

import keras
import pytest
from helpers import caffe_nets
from helpers.run_command import run

import converters
from converters import ConversionError
from converters.programs.check_prototxt import check_prototxt

HALVES = {"output_stride": 8}
NETS = {
    "vgg16": lambda: (caffe_nets.vgg16(), {}),
    "fcn32s": lambda: (caffe_nets.fcn("fcn32s", 65, 83), {}),
    "fcn16s": lambda: (caffe_nets.fcn("fcn16s", 65, 83), {}),
    "fcn8s": lambda: (caffe_nets.fcn("fcn8s", 65, 83), {}),
    "fcn8s_atonce": lambda: (caffe_nets.fcn("fcn8s_atonce", 65, 83), {"network": "fcn8s_atonce"}),
    "resnet50": lambda: (caffe_nets.resnet(50, 224, 224), {}),
    "dilated": lambda: (
        caffe_nets.resnet(50, 65, 83, dilations=(1, 1, 2, 4), top=False),
        HALVES | {"include_top": False},
    ),
    "pspnet": lambda: (caffe_nets.pspnet(89, fork=True), {}),
}
FULL = {
    "deeplabv2": lambda: (caffe_nets.deeplabv2(65, 81), {"multi_scale": False}),
    "vgg19": lambda: (caffe_nets.vgg16(convolutions=(2, 2, 4, 4, 4)), {}),
    "resnet101": lambda: (caffe_nets.resnet(101, 224, 224), {}),
    "pspnet101": lambda: (caffe_nets.pspnet(89, fork=True, depth=101), {}),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Name -> the prototxt's text, our model converted from the weights, and the receipt."""

    @functools.cache
    def build(name):
        (net, _), options = (NETS | FULL)[name]()
        prototxt, weights = net.write(tmp_path_factory.mktemp(name))
        return prototxt.read_text(), *converters.convert(weights, prototxt=prototxt, **options)

    return build


@pytest.mark.quick_variants(3)
@pytest.mark.parametrize("name", [*NETS, *(pytest.param(name, marks=pytest.mark.full) for name in FULL)])
def test_public_prototxts_describe_their_networks(name, built):
    _, _, receipt = built(name)
    assert re.match(
        r"net\.prototxt: \d+ layers with weights, and all between them, at \d+ x \d+ pixels", receipt.prototxt
    )
    assert f"as said by  {receipt.prototxt}" in str(receipt)


def test_receipt_says_what_was_compared(built):
    assert built("fcn8s")[2].prototxt.startswith("net.prototxt: 21 layers with weights")
    assert built("resnet50")[2].prototxt.endswith("at 224 x 224 pixels")
    assert "the prototxt ends at conv6, which the network enlarges" in built("pspnet")[2].prototxt


def change(text, layer, old, new):
    """The text with one line changed, that of a layer."""
    lines = text.split("\n")
    (index,) = (i for i, line in enumerate(lines) if f'name: "{layer}"' in line)
    lines[index], count = re.subn(old, new, lines[index])
    assert count == 1, lines[index]
    return "\n".join(lines)


def remove(text, layer):
    """The text without a layer; what read it reads what it read."""
    (line,) = (line for line in text.split("\n") if f'name: "{layer}"' in line)
    bottom = re.search(r'bottom: "([^"]*)"', line)[1]
    return text.replace(line, "").replace(f'bottom: "{layer}"', f'bottom: "{bottom}"')


# network, layer, what is written otherwise (nothing: the layer is left out), which layer is named, what is said
MUTATIONS = [
    ("vgg16", "conv3_2", ("kernel_size: 3", "kernel_size: 5"), "conv3_2", "kernel 5; in the network 3"),
    ("vgg16", "conv3_2", ("stride: 1", "stride: 2"), "conv3_2", "stride 2; in the network 1"),
    ("vgg16", "conv3_2", ("pad: 1", "pad: 0"), "conv3_2", "pad 0; in the network 1"),
    ("vgg16", "conv3_2", ("pad: 1", "pad_h: 1 pad_w: 2"), "conv3_2", "pad 1 and 2; in the network 1"),
    ("vgg16", "conv3_2", ("dilation: 1", "dilation: 2"), "conv3_2", "dilation 2; in the network 1"),
    ("vgg16", "conv3_2", ("num_output: 16", "num_output: 17"), "conv3_2", "outputs 17; in the network 16"),
    ("vgg16", "conv3_2", ("bias_term: true", "bias_term: false"), "conv3_2", "bias no; in the network yes"),
    ("vgg16", "conv3_2", ("group: 1", "group: 2"), "conv3_2", "groups 2; in the network 1"),
    ("vgg16", "fc7", ("num_output: 256", "num_output: 128"), "fc7", "outputs 128; in the network 256"),
    ("vgg16", "fc7", ("num_output: 256", "num_output: 256 bias_term: false"), "fc7", "bias no; in the network yes"),
    ("vgg16", "pool2", ("MAX", "AVE"), "pool2", "pool AVE; in the network MAX"),
    ("vgg16", "pool2", ("kernel_size: 2", "kernel_size: 3"), "pool2", "kernel 3; in the network 2"),
    ("vgg16", "pool2", ("stride: 2", "stride: 1"), "pool2", "stride 1; in the network 2"),
    ("vgg16", "pool2", ("pad: 0", "pad: 0 round_mode: FLOOR"), "pool2", "pad 0; in the network 0 before, 1 after"),
    ("vgg16", "conv3_2_relu", None, "conv3_3", "reads conv3_2; in the network, relu of conv3_2"),
    ("vgg16", "pool2", None, "conv3_1", "reads relu of conv2_2; in the network, pooling of relu of conv2_2"),
    ("vgg16", "conv3_2", None, "conv3_2", "the prototxt has no such layer"),
    ("vgg16", "conv3_2", ('type: "Convolution"', 'type: "Deconvolution"'), "conv3_2", "is a transposed convolution; in the network a convolution"),
    ("fcn8s", "conv1_1", ("pad: 100", "pad: 1"), "conv1_1", "pad 1; in the network 100"),
    ("fcn8s", "score_pool3c", ("offset: 9", "offset: 8"), "score_pool3c", "offset 8; in the network 9"),
    ("fcn8s", "score", ("offset: 31", "offset: 30"), "score", "offset 30; in the network 31"),
    ("fcn8s", "score", None, "the output", "reads upscore8; in the network, crop of upscore8"),
    ("fcn8s", "fuse_pool4", ('type: "Eltwise"', 'type: "Eltwise" eltwise_param { operation: MAX }'), "upscore_pool4", "reads maximum of upscore2 and crop of score_pool4; in the network, sum of"),
    ("fcn8s", "fuse_pool4", ('type: "Eltwise"', 'type: "Eltwise" eltwise_param { coeff: [1, -1] }'), "upscore_pool4", "reads weighted sum of"),
    ("fcn8s", "upscore8", ("stride: 8", "stride: 4"), "upscore8", "stride 4; in the network 8"),
    ("fcn8s", "upscore8", ("kernel_size: 16", "kernel_size: 15"), "upscore8", "kernel 15; in the network 16"),
    ("fcn8s_atonce", "scale_pool3", None, "scale_pool3", "the prototxt has no such layer"),
    ("fcn8s_atonce", "scale_pool3", ("bias_term: false", "bias_term: true"), "scale_pool3", "shift yes; in the network no"),
    ("resnet50", "bn2a_branch2a", ("true", "true eps: 2e-5"), "bn2a_branch2a", "epsilon 2e-05; in the network 1e-05"),
    ("resnet50", "bn2a_branch2a", ("true", "false"), "bn2a_branch2a", "statistics of the batch; in the network none"),
    ("resnet50", "scale2a_branch2a", ("true", "false"), "bn2a_branch2a", "shift no; in the network yes"),
    ("resnet50", "scale2a_branch2a", None, "bn2a_branch2a", "scale no; in the network yes"),
    ("resnet50", "pool1", ("pad: 0", "pad: 1"), "pool1", "pad 1 before, 2 after; in the network 0 before, 1 after"),
    ("resnet50", "pool5", ("AVE", "MAX"), "pool5", "pool MAX; in the network AVE"),
    ("resnet50", "res2b_relu", None, "res2c_branch2a", "reads sum of"),
    ("resnet50", "conv1", ("bias_term: true", "bias_term: false"), "conv1", "bias no; in the network yes"),
    ("resnet50", "res3a_branch2a", ("stride: 2", "stride: 1"), "res3a_branch2a", "stride 1; in the network 2"),
    ("dilated", "res5a_branch2b", ("dilation: 4", "dilation: 2"), "res5a_branch2b", "dilation 2; in the network 4"),
    ("pspnet", "pool6", ("AVE", "MAX"), "pool6", "pool MAX; in the network AVE"),
    ("pspnet", "pool6", ("kernel_size: 2", "kernel_size: 3"), "pool6", "kernel 3; in the network 2"),
    ("pspnet", "interp6", ("height: 12", "height: 11"), "interp6", "to 11 x 12; in the network 12"),
    ("pspnet", "concat", ('"interp6" bottom: "interp3"', '"interp3" bottom: "interp6"'), "concat", "in the network"),
    ("pspnet", "conv5_4/bn", ('type: "BN"', 'type: "BN" bn_param { eps: 1e-3 }'), "conv5_4/bn", "epsilon 0.001"),
]  # fmt: skip


@pytest.mark.quick_variants(every=3)
@pytest.mark.parametrize(("name", "layer", "change_", "named", "message"), MUTATIONS)
def test_every_change_of_a_prototxt_is_refused_and_named(name, layer, change_, named, message, built, tmp_path):
    text, model, _ = built(name)
    path = tmp_path / "other.prototxt"
    path.write_text(change(text, layer, *change_) if change_ else remove(text, layer))
    with pytest.raises(ConversionError, match=r"other\.prototxt does not describe the network") as refusal:
        check_prototxt(model, path)
    lines = str(refusal.value).split("\n  ")[1:]
    assert any(line.startswith(f"{named}: ") and message in line for line in lines), refusal.value
    assert len(lines) <= 8


EQUAL = [
    ("vgg16", "conv3_2", ("kernel_size: 3", "kernel_h: 3 kernel_w: 3")),
    ("vgg16", "conv3_2", ("stride: 1 pad: 1 dilation: 1 group: 1 bias_term: true", "pad: 1 pad: 1")),
    ("vgg16", "fc8", ("$", '\nlayer { name: "prob" type: "Softmax" bottom: "fc8" top: "prob" }')),
    ("vgg16", "fc7", ("$", '\nlayer { name: "drop7" type: "Dropout" bottom: "fc7" top: "fc7" }')),
    ("vgg16", "conv1_1", ("^", 'layer { name: "d" type: "Python" top: "data" top: "label" }\n')),
    ("vgg16", "fc8", ("$", '\nlayer { name: "l" type: "SoftmaxWithLoss" bottom: "fc8" bottom: "label" }')),
    ("vgg16", "pool5", ("$", '\nlayer { name: "f" type: "Flatten" bottom: "pool5" top: "pool5" }')),
    ("resnet50", "pool5", ("global_pooling: true", "kernel_size: 7 stride: 1")),
    ("resnet50", "res2a", ('(bottom: "scale2a_branch1") (bottom: "[^"]*")', r"\2 \1")),
    ("resnet50", "bn_conv1", ("use_global_stats: true", "eps: 0.00001")),
    ("fcn8s", "fuse_pool4", ('type: "Eltwise"', 'type: "Eltwise" eltwise_param { operation: 1 coeff: 1 coeff: 1 }')),
    ("fcn8s", "conv2_1", ("^", 'layer { name: "s" type: "Split" bottom: "pool1" top: "pool1" top: "other" }\n')),
    ("pspnet", "conv6", ("$", '\nlayer { name: "up" type: "Interp" bottom: "conv6" top: "up" interp_param { zoom_factor: 8 } }')),
    ("pspnet", "pool1", ("kernel_size: 12 stride: 12", "global_pooling: true")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "layer", "change_"), EQUAL)
def test_equal_networks_in_other_words_pass(name, layer, change_, built, tmp_path):
    text, model, _ = built(name)
    path = tmp_path / "other.prototxt"
    path.write_text(change(text, layer, *change_))
    check_prototxt(model, path)


@pytest.mark.full
def test_damaged_prototxts_never_crash(built, tmp_path):
    """Every sixth number and name of a prototxt replaced, every sixth field left out."""
    text, model, _ = built("fcn32s")
    path = tmp_path / "other.prototxt"
    fields = list(re.finditer(r'(\w+): ("[^"]*"|\S+)', text))
    for index, field in enumerate(fields[::6]):
        new = ("", f"{field[1]}: 0", f"{field[1]}: -1", f'{field[1]}: "x"', f"{field[0]} {field[0]} {field[0]}")[
            index % 5
        ]
        path.write_text(text[: field.start()] + new + text[field.end() :])
        with contextlib.suppress(ConversionError):
            check_prototxt(model, path)


def test_layers_that_write_in_place(built, tmp_path):
    text, model, _ = built("fcn32s")
    path = tmp_path / "other.prototxt"
    path.write_text(re.sub(r'(top|bottom): "(\w+)_relu"', r'\1: "\2"', text))
    assert path.read_text() != text
    check_prototxt(model, path)


SHARED = """
layer { name: "data" type: "Python" top: "data" top: "label" }
layer { name: "half" type: "Interp" bottom: "data" top: "half" interp_param { shrink_factor: 2 } }
layer { name: "conv1_1" type: "Convolution" bottom: "data" top: "a" param { name: "w" }
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }
layer { name: "conv1_1_res05" type: "Convolution" bottom: "half" top: "b" param { name: "w" }
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }
layer { name: "up" type: "Interp" bottom: "b" top: "up" interp_param { zoom_factor: 2 } }
layer { name: "fusion" type: "Eltwise" bottom: "up" bottom: "a" top: "fusion" eltwise_param { operation: MAX } }
"""


def test_shared_weights(tmp_path):
    from tfseg.layers import Rescale, ResizeLike

    image = keras.Input((None, None, 3))
    conv = keras.layers.Conv2D(4, 3, padding="same", name="conv1_1")
    half = conv(Rescale(0.5, "bilinear_align_corners", 1)(image))
    whole = conv(image)
    up = ResizeLike("bilinear_align_corners")([half, whole])
    model = keras.Model(image, keras.layers.Maximum()([whole, up]))
    path = tmp_path / "net.prototxt"
    path.write_text(SHARED)
    assert str(check_prototxt(model, path)) == (
        "net.prototxt: 2 layers with weights, and all between them, at 321 x 321 pixels"
    )
    assert check_prototxt(model, path, image_size=(65, 97)).image_size == (65, 97)
    for old, new, message in [
        ('"half" top: "b"', '"data" top: "b"', "conv1_1_res05: reads the image; in the network, resize of the image"),
        (
            'top: "b" param { name: "w" }',
            'top: "b" param { name: "v" }',
            "reads conv1_1_res05; in the network, conv1_1",
        ),
        ("shrink_factor: 2", "shrink_factor: 4", "half: to 81; in the network 161"),
    ]:
        path.write_text(SHARED.replace(old, new))
        with pytest.raises(ConversionError, match=re.escape(message)):
            check_prototxt(model, path)


def test_layers_after_the_output(built, tmp_path):
    """A head that is left out is no difference; an unknown layer is one."""
    text, model, _ = built("vgg16")
    prototxt, weights = caffe_nets.vgg16()[0].write(tmp_path)
    _, receipt = converters.convert(weights, include_top=False, prototxt=prototxt)
    assert receipt.prototxt.endswith("; left out of the network: fc8, fc7, fc6")
    for layer, named in [
        ('name: "more" type: "InnerProduct" inner_product_param { num_output: 3 }', "more"),
        ('name: "act" type: "ReLU"', "act"),
    ]:
        prototxt.write_text(f'{text}\nlayer {{ {layer} bottom: "fc8" top: "end" }}')
        with pytest.raises(ConversionError, match=f"{named}: is a .* that stands after what the network returns"):
            check_prototxt(model, prototxt)


def test_fixed_pooling_windows_are_equal_at_their_image_size_only(built, tmp_path):
    text, model, _ = built("pspnet")
    path = tmp_path / "other.prototxt"
    path.write_text(
        text.replace("input_dim: 89", "input_dim: 97").replace("height: 12 width: 12", "height: 13 width: 13")
    )
    with pytest.raises(ConversionError, match=r"compared at 97 x 97 pixels\):(?s:.*)unequal parts"):
        check_prototxt(model, path)


def test_prototxt_of_another_network_is_refused(built, tmp_path):
    text, _, _ = built("resnet50")
    path = tmp_path / "other.prototxt"
    path.write_text(text)
    with pytest.raises(ConversionError, match=r"have no name that is known for the network 'fcn32s'.* conv1, bn_conv1"):
        check_prototxt(built("fcn32s")[1], path)
    with pytest.raises(ConversionError, match=r"does not describe the network(?s:.*)res5a_branch1: stride 2; in"):
        check_prototxt(built("dilated")[1], path)
    with pytest.raises(ConversionError, match=r"families known here are .*Received: family='unknown'"):
        check_prototxt(built("fcn32s")[1], path, family="unknown")
    with pytest.raises(ConversionError, match=r"No family known here has .*network='unknown'"):
        check_prototxt(built("fcn32s")[1], path, network="unknown")
    path.write_text(text.replace("input_dim: 3", "input_dim: 4"))
    with pytest.raises(ConversionError, match="data: channels 4; in the network 3"):
        check_prototxt(built("resnet50")[1], path)


def test_transplant_is_checked_against_the_prototxt_of_its_target(built, tmp_path):
    net, _ = caffe_nets.vgg16()
    weights = net.write(tmp_path)[1]
    path = tmp_path / "fcn.prototxt"
    path.write_text(built("fcn32s")[0])
    skip = ["score_fr", "upscore"]
    _, receipt = converters.convert(weights, network="fcn32s", num_classes=5, skip=skip, prototxt=path)
    assert receipt.prototxt.startswith("fcn.prototxt: 17 layers")
    with pytest.raises(ConversionError, match=r"net.prototxt does not describe the network 'fcn32s'"):
        converters.convert(weights, network="fcn32s", skip=skip, prototxt=tmp_path / "net.prototxt")


def test_refused_prototxt_reads_no_weights(tmp_path, monkeypatch):
    net, _ = caffe_nets.fcn("fcn32s", 65, 83)
    prototxt, weights = net.write(tmp_path)
    prototxt.write_text(prototxt.read_text().replace("offset: 19", "offset: 18"))
    monkeypatch.setattr(
        "converters.conversion.known_network.fill_model", lambda *_, **__: pytest.fail("weights were read")
    )
    with pytest.raises(ConversionError, match="score: offset 18; in the network 19"):
        converters.convert(weights, network="fcn32s", prototxt=prototxt)


@pytest.mark.full
def test_convert_command_checks_the_prototxt(tmp_path):
    net, _ = caffe_nets.fcn("fcn32s", 65, 83)
    prototxt, weights = net.write(tmp_path)
    arguments = (f"--checkpoint={weights}", "--output=m.weights.h5", f"--prototxt={prototxt}", "--receipt=r.json")
    result = run("tfseg_cli.convert", *arguments, cwd=tmp_path)
    assert result.code == 0, result.err
    assert "as said by  net.prototxt: 17 layers with weights" in result.out
    assert json.loads((tmp_path / "r.json").read_text())["prototxt"].startswith("net.prototxt: 17 layers")
