"""ResNet trunks: torchvision's rows and their variants, and the network that they make."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from converters.families import variables
from converters.families.family import COUNTER, FamilyNetwork
from converters.names.tables import Ignored, Row, table
from tfseg import specs

# The variables that `include_top=False` leaves out of a segmenter on a ResNet or a DRN; the ends of the last blocks.
HEAD = r"(?!(conv[1-5]|level\d)_).*"
FEATURES = r"conv5_block\d+_out"
# The same of a segmenter on a MobileNet or an EfficientNet.
HEAD_OF_LIGHT = r"(?!(stem|block\d+[a-z]?|top)_).*"
# How torchvision's networks differ from others with the same tensors.
STRIDED = "its 3x3 convolutions have the stride, and its stem has a maximum pooling of 3x3 pixels with padding"

# How families name the three convolutions of a deep stem and their norms, in the order of computation.
STEMS = {
    "sequence": (("conv1.0", "conv1.1"), ("conv1.3", "conv1.4"), ("conv1.6", "bn1")),
    "numbered": (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3")),
    "layer0": (("layer0.0", "layer0.1"), ("layer0.3", "layer0.4"), ("layer0.6", "layer0.7")),
    "initial": (("initial.0.0", "initial.0.1"), ("initial.0.3", "initial.0.4"), ("initial.0.6", "initial.1")),
    "modules": tuple((f"stem.{index}.conv", f"stem.{index}.bn") for index in range(3)),
    "stem": (("stem.0", "stem.1"), ("stem.3", "stem.4"), ("stem.6", "stem.7")),
}


def trunk(spec: specs.ResNetSpec, prefix: str = "", stem: str = "sequence") -> tuple[Row, ...]:
    """The rows of a ResNet without its top, as torchvision and timm name it.

    The first row that fits is used: read backwards, `_0_conv` is the projection and not "conv0".

    Args:
        spec: numbers of the network.
        prefix: text before every name, such as "backbone.".
        stem: name in `STEMS`, for a stem of three convolutions.

    Returns: rows for `converters.families.table`.

    Example:
        >>> from converters.families import trunks
        >>> trunks.trunk(tfseg.specs.RESNETS["resnet18"], "backbone.")[0]
        ('backbone.conv1', 'conv1_conv', 'conv')
    """
    # The pooling takes the first place of the sequence; CLIP calls it "-1".
    projection = int(spec.average_shortcut not in ("", "valid"))
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
    if spec.scales:
        for parts, ending, kind in (("convs", "conv", "conv"), ("bns", "bn", "norm")):
            rows.insert(0, (f"layer{{s}}.{{b}}.{parts}.{{i}}", f"conv{{s+1}}_block{{b+1}}_2_{{i+1}}_{ending}", kind))
    if spec.stem_pool == "convolution":
        rows += [("maxpool.0", "pool1_conv", "conv"), ("maxpool.1", "pool1_bn", "norm")]
    if spec.squeeze:
        rows.append(("layer{s}.{b}.se.fc{i}", "conv{s+1}_block{b+1}_se_{i}_conv", "conv"))
    return tuple((prefix + source, target, kind) for source, target, kind in rows)


def renamed(rows: Iterable[Row], names: Mapping[str, str]) -> tuple[Row, ...]:
    """The rows of a project that calls parts otherwise.

    Args:
        rows: rows with the usual names.
        names: part of a name -> what stands there instead.

    Returns: rows for `converters.families.table`.

    Example:
        >>> from converters.families import trunks
        >>> trunks.renamed([("layer1.se", "conv2_se", "conv")], {".se": ".gate"})
        (('layer1.gate', 'conv2_se', 'conv'),)
    """
    done = []
    for source, target, kind in rows:
        for part, other in names.items():
            source = source.replace(part, other)
        done.append((source, target, kind))
    return tuple(done)


def network(
    name: str, spec: specs.ResNetSpec, rows: Iterable[Row], ignored: Iterable[Ignored] = (), **fields: Any
) -> FamilyNetwork:
    """A `FamilyNetwork` on a ResNet trunk, whose rows lead to the layer names of `tfseg.ResNet`.

    Args:
        name: name that `tfseg.build` knows.
        spec: numbers of the trunk.
        rows: rows of the trunk and of the head.
        ignored: `(regular expression, why)` of keys that are left out, besides the counters of batches.
        **fields: further fields of the record.

    Returns: the record.

    Example:
        >>> from converters.families import trunks
        >>> spec = tfseg.specs.RESNETS["resnet18"]
        >>> network = trunks.network("resnet18", spec, [*trunks.trunk(spec), ("fc", "predictions", "dense")])
        >>> from converters.families.differences import describe_differences
        >>> describe_differences(network, {"conv1.weight": (64, 3, 7, 7)})[0]
        'conv2 has 0 blocks instead of 2'
    """
    names = table(tuple(rows), (COUNTER, *ignored))
    path = "conv1_1_conv/kernel" if spec.stem else "conv1_conv/kernel"
    first = names.key(path) or path
    layer = "conv3_block1_0_pool" if spec.average_shortcut else None
    return FamilyNetwork(name, names, first, functools.partial(variables.resnet, spec=spec), layer=layer, **fields)


def _stem(spec: specs.ResNetSpec, naming: str) -> list[Row]:
    if not spec.stem:
        return [("conv1", "conv1_conv", "conv"), ("bn1", "conv1_bn", "norm")]
    rows = []
    for index, (conv, norm) in enumerate(STEMS[naming], 1):
        rows += [(conv, f"conv1_{index}_conv", "conv"), (norm, f"conv1_{index}_bn", "norm")]
    return rows
