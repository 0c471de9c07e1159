"""ResNet trunks: torchvision's rows and their variants, and the network that they make."""

import functools

from converters.families import variables
from converters.families.family import COUNTER, FamilyNetwork
from converters.names.tables import table

# Of any segmenter on a ResNet or a DRN: the variables that `include_top=False` leaves out. And ResNet's last layers.
HEAD = r"(?!(conv[1-5]|level\d)_).*"
FEATURES = r"conv5_block\d+_out"

# How families name the three convolutions of a deep stem and their norms, in the order of computation.
STEMS = {
    "sequence": (("conv1.0", "conv1.1"), ("conv1.3", "conv1.4"), ("conv1.6", "bn1")),
    "numbered": (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3")),
    "layer0": (("layer0.0", "layer0.1"), ("layer0.3", "layer0.4"), ("layer0.6", "layer0.7")),
    "stem": (("stem.0", "stem.1"), ("stem.3", "stem.4"), ("stem.6", "stem.7")),
}


def trunk(spec, prefix="", stem="sequence"):
    """The rows of a `tfseg.specs.ResNetSpec` without its top, as torchvision and timm name it, under a prefix.

    The first row that fits counts: read backwards, `_0_conv` is the projection and no "conv0".
    """
    projection = 1 if spec.average_shortcut else 0  # the pooling takes the first place of the sequence
    rows = [
        *_stem(spec, stem),
        (f"layer{{s}}.{{b}}.downsample.{projection}", "conv{s+1}_block{b+1}_0_conv", "conv"),
        (f"layer{{s}}.{{b}}.downsample.{projection + 1}", "conv{s+1}_block{b+1}_0_bn", "norm"),
        ("layer{s}.{b}.conv{c}", "conv{s+1}_block{b+1}_{c}_conv", "conv"),
        ("layer{s}.{b}.bn{c}", "conv{s+1}_block{b+1}_{c}_bn", "norm"),
    ]
    if spec.radix:  # before the others: read backwards, this is the 3x3 of a block
        block, target = "layer{s}.{b}.conv2", "conv{s+1}_block{b+1}_2"
        rows[:0] = [
            (f"{block}.conv", f"{target}_conv", "conv"),
            (f"{block}.bn0", f"{target}_bn", "norm"),
            (f"{block}.fc{{i}}", f"{target}_attention_{{i}}_conv", "conv"),
            (f"{block}.bn1", f"{target}_attention_1_bn", "norm"),
        ]
    if spec.squeeze:
        rows.append(("layer{s}.{b}.se.fc{i}", "conv{s+1}_block{b+1}_se_{i}_conv", "conv"))
    return tuple((prefix + source, target, kind) for source, target, kind in rows)


def network(name, spec, rows, ignored=(), **facts):
    """A `FamilyNetwork` on a ResNet trunk, whose rows lead to the layer names of `tfseg.ResNet`."""
    names = table(tuple(rows), (COUNTER, *ignored))
    first, _ = names.backward("conv1_1_conv/kernel" if spec.stem else "conv1_conv/kernel")
    layer = "conv3_block1_0_pool" if spec.average_shortcut else None
    return FamilyNetwork(name, names, first, functools.partial(variables.resnet, spec=spec), layer=layer, **facts)


def _stem(spec, naming):
    if not spec.stem:
        return [("conv1", "conv1_conv", "conv"), ("bn1", "conv1_bn", "norm")]
    rows = []
    for index, (conv, norm) in enumerate(STEMS[naming], 1):
        rows += [(conv, f"conv1_{index}_conv", "conv"), (norm, f"conv1_{index}_bn", "norm")]
    return rows
