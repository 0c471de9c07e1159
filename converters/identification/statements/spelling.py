"""Which network a label names, however people spell it: "ResNet-50", "resnet_50", "torchvision_resnet50"."""

import functools
import re
from typing import NamedTuple

from converters.families import FAMILIES
from converters.identification.statements.statement import collapse
from tfseg import specs


class Name(NamedTuple):
    """What a label names.

    Attributes:
        names: networks known here that it may mean.
        words: words of a kind of network, such as "deeplab"; the network's name contains one of them.
        unknown: whether it names a network that is not known here.
    """

    names: frozenset[str] = frozenset()
    words: tuple[str, ...] = ()
    unknown: bool = False


NOTHING = Name()

# Kinds of networks by a word alone -> words of which the network's name then contains one.
_KINDS = {
    "resnet": ("resnet", "resnext", "resnest"),
    "resnetv1c": ("resnet",),
    "resnetv1d": ("resnet",),
    "resnext": ("resnext",),
    "resnest": ("resnest",),
    "seresnet": ("seresnet",),
    "wideresnet": ("wideresnet",),
    "vgg": ("vgg", "fcn", "deeplab"),
    "vggnet": ("vgg", "fcn", "deeplab"),
    "drn": ("drn",),
    "fcn": ("fcn",),
    "deeplab": ("deeplab",),
    "deeplabv1": ("deeplablargefov",),
    "deeplabv2": ("deeplabv2",),
    "deeplabv3": ("deeplabv3",),
    "deeplabv3plus": ("deeplabv3plus",),
    "psp": ("pspnet",),
    "pspnet": ("pspnet",),
}
# Words with which names of architectures begin. What has one and is not known here is another network.
_ARCHITECTURE = re.compile(
    r"(res[nN]e?[xs]?t|resnet|wrn\d|vgg|drn|densenet|mobilenet|mobileone|mobilevit|efficientnet|effnet|shufflenet"
    r"|squeezenet|inception|xception|googlenet|alexnet|regnet|convnext|swin|vit([bslht]|\d|$)|deit|beit|hrnet|dla\d"
    r"|senet|sknet|ghostnet|mnasnet|nfnet|hardnet|pvt|mitb\d|segformer|unet|segnet|bisenet|icnet|enet$|deeplab|pspnet"
    r"|fcn\d|fcn$|upernet|danet|ccnet|encnet|ocrnet|ocnet|fpn$|linknet|manet$|lraspp|rexnet|dpn\d|darknet|cspnet"
    r"|cspresnet|bninception|nasnet|dinov2|clip|rn50|rn101|bit[ms]r|res2net|maskrcnn|fasterrcnn|yolo)"
)
# What a name may have beside the network's without another function.
_HARMLESS = re.compile(
    r"torchvision|tv|timm|torch|pytorch|smp|models?|hub|hf|pretrained|imagenet|imagenet1k|in1k|1k|voc|voc2012|pascal"
    r"|voc12|coco|cityscapes|ade|ade20k|camvid|places|places365|cifar10|cifar100|seg|segmentation|segmenter|classifier"
    r"|classification|encoder|backbone|net|network|best|last|final|latest|baseline|ema|fp16|fp32|amp|scratch|finetuned?"
    r"|finetuning|transfer|train|trained|training|\d{3,4}|\d+x\d+|\d{2,}e|epochs?\d*|lr\S*|bs\d+|seed\d+|fold\d+|exp\d*"
    r"|run\d*|experiment\d*|gluon|ig|instagram|ssl|swsl|ssld|supervised|moco|mocov\d|simsiam|byol|swav|dino|barlow\w*|the|my"
)
# What a free name ("my resnet50 with caffe strides") may not have beside the network's.
_RISKY = re.compile(
    r"aa|blur\w*|antialias\w*|caffe\d?|detectron\d?|gn|groupnorm|instancenorm|ln|frn|ws|ibn\w*|cbam|eca\w*|se|sk|ge"
    r"|attn?|attention|nonlocal|dcn\w*|deform\w*|dilat\w*|atrous|os\d+|d8|d16|d32|wide\w*|thin|slim|half|small|large"
    r"|tiny|deep|stem|v\d\w*|preact\w*|pre|mish|swish|silu|gelu|elu|prelu|leaky\w*|relu6|fixup|evonorm|custom|modified"
    r"|mod|lite|light|3d|2plus1d|r3d|multigrid|mg|nostride|nopool|stride\w*|maxpool|avgpool|gem|cifar|quant\w*|int8"
    r"|pruned?|[a-z]|[a-z]\d"
)
_SUFFIXES = (
    (r"v1(b|5)$|v15$", ""),  # GluonCV's v1b and NVIDIA's v1.5 are torchvision's
    (r"v1([cds])$", r"\1"),
)


def read_name(text: str, *, free: bool = False) -> Name:
    """What a text names; `NOTHING` if it is not the name of an architecture.

    Args:
        text: value of a label.
        free: whether the label is of the user's own choice, such as the name of an experiment, and may have any words
            beside the network's.

    Example:
        >>> from converters.identification.statements.spelling import read_name
        >>> read_name("ResNet-50").names, read_name("resnetzz50").unknown, read_name("street scenes").unknown
        (frozenset({'resnet50'}), True, False)
    """
    text = re.split(r"[:/\\]", text.strip())[-1]
    text = re.sub(r"\.(pth|pt|ckpt|tar|bin|safetensors|ya?ml|py|json)\b", "", text)
    text = re.sub(r"\.[a-z]\w*$", "", text)  # timm's tag of the weights
    tokens = [token for token in re.split(r"[^a-z0-9+]+", text.lower()) if token]
    if not tokens or len(tokens) > 24 or len(text) > 120:
        return NOTHING
    whole = collapse("".join(tokens))
    if name := _lookup(whole):
        return name
    for first in range(len(tokens)):
        for last in range(len(tokens), first, -1):
            name = _lookup(collapse("".join(tokens[first:last])))
            if not name or (name.words and len(tokens) == 1):
                continue
            beside = tokens[:first] + tokens[last:]
            return name if _allows(beside, free) else Name(unknown=True)
    begins = [token for token in (*tokens, whole) if _ARCHITECTURE.match(_bare(token))]
    inside = not free and _ARCHITECTURE.search(whole)
    return Name(unknown=True) if begins or inside else NOTHING


def similar_names(text: str) -> list[str]:
    """A few networks known here that have all parts of a name, for a message about one that is not.

    Args:
        text: what stands in a label.
    """
    parts = [part for part in re.findall(r"[a-z]+\d+[a-z]*|[a-z]{5,}", text.lower()) if part not in ("architecture",)]
    wanted = [part for part in parts if not _HARMLESS.fullmatch(part) and part not in ("which", "encoder_name")]
    names = [name for name in specs.RESNETS if wanted and all(part in name for part in wanted)]
    return names[:4]


def _bare(token: str) -> str:
    """A token without the letters that variants put first: "seresnet50", "iresnet50"."""
    return re.sub(r"^(se|ig|tv|tf|my|i|x|cs|eca|sk|ge|legacy|wide|pre|preact)(?=res|mob|eff|vgg)", "", token)


def _allows(beside: list[str], free: bool) -> bool:
    """Whether the words beside a network's name leave it that network."""
    for word in beside:
        if _HARMLESS.fullmatch(word):
            continue
        if not free or _RISKY.fullmatch(word) or _ARCHITECTURE.match(_bare(word)):
            return False
    return True


def _lookup(collapsed: str) -> Name | None:
    if collapsed in _KINDS:
        return Name(words=_KINDS[collapsed])
    for pattern, letter in (("$", ""), *_SUFFIXES):
        shorter = re.sub(pattern, letter, collapsed)
        if names := _known(len(FAMILIES)).get(shorter):
            return Name(names)
    return None


@functools.lru_cache(maxsize=2)
def _known(families: int) -> dict[str, frozenset[str]]:
    """Collapsed name -> the names that collapse to it, of all networks known here; again when families are added."""
    names = set(specs.network_names())
    for family in FAMILIES.values():
        for network in family.networks:
            public = network.public or network.name
            names |= {network.name, public, public.split("-")[0]}
    known: dict[str, set[str]] = {}
    for name in names:
        known.setdefault(collapse(name), set()).add(name)
    return {key: frozenset(value) for key, value in known.items()}
