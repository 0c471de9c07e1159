"""What the labels inside a file say: `arch`, `args.backbone`, `hyper_parameters.encoder_name`, `cfg.output_stride`."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from converters.identification.statements import mmcv_config, smp_config
from converters.identification.statements.spelling import NOTHING, read_name
from converters.identification.statements.statement import Statement, collapse

# Labels that name an architecture, and labels that may: users give the latter any words.
_STRICT = {
    *("arch", "architecture", "model_arch", "base_arch", "net_arch", "arch_encoder", "base_model"),
    *("backbone", "backbone_name", "backbone_type", "encoder", "encoder_name", "encoder_type", "cnn"),
}
_FREE = {"model_name", "model", "net", "network", "net_name", "network_name", "model_type", "net_type"}
# `model.name` and `backbone.type` name one, too.
_INNER = {"name", "type", "_target_"}
_OWNERS = {"model", "net", "network", "backbone", "encoder", "arch", "architecture"}
# Of another network than the one whose weights these are.
_OTHERS = re.compile(
    r"(?i)teacher|student_init|discriminator|critic|loss|perceptual|lpips|distill|pretrain|resume|init_|aux|"
    r"text|decoder\b|optimizer|dataset|data\b|augment|tokenizer|metric"
)
# Kinds that a number of layers makes a network.
_TRUNKS = ("resnet", "resnext", "resnest", "seresnet", "wideresnet", "vgg")
_DEPTHS = ("depth", "num_layers", "model_depth", "resnet_depth", "layers")
_STRIDES = {"output_stride", "outputstride", "out_stride", "outstride", "os", "encoder_output_stride"}
# What decides a function beside the strides: option -> its values here, and what these mean.
_FIXED: dict[str, tuple[tuple[Any, ...], str]] = {
    **dict.fromkeys(
        ("act_layer", "hidden_act", "act_fn", "act"), ((None, "", "relu"), "the activations are ReLU here")
    ),
    **dict.fromkeys(("norm_eps", "bn_eps"), ((None, 1e-5), "the epsilon is 1e-5 here")),
    "activation": (
        (None, "", "none", "relu", "identity", "linear"),
        "the network has ReLU inside and ends with logits here",
    ),
    "aa_layer": (
        (None, "", "none"),
        "nothing is blurred here; for timm's blur and averages see resnetblur* and resnetaa*",
    ),
    "gp": ((None, "", "avg", "fast", "fastavg"), "the average is taken before the head here"),
    "global_pool": ((None, "", True, "avg", "fast", "fastavg"), "the average is taken before the head here"),
    "maxpool1": ((None, True), "a pooling follows the first convolution here"),
    "no_max_pool": ((None, False), "a pooling follows the first convolution here"),
    "style": (
        (None, "", "pytorch"),
        "the 3x3 convolution strides here; resnet*_caffe_padded are mmcv's in the caffe style",
    ),
    "stride_in_1x1": ((None, False), "the 3x3 convolution strides here; resnet*_caffe_padded are Detectron's"),
    "downsample_in_bottleneck": ((None, False), "the 3x3 convolution strides here"),
}
# Options whose names are words of other things, too: they count where their value is one of a network.
_AMBIGUOUS = {"style": {"caffe"}, "act": {"gelu", "silu", "swish", "leaky_relu", "elu", "mish", "selu", "prelu"}}
_SMP_ARGUMENTS = {
    *("encoder_output_stride", "decoder_atrous_rates", "decoder_channels", "activation", "upsampling"),
    *("encoder_depth", "decoder_aspp_separable", "psp_out_channels", "decoder_use_norm", "psp_use_batchnorm"),
}
_SMP_CLASSES = {collapse(name): name for name in ("DeepLabV3", "DeepLabV3Plus", "PSPNet")}


def read_labels(labels: Mapping[str, Any], origin: str = "the label") -> Iterator[Statement]:
    """One statement for each label that says something of the network.

    Args:
        labels: dotted name -> plain value, as `Checkpoint.labels`.
        origin: what messages call a label.
    """
    yield from _read_smp(labels, origin)
    for name, value in labels.items():
        *owners, last = name.split(".")
        last = last.lower()
        if any(_OTHERS.search(part) for part in (*owners, last)):
            continue
        if isinstance(value, str) and last in ("config", "cfg") and "backbone" in value:
            yield from mmcv_config.read_text(value, f"{origin} {name}")
        elif last in _FIXED:
            yield from _read_fixed(name, last, value, origin)
        elif isinstance(value, str):
            yield from _read_text(name, owners, last, value, origin, _depth(labels, owners))
        else:
            yield from _read_dilation(name, last, value, origin)


def _depth(labels: Mapping[str, Any], owners: list[str]) -> int | None:
    """The number of layers that stands beside a label, as in `arch="resnet", depth=50`."""
    values = (labels.get(".".join([*owners, name])) for name in _DEPTHS)
    return next((value for value in values if isinstance(value, int) and not isinstance(value, bool)), None)


def _read_text(
    name: str, owners: list[str], last: str, value: str, origin: str, depth: int | None
) -> Iterator[Statement]:
    inner = bool(owners) and last in _INNER and owners[-1].lower() in _OWNERS
    strict = last in _STRICT or (inner and owners[-1].lower() in ("backbone", "encoder", "arch", "architecture"))
    if not (strict or inner or last in _FREE):
        return
    read = read_name(value.rpartition(".")[2] if last == "_target_" else value, free=not strict)
    says = f"{value[:80]!r}"
    if (
        read.words[:1]
        and read.words[0] in _TRUNKS
        and depth
        and (deep := read_name(f"{value}{depth}", free=not strict)) is not NOTHING
    ):
        read, says = deep, f"{says} with depth {depth}"
    if read is not NOTHING:
        yield Statement(f"{origin} {name}", says, names=read.names, words=read.words, unknown=read.unknown)


def _read_fixed(name: str, last: str, value: Any, origin: str) -> Iterator[Statement]:
    """A refusal of a value that the networks here do not have; nothing for one that they have."""
    allowed, why = _FIXED[last]
    stated = value.lower() if isinstance(value, str) else value
    if isinstance(stated, tuple) or stated in allowed or stated not in _AMBIGUOUS.get(last, {stated}):
        return
    yield Statement(f"{origin} {name}", f"{value!r}", refusals=(f"{last}={value!r}: {why}",))


def _read_dilation(name: str, last: str, value: Any, origin: str) -> Iterator[Statement]:
    """What the arguments say that replace strides by dilations."""
    where, says = f"{origin} {name}", f"{value!r}"
    if last in _STRIDES and value in (4, 8, 16, 32) and not isinstance(value, bool):
        yield Statement(where, says, options={"output_stride": value})
    elif last == "replace_stride_with_dilation" and isinstance(value, tuple) and len(value) == 3:
        strides: dict[tuple[bool, ...], int] = {
            (False, False, False): 32,
            (False, False, True): 16,
            (False, True, True): 8,
            (True, True, True): 4,
        }
        stride = strides.get(tuple(map(bool, value)))
        if stride is None:
            yield Statement(where, says, refusals=(f"{last}={value!r}: a stage strides after a dilated one",))
        else:
            yield Statement(where, says, options={"output_stride": stride})
    elif last == "dilated" and isinstance(value, bool):
        yield Statement(where, says, dilated=value)
    elif last in ("dilation", "dilations") and not isinstance(value, bool | str) and value not in (None, 1, 0, (1,)):
        if not (isinstance(value, tuple) and set(value) <= {1}):
            yield Statement(where, says, refusals=(f"{last}={value!r}: which layers it means is not known here",))
    elif last in ("multi_grid", "multigrid") and isinstance(value, tuple) and value and set(value) != {1}:
        if all(isinstance(rate, int) and rate > 0 for rate in value):
            yield Statement(where, says, options={"multi_grid": value})
    elif last in ("multi_grid", "multigrid") and value is True:
        yield Statement(where, says, refusals=(f"{last}=True: its rates are not known here",))


def _read_smp(labels: Mapping[str, Any], origin: str) -> Iterator[Statement]:
    """The constructor's arguments of segmentation_models.pytorch, as its users keep them among `hyper_parameters`."""
    groups: dict[str, dict[str, Any]] = {}
    for name, value in labels.items():
        owner, _, last = name.rpartition(".")
        groups.setdefault(owner, {})[last] = value
    for owner, values in groups.items():
        title = next((values[key] for key in ("arch", "model_name", "model", "architecture") if key in values), None)
        known = _SMP_CLASSES.get(collapse(title)) if isinstance(title, str) else None
        if known and "encoder_name" in values and _SMP_ARGUMENTS & values.keys():
            arguments = {key: value for key, value in values.items() if key in _SMP_ARGUMENTS or key == "encoder_name"}
            yield smp_config.read_arguments(known, arguments, f"{origin}s {owner}".rstrip(), binding=False)
