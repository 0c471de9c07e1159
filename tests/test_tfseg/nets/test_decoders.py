"""Decoders on any classifier: equal to segmentation_models.pytorch and torchvision, and refused by name elsewhere."""

import functools

import keras
import numpy as np
import pytest
from helpers import smp_decoders
from helpers.backbones import TINY_MIT
from helpers.references import copy_weights, filled_module, images, output, randomize, relative, torch_output
from helpers.torchvision_cpu import import_torchvision

import tfseg
from converters.building.verify import double_precision

UNET_FILTERS = (32, 16, 8, 8, 4)
NARROW = {"decoder_channels": UNET_FILTERS}, {"filters": UNET_FILTERS}
FPN_NARROW = (
    {"decoder_pyramid_channels": 24, "decoder_segmentation_channels": 32},
    {"pyramid_filters": 24, "filters": 32},
)
ALIGNED = "bilinear_align_corners"
PAN_TAPS = {"taps": ("conv2", "conv3", "conv4", "conv5")}
# Decoder, options of the public network, and ours.
CASES = {
    "unet": ("Unet", *NARROW),
    "unet scse": (  # with a sixteenth of the channels inside
        "Unet",
        {"decoder_channels": (32, 16, 16, 16, 16), "decoder_attention_type": "scse"},
        {"filters": (32, 16, 16, 16, 16), "attention": "scse"},
    ),
    "unet bilinear": (
        "Unet",
        NARROW[0] | {"decoder_interpolation": "bilinear"},
        NARROW[1] | {"interpolation": "bilinear"},
    ),
    "unetplusplus": ("UnetPlusPlus", *NARROW),
    "linknet": ("Linknet", {}, {}),
    "fpn": ("FPN", *FPN_NARROW),
    "fpn cat": ("FPN", FPN_NARROW[0] | {"decoder_merge_policy": "cat"}, FPN_NARROW[1] | {"merge": "cat"}),
    "manet": ("MAnet", NARROW[0] | {"decoder_pab_channels": 12}, NARROW[1] | {"attention_filters": 12}),
    "pan": ("PAN", {}, PAN_TAPS),
    "upernet": ("UPerNet", {"decoder_channels": 24}, {"filters": 24}),
    "segformer": ("Segformer", {"decoder_segmentation_channels": 24}, {"filters": 24}),
    "deeplabv3plus": ("DeepLabV3Plus", {"decoder_channels": 24}, {"filters": 24, "upsampling": ALIGNED}),
    "deeplabv3plus plain": (
        "DeepLabV3Plus",
        {"decoder_channels": 24, "decoder_aspp_separable": False},
        {"filters": 24, "separable": False, "upsampling": ALIGNED},
    ),
    "unet defaults": ("Unet", {}, {}),
    "unetplusplus defaults": ("UnetPlusPlus", {}, {}),
    "fpn defaults": ("FPN", {}, {}),
    "manet defaults": ("MAnet", {}, {}),
    "upernet defaults": ("UPerNet", {}, {}),
    "segformer defaults": ("Segformer", {}, {}),
}
DILATED = ("PAN", "DeepLabV3Plus")
OURS = {"Segformer": "SegFormer"}
PUBLIC = "segmentation_models.pytorch, torchvision"
SIZES = ((64, 96), (96, 64))
PAN_SIZES = ((128, 160), (192, 128))  # it halves the map of stride 16 three times


@pytest.mark.quick_variants("unet-resnet18")
@pytest.mark.parametrize("encoder", ["resnet18", "resnet50"])
@pytest.mark.parametrize("case", CASES)
def test_a_decoder_equals_the_public_one(case, encoder, record):
    decoder, public_options, options = CASES[case]
    build = getattr(smp_decoders.smp(), decoder)
    module = filled_module(build, 0, 1.0, encoder_name=encoder, encoder_weights=None, classes=3, **public_options)
    # For these, that library dilates the last stage, with its own rates.
    backbone = tfseg.ResNet(encoder, output_stride=16 if decoder in DILATED else 32, convention="new")
    model = getattr(tfseg, OURS.get(decoder, decoder))(backbone, 3, **options)
    smp_decoders.fill(model, module, smp_decoders.rows(decoder, encoder))
    for size in PAN_SIZES if decoder == "PAN" else SIZES:
        difference = relative(output(model, images(*size)), torch_output(module, images(*size)))
        record(f"{case} on {encoder}", difference)
        assert difference <= 1e-5


@pytest.mark.full
@pytest.mark.parametrize("case", ["unet", "fpn", "linknet", "manet", "upernet"])
@pytest.mark.parametrize("encoder", ["vgg11", "vgg11_bn"])
def test_a_decoder_on_vgg_equals_the_public_one(case, encoder, record):
    decoder, public_options, options = CASES[case]
    build = getattr(smp_decoders.smp(), decoder)
    module = filled_module(build, 0, 1.0, encoder_name=encoder, encoder_weights=None, classes=3, **public_options)
    center = {"center": True} if decoder == "Unet" else {}  # that library's rule
    backbone = tfseg.VGG(11, batch_norm=encoder.endswith("bn"))
    model = getattr(tfseg, decoder)(backbone, 3, **options, **center)
    smp_decoders.fill(model, module, smp_decoders.rows(decoder, encoder))
    for size in SIZES:
        difference = relative(output(model, images(*size)), torch_output(module, images(*size)))
        record(f"{case} on {encoder}", difference)
        assert difference <= 1e-5


@functools.cache
def narrow(**options):
    return tfseg.ResNet(18, width=1 / 16, **options)


DECODERS = [
    (tfseg.Unet, {"filters": UNET_FILTERS}),
    (tfseg.UnetPlusPlus, {"filters": UNET_FILTERS}),
    (tfseg.Linknet, {}),
    (tfseg.FPN, {"pyramid_filters": 8, "filters": 8, "groups": 4}),
    (tfseg.MAnet, {"filters": UNET_FILTERS}),
    (tfseg.PAN, {"filters": 8}),
    (tfseg.UPerNet, {"filters": 8}),
    (tfseg.SegFormer, {"filters": 8}),
    (tfseg.LRASPP, {"filters": 8}),
]
NAMES = [build.__name__ for build, _ in DECODERS]


@pytest.mark.quick_variants("FPN")
@pytest.mark.parametrize(("build", "options"), DECODERS, ids=NAMES)
def test_any_size_gives_logits_of_that_size_and_the_saved_network_is_the_same(build, options, tmp_path):
    backbone = narrow(output_stride=16 if build is tfseg.PAN else 32)
    model = build(backbone, 5, **options)
    pixels = images(131, 165)
    scores = output(model, pixels)
    assert scores.shape == (1, 131, 165, 5)
    assert tfseg.metadata(model) == tfseg.metadata(backbone) is not None
    model.save(tmp_path / "model.keras")
    assert np.array_equal(output(keras.saving.load_model(tmp_path / "model.keras"), pixels), scores)


@pytest.mark.parametrize(
    ("stride", "names"), [(8, ["decoder_0", "decoder_1", "decoder_2"]), (4, ["decoder_0", "decoder_1"])]
)
def test_a_dilated_backbone_has_fewer_steps_of_the_last_widths(stride, names):
    model = tfseg.Unet(narrow(output_stride=stride), 5)
    steps = [layer.name.removesuffix("_conv2_conv") for layer in model.layers if layer.name.endswith("_conv2_conv")]
    assert [name for name in steps if name.startswith("decoder")] == names
    assert [model.get_layer(f"{name}_conv1_conv").filters for name in names] == [256, 128, 64, 32, 16][-len(names) :]


def test_a_step_without_a_map_has_half_of_the_size_of_the_image():
    """segmentation_models.pytorch does so on a MiT, whose finest map has stride 4."""
    model = tfseg.Unet(tfseg.MiT(TINY_MIT), 2, filters=(8, 8, 8, 8, 8))
    step = keras.Model(model.input, model.get_layer("decoder_3_resize").output)
    assert output(step, images(67, 95)).shape == (1, 33, 47, 8)
    assert output(model, images(67, 95)).shape == (1, 67, 95, 2)


NEEDS_TWO_MAPS = (tfseg.FPN, tfseg.UPerNet, tfseg.PAN)  # of stride 4 or more
HEADS = [*DECODERS, (tfseg.DeepLabV3Plus, {"filters": 8, "low_level_filters": 4})]


@pytest.mark.full
@pytest.mark.parametrize("stride", [16, 8, 4])
@pytest.mark.parametrize(("build", "options"), HEADS, ids=[build.__name__ for build, _ in HEADS])
def test_a_decoder_on_a_dilated_backbone_works_or_says_what_it_needs(build, options, stride):
    options = {key: value for key, value in options.items() if value is not UNET_FILTERS}
    backbone = narrow(output_stride=stride)
    if stride == 4 and build in NEEDS_TWO_MAPS:
        with pytest.raises(ValueError, match=r"needs 2 maps of stride 4 or more.* with a larger output stride"):
            build(backbone, 3, **options)
        return
    model = build(backbone, 3, **options)
    assert output(model, images(131, 165)).shape == (1, 131, 165, 3)
    # The coarsest map takes part, dilated as it is.
    deepest = model.get_layer("conv5_block2_out")
    assert any(node.operation in model.layers for node in deepest._outbound_nodes)


@pytest.mark.parametrize(
    ("build", "backbone", "options", "message"),
    [
        (
            tfseg.Unet,
            {},
            {"filters": (8, 8)},
            r"Unet has 5 steps .* filters needs 5 numbers.* Received: filters=\(8, 8\)",
        ),
        (tfseg.Unet, {}, {"taps": ("conv2", "conv9")}, r"no layer for Unet's taps: neither conv9 .*taps=\("),
        (tfseg.Unet, {}, {"taps": ("conv5", "conv2")}, r"from the finest map to the coarsest.*strides=\[32, 4\]"),
        (tfseg.Unet, {}, {"attention": "cbam"}, r"attention must be one of None, 'scse'. Received: 'cbam'"),
        (tfseg.Unet, {}, {"interpolation": "cubic"}, r"interpolation must be one of 'bilinear'.* Received: 'cubic'"),
        (tfseg.UnetPlusPlus, {}, {"taps": ("conv2", "conv4")}, r"none of stride 8 between those that it has: use Unet"),
        (
            tfseg.Linknet,
            {"output_stride": 16},
            {"taps": ("conv4", "conv5")},
            r"a stride of its own.*strides=\[16, 16\]",
        ),
        (tfseg.FPN, {"output_stride": 4}, {}, r"FPN needs 2 maps of stride 4 or more.* strides \[2, 4\]"),
        (tfseg.FPN, {}, {"filters": 20}, r"groups must divide filters. Received: filters=20, groups=32"),
        (tfseg.FPN, {}, {"merge": "mean"}, r"merge must be one of 'add', 'cat'. Received: 'mean'"),
        (tfseg.SegFormer, {}, {"taps": ("conv3", "conv5")}, r"resizes all maps to stride 4.* strides \[8, 32\]"),
        (tfseg.UPerNet, {}, {"upsampling": "up"}, r"upsampling must be one of 'bilinear'.* Received: 'up'"),
    ],
)
def test_a_decoder_says_what_does_not_fit(build, backbone, options, message):
    with pytest.raises(ValueError, match=message):
        build(narrow(**backbone), 5, **options)


@pytest.mark.full
def test_lraspp_equals_torchvisions(record):
    """On a ResNet in place of the MobileNet: torchvision's head on the maps of stride 8 and 16."""
    import torch

    models = import_torchvision().models

    class Segmenter(torch.nn.Module):
        def __init__(self):
            super().__init__()
            getter = models._utils.IntermediateLayerGetter
            encoder = models.resnet18(weights=None)
            self.segmenter = models.segmentation.LRASPP(
                getter(encoder, {"layer2": "low", "layer3": "high"}), 128, 256, num_classes=3, inter_channels=24
            )

        def forward(self, image):
            return self.segmenter(image)["out"]

    module = filled_module(Segmenter, 0, 1.0)
    backbone = tfseg.ResNet(18)
    model = tfseg.LRASPP(backbone, 3, filters=24, low="conv3", high="conv4")
    smp_decoders.fill(model, module, smp_decoders.lraspp_rows("resnet18"))
    for size in ((65, 83), (96, 128)):
        difference = relative(output(model, images(*size)), torch_output(module, images(*size)))
        record("lraspp on resnet18", difference)
        assert difference <= 1e-5


@pytest.mark.full
def test_scse_is_exact_in_double_precision(record):
    """In single precision its gates amplify rounding: to 1.1e-5 of the largest value at this gain."""
    _, public_options, options = CASES["unet scse"]
    build = smp_decoders.smp().Unet
    module = filled_module(build, 0, 1.4, encoder_name="resnet50", encoder_weights=None, classes=3, **public_options)
    with double_precision():
        model = tfseg.Unet(tfseg.ResNet(50), 3, **options)
        smp_decoders.fill(model, module.double(), smp_decoders.rows("Unet", "resnet50"))
        scores = keras.Model(model.input, model.get_layer("logits").output)
        for size in SIZES:
            pixels = images(*size).astype("float64")
            difference = relative(output(scores, pixels), torch_output(module, pixels))
            record("unet scse, double precision", difference)
            assert difference <= 1e-12


@pytest.mark.quick_variants("FPN")
@pytest.mark.parametrize(("build", "options"), DECODERS, ids=NAMES)
def test_optimize_changes_no_decoder(build, options):
    model = randomize(build(narrow(output_stride=16 if build is tfseg.PAN else 32), 5, **options))
    fast = tfseg.optimize(model)
    assert len(fast.layers) < len(model.layers)
    for size in ((128, 160), (131, 165)):
        pixels = images(*size)
        assert relative(output(fast, pixels), output(model, pixels)) <= 1e-5


def test_a_backbone_of_several_maps_is_read_at_its_outputs():
    whole = narrow()
    names = ("conv2_block1_out", "conv3_block1_out", "conv4_block2_out")  # not the last ones
    maps = [whole.get_layer(name).output for name in names]
    model = tfseg.Unet(keras.Model(whole.input, [whole.input, *maps]), 3, filters=(8, 8, 4, 4))
    assert model.get_layer("decoder_1_concat").input[1] is maps[0]
    named = tfseg.Unet(whole, 3, taps=names, filters=(8, 8, 4, 4))
    pixels = images(64, 96)
    assert np.array_equal(output(copy_weights(model, named), pixels), output(model, pixels))
    # Maps in another order are no statement of what decoders read, nor are two results for a whole image.
    shuffled = tfseg.Unet(keras.Model(whole.input, maps[::-1]), 3)
    assert shuffled.get_layer("decoder_0_concat").input[1] is tfseg.last_maps(whole)[8]


def test_deeplabv3plus_reads_the_last_map_of_stride_4_of_any_classifier():
    vgg = tfseg.VGG(11, width=1 / 32)
    model = tfseg.DeepLabV3Plus(vgg, 3, filters=8, low_level_filters=4)
    assert model.get_layer("low_level_conv").input is tfseg.last_maps(vgg)[4]
    image = keras.Input((None, None, 3))
    coarse = keras.Model(image, keras.layers.Conv2D(4, 3, strides=2)(image))
    with pytest.raises(ValueError, match=r"no map of stride 4 .* but of \[2\]: name a layer with low_level"):
        tfseg.DeepLabV3Plus(coarse, 3)


def test_pan_refuses_a_backbone_of_small_images():
    image = keras.Input((64, 96, 3))
    backbone = keras.Model(image, narrow(output_stride=16)(image))
    with pytest.raises(
        ValueError, match=r"it needs 8 rows and columns: images of 128 pixels .* map \(None, 4, 6, 32\)"
    ):
        tfseg.PAN(backbone, 3)


def test_a_tap_that_makes_no_map_is_refused():
    classifier = narrow(include_top=True)
    with pytest.raises(ValueError, match=r"taps are layers that make maps .* and avg_pool makes none"):
        tfseg.FPN(classifier, 3, taps=("conv3", "avg_pool"))


@pytest.mark.parametrize("taps", [None, ("conv2",)])
def test_a_backbone_that_is_code_is_refused(taps):
    class Subclass(keras.Model):
        def call(self, image):
            return image

    with pytest.raises(ValueError, match=r"is a subclass .* build it as a functional model"):
        tfseg.Unet(Subclass(), 3, taps=taps)
