"""ResNet trunks: torchvision's rows and their variants, and how a file's stem and blocks differ from a network's."""

import functools
import re

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
    filters = spec.stem[0] if spec.stem else spec.stem_filters
    layer = "conv3_block1_0_pool" if spec.average_shortcut else None
    return FamilyNetwork(
        name, names, functools.partial(_differences, spec, names), first, filters=filters, layer=layer, **facts
    )


def _stem(spec, naming):
    if not spec.stem:
        return [("conv1", "conv1_conv", "conv"), ("bn1", "conv1_bn", "norm")]
    rows = []
    for index, (conv, norm) in enumerate(STEMS[naming], 1):
        rows += [(conv, f"conv1_{index}_conv", "conv"), (norm, f"conv1_{index}_bn", "norm")]
    return rows


def _differences(spec, names, shapes):
    """In the words of our own layers, whatever the file calls them; names that the table lacks count elsewhere."""
    kernels = {
        found[0].removesuffix("/kernel"): names.shape(key, shape)
        for key, shape in shapes.items()
        if len(shape) == 4 and (found := names.forward(key))
    }
    wrong = _stem_differences(spec, kernels) + _bias_differences(spec, names, shapes)
    blocks = [match for name in kernels if (match := re.fullmatch(r"conv(\d)_block(\d+)_\d_conv", name))]
    for stage, expected in enumerate(spec.blocks, 2):
        count = max((int(block[2]) for block in blocks if int(block[1]) == stage), default=0)
        if count != expected:
            wrong.append(f"conv{stage} has {count} blocks instead of {expected}")
    if ("conv2_block1_3_conv" in kernels) != spec.bottleneck:
        wrong.append("basic blocks where bottlenecks are expected" if spec.bottleneck else "bottleneck blocks")
    if ("conv2_block1_se_1_conv" in kernels) != bool(spec.squeeze):
        wrong.append(f"{'no ' if spec.squeeze else ''}squeeze-and-excite")
    if ("conv2_block1_2_attention_1_conv" in kernels) != bool(spec.radix):
        wrong.append(f"{'no ' if spec.radix else ''}split attention")
    inner, width = kernels.get("conv2_block1_2_conv"), _width(spec, kernels)
    if spec.bottleneck and inner and width and not wrong:
        inside = max(1, int(width * spec.group_width)) * spec.groups
        radix = max(1, spec.radix)
        if inner[2:] != (inside // spec.groups // radix, inside * radix):
            groups = inner[3] // inner[2]
            wrong.append(f"3x3 convolutions {inner[3]} wide in {groups} groups instead of {inside} in {spec.groups}")
    return wrong


def _stem_differences(spec, kernels):
    names = [f"conv1_{index}_conv" for index in range(1, len(spec.stem) + 1)] or ["conv1_conv"]
    found = [kernels[name] for name in names if name in kernels]
    if len(found) != len(names) or any(shape[0] != (3 if spec.stem else 7) for shape in found):
        return [f"has no stem of {'three 3x3 convolutions' if spec.stem else 'one 7x7 convolution'}"]
    widths, width = [shape[3] for shape in found], _width(spec, kernels)
    if width and widths != [round(filters * width) for filters in spec.stem or (spec.stem_filters,)]:
        return [f"has a stem of width {'-'.join(map(str, widths))}"]
    return []


def _bias_differences(spec, names, shapes):
    """Whether every convolution has a bias, as those of few families have, read off one of them."""
    key, _ = names.backward("conv2_block1_1_conv/bias") or (None, None)
    if (key in shapes) == (spec.biases == "all"):
        return []
    return ["has convolutions without biases" if spec.biases == "all" else "has a bias in every convolution"]


def _width(spec, kernels):
    """The multiplier of all channels, read off the first block's output; None if that is not there."""
    last = kernels.get(f"conv2_block1_{3 if spec.bottleneck else 2}_conv")
    return last and last[3] / (64 * spec.expansion)
