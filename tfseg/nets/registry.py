"""Networks by name."""

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras

from tfseg import specs
from tfseg.nets.backbones.densenet import DenseNet
from tfseg.nets.backbones.efficientnet import EfficientNet
from tfseg.nets.backbones.hrnet import HRNet
from tfseg.nets.backbones.mit import MiT
from tfseg.nets.backbones.mobilenet import MobileNetV2, MobileNetV3
from tfseg.nets.backbones.preactivation_resnet import PreActivationResNet
from tfseg.nets.backbones.xception import Xception
from tfseg.nets.decoders.fpn import FPN
from tfseg.nets.decoders.linknet import Linknet
from tfseg.nets.decoders.lraspp import LRASPP
from tfseg.nets.decoders.manet import MAnet
from tfseg.nets.decoders.pan import PAN
from tfseg.nets.decoders.segformer import SegFormer
from tfseg.nets.decoders.segnet import SegNet
from tfseg.nets.decoders.unet import Unet
from tfseg.nets.decoders.unetplusplus import UnetPlusPlus
from tfseg.nets.decoders.upernet import UPerNet
from tfseg.nets.deeplab_vgg import DeepLabLargeFOV, DeepLabV2VGG
from tfseg.nets.deeplabv2 import DeepLabV2
from tfseg.nets.deeplabv3 import RATES, DeepLabV3, DeepLabV3Plus
from tfseg.nets.drn import DRN, DRNSeg
from tfseg.nets.fcn import FCN8s, FCN8sAtOnce, FCN16s, FCN32s
from tfseg.nets.heads import FCN
from tfseg.nets.plain_segnet import PlainSegNet
from tfseg.nets.plain_unet import PlainUnet
from tfseg.nets.pspnet import PSPNet
from tfseg.nets.resnet import ResNet
from tfseg.nets.vgg import VGG

Builder = Callable[..., keras.Model]

_SPEC_FIELDS = [field.name for field in dataclasses.fields(specs.ResNetSpec)]


def build(name: str, **options: Any) -> keras.Model:
    """A network by its name: `build("fcn_resnet50", num_classes=21, output_stride=16)`.

    The names stand for these functions:

    * "vgg16_bn": `VGG`. "fcn32s": `FCN32s`. "deeplab_largefov": `DeepLabLargeFOV`. "deeplabv2_vgg16": `DeepLabV2VGG`.
      "plain_unet": `PlainUnet`. "plain_segnet": `PlainSegNet`.
    * "resnet50": `ResNet`. "drn_d_22": `DRN`.
    * "fcn_resnet50": `FCN` on a ResNet of output stride 8. "deeplabv2_...", "deeplabv3_...", "deeplabv3plus_...",
      "pspnet_...": the other heads.
    * "unet_resnet50": `Unet` on a ResNet of output stride 32. "fpn_...", "linknet_...", "lraspp_..." (stride 16),
      "manet_...", "pan_..." (stride 16), "segformer_...", "segnet_...", "unetplusplus_...", "upernet_...": the others.
    * "drnseg_drn_d_22": `DRNSeg` on a DRN. "fcn_...", "deeplabv3_...", "pspnet_...": the other heads.
    * "unet_vgg16", "unet_mobilenet_v2", "unet_mit_b0" and so on: the decoders on every other backbone.
    * "unet" with `backbone="resnet50"` is "unet_resnet50", and so for every head and decoder.

    Args:
        name: name of the network, one of `list_models()`; or of a decoder, one of `list_models("decoders")`.
        options: arguments of that function. A segmenter takes those of its backbone, too. Every ResNet also takes the
            fields of `tfseg.specs.ResNetSpec` (`stem=(64, 64, 128)`, `stride_in="1x1"`).
    Returns: functional model.
    Raises:
        ValueError: an unknown name, or an invalid value of an option.
        TypeError: an option that the function does not have.
    Reference: the function of that name states the paper.

    Example:
        >>> model = tfseg.build("fcn_resnet18", num_classes=5, width=1 / 16, stride_in="1x1")
        >>> model.name, model.output_shape
        ('fcn_resnet18', (None, None, None, 5))
    """
    name, options = resolved(name, options)
    return _BUILDERS[name](**options)


def resolved(name: str, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The full name of a network, and its other options: `("unet_resnet50", {})` for "unet" with that backbone.

    Args:
        name: name of a network or of a decoder.
        options: options of `build`.
    Raises:
        ValueError: an unknown name, or a decoder without a backbone that it reads.
    """
    rest = dict(options)
    if name in _HEADS:
        backbone = rest.pop("backbone", None)
        if specs.SEGMENTERS.get(f"{name}_{backbone}") != (name, backbone):
            known = [other for head, other in specs.SEGMENTERS.values() if head == name]
            raise ValueError(
                f"{name} reads a backbone: backbone= names one of {', '.join(known)}. Received: backbone={backbone!r}"
            )
        name = f"{name}_{backbone}"
    if name not in _BUILDERS:
        raise ValueError(f"Unknown network: {name!r}. tfseg.list_models() names the {len(_BUILDERS)} known ones.")
    return name, rest


def list_models(group: str | None = None) -> list[str]:
    """The names that `build` takes, sorted.

    Args:
        group: "backbones": the classifiers. "decoders": the heads and decoders, which `build` takes with
            `backbone=`. "networks": whole segmenters. None: networks and backbones.
    Raises:
        ValueError: an unknown group.

    Example:
        >>> tfseg.list_models("decoders")[:6]
        ['deeplabv2', 'deeplabv3', 'deeplabv3plus', 'drnseg', 'fcn', 'fpn']
        >>> [name for name in tfseg.list_models("networks") if name.startswith("fcn8s")]
        ['fcn8s', 'fcn8s_atonce']
    """
    groups = {
        None: _BUILDERS,
        "backbones": _BACKBONES,
        "decoders": _HEADS,
        "networks": _BUILDERS.keys() - _BACKBONES.keys(),
    }
    if group not in groups:
        raise ValueError(f"group is one of {', '.join(filter(None, groups))}. Received: {group!r}")
    return sorted(groups[group])


def options_of(name: str) -> dict[str, Any]:
    """The options that `build` takes for a network, and the type of each; `num_classes` and `name` are left out.

    Args:
        name: name of the network, one of `list_models()`.

    Example:
        >>> tfseg.nets.registry.options_of("fcn_resnet18")["width"]
        <class 'float'>
    """
    types = _option_types(_BUILDERS[name])
    return {option: kind for option, kind in types.items() if option not in ("name", "num_classes")}


def _option_types(builder: Builder) -> dict[str, Any]:
    function = builder.func if isinstance(builder, functools.partial) else builder
    if function is _segmenter and isinstance(builder, functools.partial):
        head, backbone = builder.args
        return _option_types(_BACKBONES[backbone]) | _option_types(functools.partial(head, None, None))
    if function is _resnet:
        return _option_types(functools.partial(ResNet, 50)) | typing.get_type_hints(specs.ResNetSpec)
    types = typing.get_type_hints(function)
    return {option: types[option] for option in inspect.signature(builder).parameters}


def _resnet(backbone: str, *, name: str | None = None, **options: Any) -> keras.Model:
    spec = specs.RESNETS[backbone]
    changes = {field: options.pop(field) for field in _SPEC_FIELDS if field in options}
    return ResNet(dataclasses.replace(spec, **changes), name=name or backbone, **options)


def _segmenter(
    head: Builder, backbone: str, *, num_classes: int = 21, name: str | None = None, **options: Any
) -> keras.Model:
    """A head with the options of its own function, on a backbone with all other options."""
    head_options = {key: options.pop(key) for key in inspect.signature(head).parameters if key in options}
    if "output_stride" in _option_types(_BACKBONES[backbone]):
        options.setdefault("output_stride", _OUTPUT_STRIDES.get(head, 8))
    if head in (DeepLabV3, DeepLabV3Plus):
        head_options.setdefault("rates", RATES.get(options.get("output_stride", 8), RATES[8]))
    return head(_BACKBONES[backbone](**options), num_classes, name=name, **head_options)


_DECODERS: dict[str, Builder] = {
    "fpn": FPN,
    "linknet": Linknet,
    "lraspp": LRASPP,
    "manet": MAnet,
    "pan": PAN,
    "segformer": SegFormer,
    "segnet": SegNet,
    "unet": Unet,
    "unetplusplus": UnetPlusPlus,
    "upernet": UPerNet,
}
_HEADS: dict[str, Builder] = {
    "fcn": FCN,
    "deeplabv2": DeepLabV2,
    "deeplabv3": DeepLabV3,
    "deeplabv3plus": DeepLabV3Plus,
    "drnseg": DRNSeg,
    "pspnet": PSPNet,
    **_DECODERS,
}
_OUTPUT_STRIDES: dict[Builder, int] = {**dict.fromkeys(_DECODERS.values(), 32), PAN: 16, LRASPP: 16}
# Builders that take a name of their table first.
_OF_TABLES: tuple[tuple[Builder, Iterable[str]], ...] = (
    (_resnet, specs.RESNETS),
    (DRN, specs.DRNS),
    (MobileNetV3, specs.MOBILENETS_V3),
    (EfficientNet, specs.EFFICIENTNETS),
    (MiT, specs.MITS),
    (HRNet, specs.HRNETS),
    (Xception, specs.XCEPTIONS),
    (DenseNet, specs.DENSENETS),
    (PreActivationResNet, specs.PREACTIVATION_RESNETS),
)
_BACKBONES: dict[str, Builder] = {
    **{name: functools.partial(VGG, depth, batch_norm=bn) for name, (depth, bn) in specs.VGGS.items()},
    "mobilenet_v2": MobileNetV2,
    **{name: functools.partial(builder, name) for builder, names in _OF_TABLES for name in names},
}
_BUILDERS: dict[str, Builder] = {
    **_BACKBONES,
    **{
        name: functools.partial(_segmenter, _HEADS[head], backbone)
        for name, (head, backbone) in specs.SEGMENTERS.items()
    },
    **dict(zip(specs.FCNS, (FCN32s, FCN16s, FCN8s, FCN8sAtOnce), strict=True)),
    **dict(zip(specs.DEEPLAB_VGGS, (DeepLabLargeFOV, DeepLabV2VGG), strict=True)),
    **dict(zip(specs.UNETS, (PlainUnet,), strict=True)),
    **dict(zip(specs.SEGNETS, (PlainSegNet,), strict=True)),
}
