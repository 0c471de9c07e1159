"""timm: EfficientNets in both forms, MobileNetV2, and CLIP's ResNets.

The EfficientNets of two publishers have the same tensors: TensorFlow's pad on one side and have another epsilon.

Source of the facts: https://github.com/huggingface/pytorch-image-models: timm/models/efficientnet.py and byobnet.py.
"""

import functools
from typing import Any

from converters.families import light_trunks, light_variables
from converters.families.family import COUNTER, Family, FamilyNetwork
from converters.families.light_trunks import unit
from converters.families.pytorch.public_torchvision import import_torchvision
from converters.families.trunks import network
from converters.names.tables import Row, table
from tfseg import specs

FORMATS = ("safetensors", "PyTorch zip", "PyTorch legacy stream")
SOURCE = "https://github.com/huggingface/pytorch-image-models/blob/main/timm/models/"
FILES = "https://huggingface.co/timm"


def public_timm(name: str, *, num_classes: int, output_stride: int, aux: bool) -> Any:
    """timm's network of that name, without weights."""
    import_torchvision()  # which timm imports
    import timm

    return timm.create_model(name, pretrained=False, num_classes=num_classes, output_stride=output_stride)


# -------------------------------------------------------------------------------------------------------- EfficientNet


_EPSILON = 1e-5


def _efficientnets(*, of_tensorflow: bool) -> tuple[FamilyNetwork, ...]:
    distinct = (
        "it pads as TensorFlow does, more on the right and below, and its norms have an epsilon of 1e-3"
        if of_tensorflow
        else "it pads both sides alike, and its norms have an epsilon of 1e-5"
    )
    return tuple(
        FamilyNetwork(
            name,
            table((*light_trunks.timm_efficientnet(), ("classifier", "predictions", "dense")), (COUNTER,)),
            "conv_stem.weight",
            functools.partial(light_variables.efficientnet_with_top, spec=spec),
            public=name,
            complete=r"(stem|block\d+[a-z]?|top)_.*",
            distinct=distinct,
            # torchvision's largest ones, which `tfseg.build` gives, have TensorFlow's epsilon; timm's have not.
            options={} if of_tensorflow or spec.epsilon == _EPSILON else {"epsilon": _EPSILON},
        )
        for name, spec in specs.EFFICIENTNETS.items()
        if name.startswith("tf_") == of_tensorflow
    )


EFFICIENTNET = Family(
    name="timm/efficientnet",
    covers="EfficientNet-B0 to -B7 that timm trained",
    files=FILES,
    proof="timm, 1.0e-6",
    source=f"{SOURCE}efficientnet.py",
    license="Apache-2.0",
    formats=FORMATS,
    preprocessing="torch",
    networks=_efficientnets(of_tensorflow=False),
    classes="classifier.weight",
    head=r"predictions/.*",
    public=public_timm,
)

TF_EFFICIENTNET = Family(
    name="timm/tf_efficientnet",
    covers="EfficientNet-B0 to -B7 that came from TensorFlow",
    files=FILES,
    proof="timm, 1.0e-6",
    source=f"{SOURCE}efficientnet.py",
    license="Apache-2.0",
    formats=FORMATS,
    preprocessing="torch",
    networks=_efficientnets(of_tensorflow=True),
    classes="classifier.weight",
    head=r"predictions/.*",
    public=public_timm,
    distinct="some of its recipes want a mean and a deviation of 0.5: see the model's card",
    file_words=r"tf_efficientnet",
)

# ----------------------------------------------------------------------------------------------------- CLIP's ResNets

_BLOCK, _TARGET = "stages.{s}.{b}", "conv{s+2}_block{b+1}"
CLIP_ROWS: tuple[Row, ...] = (
    *unit("stem.conv{i}", "conv1_{i}", "conv", "bn"),
    *unit(f"{_BLOCK}.shortcut.conv", f"{_TARGET}_0", "conv", "bn"),
    *unit(f"{_BLOCK}.conv1_1x1", f"{_TARGET}_1", "conv", "bn"),
    *unit(f"{_BLOCK}.conv2_kxk", f"{_TARGET}_2", "conv", "bn"),
    *unit(f"{_BLOCK}.conv3_1x1", f"{_TARGET}_3", "conv", "bn"),
    ("head.fc", "predictions", "dense"),
)

CLIP_RESNET = Family(
    name="timm/resnet_clip",
    covers="CLIP's ResNet-50 and -101 that end in a plain average (`resnet50_clip_gap`)",
    files=FILES,
    proof="timm, 1.0e-6",
    source=f"{SOURCE}byobnet.py",
    license="MIT",
    formats=FORMATS,
    preprocessing="clip",
    networks=tuple(
        network(name, specs.RESNETS[name], CLIP_ROWS, public=f"{name}_gap")
        for name in ("resnet50_clip", "resnet101_clip")
    ),
    classes="head.fc.weight",
    head=r"predictions/.*",
    conventions=("previous",),
    public=public_timm,
)
