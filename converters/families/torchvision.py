"""torchvision: VGG, ResNet and its relatives, and the FCN segmenters on them.

Facts read off https://github.com/pytorch/vision: torchvision/models/vgg.py, resnet.py and segmentation/fcn.py.
"""

import functools
import re

from converters.families.family import COUNTER, Family, Network
from converters.rules import Table
from tfseg import specs

_PTH = ("PyTorch zip", "PyTorch legacy stream")


def _public_classifier(name, *, num_classes, output_stride, aux):
    from torchvision import models

    if output_stride == 32:
        return getattr(models, name)(weights=None, num_classes=num_classes)
    # torchvision's own dilation; it refuses 18 and 34, and VGG does not know the option.
    replaced = [output_stride <= 4, output_stride <= 8, output_stride <= 16]
    return getattr(models, name)(weights=None, num_classes=num_classes, replace_stride_with_dilation=replaced)


def _public_segmenter(name, *, num_classes, output_stride, aux):
    from torchvision.models import segmentation

    if output_stride != 8:
        raise ValueError(f"torchvision's {name} has output stride 8 only")
    return getattr(segmentation, name)(weights=None, weights_backbone=None, num_classes=num_classes, aux_loss=aux)


# ------------------------------------------------------------------------------------------------------------- ResNet

# The first row that fits counts: read backwards, `_0_conv` is the projection and no "conv0".
_TRUNK = (
    ("conv1", "conv1_conv", "conv"),
    ("bn1", "conv1_bn", "norm"),
    ("layer{s}.{b}.downsample.0", "conv{s+1}_block{b+1}_0_conv", "conv"),
    ("layer{s}.{b}.downsample.1", "conv{s+1}_block{b+1}_0_bn", "norm"),
    ("layer{s}.{b}.conv{c}", "conv{s+1}_block{b+1}_{c}_conv", "conv"),
    ("layer{s}.{b}.bn{c}", "conv{s+1}_block{b+1}_{c}_bn", "norm"),
)


def trunk(prefix=""):
    """The rows of a torchvision ResNet without its top, under a prefix."""
    return tuple((prefix + source, target, kind) for source, target, kind in _TRUNK)


def trunk_differences(spec, shapes, prefix=""):
    """How the residual blocks in a file differ from those of a `tfseg.specs.ResNetSpec`, in words."""
    convs = {key: shape for key, shape in shapes.items() if key.startswith(prefix) and len(shape) == 4}
    found = [
        (int(match[1]), int(match[2]))
        for key in convs
        if (match := re.fullmatch(r"layer(\d+)\.(\d+)\.conv\d\.weight", key.removeprefix(prefix)))
    ]
    differences = []
    for stage, expected in enumerate(spec.blocks, 1):
        count = 1 + max((block for number, block in found if number == stage), default=-1)
        if count != expected:
            differences.append(f"layer{stage} has {count} blocks instead of {expected}")
    bottleneck = f"{prefix}layer1.0.conv3.weight" in convs
    if bottleneck != spec.bottleneck:
        kinds = {True: "bottleneck", False: "basic"}
        differences.append(f"{kinds[bottleneck]} blocks instead of {kinds[spec.bottleneck]} ones")
    first, inner = (convs.get(f"{prefix}{key}.weight") for key in ("conv1", "layer1.0.conv2"))
    if first and inner and not differences:
        inside = int(first[0] * spec.group_width / 64) * spec.groups
        if inner[:2] != (inside, inside // spec.groups):
            differences.append(
                f"3x3 convolutions {inner[0]} wide in {inner[0] // inner[1]} groups instead of "
                f"{inside} in {spec.groups}"
            )
    return differences


RESNET = Family(
    name="torchvision/resnet",
    source="https://github.com/pytorch/vision/blob/main/torchvision/models/resnet.py",
    licence="BSD-3-Clause",
    formats=_PTH,
    preprocessing="torch",
    networks=tuple(
        Network(
            name,
            Table((*trunk(), ("fc", "predictions", "dense")), (COUNTER,)),
            functools.partial(trunk_differences, spec),
            name,
        )
        for name, spec in specs.RESNETS.items()
    ),
    first="conv1.weight",
    classes="fc.weight",
    head=r"predictions/.*",
    public=_public_classifier,
)

SEGMENTATION = Family(
    name="torchvision/segmentation",
    source="https://github.com/pytorch/vision/blob/main/torchvision/models/segmentation/fcn.py",
    licence="BSD-3-Clause",
    formats=_PTH,
    preprocessing="torch",
    networks=tuple(
        Network(
            f"fcn_{name}",
            Table(
                (
                    *trunk("backbone."),
                    *(
                        (f"{aux}classifier.{index}", f"{aux and 'aux_'}{layer}", kind)
                        for aux in ("", "aux_")
                        for index, layer, kind in (
                            (0, "head_conv", "conv"),
                            (1, "head_bn", "norm"),
                            (4, "logits", "conv"),
                        )
                    ),
                ),
                (COUNTER,),
            ),
            functools.partial(trunk_differences, spec, prefix="backbone."),
            f"fcn_{name}" if name in ("resnet50", "resnet101") else None,
        )
        for name, spec in specs.RESNETS.items()
    ),
    first="backbone.conv1.weight",
    classes="classifier.4.weight",
    aux="aux_classifier.4.weight",
    head=r"(aux_)?(head_|logits/).*",
    features=r"conv5_block\d+_out",
    options={"output_stride": 8},
    dataset="voc",
    public=_public_segmenter,
)

# ---------------------------------------------------------------------------------------------------------------- VGG


def _vgg_features(depth, batch_norm):
    """The rows of `features`: torchvision numbers convolution, BatchNorm, ReLU and pooling in one sequence."""
    rows, index = [], 0
    for stage, count in enumerate(specs.VGG_CONVS[depth], 1):
        for conv in range(1, count + 1):
            rows.append((f"features.{index}", f"conv{stage}_{conv}", "conv"))
            if batch_norm:
                rows.append((f"features.{index + 1}", f"conv{stage}_{conv}_bn", "norm"))
            index += 3 if batch_norm else 2
        index += 1
    return tuple(rows)


_VGG_TOP = (("classifier.0", "fc6", "dense7x7"), ("classifier.3", "fc7", "dense"), ("classifier.6", "fc8", "dense"))


def _vgg_differences(features, shapes):
    expected = {source: 4 if kind == "conv" else 1 for source, _, kind in features}
    found = {
        key.removesuffix(".weight"): len(shape)
        for key, shape in shapes.items()
        if re.match(r"features\.\d+\.weight", key)
    }
    if found == expected:
        return []
    counts = [f"{list(ranks.values()).count(4)} convolutions" for ranks in (found, expected)]
    norms = ["with BatchNorm" if 1 in ranks.values() else "without BatchNorm" for ranks in (found, expected)]
    if counts[0] == counts[1] and norms[0] == norms[1]:
        return [f"`features` numbers its convolutions otherwise than {', '.join(expected)}"]
    return [f"`features` has {counts[0]} {norms[0]} instead of {counts[1]} {norms[1]}"]


def vgg_network(name, depth, batch_norm):
    features = _vgg_features(depth, batch_norm)
    return Network(name, Table(features + _VGG_TOP, (COUNTER,)), functools.partial(_vgg_differences, features), name)


VGG = Family(
    name="torchvision/vgg",
    source="https://github.com/pytorch/vision/blob/main/torchvision/models/vgg.py",
    licence="BSD-3-Clause",
    formats=_PTH,
    preprocessing="torch",
    networks=tuple(vgg_network(name, *row) for name, row in specs.VGGS.items()),
    first="features.0.weight",
    classes="classifier.6.weight",
    head=r"fc[678]/.*",
    public=_public_classifier,
)
