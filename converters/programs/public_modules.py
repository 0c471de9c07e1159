"""The modules of public torch networks, and whether a network is one of them: then its code is known, and so is order.

A module is written as a word: "ReLU"; "[Conv2d BatchNorm2d]" for a sequence; the name of its class for one of `PARTS`,
whose own parts are written there. A class off these lists is code that is not known.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from converters.reading.pytorch.module_tree import ModuleRecord, ModuleTree

_NN = "torch.nn.modules"
_TV, _TIMM, _FCN = "torchvision.models", "timm", "torchfcn.models"
_SMP, _HF = "segmentation_models_pytorch", "transformers.models.resnet.modeling_resnet"

NORMS = {
    f"{_NN}.batchnorm.BatchNorm2d",
    f"{_NN}.batchnorm.SyncBatchNorm",
    "torchvision.ops.misc.FrozenBatchNorm2d",
}
CONVOLUTION, DECONVOLUTION = f"{_NN}.conv.Conv2d", f"{_NN}.conv.ConvTranspose2d"
LINEAR = f"{_NN}.linear.Linear"

# Modules with tensors, and the smallest ones without: class -> word. Their numbers are compared with the network's.
_WORDS: dict[str, str | Callable[[Mapping[str, Any]], str]] = {
    CONVOLUTION: "Conv2d",
    DECONVOLUTION: "ConvTranspose2d",
    LINEAR: "Linear",
    **dict.fromkeys(NORMS, "BatchNorm2d"),
    f"{_NN}.activation.ReLU": "ReLU",
    f"{_NN}.activation.Sigmoid": "Sigmoid",
    f"{_TIMM}.layers.activations.Sigmoid": "Sigmoid",
    f"{_NN}.linear.Identity": "Identity",
    f"{_NN}.flatten.Flatten": "Flatten",
    **dict.fromkeys((f"{_NN}.dropout.{name}" for name in ("Dropout", "Dropout2d")), "Dropout"),
    f"{_TIMM}.layers.drop.DropPath": "Identity",
    f"{_TIMM}.layers.drop.DropBlock2d": "Identity",
    f"{_NN}.pooling.MaxPool2d": "MaxPool2d",
    f"{_NN}.pooling.AvgPool2d": "AvgPool2d",
    f"{_NN}.pooling.AdaptiveAvgPool2d": lambda facts: f"AdaptiveAvgPool2d({_square(facts.get('output_size'))})",
    f"{_NN}.upsampling.Upsample": "Upsample",
    f"{_NN}.upsampling.UpsamplingBilinear2d": "Upsample",
    f"{_TIMM}.layers.blur_pool.BlurPool2d": lambda facts: (
        f"BlurPool2d({facts.get('filt_size')},{facts.get('stride')},{facts.get('pad_mode', 'reflect')})"
    ),
    f"{_TIMM}.layers.pool2d_same.AvgPool2dSame": lambda facts: (
        f"AvgPool2dSame({_square(facts.get('kernel_size'))},{_square(facts.get('stride'))},"
        f"{facts.get('count_include_pad')})"
    ),
    f"{_TIMM}.layers.split_attn.RadixSoftmax": "RadixSoftmax",
}
_SEQUENCES = {f"{_NN}.container.Sequential", f"{_NN}.container.ModuleList"}

_STEM = {
    r"conv1": "Conv2d",
    r"bn1": "BatchNorm2d",
    r"relu": "ReLU",
    r"maxpool": "MaxPool2d",
    r"layer[1-4]": r"\[((BasicBlock|Bottleneck) ?)+\]",
}
_BLOCK = {
    r"conv[123]": "Conv2d",
    r"bn[123]": "BatchNorm2d",
    r"relu": "ReLU",
    r"downsample": r"\[Conv2d BatchNorm2d\]",
}
_TIMM_DOWN = r"\[((Identity|AvgPool2d|AvgPool2dSame\(2,1,False\)) )?Conv2d BatchNorm2d\]"
_TIMM_AA = r"Identity|AvgPool2d|BlurPool2d\(3,2,reflect\)"
_TIMM_BLOCK = {
    r"conv[123]": "Conv2d|SplitAttn",
    r"bn[123]": "BatchNorm2d",
    r"act[123]": "ReLU",
    r"drop_block|drop_path": "Identity",
    r"aa": _TIMM_AA,
    r"se": "SEModule",
    r"downsample": _TIMM_DOWN,
}
_FCN_NET = {
    r"conv\d_\d|fc[67]|score_\w+": "Conv2d",
    r"relu\w+": "ReLU",
    r"pool\d": "MaxPool2d",
    r"drop[67]": "Dropout",
    r"upscore\w*": "ConvTranspose2d",
}
_CONV = r"\[Conv2d BatchNorm2d ReLU\]"
_HF_STAGES = r"\[((ResNetBasicLayer|ResNetBottleNeckLayer) ?)+\]"
_HF_LINEAR = r"\[Conv2d BatchNorm2d Identity\]"

PARTS: dict[str, dict[str, str] | str] = {
    # Class -> {regular expression of a part's name: of its word}; or of the words of all parts, in their order.
    f"{_TV}.resnet.ResNet": _STEM | {"avgpool": r"AdaptiveAvgPool2d\(1\)", "fc": "Linear"},
    f"{_TV}.resnet.BasicBlock": _BLOCK,
    f"{_TV}.resnet.Bottleneck": _BLOCK,
    f"{_TV}.vgg.VGG": {
        "features": r"\[((Conv2d (BatchNorm2d )?ReLU )+MaxPool2d ?)+\]",
        "avgpool": r"AdaptiveAvgPool2d\(7\)",
        "classifier": r"\[Linear ReLU Dropout Linear ReLU Dropout Linear\]",
    },
    f"{_TV}._utils.IntermediateLayerGetter": _STEM,
    f"{_TV}.segmentation.fcn.FCN": {
        "backbone": "IntermediateLayerGetter",
        "classifier|aux_classifier": "FCNHead",
    },
    f"{_TV}.segmentation.fcn.FCNHead": "Conv2d BatchNorm2d ReLU Dropout Conv2d",
    f"{_TV}.segmentation.deeplabv3.DeepLabV3": {
        "backbone": "IntermediateLayerGetter",
        "classifier": "DeepLabHead",
        "aux_classifier": "FCNHead",
    },
    f"{_TV}.segmentation.deeplabv3.DeepLabHead": "ASPP Conv2d BatchNorm2d ReLU Conv2d",
    f"{_TV}.segmentation.deeplabv3.ASPP": {
        "convs": rf"\[{_CONV}( ASPPConv)+ ASPPPooling\]",
        "project": r"\[Conv2d BatchNorm2d ReLU Dropout\]",
    },
    f"{_TV}.segmentation.deeplabv3.ASPPConv": "Conv2d BatchNorm2d ReLU",
    f"{_TV}.segmentation.deeplabv3.ASPPPooling": r"AdaptiveAvgPool2d\(1\) Conv2d BatchNorm2d ReLU",
    f"{_TIMM}.models.resnet.ResNet": {
        "conv1": r"Conv2d|\[Conv2d BatchNorm2d ReLU Conv2d BatchNorm2d ReLU Conv2d\]",
        "bn1": "BatchNorm2d",
        "act1": "ReLU",
        "maxpool": r"MaxPool2d|AvgPool2d|\[MaxPool2d BlurPool2d\(3,2,reflect\)\]",
        r"layer[1-4]": r"\[((BasicBlock|Bottleneck|ResNestBottleneck) ?)+\]",
        "global_pool": "SelectAdaptivePool2d",
        "fc": "Linear",
    },
    f"{_TIMM}.models.resnet.BasicBlock": _TIMM_BLOCK,
    f"{_TIMM}.models.resnet.Bottleneck": _TIMM_BLOCK,
    f"{_TIMM}.models.resnest.ResNestBottleneck": {
        "bn2|act2": "Identity",  # the split attention has its own
        "avd_first|avd_last": "AvgPool2d|Identity",
        **_TIMM_BLOCK,
    },
    f"{_TIMM}.layers.adaptive_avgmax_pool.SelectAdaptivePool2d": {
        "pool": r"AdaptiveAvgPool2d\(1\)",
        "flatten": "Flatten",
    },
    f"{_TIMM}.layers.squeeze_excite.SEModule": {
        "fc[12]": "Conv2d",
        "bn": "Identity",
        "act": "ReLU",
        "gate": "Sigmoid",
    },
    f"{_TIMM}.layers.split_attn.SplitAttn": {
        "conv|fc[12]": "Conv2d",
        "bn[01]": "BatchNorm2d",
        "act[01]": "ReLU",
        "drop": "Identity",
        "rsoftmax": "RadixSoftmax",
    },
    f"{_SMP}.decoders.deeplabv3.model.DeepLabV3": {
        "encoder": "ResNetEncoder",
        "decoder": "DeepLabV3Decoder",
        "segmentation_head": "SegmentationHead",
    },
    f"{_SMP}.decoders.deeplabv3.model.DeepLabV3Plus": {
        "encoder": "ResNetEncoder",
        "decoder": "DeepLabV3PlusDecoder",
        "segmentation_head": "SegmentationHead",
    },
    f"{_SMP}.decoders.pspnet.model.PSPNet": {
        "encoder": "ResNetEncoder",
        "decoder": "PSPDecoder",
        "segmentation_head": "SegmentationHead",
    },
    f"{_SMP}.encoders.resnet.ResNetEncoder": _STEM,
    f"{_SMP}.base.heads.SegmentationHead": "Conv2d (Upsample|Identity) Activation",
    f"{_SMP}.base.modules.Activation": {"activation": "Identity"},
    f"{_SMP}.base.modules.Conv2dReLU": "Conv2d (BatchNorm2d|Identity) ReLU",
    f"{_SMP}.decoders.deeplabv3.decoder.DeepLabV3Decoder": {
        "aspp": "ASPP",
        "conv": "Conv2d",
        "bn": "BatchNorm2d",
        "relu": "ReLU",
    },
    f"{_SMP}.decoders.deeplabv3.decoder.DeepLabV3PlusDecoder": {
        "aspp": r"\[ASPP SeparableConv2d BatchNorm2d ReLU\]",
        "up": "Upsample",
        "block1": _CONV,
        "block2": r"\[SeparableConv2d BatchNorm2d ReLU\]",
    },
    f"{_SMP}.decoders.deeplabv3.decoder.ASPP": {
        "convs": rf"\[{_CONV}( ASPPConv| ASPPSeparableConv)+ ASPPPooling\]",
        "project": r"\[Conv2d BatchNorm2d ReLU Dropout\]",
    },
    f"{_SMP}.decoders.deeplabv3.decoder.ASPPConv": "Conv2d BatchNorm2d ReLU",
    f"{_SMP}.decoders.deeplabv3.decoder.ASPPSeparableConv": "SeparableConv2d BatchNorm2d ReLU",
    f"{_SMP}.decoders.deeplabv3.decoder.SeparableConv2d": "Conv2d Conv2d",
    f"{_SMP}.decoders.deeplabv3.decoder.ASPPPooling": r"AdaptiveAvgPool2d\(1\) Conv2d BatchNorm2d ReLU",
    f"{_SMP}.decoders.pspnet.decoder.PSPDecoder": {"psp": "PSPModule", "conv": "Conv2dReLU", "dropout": "Dropout"},
    f"{_SMP}.decoders.pspnet.decoder.PSPModule": {
        "blocks": r"\[" + " ".join(rf"\[\[AdaptiveAvgPool2d\({bins}\) Conv2dReLU\]\]" for bins in (1, 2, 3, 6)) + r"\]"
    },
    **{f"{_FCN}.{name.lower()}.{name}": _FCN_NET for name in ("FCN32s", "FCN16s", "FCN8s")},
    f"{_FCN}.fcn8s.FCN8sAtOnce": _FCN_NET,
    f"{_HF}.ResNetForImageClassification": {"resnet": "ResNetModel", "classifier": r"\[Flatten Linear\]"},
    f"{_HF}.ResNetModel": {
        "embedder": "ResNetEmbeddings",
        "encoder": "ResNetEncoder",
        "pooler": r"AdaptiveAvgPool2d\(1\)",
    },
    f"{_HF}.ResNetEmbeddings": {"embedder": _CONV, "pooler": "MaxPool2d"},
    f"{_HF}.ResNetEncoder": {"stages": r"\[(ResNetStage ?)+\]"},
    f"{_HF}.ResNetStage": {"layers": _HF_STAGES},
    f"{_HF}.ResNetShortCut": {"convolution": "Conv2d", "normalization": "BatchNorm2d"},
    f"{_HF}.ResNetBasicLayer": {
        "shortcut": "ResNetShortCut|Identity",
        "layer": rf"\[{_CONV} {_HF_LINEAR}\]",
        "activation": "ReLU",
    },
    f"{_HF}.ResNetBottleNeckLayer": {
        "shortcut": "ResNetShortCut|Identity",
        "layer": rf"\[{_CONV} {_CONV} {_HF_LINEAR}\]",
        "activation": "ReLU",
    },
}
# Parts that are written out where they stand, since their order or their numbers matter there.
_WRITTEN_OUT = {f"{_SMP}.decoders.pspnet.decoder.PSPBlock", f"{_HF}.ResNetConvLayer"}

# The outermost classes whose results are those of the networks here.
ROOTS = {
    f"{_TV}.resnet.ResNet",
    f"{_TV}.vgg.VGG",
    f"{_TV}.segmentation.fcn.FCN",
    f"{_TV}.segmentation.deeplabv3.DeepLabV3",
    f"{_TIMM}.models.resnet.ResNet",
    *(f"{_SMP}.decoders.{name}" for name in ("deeplabv3.model.DeepLabV3", "deeplabv3.model.DeepLabV3Plus")),
    f"{_SMP}.decoders.pspnet.model.PSPNet",
    *(f"{_FCN}.{name.lower()}.{name}" for name in ("FCN32s", "FCN16s", "FCN8s")),
    f"{_FCN}.fcn8s.FCN8sAtOnce",
    f"{_HF}.ResNetForImageClassification",
}
# The same networks as plain sequences: their order is all that is computed.
_ROOT_SEQUENCES = (
    r"\[Conv2d BatchNorm2d ReLU MaxPool2d( \[((BasicBlock|Bottleneck) ?)+\]){4}"
    r"( AdaptiveAvgPool2d\(1\) Flatten Linear)?\]",
    r"\[((Conv2d (BatchNorm2d )?ReLU )+MaxPool2d ?)+\]",
)
# Attributes that decide what a class computes: class -> attribute -> the usual value.
_SETTINGS: dict[str, dict[str, Any]] = {
    f"{_TIMM}.layers.adaptive_avgmax_pool.SelectAdaptivePool2d": {"pool_type": ("avg",)},
    f"{_TIMM}.layers.squeeze_excite.SEModule": {"add_maxpool": (False,)},
    f"{_TV}._utils.IntermediateLayerGetter": {
        "return_layers": ({"layer4": "out"}, {"layer4": "out", "layer3": "aux"}, {"layer3": "aux", "layer4": "out"})
    },
}

_ORDERS = {f"{_TV}._utils.IntermediateLayerGetter": [*_STEM][:-1] + [f"layer{stage}" for stage in (1, 2, 3, 4)]}


class Deviation(NamedTuple):
    """Where a network is not the public one.

    Attributes:
        words: the module and what it is.
        unknown: whether its class is code that is not known here, rather than another part of a known class.
    """

    words: str
    unknown: bool


def deviations(tree: ModuleTree) -> list[Deviation]:
    """Where the modules of a network are not those of a public one, the network itself first; empty if they all are.

    Args:
        tree: modules of the network.
    """
    strange = []
    root = tree[""]
    words = _all_words(tree)
    if root.origin in _SEQUENCES:
        if not any(re.fullmatch(pattern, words[""]) for pattern in _ROOT_SEQUENCES):
            strange.append(Deviation("the network is a sequence of another order", False))
    elif root.origin not in ROOTS:
        strange.append(Deviation(f"the network is a {root.origin}", True))
    for record in tree.values():
        strange += [Deviation(f"{_called(record)} has {change}", False) for change in record.changes]
        strange += [*_settings(record), *_order(record)]
        strange += _parts(record, words, tree)
    return strange


def _settings(record: ModuleRecord) -> list[Deviation]:
    return [
        Deviation(f"{_called(record)} has {name} {record.facts[name]}", False)
        for name, values in _SETTINGS.get(record.origin, {}).items()
        if name in record.facts and record.facts[name] not in values
    ]


def _order(record: ModuleRecord) -> list[Deviation]:
    """A class that runs its parts in the order in which they were set."""
    order = _ORDERS.get(record.origin, record.children)
    if list(order) == list(record.children):
        return []
    return [Deviation(f"{_called(record)} has its parts in the order {', '.join(record.children)[:200]}", False)]


def _parts(record: ModuleRecord, words: Mapping[str, str], tree: ModuleTree) -> list[Deviation]:
    known = PARTS.get(record.origin)
    if known is None:
        if record.origin in _WORDS or record.origin in _SEQUENCES or record.origin in _WRITTEN_OUT or not record.name:
            return []
        return [Deviation(f"{record.name} is a {record.origin}", True)]
    if isinstance(known, str):
        inside = _sequence(record, words)[1:-1]
        return [] if re.fullmatch(known, inside) else [Deviation(f"{_called(record)} holds {inside}", False)]
    strange = []
    for child in record.children:
        name = f"{record.name}.{child}" if record.name else child
        pattern = next((word for part, word in known.items() if re.fullmatch(part, child)), None)
        unknown = tree[name].origin if name in tree else ""
        if pattern is None or not re.fullmatch(pattern, words.get(name, "?")):
            code = not (unknown in PARTS or unknown in _WORDS or unknown in _SEQUENCES or unknown.startswith(_NN))
            strange.append(Deviation(f"{name} is {words.get(name, '?')[:200]}", code))
    return strange


def _all_words(tree: ModuleTree) -> dict[str, str]:
    words: dict[str, str] = {}
    for record in reversed(list(tree.values())):  # the parts first
        known = _WORDS.get(record.origin)
        if callable(known):
            words[record.name] = known(record.facts)
        elif known is not None:
            words[record.name] = known
        elif record.origin in _SEQUENCES or record.origin in _WRITTEN_OUT:
            words[record.name] = _sequence(record, words)
        elif record.origin in PARTS:
            words[record.name] = record.origin.rpartition(".")[2]
        else:
            words[record.name] = record.origin
    return words


def _sequence(record: ModuleRecord, words: Mapping[str, str]) -> str:
    """The words of all parts in their order."""
    prefix = f"{record.name}." if record.name else ""
    numbers = [int(child) if child.isascii() and child.isdigit() else -1 for child in record.children]
    if record.origin not in _WRITTEN_OUT and numbers != sorted(set(numbers) - {-1}):
        return f"[parts in the order {', '.join(record.children)[:200]}]"
    return f"[{' '.join(words.get(prefix + child, '?') for child in record.children)[:10_000]}]"


def _called(record: ModuleRecord) -> str:
    return record.name or "the network"


def _square(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value
