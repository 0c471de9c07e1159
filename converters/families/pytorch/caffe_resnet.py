"""Caffe's ResNets in PyTorch files: torchvision's names, strides in the first 1x1 convolution, images in BGR.

Two forms have the same tensors. Detectron and mmcv pool the stem as torchvision does. Ruotian Luo's conversion, which
faster-rcnn.pytorch uses, pools as Caffe does: without padding, and with the ceil rule.

Source of the facts: https://github.com/open-mmlab/mmcv: mmcv/model_zoo/open_mmlab.json;
https://github.com/open-mmlab/mmdetection: mmdet/models/backbones/resnet.py and configs/*_caffe_*.py;
https://github.com/ruotianluo/pytorch-resnet: convert.py and resnet.py.
"""

import dataclasses
from typing import Any

from converters.families.family import Family, FamilyNetwork
from converters.families.pytorch.public_torchvision import import_torchvision
from converters.families.trunks import network, trunk
from tfseg import specs

_DEPTHS = (50, 101, 152)
_WORDS = r"(?<![a-z])caffe(?!2(?!pytorch)|model)|(?<![a-z0-9])msra(?![a-z0-9])"


def _networks(form: str) -> tuple[FamilyNetwork, ...]:
    """The three networks of one form, the end of whose names it is."""
    names = [f"resnet{depth}_caffe_{form}" for depth in _DEPTHS]
    return tuple(
        network(
            name,
            specs.RESNETS[name],
            [*trunk(specs.RESNETS[name]), ("fc", "predictions", "dense")],
            public=name,
            options=specs.RESNET_DOUBLES[name][1],
        )
        for name in names
    )


def _public(name: str, *, num_classes: int, output_stride: int, aux: bool) -> Any:
    """torchvision's network with the strides moved, and with Caffe's pooling where the name says so."""
    models = import_torchvision().models
    import torch

    depth, _, form = name.partition("_caffe_")
    dilated = [output_stride <= stride for stride in (4, 8, 16)]
    module = getattr(models, depth)(weights=None, num_classes=num_classes, replace_stride_with_dilation=dilated)
    for stage in (module.layer2, module.layer3, module.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = stage[0].conv2.stride, (1, 1)
        stage[0].conv2.dilation = stage[0].conv2.padding = stage[1].conv2.dilation
    if form == "ceil":
        module.maxpool = torch.nn.MaxPool2d(3, 2, 0, ceil_mode=True)
    return module


PADDED = Family(
    name="open-mmlab/mmcv",
    covers="ResNet 50, 101, 152 in the caffe style of Detectron and mmcv",
    files="https://github.com/open-mmlab/mmcv/blob/v1.7.2/mmcv/model_zoo/open_mmlab.json",
    proof="torchvision with moved strides, 2.1e-6",
    source="https://github.com/open-mmlab/mmdetection/blob/main/mmdet/models/backbones/resnet.py",
    license="Apache-2.0",
    formats=("PyTorch zip", "PyTorch legacy stream"),
    preprocessing="detectron2",
    preprocessing_otherwise={"fast_rcnn": "the files of the first Detectron, such as resnet50_caffe-788b5fa3.pth"},
    networks=_networks("padded"),
    classes="fc.weight",
    head=r"predictions/.*",
    conventions=("previous", "new"),  # which are equal where a 1x1 strides
    public=_public,
    distinct="the first 1x1 convolution of a stage has the stride; its input is BGR, 0..255 minus the mean",
    file_words=_WORDS,
)

CEIL = dataclasses.replace(
    PADDED,
    name="ruotianluo/pytorch-resnet",
    covers="ResNet 50, 101, 152, as converted from Caffe by Ruotian Luo, for faster-rcnn.pytorch and others",
    files="https://github.com/ruotianluo/pytorch-resnet",
    proof="torchvision with moved strides and Caffe's pooling, 2.4e-6",
    source="https://github.com/ruotianluo/pytorch-resnet",
    license="none stated",
    preprocessing="caffe",
    preprocessing_otherwise={
        "fast_rcnn": "networks that faster-rcnn.pytorch trained further",
        "torch": "files of the conversion's mode pth, such as the resnet101.pth of neuraltalk2.pytorch",
    },
    networks=_networks("ceil"),
    distinct="the first 1x1 convolution of a stage has the stride, and the stem's pooling has the ceil rule and no "
    "padding; its input is BGR, 0..255 minus the mean",
)
