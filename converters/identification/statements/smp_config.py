"""What the constructor's arguments of segmentation_models.pytorch say: `save_pretrained` writes them to config.json.

Reference: https://github.com/qubvel-org/segmentation_models.pytorch, versions 0.1 to 0.6: decoders/*/model.py and
base/heads.py.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from converters.families.pytorch.smp import SMP, SMP_TIMM
from converters.families.pytorch.smp_decoders import DECODERS
from converters.identification.statements.statement import Statement

# Class -> beginning of the network's name.
_CLASSES = {
    "DeepLabV3": "deeplabv3",
    "DeepLabV3Plus": "deeplabv3plus",
    "PSPNet": "pspnet",
    **{decoder.public: title for title, decoder in DECODERS.items()},
}
# Its output strides, the default first; and its depth.
_STRIDES: dict[str, tuple[int, ...]] = {"deeplabv3": (8, 16), "deeplabv3plus": (16, 8), "pan": (16, 32)}
_DEPTHS = {"pspnet": 3}
# The factor with which the map of the logits gets the image's size; 1 where it has that size.
_FACTORS = {"pspnet": 8, "deeplabv3plus": 4, "fpn": 4, "pan": 4, "upernet": 4, "segformer": 4}
# How a decoder enlarges maps, by torch's name: PAN's bilinear one lets the corners coincide.
_INTERPOLATIONS = {"nearest": "nearest", "bilinear": "bilinear"}
_PAN_INTERPOLATIONS = {"nearest": "nearest", "bilinear": "bilinear_align_corners"}
_PLAIN_ACTIVATIONS = (None, "identity")
_BATCH_NORMS = (None, True, "batchnorm", {"type": "batchnorm"})
_CONSTRUCTOR = {
    "encoder_name",
    "encoder_depth",
    "encoder_weights",
    "encoder_output_stride",
    "decoder_channels",
    "decoder_atrous_rates",
    "decoder_aspp_separable",
    "decoder_aspp_dropout",
    "psp_out_channels",
    "psp_use_batchnorm",
    "decoder_use_norm",
    "decoder_use_batchnorm",
    "decoder_attention_type",
    "decoder_interpolation",
    "upscale_mode",
    "decoder_pab_channels",
    "decoder_pyramid_channels",
    "decoder_segmentation_channels",
    "decoder_merge_policy",
    "decoder_dropout",
    "psp_dropout",
    "in_channels",
    "classes",
    "activation",
    "upsampling",
    "aux_params",
}


def read_arguments(name: str, arguments: Mapping[str, Any], origin: str, *, binding: bool) -> Statement:
    """What a class of the library and its arguments say.

    Args:
        name: name of the class, such as "DeepLabV3".
        arguments: its arguments; those that are missing have their defaults.
        origin: where they stand, for messages.
        binding: whether they describe these very weights.
    """
    encoder = str(arguments.get("encoder_name", "resnet34"))
    says = f"{name} of segmentation_models_pytorch with encoder_name {encoder!r}"
    if name not in _CLASSES:
        return Statement(origin, says, unknown=True, binding=binding)
    head = _CLASSES[name]
    # timm's names may say which weights they began with: "tu-resnet50.a1_in1k".
    family, encoder = (SMP_TIMM, encoder.partition(".")[0]) if encoder.startswith("tu-") else (SMP, encoder)
    network = next((row.name for row in family.networks if row.public == f"{name}_{encoder}"), None)
    return Statement(
        origin,
        says,
        names=frozenset([network or f"{head}_{encoder}"]),
        families=(family.name,),
        unknown=network is None,
        binding=binding,
        options=dict(_options(head, arguments)),
        refusals=tuple(_refusals(head, arguments)),
        num_classes=_number(arguments.get("classes")),
        channels=_number(arguments.get("in_channels")),
        notes=tuple(_notes(arguments)),
    )


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _options(head: str, arguments: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The options of `tfseg.build` that the arguments decide, and not the shapes of the tensors."""
    if head in _STRIDES:
        yield "output_stride", arguments.get("encoder_output_stride") or _STRIDES[head][0]
    if head in DECODERS:
        if isinstance(interpolation := _interpolation(head, arguments), str):
            yield "interpolation", interpolation
        if head == "fpn" and isinstance(arguments.get("decoder_dropout"), int | float):
            yield "dropout", float(arguments["decoder_dropout"])
        return
    if head != "pspnet" and (rates := _rates(arguments)):
        yield "rates", rates
    filters = arguments.get("psp_out_channels" if head == "pspnet" else "decoder_channels")
    if _number(filters) and filters != (512 if head == "pspnet" else 256):
        yield "filters", filters
    if head == "pspnet" and isinstance(arguments.get("psp_dropout"), int | float):
        yield "dropout", float(arguments["psp_dropout"])


def _interpolation(head: str, arguments: Mapping[str, Any]) -> object:
    """How the decoder enlarges maps: our name, None for its default, or a value that is not known here."""
    value = arguments.get("decoder_interpolation") or arguments.get("upscale_mode")
    known = _PAN_INTERPOLATIONS if head == "pan" else _INTERPOLATIONS
    return known.get(value, [value]) if isinstance(value, str) else value


def _rates(arguments: Mapping[str, Any]) -> tuple[int, ...] | None:
    rates = arguments.get("decoder_atrous_rates")
    valid = isinstance(rates, list | tuple) and len(rates) == 3 and all(_number(rate) and rate > 0 for rate in rates)
    return tuple(rates) if valid and rates is not None else None


def _refusals(head: str, arguments: Mapping[str, Any]) -> Iterator[str]:
    """What cannot be built, as sentences without their full stop."""
    get, strides, depth = arguments.get, _STRIDES.get(head, ()), _DEPTHS.get(head, 5)
    yield from _unlike(
        arguments,
        "activation",
        _PLAIN_ACTIVATIONS,
        "the network ends with logits here; null in a copy of the folder gives them",
    )
    yield from _unlike(arguments, "encoder_depth", (None, depth), f"its encoder has depth {depth} here")
    # With these, the map of the logits gets the image's size.
    factors: tuple[int | None, ...] = (_FACTORS[head],) if head in _FACTORS else (None,)
    if head == "deeplabv3":
        factors = (None, get("encoder_output_stride") or _STRIDES[head][0])
    yield from _unlike(arguments, "upsampling", factors, "the result has the image's own size here")
    if strides:
        listed = " or ".join(map(str, sorted(strides)))
        yield from _unlike(arguments, "encoder_output_stride", (None, *strides), f"it is {listed}")
    if head in ("deeplabv3", "deeplabv3plus"):
        separable = head == "deeplabv3plus"
        yield from _unlike(arguments, "decoder_aspp_separable", (None, separable), f"it is {separable} here")
        if get("decoder_atrous_rates") is not None and not _rates(arguments):
            yield f"decoder_atrous_rates={get('decoder_atrous_rates')!r}: three whole numbers are expected"
    else:
        for option in ("decoder_use_norm", "decoder_use_batchnorm", "psp_use_batchnorm"):
            yield from _unlike(arguments, option, _BATCH_NORMS, "it has BatchNorm here")
    if head in DECODERS and not isinstance(value := _interpolation(head, arguments), str | None):
        yield f"decoder_interpolation={value!r}: it is nearest or bilinear here"
    for option in arguments.keys() - _CONSTRUCTOR:
        if not option.startswith("_") and get(option) is not None:
            yield f"{option}={get(option)!r}: an argument that is not known here"


def _unlike(arguments: Mapping[str, Any], option: str, allowed: tuple[Any, ...], why: str) -> Iterator[str]:
    if option in arguments and not any(arguments[option] == value for value in allowed):
        yield f"{option}={arguments[option]!r}: {why}"


def _notes(arguments: Mapping[str, Any]) -> Iterator[str]:
    rate = arguments.get("decoder_aspp_dropout")
    if isinstance(rate, int | float) and rate != 0.5:
        yield f"decoder_aspp_dropout={rate}: the layer aspp_dropout has the rate 0.5, which counts in training alone"
    if arguments.get("aux_params"):
        yield "aux_params: the classification head beside the segmenter is not built"
