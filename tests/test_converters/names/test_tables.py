"""The name maps as data: every key of the public implementations has one place, and the way back leads home."""

import functools
import re
import warnings
from unittest import mock

import numpy as np
import pytest
import torch
from helpers.references import torchfcn_models
from helpers.torchvision_cpu import import_torchvision

import converters
from converters.families import FAMILIES
from converters.names.tables import Table, Template
from tfseg import specs

NETWORKS = [(family, network) for family in FAMILIES.values() for network in family.networks]
# Those that a public implementation builds: the others have their twins in tests/test_converters/families.
PUBLIC = [pair for pair in NETWORKS if pair[0].public and pair[1].public]
PACKAGES = {"timm": "timm", "csailvision": "mit_semseg", "qubvel": "segmentation_models_pytorch"}
SIZES = tuple(f"b{size}" for size in range(2, 8))
WIDER = re.compile(r"(101|152|200|269)|_w(30|32|40|44|48|64)|_b[1-7]$|densenet(161|169|201)")  # of a classifier
LARGE = ("resnet101", "resnet152", "resnext101", "vgg19", "vgg13")  # of a decoder, the others show all names


def is_full(family, network):
    """Whether others show the same names: of smp, each decoder on a ResNet-18 and U-Net on each kind of encoder do."""
    title, _, encoder = network.name.partition("_")
    if family.name.startswith("qubvel/segmentation_models.pytorch"):
        return encoder != "resnet18" and (title != "unet" or encoder.startswith(LARGE) or encoder.endswith(SIZES))
    return encoder.startswith(LARGE) or WIDER.search(network.name) is not None


each_public_network = pytest.mark.parametrize(
    ("family", "network"),
    [
        pytest.param(*pair, marks=pytest.mark.full if is_full(*pair) else (), id=f"{pair[0].name}-{pair[1].name}")
        for pair in PUBLIC
    ],
)


def public_shapes(family, network):
    """Key -> shape of the public implementation, without its memory."""
    stride = {**family.options, **network.options}.get("output_stride", 32)
    return shapes_of(family.name, network.public, stride)


@functools.cache  # two tests ask
def shapes_of(family_name, public, stride):
    family = FAMILIES[family_name]
    if family.name == "wkentaro/pytorch-fcn":
        torchfcn_models()
    else:
        import_torchvision()  # timm imports it too
        if package := PACKAGES.get(family.name.partition("/")[0]):
            pytest.importorskip(package)
    on_processor = functools.partial(torch.linspace, device="cpu")  # MiT reads its rates of dropped branches as numbers
    with torch.device("meta"), mock.patch.object(torch, "linspace", on_processor), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`timm-` encoders", DeprecationWarning)
        module = family.public(public, num_classes=21, output_stride=stride, aux=family.aux is not None)
    return {key: tuple(value.shape) for key, value in module.state_dict().items()}


@pytest.mark.quick_variants(every=3)
@each_public_network
def test_every_public_key_has_exactly_one_place_and_comes_back(family, network):
    shapes = public_shapes(family, network)
    paths = []
    for key in shapes:
        path = network.table.path(key)
        assert (path is None) == (network.table.why_ignored(key) is not None), key
        matching = {rule.target.fill(numbers) for rule in network.table.rules if (numbers := rule.source.match(key))}
        if "efficientnet" not in network.name:  # of its blocks, which differ by stage, the first row that fits is read
            assert len(matching) <= 1, f"{key} could go to {matching}"
        if path:
            paths.append(path)
            assert network.table.key(path) == key
    assert len(set(paths)) == len(paths)


def first_with_its_tensors(family, network):
    """The network of the family that a file of these tensors is, where nothing but the order of the family decides."""
    if family.name.endswith("/timm") and network.whole:  # timm builds no more of an encoder than PSPNet reads
        return next(other.name for other in family.networks if other.whole and tensors(other) == tensors(network))
    double = {"fcn8s_atonce": "fcn8s"}.get(network.name) or specs.RESNET_DOUBLES.get(network.name, ("",))[0]
    return double if family.network(double) else network.name


def tensors(network):
    """Key -> shape of a network's own variables."""
    return {network.table.key(path): shape for path, shape in network.variables(1.0).items()}


@pytest.mark.quick_variants(every=3)
@each_public_network
def test_public_keys_are_identified(family, network):
    shapes = public_shapes(family, network)
    weightless = {key: np.broadcast_to(np.float32(0), shape) for key, shape in shapes.items()}
    identified = converters.identify(weightless, family=family.name)
    first = first_with_its_tensors(family, network)
    assert (identified.family, identified.network) == (family.name, first)
    if first != network.name:
        assert any(other.startswith(f"{family.name} {network.name}") for other in identified.others)
        named = converters.identify(weightless, family=family.name, network=network.name)
        assert named.network == network.name
    assert (identified.num_classes, identified.width, identified.channels, identified.include_top) == (21, 1, 3, True)
    assert identified.aux == (family.aux is not None)


def test_templates_match_and_fill_names():
    template = Template.parse("conv{s+1}_block{b+1}_{c}_conv/kernel")
    assert template.match("conv4_block11_2_conv/kernel") == {"s": 3, "b": 10, "c": 2}
    assert template.fill({"s": 3, "b": 10, "c": 2}) == "conv4_block11_2_conv/kernel"
    for other in (
        "conv4_block0_2_conv/kernel",
        "conv4_block01_2_conv/kernel",
        "conv4_block1_2_conv/bias",
        "xconv4_block1_2_conv/kernel",
    ):
        assert template.match(other) is None
    assert Template.parse("{i}_{i+1}").match("3_4") == {"i": 3}
    assert Template.parse("{i}_{i+1}").match("3_5") is None


def test_a_table_maps_keys_to_paths_and_modules_to_layers():
    table = Table((("a{i}", "b{i+1}", "conv"),), ((r"c\d", "why not"),))
    assert table.forward("a2.weight")[0] == "b3/kernel"
    assert table.module("a2") == "b3"
    assert table.module("d2") is None
    assert table.why_ignored("c5") == "why not"
    assert table.knows("c5")
    assert not table.knows("c")
