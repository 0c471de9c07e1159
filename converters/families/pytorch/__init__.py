"""Families whose files come from PyTorch."""

from converters.families.pytorch import (
    caffe_resnet,
    csail,
    deeplabv2,
    drn,
    encoding,
    huggingface,
    mmseg,
    pytorch_fcn,
    semseg,
    smp,
    timm,
    torchvision,
    torchvision_light,
)

__all__ = [
    "caffe_resnet",
    "csail",
    "deeplabv2",
    "drn",
    "encoding",
    "huggingface",
    "mmseg",
    "pytorch_fcn",
    "semseg",
    "smp",
    "timm",
    "torchvision",
    "torchvision_light",
]
