"""Networks by name."""

import dataclasses
import functools
import inspect

from tfseg import specs
from tfseg.nets.deeplab_vgg import DeepLabLargeFOV, DeepLabV2VGG
from tfseg.nets.deeplabv2 import DeepLabV2
from tfseg.nets.deeplabv3 import RATES, DeepLabV3, DeepLabV3Plus
from tfseg.nets.drn import DRN, DRNSeg
from tfseg.nets.fcn import FCN8s, FCN8sAtOnce, FCN16s, FCN32s
from tfseg.nets.heads import FCN
from tfseg.nets.pspnet import PSPNet
from tfseg.nets.resnet import ResNet
from tfseg.nets.vgg import VGG

_SPEC_FIELDS = [field.name for field in dataclasses.fields(specs.ResNetSpec)]


def build(name, **options):
    """A network by its name: `build("fcn_resnet50", num_classes=21, output_stride=16)`.

    Args:
        name: one of `list_models()`. "vgg16_bn" is `VGG`, "resnet50" `ResNet`, "fcn32s" `FCN32s`; "fcn_resnet50" is
            `FCN`, "deeplabv3_resnet50" `DeepLabV3` and "pspnet_resnet50" `PSPNet` on a ResNet of output stride 8;
            "drn_d_22" is `DRN` and "drnseg_drn_d_22" `DRNSeg` on it; "deeplab_largefov" is `DeepLabLargeFOV` and
            "deeplabv2_vgg16" `DeepLabV2VGG`.
        options: of the function behind the name; a segmenter takes those of its backbone too, and every ResNet the
            fields of `tfseg.specs.ResNetSpec` (`stem=(64, 64, 128)`, `stride_in="1x1"`).
    Raises:
        ValueError: an unknown name; TypeError: an option that the function lacks.
    """
    if name not in _BUILDERS:
        raise ValueError(f"Unknown network: {name!r}. tfseg.list_models() names the {len(_BUILDERS)} known ones.")
    return _BUILDERS[name](**options)


def list_models():
    """The names that `build` takes, sorted."""
    return sorted(_BUILDERS)


def _resnet(backbone, *, name=None, **options):
    spec = specs.RESNETS[backbone]
    changes = {field: options.pop(field) for field in _SPEC_FIELDS if field in options}
    return ResNet(dataclasses.replace(spec, **changes), name=name or backbone, **options)


def _segmenter(head, backbone, *, num_classes=21, name=None, **options):
    """A head with the options of its own function, on a backbone with all others."""
    own = {key: options.pop(key) for key in inspect.signature(head).parameters if key in options}
    if backbone in specs.RESNETS:
        options.setdefault("output_stride", 8)
    if head in (DeepLabV3, DeepLabV3Plus):
        own.setdefault("rates", RATES.get(options.get("output_stride"), RATES[8]))
    return head(_BACKBONES[backbone](**options), num_classes, name=name, **own)


_HEADS = {"fcn": FCN, "deeplabv2": DeepLabV2, "deeplabv3": DeepLabV3, "deeplabv3plus": DeepLabV3Plus, "pspnet": PSPNet}
_DRN_HEADS = {"drnseg": DRNSeg, "fcn": FCN, "deeplabv3": DeepLabV3, "pspnet": PSPNet}
_BACKBONES = {name: functools.partial(_resnet, name) for name in specs.RESNETS} | {
    name: functools.partial(DRN, name) for name in specs.DRNS
}
_BUILDERS = (
    {name: functools.partial(VGG, depth, batch_norm=bn) for name, (depth, bn) in specs.VGGS.items()}
    | _BACKBONES
    | {
        f"{title}_{name}": functools.partial(_segmenter, head, name)
        for heads, names in ((_HEADS, specs.RESNETS), (_DRN_HEADS, specs.DRNS))
        for title, head in heads.items()
        for name in names
    }
    | dict(zip(specs.FCNS, (FCN32s, FCN16s, FCN8s, FCN8sAtOnce), strict=True))
    | dict(zip(specs.DEEPLAB_VGGS, (DeepLabLargeFOV, DeepLabV2VGG), strict=True))
)
