"""torchvision: VGG, ResNet and its relatives, and the FCN and DeepLabV3 segmenters on them.

Source of the facts: https://github.com/pytorch/vision: torchvision/models/vgg.py, resnet.py and segmentation/*.py.
"""

import functools
from typing import Any

from converters.families import variables
from converters.families.family import COUNTER, Family, FamilyNetwork
from converters.families.heads import aspp
from converters.families.pytorch.public_torchvision import import_torchvision
from converters.families.trunks import FEATURES, HEAD, STRIDED, network, trunk
from converters.names.tables import Row, table
from tfseg import specs

_FORMATS = ("PyTorch zip", "PyTorch legacy stream", "ONNX")


def _public_classifier(name: str, *, num_classes: int, output_stride: int, aux: bool) -> Any:
    models = import_torchvision().models

    if output_stride == 32:
        return getattr(models, name)(weights=None, num_classes=num_classes)
    # torchvision dilates by itself; it refuses to do so for ResNet-18 and -34, and VGG lacks the option.
    replaced = [output_stride <= 4, output_stride <= 8, output_stride <= 16]
    return getattr(models, name)(weights=None, num_classes=num_classes, replace_stride_with_dilation=replaced)


def _public_segmenter(name: str, *, num_classes: int, output_stride: int, aux: bool) -> Any:
    segmentation = import_torchvision().models.segmentation

    if output_stride != 8:
        raise ValueError(f"torchvision's {name} has output stride 8 only")
    return getattr(segmentation, name)(weights=None, weights_backbone=None, num_classes=num_classes, aux_loss=aux)


# ------------------------------------------------------------------------------------------------------------- ResNet

_SPECS = {name: specs.RESNETS[name] for name in specs.TORCHVISION_RESNETS}

RESNET = Family(
    name="torchvision/resnet",
    covers="ResNet 18 to 152, ResNeXt-50 32x4d, -101 32x8d and 64x4d, Wide ResNet-50-2 and -101-2",
    files="https://docs.pytorch.org/vision/stable/models.html",
    proof="torchvision, 5.8e-6",
    source="https://github.com/pytorch/vision/blob/main/torchvision/models/resnet.py",
    license="BSD-3-Clause",
    formats=_FORMATS,
    preprocessing="torch",
    networks=tuple(
        network(name, spec, [*trunk(spec), ("fc", "predictions", "dense")], public=name, distinct=STRIDED)
        for name, spec in _SPECS.items()
    ),
    classes="fc.weight",
    head=r"predictions/.*",
    public=_public_classifier,
)

# The modules of the heads, without their prefix.
FCN_HEAD = (("0", "head_conv", "conv"), ("1", "head_bn", "norm"), ("4", "logits", "conv"))
DEEPLABV3_HEAD = (
    *aspp("0"),
    ("1", "head_conv", "conv"),
    ("2", "head_bn", "norm"),
    ("4", "logits", "conv"),
)
_HEADS = {"fcn": FCN_HEAD, "deeplabv3": DEEPLABV3_HEAD}


def _segmenter(head: str, name: str, spec: specs.ResNetSpec) -> FamilyNetwork:
    rows = [(f"classifier.{source}", target, kind) for source, target, kind in _HEADS[head]]
    rows += [(f"aux_classifier.{source}", f"aux_{target}", kind) for source, target, kind in FCN_HEAD]
    public = f"{head}_{name}" if name in ("resnet50", "resnet101") else None
    return network(f"{head}_{name}", spec, [*trunk(spec, "backbone."), *rows], public=public)


SEGMENTATION = Family(
    name="torchvision/segmentation",
    covers="FCN and DeepLabV3 on ResNet-50 and -101, auxiliary heads; on any other ResNet above",
    files="https://docs.pytorch.org/vision/stable/models.html",
    proof="torchvision, 5.1e-6",
    source="https://github.com/pytorch/vision/tree/main/torchvision/models/segmentation",
    license="BSD-3-Clause",
    formats=_FORMATS,
    preprocessing="torch",
    networks=tuple(_segmenter(head, name, spec) for head in _HEADS for name, spec in _SPECS.items()),
    classes="classifier.4.weight",
    aux="aux_classifier.4.weight",
    head=HEAD,
    features=FEATURES,
    trunk={"output_stride": 32},
    options={"output_stride": 8},
    datasets=("voc",),
    public=_public_segmenter,
)

# ---------------------------------------------------------------------------------------------------------------- VGG


def vgg_features(depth: int, batch_norm: bool, prefix: str = "") -> tuple[Row, ...]:
    """The rows of `features`: torchvision numbers convolution, BatchNorm, ReLU and pooling in one sequence.

    Args:
        depth: 11, 13, 16 or 19.
        batch_norm: whether each convolution has a BatchNorm.
        prefix: text before every name, such as "encoder.".
    """
    rows: list[Row] = []
    index = 0
    for stage, count in enumerate(specs.VGG_CONVS[depth], 1):
        for conv in range(1, count + 1):
            rows.append((f"{prefix}features.{index}", f"conv{stage}_{conv}", "conv"))
            if batch_norm:
                rows.append((f"{prefix}features.{index + 1}", f"conv{stage}_{conv}_bn", "norm"))
            index += 3 if batch_norm else 2
        index += 1
    return tuple(rows)


_VGG_TOP = (("classifier.0", "fc6", "dense7x7"), ("classifier.3", "fc7", "dense"), ("classifier.6", "fc8", "dense"))


def vgg_network(name: str, depth: int, batch_norm: bool) -> FamilyNetwork:
    """A VGG under torchvision's names.

    Args:
        name: name that `tfseg.build` knows.
        depth: 11, 13, 16 or 19.
        batch_norm: whether each convolution has a BatchNorm.
    """
    features = vgg_features(depth, batch_norm)
    names = table(features + _VGG_TOP, (COUNTER,))
    convolutions = functools.partial(variables.vgg, depth=depth, batch_norm=batch_norm)
    return FamilyNetwork(name, names, "features.0.weight", convolutions, public=name)


VGG = Family(
    name="torchvision/vgg",
    covers="VGG 11, 13, 16, 19, with and without BatchNorm",
    files="https://docs.pytorch.org/vision/stable/models.html",
    proof="torchvision, 5.9e-6",
    source="https://github.com/pytorch/vision/blob/main/torchvision/models/vgg.py",
    license="BSD-3-Clause",
    formats=_FORMATS,
    preprocessing="torch",
    networks=tuple(vgg_network(name, *row) for name, row in specs.VGGS.items()),
    classes="classifier.6.weight",
    head=r"fc[678]/.*",
    conventions=(),
    public=_public_classifier,
)
