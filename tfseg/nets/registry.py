"""Networks by name."""

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any

import keras

from tfseg import specs
from tfseg.nets.decoders.fpn import FPN
from tfseg.nets.decoders.linknet import Linknet
from tfseg.nets.decoders.lraspp import LRASPP
from tfseg.nets.decoders.manet import MAnet
from tfseg.nets.decoders.pan import PAN
from tfseg.nets.decoders.segformer import SegFormer
from tfseg.nets.decoders.unet import Unet
from tfseg.nets.decoders.unetplusplus import UnetPlusPlus
from tfseg.nets.decoders.upernet import UPerNet
from tfseg.nets.deeplab_vgg import DeepLabLargeFOV, DeepLabV2VGG
from tfseg.nets.deeplabv2 import DeepLabV2
from tfseg.nets.deeplabv3 import RATES, DeepLabV3, DeepLabV3Plus
from tfseg.nets.drn import DRN, DRNSeg
from tfseg.nets.fcn import FCN8s, FCN8sAtOnce, FCN16s, FCN32s
from tfseg.nets.heads import FCN
from tfseg.nets.pspnet import PSPNet
from tfseg.nets.resnet import ResNet
from tfseg.nets.vgg import VGG

Builder = Callable[..., keras.Model]

_SPEC_FIELDS = [field.name for field in dataclasses.fields(specs.ResNetSpec)]


def build(name: str, **options: Any) -> keras.Model:
    """A network by its name: `build("fcn_resnet50", num_classes=21, output_stride=16)`.

    The names stand for these functions:

    * "vgg16_bn": `VGG`. "fcn32s": `FCN32s`. "deeplab_largefov": `DeepLabLargeFOV`. "deeplabv2_vgg16": `DeepLabV2VGG`.
    * "resnet50": `ResNet`. "drn_d_22": `DRN`.
    * "fcn_resnet50": `FCN` on a ResNet of output stride 8. "deeplabv2_...", "deeplabv3_...", "deeplabv3plus_...",
      "pspnet_...": the other heads.
    * "unet_resnet50": `Unet` on a ResNet of output stride 32. "fpn_...", "linknet_...", "lraspp_..." (stride 16),
      "manet_...", "pan_..." (stride 16), "segformer_...", "unetplusplus_...", "upernet_...": the other decoders.
    * "drnseg_drn_d_22": `DRNSeg` on a DRN. "fcn_...", "deeplabv3_...", "pspnet_...": the other heads.

    Args:
        name: name of the network, one of `list_models()`.
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
    if name not in _BUILDERS:
        raise ValueError(f"Unknown network: {name!r}. tfseg.list_models() names the {len(_BUILDERS)} known ones.")
    return _BUILDERS[name](**options)


def list_models() -> list[str]:
    """The names that `build` takes, sorted.

    Example:
        >>> [name for name in tfseg.list_models() if name.startswith("fcn8s")]
        ['fcn8s', 'fcn8s_atonce']
    """
    return sorted(_BUILDERS)


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
    if backbone in specs.RESNETS:
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
    "unet": Unet,
    "unetplusplus": UnetPlusPlus,
    "upernet": UPerNet,
}
_HEADS: dict[str, Builder] = {
    "fcn": FCN,
    "deeplabv2": DeepLabV2,
    "deeplabv3": DeepLabV3,
    "deeplabv3plus": DeepLabV3Plus,
    "pspnet": PSPNet,
    **_DECODERS,
}
_DRN_HEADS: dict[str, Builder] = {
    "drnseg": DRNSeg,
    "fcn": FCN,
    "deeplabv3": DeepLabV3,
    "pspnet": PSPNet,
}
_OUTPUT_STRIDES: dict[Builder, int] = {**dict.fromkeys(_DECODERS.values(), 32), PAN: 16, LRASPP: 16}
_BACKBONES: dict[str, Builder] = {name: functools.partial(_resnet, name) for name in specs.RESNETS} | {
    name: functools.partial(DRN, name) for name in specs.DRNS
}
_BUILDERS: dict[str, Builder] = (
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
