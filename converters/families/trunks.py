"""The trunk of a ResNet under torchvision's key names and their variants: rows, and how a file's blocks differ."""

import re

# How a family names the three convolutions of a deep stem and their norms, in the order of computation.
STEMS = {
    "sequence": (("conv1.0", "conv1.1"), ("conv1.3", "conv1.4"), ("conv1.6", "bn1")),
    "numbered": (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3")),
    "layer0": (("layer0.0", "layer0.1"), ("layer0.3", "layer0.4"), ("layer0.6", "layer0.7")),
}


def trunk(spec, prefix="", stem="sequence"):
    """The rows of a `tfseg.specs.ResNetSpec` without its top, under a prefix.

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
    if spec.squeeze:
        rows.append(("layer{s}.{b}.se.fc{i}", "conv{s+1}_block{b+1}_se_{i}_conv", "conv"))
    return tuple((prefix + source, target, kind) for source, target, kind in rows)


def first_conv(spec, prefix="", stem="sequence"):
    """The key of the first convolution's weights."""
    return f"{prefix}{_stem(spec, stem)[0][0]}.weight"


def differences(spec, shapes, prefix="", stem="sequence"):
    """How the stem and the blocks in a file differ from those of a `tfseg.specs.ResNetSpec`, in words."""
    convs = {
        key.removeprefix(prefix): shape
        for key, shape in shapes.items()
        if key.startswith(prefix) and key.endswith(".weight") and len(shape) == 4
    }
    return _stem_differences(spec, convs, stem) + _block_differences(spec, convs)


def _stem(spec, naming):
    if not spec.stem:
        return [("conv1", "conv1_conv", "conv"), ("bn1", "conv1_bn", "norm")]
    rows = []
    for index, (conv, norm) in enumerate(STEMS[naming], 1):
        rows += [(conv, f"conv1_{index}_conv", "conv"), (norm, f"conv1_{index}_bn", "norm")]
    return rows


def _stem_differences(spec, convs, naming):
    names = [conv for conv, _, kind in _stem(spec, naming) if kind == "conv"]
    found = [convs[f"{name}.weight"] for name in names if f"{name}.weight" in convs]
    side = 3 if spec.stem else 7
    if len(found) != len(names) or any(shape[2] != side for shape in found):
        return [f"has no stem of {'three 3x3 convolutions' if spec.stem else 'one 7x7 convolution'}"]
    widths, width = [shape[0] for shape in found], _width(spec, convs)
    if width and widths != [round(filters * width) for filters in spec.stem or (64,)]:
        return [f"has a stem of width {'-'.join(map(str, widths))}"]
    return []


def _width(spec, convs):
    """The multiplier of all channels, read off the first block's output; None if that is not there."""
    last = convs.get(f"layer1.0.conv{3 if spec.bottleneck else 2}.weight")
    return last and last[0] / (64 * spec.expansion)


def _block_differences(spec, convs):
    blocks = [match for key in convs if (match := re.fullmatch(r"layer(\d+)\.(\d+)\.conv\d\.weight", key))]
    wrong = []
    for stage, expected in enumerate(spec.blocks, 1):
        count = 1 + max((int(block[2]) for block in blocks if int(block[1]) == stage), default=-1)
        if count != expected:
            wrong.append(f"layer{stage} has {count} blocks instead of {expected}")
    bottleneck = "layer1.0.conv3.weight" in convs
    if bottleneck != spec.bottleneck:
        kinds = {True: "bottleneck", False: "basic"}
        wrong.append(f"{kinds[bottleneck]} blocks instead of {kinds[spec.bottleneck]} ones")
    if ("layer2.0.downsample.1.weight" in convs) != bool(spec.average_shortcut):
        wrong.append(f"projections {'without' if spec.average_shortcut else 'with'} an average pooling before them")
    if ("layer1.0.se.fc1.weight" in convs) != bool(spec.squeeze):
        wrong.append(f"{'no ' if spec.squeeze else ''}squeeze-and-excite in its blocks")
    inner, width = convs.get("layer1.0.conv2.weight"), _width(spec, convs)
    if spec.bottleneck and inner and width and not wrong:
        inside = max(1, int(width * spec.group_width)) * spec.groups
        if inner[:2] != (inside, inside // spec.groups):
            groups = inner[0] // inner[1]
            wrong.append(f"3x3 convolutions {inner[0]} wide in {groups} groups instead of {inside} in {spec.groups}")
    return wrong
