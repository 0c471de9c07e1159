"""What the config.json of timm says, in its old form and its new one, and transformers' wrapper around timm.

Reference: https://github.com/huggingface/pytorch-image-models: timm/models/_hub.py and timm/models/resnet.py.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from converters.families.pytorch.timm import RESNET
from converters.identification.statements.preprocessing import stated_preprocessing
from converters.identification.statements.statement import Statement

# Names that timm itself has replaced -> what they are called now.
_OLD_NAMES = (
    (r"(tv|ssl|swsl|ig|fb)_(.+)", r"\2"),
    (r"gluon_(.+)_v1b", r"\1"),
    (r"gluon_(.+)_v1([cds])", r"\1\2"),
    (r"gluon_(.+)", r"\1"),
    # The same network at another width, or trained by others.
    (r"mobilenetv2_(035|050|075|140)", "mobilenetv2_100"),
    (r"(hrnet_w\d+)_ssld", r"\1"),
)
# Arguments that change no function in evaluation, or that the tensors show.
_HARMLESS = re.compile(
    r"num_classes|in_chans|in_channels|img_size|pretrained.*|checkpoint_path|features_only|feature_cfg|scriptable"
    r"|drop_.+|zero_init_.+|proj_drop.*|cache_dir|exportable|no_jit|layers|channels|cardinality|base_width|stem_width"
    r"|device|dtype"
)
# Arguments with a value that a ResNet of that name has anyway.
_USUAL: dict[str, tuple[Any, ...]] = {
    "act_layer": (None, "relu"),
    "norm_layer": (None, "batchnorm", "batchnorm2d"),
    "aa_layer": (None, ""),
    "global_pool": (None, "avg", "fast", "fastavg"),  # with "" timm builds no head
}


def read_config(config: Mapping[str, Any], origin: str) -> Statement:
    """What a configuration says.

    Args:
        config: content of the file; in the old form, the fields of `pretrained_cfg` lie at the top.
        origin: where it stands, for messages.
    """
    inner = config.get("pretrained_cfg")
    inner = inner if isinstance(inner, Mapping) else config
    arguments = config.get("model_args")
    arguments = arguments if isinstance(arguments, Mapping) else {}
    name = str(config.get("architecture") or config.get("backbone")).partition(".")[0]
    says = f"architecture {name!r} of timm"
    for pattern, now in _OLD_NAMES:
        if re.fullmatch(pattern, name):
            name = re.sub(pattern, now, name)
            break
    stride = arguments.get("output_stride")
    pool = config.get("global_pool", arguments.get("global_pool"))
    names = _names(config, inner)
    return Statement(
        origin,
        says,
        names=frozenset([name]),
        families=_families(name),
        unknown=not _families(name),
        binding=True,
        options={"output_stride": stride} if stride in (8, 16) else {},
        refusals=tuple(_refusals(arguments)),
        num_classes=_classes(config.get("num_classes", inner.get("num_classes"))),
        channels=arguments.get("in_chans") if isinstance(arguments.get("in_chans"), int) else None,
        classes=names,
        preprocessing=stated_preprocessing(inner.get("mean"), inner.get("std")),
        notes=tuple(_notes(inner)),
        head=""
        if pool in _USUAL["global_pool"]
        else f"global_pool={pool!r}: the average is taken before the head here",
    )


def _families(name: str) -> tuple[str, ...]:
    """The families that have timm's network of this name: timm's own, and others that call it so for its tensors."""
    from converters.families import FAMILIES

    candidates = (
        RESNET,
        *(family for family in FAMILIES.values() if re.search("timm|torchvision|cadene", family.name)),
    )
    return tuple(
        dict.fromkeys(
            family.name for family in candidates if any((row.public or row.name) == name for row in family.networks)
        )
    )


def _classes(number: object) -> int | None:
    return number if isinstance(number, int) and number > 0 else None


def _refusals(arguments: Mapping[str, Any]) -> Iterator[str]:
    for option, value in arguments.items():
        if _HARMLESS.fullmatch(option) or option == "global_pool":
            continue
        if option == "output_stride" and value in (None, 8, 16, 32):
            continue
        if option in _USUAL and value in _USUAL[option]:
            continue
        if value is not None:
            yield f"model_args has {option}={value!r}, which is not known here"


def _notes(inner: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(inner.get("mean"), list | tuple) and len(inner["mean"]) != 3:
        yield f"config.json states the mean {inner['mean']} and the deviation {inner.get('std')}"


def _names(config: Mapping[str, Any], inner: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the classes, described if they are."""
    names = config.get("label_names") or inner.get("label_names") or inner.get("labels")
    if isinstance(names, Mapping):
        keys = [str(index) for index in range(len(names))]
        names = [names[key] for key in keys] if all(key in names for key in keys) else None
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return ()
    words = config.get("label_descriptions") or inner.get("label_descriptions")
    words = words if isinstance(words, Mapping) else {}
    named = tuple(str(words.get(name, name)) for name in names)
    return () if all(re.fullmatch(r"LABEL_\d+", name) for name in named) else named
