"""What the constructor's arguments of segmentation_models.pytorch say: `save_pretrained` writes them to config.json.

Reference: https://github.com/qubvel-org/segmentation_models.pytorch, versions 0.1 to 0.6: decoders/deeplabv3/model.py,
decoders/pspnet/model.py and base/heads.py.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from converters.families.pytorch.smp import SMP
from converters.identification.statements.statement import Statement

# Class -> beginning of the network's name, its output stride and its depth, the factor that gives the image's size.
_CLASSES = {
    "DeepLabV3": ("deeplabv3", 8, 5),
    "DeepLabV3Plus": ("deeplabv3plus", 16, 5),
    "PSPNet": ("pspnet", None, 3),
}
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
    head, stride, depth = _CLASSES[name]
    network = f"{head}_{encoder}"
    known = any(row.name == network for row in SMP.networks)
    return Statement(
        origin,
        says,
        names=frozenset([network]),
        families=(SMP.name,),
        unknown=not known,
        binding=binding,
        options=dict(_options(head, stride, arguments)),
        refusals=tuple(_refusals(head, stride, depth, arguments)),
        num_classes=_number(arguments.get("classes")),
        channels=_number(arguments.get("in_channels")),
        notes=tuple(_notes(arguments)),
    )


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _options(head: str, stride: int | None, arguments: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The options of `tfseg.build` that the arguments decide."""
    if stride is not None:
        yield "output_stride", arguments.get("encoder_output_stride") or stride
        if rates := _rates(arguments):
            yield "rates", rates
    filters = arguments.get("psp_out_channels" if head == "pspnet" else "decoder_channels")
    if _number(filters) and filters != (512 if head == "pspnet" else 256):
        yield "filters", filters
    if head == "pspnet" and isinstance(arguments.get("psp_dropout"), int | float):
        yield "dropout", float(arguments["psp_dropout"])


def _rates(arguments: Mapping[str, Any]) -> tuple[int, ...] | None:
    rates = arguments.get("decoder_atrous_rates")
    valid = isinstance(rates, list | tuple) and len(rates) == 3 and all(_number(rate) and rate > 0 for rate in rates)
    return tuple(rates) if valid and rates is not None else None


def _refusals(head: str, stride: int | None, depth: int, arguments: Mapping[str, Any]) -> Iterator[str]:
    """What cannot be built, as sentences without their full stop."""
    get = arguments.get
    yield from _unlike(
        arguments,
        "activation",
        _PLAIN_ACTIVATIONS,
        "the network ends with logits here; null in a copy of the folder gives them",
    )
    yield from _unlike(arguments, "encoder_depth", (None, depth), f"its encoder has depth {depth} here")
    # With these, the map of the logits gets the image's size.
    factors: tuple[int | None, ...] = {"pspnet": (8,), "deeplabv3plus": (4,)}.get(head, (None,))
    if head == "deeplabv3":
        factors = (None, get("encoder_output_stride") or stride)
    yield from _unlike(arguments, "upsampling", factors, "the result has the image's own size here")
    if stride is not None:
        yield from _unlike(arguments, "encoder_output_stride", (None, 8, 16), "it is 8 or 16")
        separable = head == "deeplabv3plus"
        yield from _unlike(arguments, "decoder_aspp_separable", (None, separable), f"it is {separable} here")
        if get("decoder_atrous_rates") is not None and not _rates(arguments):
            yield f"decoder_atrous_rates={get('decoder_atrous_rates')!r}: three whole numbers are expected"
    else:
        for option in ("decoder_use_norm", "psp_use_batchnorm"):
            yield from _unlike(arguments, option, _BATCH_NORMS, "it has BatchNorm here")
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
