"""One narrow network of each kind."""

import dataclasses
import functools

import tfseg
from tfseg import specs

V1 = dataclasses.replace(specs.RESNETS["resnet50"], stride_in="1x1")  # as in Caffe and keras.applications
SHORT_V1 = dataclasses.replace(V1, blocks=(1, 2, 2, 2))
SHORT_RESNEXT = dataclasses.replace(specs.RESNETS["resnext50_32x4d"], blocks=(1, 2, 2, 2))


def narrow_resnet(spec, **options):
    """A ResNet with an eighth of the channels."""
    return tfseg.ResNet(spec, **({"width": 1 / 8} | options))


def narrow_vgg(batch_norm=False, **options):
    """VGG16 with a sixteenth of the channels."""
    return tfseg.VGG(16, batch_norm=batch_norm, width=1 / 16, **options)


def fcn_resnet18(**options):
    """An FCN head and an auxiliary one on a dilated ResNet-18."""
    return tfseg.FCN(narrow_resnet(18, output_stride=8, **options), 5, aux=True)


def deeplabv3plus(**options):
    """DeepLabV3+ on a dilated ResNet-18."""
    return tfseg.DeepLabV3Plus(narrow_resnet(18, output_stride=16, **options), 5, filters=8, low_level_filters=3)


SMALL = {
    "vgg": functools.partial(tfseg.VGG, 11, batch_norm=True, width=1 / 16),
    "vgg classifier": functools.partial(tfseg.VGG, 16, width=1 / 32, include_top=True, num_classes=5),
    "resnet": functools.partial(narrow_resnet, 18, output_stride=8),
    "resnext classifier": functools.partial(narrow_resnet, SHORT_RESNEXT, include_top=True, num_classes=5),
    "resnest classifier": functools.partial(narrow_resnet, "resnest14d", include_top=True, num_classes=5),
    "fcn8s": functools.partial(tfseg.FCN8s, 5, width=1 / 32),
    "fcn8s same": functools.partial(tfseg.FCN8s, 5, width=1 / 32, padding="same"),
    "fcn8s at once": functools.partial(tfseg.FCN8sAtOnce, 5, width=1 / 32),
    "fcn head": fcn_resnet18,
    "deeplabv3plus": deeplabv3plus,
    "drn classifier": functools.partial(tfseg.DRN, "c_26", width=1 / 8, include_top=True, num_classes=5),
    "drnseg": lambda **options: tfseg.DRNSeg(tfseg.DRN("d_22", width=1 / 8, **options), 5),
}
