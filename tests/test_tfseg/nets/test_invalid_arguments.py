"""Invalid arguments of the builders: the message says what is expected and what came."""

import pytest
from helpers.small_nets import SMALL, fcn_resnet18

import tfseg


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        (51, {}, r"depth \(18, 34, .*a name \(resnet18, .*or a ResNetSpec. Received: 51"),
        ([3], {}, r"A ResNet is a depth .* Received: \[3\]"),
        (18, {"output_stride": 2}, r"output_stride must be one of 32, 16, 8, 4. Received: 2"),
        (18, {"convention": "half"}, r"convention must be one of 'previous', 'new', 'one'. .*'half'"),
        (50, {"multi_grid": (1, 2)}, r"one factor for each of the 3 blocks.* Received: \(1, 2\)"),
        (50, {"multi_grid": (2, 4, 8)}, r"multi_grid begins with 1, or output_stride is 16 or less"),
    ],
)
def test_resnet_refuses(spec, options, message):
    with pytest.raises(ValueError, match=message):
        tfseg.ResNet(spec, **options)


def test_drn_refuses_an_unknown_spec():
    with pytest.raises(ValueError, match=r"A DRN is a name \(a_50, c_26, .*\) or a DRNSpec. Received: 'd_23'"):
        tfseg.DRN("d_23")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 12}, r"depth must be one of 11, 13, 16, 19. Received: 12"),
        ({"output_stride": 64}, r"output_stride must be one of 32, 16, 8, 4. Received: 64"),
        ({"include_top": True, "output_stride": 8}, r"needs output_stride=32. Received: 8"),
        ({"fc_units": (8, 8, 8)}, r"at most two positive numbers.* Received: fc_units=\(8, 8, 8\), grid=7"),
        ({"fc_units": (0,)}, r"at most two positive numbers.* Received: fc_units=\(0,\)"),
        ({"grid": 0}, r"grid is positive. Received: fc_units=None, grid=0"),
    ],
)
def test_vgg_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        tfseg.VGG(**options)


@pytest.mark.parametrize(
    "name", ["vgg11", "resnet18", "drn_a_50", "drn_d_22", "fcn8s", "fcn_resnet18", "deeplab_largefov"]
)
@pytest.mark.parametrize("width", [0, -1, float("inf"), float("nan")])
def test_a_width_that_is_not_positive_is_refused(name, width):
    with pytest.raises(ValueError, match=rf"must be a positive number. Received: width={width}"):
        tfseg.build(name, width=width)


def test_fcn_on_vgg_refuses_no_heads():
    with pytest.raises(ValueError, match=r"num_classes is a number, or one for each head: .* Received: {}"):
        tfseg.FCN8s({})


@pytest.mark.parametrize(
    ("backbone", "received"), [(SMALL["vgg classifier"], "output <"), (fcn_resnet18, r"output \[")], ids=["top", "two"]
)
def test_a_head_refuses_a_backbone_without_a_single_map(backbone, received):
    with pytest.raises(ValueError, match=rf"needs one map .* include_top=False. Received: {received}"):
        tfseg.FCN(backbone(), 5)


@pytest.mark.parametrize(
    ("head", "options", "message"),
    [
        (tfseg.FCN, {"aux": True}, r"'vgg11_bn' has no layer for the auxiliary head.*aux=True$"),
        (tfseg.FCN, {"aux": "conv9"}, r"neither conv9 nor conv9_block<n>_out. Received: aux='"),
        (tfseg.DeepLabV3Plus, {"low_level": "conv2"}, r"no layer for the low-level features: neither conv2 nor "),
        (tfseg.PSPNet, {"features": "x"}, r"no layer for the head: neither x nor x_block<n>_out"),
    ],
)
def test_a_head_refuses_a_layer_that_the_backbone_lacks(head, options, message):
    with pytest.raises(ValueError, match=message):
        head(SMALL["vgg"](), 5, **options)


def test_a_head_refuses_an_unknown_upsampling():
    with pytest.raises(ValueError, match=r"upsampling must be one of 'bilinear', .* Received: 'cubic'"):
        tfseg.FCN(SMALL["vgg"](), 5, upsampling="cubic")


@pytest.mark.parametrize("scales", [(0.5, 0), "half", 0.5])
def test_deeplabv2_refuses_invalid_scales(scales):
    with pytest.raises(ValueError, match=r"multi_scale is True, False or sizes relative to the image's, as in \(0.5, "):
        tfseg.DeepLabV2(SMALL["vgg"](), 5, multi_scale=scales)


def test_deeplab_vgg_refuses_no_rates():
    with pytest.raises(ValueError, match=r"needs the rate of at least one fc6, such as \(12,\). Received: rates=\(\)"):
        tfseg.DeepLabLargeFOV(rates=())
