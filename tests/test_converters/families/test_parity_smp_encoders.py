"""Converted networks on every encoder compute what segmentation_models.pytorch's do, from the tensors alone."""

import functools
import itertools
import re

import numpy as np
import pytest
import torch
from helpers.references import filled_module, images, output, randomized_state, relative, torch_output
from helpers.torchvision_cpu import import_torchvision

import converters
import tfseg
from converters import ConversionError
from converters.families import light_variables
from converters.families.pytorch.smp import SMP, SMP_TIMM
from converters.families.pytorch.smp_encoders import ENCODERS
from converters.families.variables import ANY
from tfseg import specs

pytestmark = pytest.mark.filterwarnings("ignore:`timm-` encoders are deprecated")
PUBLIC = "segmentation_models_pytorch"
TOLERANCE = 1e-5
NETWORKS = {row.public: (family, row) for family in (SMP, SMP_TIMM) for row in family.networks}
NARROW = (32, 16, 16, 8, 8)
# One encoder of each kind, with every decoder.
KINDS = (
    "mobilenet_v2",
    "efficientnet-b0",
    "efficientnet-b1",
    "timm-efficientnet-b0",
    "mit_b0",
    "densenet121",
    "se_resnet50",
    "se_resnext50_32x4d",
    "tu-resnet18",
)
SIZES = ((128, 160), (192, 128))


def net(public, **options):
    import_torchvision()
    smp = pytest.importorskip("segmentation_models_pytorch")
    decoder, _, encoder = public.partition("_")
    build = functools.partial(getattr(smp, decoder), encoder_name=encoder, encoder_weights=None)
    options = {"classes": 5} | options
    if encoder.startswith("mit_"):  # it counts with tensors while it is built
        return randomized_state(build(**options).eval()).requires_grad_(False)
    return filled_module(build, 0, 1.0, **options)


def check(public, record, sizes=SIZES, **options):
    module = net(public, **options)
    family, network = NETWORKS[public]
    model, receipt = converters.convert(dict(module.state_dict()))
    assert (receipt.family, receipt.network) == (family.name, network.name)
    assert network.assumed in receipt.notes
    module.classification_head = None
    for size in sizes:
        pixels = images(*size, channels=options.get("in_channels", 3))
        difference = relative(output(model, pixels), torch_output(module, pixels))
        record(public, difference)
        assert difference <= TOLERANCE
    return module, model


@pytest.mark.full
@pytest.mark.parametrize("public", [name for name in NETWORKS if name.partition("_")[2] in KINDS])
def test_every_decoder_on_one_encoder_of_each_kind(public, record):
    check(public, record)


# The others, with one decoder that reads all maps, and one that dilates.
OTHERS = [
    name
    for name in NETWORKS
    if name.startswith(("Unet_", "DeepLabV3Plus_")) and name.partition("_")[2] not in KINDS and "vgg" not in name
]


@pytest.mark.full
@pytest.mark.parametrize("public", OTHERS)
def test_every_encoder(public, record):
    check(public, record)


@pytest.mark.full
@pytest.mark.parametrize(
    ("public", "options"),
    [
        ("Unet_mobilenet_v2", {"decoder_attention_type": "scse", "decoder_channels": (48, 32, 16, 16, 16)}),
        ("Unet_mit_b0", {"in_channels": 4, "classes": 1}),
        ("Unet_efficientnet-b0", {"in_channels": 1, "aux_params": {"classes": 3}}),
        ("FPN_timm-efficientnet-b0", {"decoder_merge_policy": "cat", "decoder_pyramid_channels": 64}),
        ("DeepLabV3Plus_mobilenet_v2", {"decoder_channels": 128, "aux_params": {"classes": 3, "dropout": 0.3}}),
        ("Linknet_se_resnet50", {"in_channels": 2}),
    ],
)
def test_options_that_the_tensors_tell(public, options, record):
    if "classes" in options:
        module = net(public, **options)
        model, _ = converters.convert(dict(module.state_dict()))
        pixels = images(64, 96, channels=options["in_channels"])
        assert relative(output(model, pixels), torch_output(module, pixels)) <= TOLERANCE
    else:
        check(public, record, ((64, 96), (96, 64)), **options)


def shapes(public, **options):
    """The tensors of a network, without their numbers."""
    import_torchvision()
    smp = pytest.importorskip("segmentation_models_pytorch")
    decoder, _, encoder = public.partition("_")
    with torch.device("cpu" if "mit_" in encoder else "meta"):  # a MiT counts with tensors
        module = getattr(smp, decoder)(encoder, encoder_weights=None, **options)
    return {key: np.broadcast_to(np.float32(0), value.shape) for key, value in module.state_dict().items()}


@pytest.mark.quick_variants("Unet_efficientnet-b2", "Unet_tu-resnet34d")
@pytest.mark.parametrize("public", [name for name in NETWORKS if "vgg" not in name])
def test_every_network_is_found_by_its_tensors(public):
    family, network = NETWORKS[public]
    candidates = converters.identify(shapes(public))
    assert (candidates.family, candidates.network) == (family.name, network.name)


@pytest.mark.full
@pytest.mark.parametrize(
    "public",
    [
        "PSPNet_mobilenet_v2",
        "Unet_mobilenet_v2",
        "PSPNet_efficientnet-b0",
        "Unet_efficientnet-b0",
        "DeepLabV3Plus_timm-efficientnet-b0",
        "Segformer_mit_b0",
        "Unet_densenet121",
        "PSPNet_densenet121",
        "Unet_se_resnet50",
        "Unet_tu-resnet18",
    ],
)
def test_export_is_bit_identical(tmp_path, public):
    module = net(public)
    family, network = NETWORKS[public]
    model, receipt = converters.convert(dict(module.state_dict()))
    converters.export_weights(model, tmp_path / "back.pth", family=family.name)
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    expected = {key: value for key, value in module.state_dict().items() if key not in receipt.ignored}
    assert back.keys() == expected.keys()
    assert all(torch.equal(back[key], value) for key, value in expected.items())
    again, _ = converters.convert(tmp_path / "back.pth", network=network.name)
    for ours, reference in zip(again.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours, reference)


@pytest.mark.full
def test_what_is_left_out_is_what_nothing_reads():
    """The decoders read no convolution after the last stage of an EfficientNet."""
    module = net("Unet_efficientnet-b0", decoder_channels=NARROW)
    pixels = images(32, 32)
    reference = torch_output(module, pixels)
    _, receipt = converters.convert(dict(module.state_dict()))
    left_out = {key for key in receipt.ignored if "num_batches" not in key}
    assert {key.rsplit(".", 1)[0] for key in left_out} == {"encoder._conv_head", "encoder._bn1"}
    for name in ("_conv_head", "_bn1"):
        for value in getattr(module.encoder, name).parameters():
            value.fill_(float("nan"))
    np.testing.assert_array_equal(torch_output(module, pixels), reference)


@pytest.mark.full
@pytest.mark.parametrize("public", ["Unet_efficientnet-b0", "Unet_mit_b0"])
def test_an_encoder_alone_is_not_taken_for_its_beginning(public):
    alone = {key: value for key, value in shapes(public).items() if key.startswith("encoder.")}
    with pytest.raises(ConversionError, match="known here"):
        converters.convert(alone)


REFUSED = [
    ("Unet_mobilenet_v2", {"encoder_depth": 4, "decoder_channels": NARROW[1:]}, r"Unet has 5 steps on this backbone"),
    ("Unet_efficientnet-b0", {"decoder_use_norm": False}, r"decoder.blocks.0.conv1.1.weight"),
    ("Unet_mit_b0", {"encoder_depth": 3, "decoder_channels": NARROW[2:]}, r"steps on this backbone"),
    ("FPN_timm-efficientnet-b0", {"encoder_depth": 4}, r"decoder.p5.weight"),
    ("PAN_efficientnet-b0", {}, r"known here"),  # its dilation begins inside a stage
    ("DeepLabV3Plus_efficientnet-b0", {}, r"known here"),
    ("Unet_timm-efficientnet-b8", {}, r"known here"),
    ("Unet_timm-tf_efficientnet_lite0", {}, r"known here"),
    ("Unet_senet154", {}, r"known here"),
    ("Unet_tu-efficientnet_b0", {}, r"known here"),  # timm's two forms have the same tensors
]


@pytest.mark.quick_variants("PAN_efficientnet-b0-options4")
@pytest.mark.parametrize(("public", "options", "message"), REFUSED)
def test_what_is_not_built_is_refused(public, options, message):
    with pytest.raises(ConversionError, match=re.compile(message, re.DOTALL)):
        converters.convert(shapes(public, **options))


BUILT = {
    "mobilenet_v2": ({}, light_variables.mobilenet_v2),
    "efficientnet_b0": (
        {"top_conv": False},
        functools.partial(light_variables.efficientnet, spec=specs.EFFICIENTNETS["efficientnet_b0"]),
    ),
    "mit_b0": ({"joined": True}, functools.partial(light_variables.mit, spec=specs.MITS["mit_b0"])),
}


@pytest.mark.quick_variants("mobilenet_v2")
@pytest.mark.parametrize("name", BUILT)
def test_enumerated_kernels_are_those_of_the_built_network(name):
    options, enumerate_variables = BUILT[name]
    model = tfseg.build(name, width=1 / 8, **options)
    built = {variable.path: tuple(variable.shape) for variable in model.weights if variable.path.endswith("/kernel")}
    enumerated = enumerate_variables(1 / 8)
    assert enumerated.keys() == built.keys()
    for path, shape in enumerated.items():
        assert all(size in (ANY, other) for size, other in zip(shape, built[path], strict=True)), path


def test_names_of_encoders_are_the_packages():
    import_torchvision()
    smp = pytest.importorskip("segmentation_models_pytorch")
    assert {encoder.public for encoder in ENCODERS} <= set(smp.encoders.get_encoder_names())


def test_no_two_networks_have_one_name():
    for family in (SMP, SMP_TIMM):
        names = [row.name for row in family.networks]
        assert all(len(list(group)) == 1 for _, group in itertools.groupby(sorted(names)))
