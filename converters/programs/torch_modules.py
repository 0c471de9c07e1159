"""The modules of a torch network, live or pickled, held against the network that is built for it."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import keras

import tfseg
from converters.errors import ConversionError
from converters.identification.fits import Fit
from converters.identification.sources import Source
from converters.memory import lazy_zeros
from converters.names.tables import Table
from converters.programs import from_keras
from converters.programs.public_modules import CONVOLUTION, DECONVOLUTION, LINEAR, NORMS, deviations
from converters.programs.steps import Padding, ProgramStep, StepFactory
from converters.reading.pytorch.module_tree import ModuleRecord, ModuleTree
from tfseg.nets import blocks
from tfseg.types import Size

_LISTED = 4
_LIVE = (
    "A live module tells what it computes: load it in torch and pass it alone, converters.convert(module), which "
    "builds its own program; or give its ONNX export."
)
_ODD = (65, 97)  # every stride leaves a rest, so that rounding up shows
_EVEN = (128, 192)  # no stride leaves a rest, so that enlargements are whole numbers
_NN = "torch.nn.modules"
_QUANTIZED = ("torch.ao.", "torch.nn.quantized", "torch.nn.qat", "torch.nn.intrinsic", "torch.quantization")
_FROZEN = "torchvision.ops.misc.FrozenBatchNorm2d"
_BEYOND = {"pooling of the whole map", "averages of unequal parts"}

# Activations without tensors: class -> operations of a network that are the same.
_ACTIVATIONS = {
    "ReLU": ("relu",),
    "ReLU6": ("relu6",),
    "LeakyReLU": ("leaky relu",),
    "Sigmoid": ("sigmoid", "hard_sigmoid"),
    **dict.fromkeys(("Softmax", "Softmax2d", "LogSoftmax"), ("softmax",)),
    **dict.fromkeys(
        ("SiLU", "GELU", "ELU", "SELU", "CELU", "Hardswish", "Hardsigmoid", "Hardtanh", "Mish", "Softplus", "Tanh"), ()
    ),
    **dict.fromkeys(("RReLU", "Threshold", "Hardshrink", "Softshrink", "Softsign", "LogSigmoid", "GLU"), ()),
}
_OTHER_NORMS = ("InstanceNorm2d", "GroupNorm", "LayerNorm", "LocalResponseNorm")
_HOW = {("bilinear", True): "bilinear_align_corners", ("bilinear", False): "bilinear", ("nearest", False): "nearest"}


class _Program(NamedTuple):
    """What is compared of a network: steps of its layers with weights, and its other steps, at two sizes."""

    layers: dict[str, list[ProgramStep]]
    others: list[ProgramStep]
    even: list[ProgramStep]
    factory: StepFactory


def check_modules(
    source: Source, model: keras.Model, fit: Fit, *, asked: bool, whole: bool, unused: bool = True
) -> None:
    """Refuses a torch network whose modules have other numbers or kinds than the network that is built.

    Args:
        source: source of the weights; one without modules passes.
        model: model that its weights are to go into.
        fit: network whose names the weights have.
        asked: whether the user chose how the model strides. Then modules of the usual form pass, too.
        whole: whether the model is the network of the source, and not another one for a transplant.
        unused: whether modules without tensors are compared. A network need not use all that it has, as a run shows.
    Raises:
        ConversionError: naming the first modules that differ.
    """
    differing = module_differences(source, model, fit, unused=unused)
    if not differing:
        return
    if asked or not whole:
        with blocks.blank_weights(lazy_zeros):
            usual = tfseg.build(fit.network.name, **{**fit.family.options, **fit.network.options})
        if not module_differences(source, usual, fit, unused=unused):
            return
    more = f"; and {len(differing) - _LISTED} more" if len(differing) > _LISTED else ""
    raise ConversionError(
        f"{source.name} has the tensors of {fit.family.name} {fit.network.name}, and its modules compute something "
        f"else: {'; '.join(differing[:_LISTED])}{more}. If it was made with another output stride or convention, say "
        "so: output_stride=, convention= (--output_stride, --convention). Another network with these tensors: network= "
        f"(--network). {_LIVE}"
    )


def module_differences(source: Source, model: keras.Model, fit: Fit, *, unused: bool = True) -> list[str]:
    """In words: how the modules of a torch network differ from a model's layers; empty without modules.

    Args:
        source: source of the weights.
        model: model to compare.
        fit: network whose names the weights have.
        unused: whether modules without tensors are compared.
    """
    if not source.modules:
        return []
    program = _program(model)
    layers = weighted_modules(source, fit.network.table)
    differing = []
    for name, layer in layers.items():
        steps = program.layers.get(layer, ())
        differing += [
            f"{name} {words}" for step in steps[:1] for words in _layer_differences(source.modules[name], step)
        ]
    headless = any(layer not in program.layers and not layer.startswith("aux_") for layer in layers.values())
    return [*differing, *_other_differences(source.modules, program, headless)] if unused else differing


def check_forward(source: Source, fit: Fit, *, named: bool, why: str = "") -> list[str]:
    """Refuses a torch network whose order of computation is code that is not known, unless the user named it.

    Args:
        source: source of the weights.
        fit: network whose names the weights have.
        named: whether the user named the network.
        why: why a live network could not be run, as a sentence without its end.
    Returns: sentences for the receipt.
    Raises:
        ConversionError: naming the classes, and what to do.
    """
    if not source.modules:
        return []
    differing = deviations(source.modules)
    reason = f"{why}. " if why else ""
    if not differing:
        public = source.modules[""].origin
        return [f"{reason}Its modules are those of the public {public}, whose code decides their order"]
    listed = "; ".join(deviation.words for deviation in differing[:_LISTED])
    if named and all(deviation.unknown for deviation in differing):
        return [f"{reason}What its own code computes could not be checked: {listed}"]
    kept = "a live module keeps" if source.module is not None else "a pickled module keeps"
    raise ConversionError(
        f"{source.name} has the tensors of {fit.family.name} {fit.network.name}, but {reason}{kept} code that is not "
        f"known here: {listed}. Expected the modules of a public network. If it does compute {fit.network.name}, save "
        f"model.state_dict(), or where only its classes are your own, say network={fit.network.name!r} "
        f"(--network={fit.network.name}). {_LIVE}"
    )


def keep_momentum(source: Source, model: keras.Model, fit: Fit) -> list[str]:
    """Lets every BatchNorm move its averages as the module does; returns sentences for the receipt.

    Args:
        source: source of the weights.
        model: model that its weights go into.
        fit: network whose names the weights have.
    """
    cumulative = 0
    built = {layer.name: layer for layer in model.layers}
    for name, layer in weighted_modules(source, fit.network.table).items():
        record = source.modules[name]
        norm = built.get(layer)
        if not isinstance(norm, keras.layers.BatchNormalization) or "momentum" not in record.facts:
            continue
        momentum = record.facts["momentum"]
        if momentum is None:
            cumulative += 1
        elif isinstance(momentum, int | float) and 0 <= momentum <= 1:
            norm.momentum = round(1.0 - momentum, 12)
    if not cumulative:
        return []
    return [
        f"{cumulative} of its BatchNorms average over all batches (momentum=None), which Keras cannot: in training "
        "those of the model keep 0.9 of the old average"
    ]


def weighted_modules(source: Source, table: Table) -> dict[str, str]:
    """Name of each module with tensors -> name of the Keras layer that they go into.

    Args:
        source: source of the weights.
        table: table that tells which tensor is which variable.
    """
    owners = {
        f"{name}.{tensor}" if name else tensor: name
        for name, record in source.modules.items()
        for tensor in record.tensors
    }
    prefix = _prefix(list(source), owners)
    differing = {}
    for key in source:
        name = owners.get(prefix + key, owners.get(_unwrapped(prefix + key)))
        path = table.path(key)
        if name is not None and path:
            differing[name] = path.rpartition("/")[0]
    return differing


def _prefix(keys: list[str], owners: Mapping[str, str]) -> str:
    """What the names of the modules have before the keys of the source."""
    known = set(owners)
    probe = next((key for key in keys if not key.endswith("num_batches_tracked")), "")
    candidates = {name[: -len(probe)] for name in known if probe and name.endswith(probe)} | {""}
    return max(candidates, key=lambda prefix: (sum(prefix + key in known for key in keys[:200]), -len(prefix)))


def _unwrapped(key: str) -> str:
    return ".".join(part for part in key.split(".") if part not in ("module", "_orig_mod"))


def _program(model: keras.Model) -> _Program:
    factory, even = StepFactory(_ODD, 3), StepFactory(_EVEN, 3)
    layers: dict[str, list[ProgramStep]] = {}
    steps = _cones(from_keras.describe(model, factory))
    for step in steps:
        if step.key:
            layers.setdefault(step.key, []).append(step)
    return _Program(layers, steps, _cones(from_keras.describe(model, even)), factory)


def _cones(outputs: Iterable[ProgramStep]) -> list[ProgramStep]:
    return list({id(step): step for output in outputs for step in output.cone()}.values())


# ---------------------------------------------------------------------------------------------- layers with weights


def _layer_differences(record: ModuleRecord, step: ProgramStep) -> Iterator[str]:
    """How a module differs from the step that gets its tensors, in words."""
    kind = record.origin.rpartition(".")[2]
    if step.op in ("convolution", "transposed convolution"):
        if record.origin in (CONVOLUTION, DECONVOLUTION):
            if (record.origin == DECONVOLUTION) != (step.op == "transposed convolution"):
                yield f"is a {kind}; in the network a {step.op}"
                return
            yield from _convolution_differences(record.facts, step)
        elif kind in _OTHER_NORMS:
            yield f"is a {kind}; in the network a {step.op}"
    elif step.op == "normalization":
        if kind in _OTHER_NORMS:
            yield f"is a {kind}; in the network a BatchNorm"
        elif record.origin in NORMS:
            yield from _norm_differences(record, step)
    elif step.op == "fully connected layer" and record.origin == CONVOLUTION:
        yield from _dense_differences(record.facts)
    elif step.op == "fully connected layer" and record.origin != LINEAR and record.origin.startswith(_NN):
        yield f"is a {kind}; in the network a {step.op}"


def _convolution_differences(facts: Mapping[str, Any], step: ProgramStep) -> Iterator[str]:
    if (mode := facts.get("padding_mode", "zeros")) != "zeros":
        yield f"pads with padding_mode={mode!r}; in the network with zeros"
    kernel, stride, dilation = (_pair(facts.get(name)) for name in ("kernel_size", "stride", "dilation"))
    rates = dilation and kernel and tuple(1 if side == 1 else rate for side, rate in zip(kernel, dilation, strict=True))
    stated: dict[str, Any] = {"kernel": kernel, "stride": stride, "dilation": rates}
    stated["pad"] = _padding(facts, kernel, dilation)
    channels, groups = facts.get("in_channels"), facts.get("groups")
    same_groups = groups is None or groups == step.facts.get("groups", groups)
    if not same_groups and not (step.facts.get("groups") == "each" and groups == channels):
        yield f"has groups {groups}; in the network {step.facts.get('groups')}"
    for name, value in stated.items():
        if value is not None and value != step.facts.get(name, value):
            yield f"has {name} {_plain(value)}; in the network {_plain(step.facts[name])}"


def _padding(facts: Mapping[str, Any], kernel: Size | None, dilation: Size | None) -> Padding | None:
    padding = facts.get("padding")
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same" and kernel and dilation:
        rows, columns = ((side - 1) * rate for side, rate in zip(kernel, dilation, strict=True))
        return (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)
    sides = _pair(padding)
    if sides is None:
        return None
    # What a transposed convolution adds after the map, it cuts off less there.
    more = _pair(facts.get("output_padding", 0)) or (0, 0)
    (rows, columns), (below, right) = sides, more
    return (rows, rows - below), (columns, columns - right)


def _norm_differences(record: ModuleRecord, step: ProgramStep) -> Iterator[str]:
    epsilon = record.facts.get("eps", 0.0 if record.origin == _FROZEN else None)
    built = step.facts.get("epsilon")
    if isinstance(epsilon, int | float) and built is not None and not math.isclose(epsilon, built, rel_tol=1e-4):
        yield f"has eps {epsilon}; in the network {built}"
    if record.facts.get("track_running_stats", True) is False or "running_mean" not in record.tensors:
        yield "has track_running_stats=False and normalizes by each batch; in the network by the running averages"


def _dense_differences(facts: Mapping[str, Any]) -> Iterator[str]:
    """A convolution of the whole map is a fully connected layer."""
    for name, usual in (("stride", 1), ("padding", 0), ("dilation", 1)):
        value = _pair(facts.get(name))
        if value not in (None, (usual, usual)) and not (
            name == "dilation" and _pair(facts.get("kernel_size")) == (1, 1)
        ):
            yield f"has {name} {_plain(value)}; in the network {usual}"


# ------------------------------------------------------------------------------------------- modules without weights


def _other_differences(tree: ModuleTree, program: _Program, headless: bool) -> Iterator[str]:
    ops = {step.op for step in program.others}
    for record in tree.values():
        kind = record.origin.rpartition(".")[2]
        if record.origin.startswith(_QUANTIZED):
            yield f"{record.name} is a {record.origin}, which is quantized or prepared for it"
        if not record.origin.startswith((f"{_NN}.", "timm.layers.activations.")):
            continue
        if kind in _ACTIVATIONS:
            missing = not any(op in ops for op in _ACTIVATIONS[kind])
            if (missing and not (headless and kind in ("Sigmoid", "Softmax"))) or kind == "LogSoftmax":
                yield f"{record.name} is a {kind}, which the network does not have"
            elif kind == "LeakyReLU" and not _has(program, "leaky relu", slope=record.facts.get("negative_slope")):
                yield f"{record.name} has negative_slope {record.facts.get('negative_slope')}, as none in the network"
        elif kind in ("MaxPool2d", "AvgPool2d"):
            if not any(_is_pooling(record, kind, step, program.factory) for step in program.others):
                yield f"{record.name} is a {_pool_words(record, kind)}, which the network does not have"
        elif kind == "AdaptiveAvgPool2d" and not headless:
            bins = record.facts.get("output_size")
            if not any(_is_average(bins, step, program.factory) for step in program.others):
                yield f"{record.name} is an {kind} of {_plain(bins)}, which the network does not have"
        elif kind in ("AdaptiveMaxPool2d", "LPPool2d", "FractionalMaxPool2d", "PixelShuffle", *_OTHER_NORMS):
            if kind not in _OTHER_NORMS or not record.tensors:
                yield f"{record.name} is a {kind}, which the network does not have"
        elif kind.startswith("Upsampl") and not headless:
            yield from _upsample_differences(record, kind, program.even)


def _has(program: _Program, op: str, **facts: Any) -> bool:
    return any(step.op == op and all(step.facts.get(k) == v for k, v in facts.items()) for step in program.others)


def _is_pooling(record: ModuleRecord, kind: str, step: ProgramStep, factory: StepFactory) -> bool:
    """Whether a pooling of these numbers, in the place of the step, is the step."""
    if step.op != "pooling" or (kind == "MaxPool2d") != (step.facts["pool"] == "MAX"):
        return False
    facts = record.facts
    kernel = _pair(facts.get("kernel_size"))
    stride = _pair(facts.get("stride")) or kernel
    if kernel is None or stride is None or _pair(facts.get("dilation", 1)) != (1, 1):
        return False
    rows, columns = _pair(facts.get("padding", 0)) or (0, 0)
    more: dict[str, Any] = {}
    if kind == "AvgPool2d" and (rows, columns) != (0, 0) and facts.get("count_include_pad") is False:
        more["divided by"] = "the pixels on the map"
    if facts.get("divisor_override"):
        more["divided by"] = facts["divisor_override"]
    options = {
        "pool": step.facts["pool"],
        "kernel": kernel,
        "stride": stride,
        "pad": ((rows, rows), (columns, columns)),
    }
    (x,) = step.inputs
    ceil_mode = bool(facts.get("ceil_mode", False))
    return factory.pooling(x, "", **options, ceil_mode=ceil_mode, **more).number == step.number


def _is_average(bins: Any, step: ProgramStep, factory: StepFactory) -> bool:
    sides = _pair(bins)
    if sides is None or sides[0] != sides[1] or len(step.inputs) != 1:
        return False
    return factory.adaptive_average(step.inputs[0], "", sides[0]).number == step.number


def _upsample_differences(record: ModuleRecord, kind: str, steps: Iterable[ProgramStep]) -> Iterator[str]:
    bilinear = kind == "UpsamplingBilinear2d"
    mode, aligned = record.facts.get("mode", "nearest"), bool(record.facts.get("align_corners", bilinear))
    how, factor = _HOW.get((mode, aligned)), _pair(record.facts.get("scale_factor"))
    resizes = [step for step in steps if step.op == "resize"]
    words = f"{record.name} is an {kind} by {_plain(factor)}, mode={mode!r}, align_corners={aligned}"
    alike = [step for step in resizes if step.facts["how"] == how]
    if not any(factor is None or _factor(step) == factor for step in alike):
        yield f"{words}, which the network does not have"


def _factor(step: ProgramStep) -> tuple[float, float]:
    (rows, columns), (above, left) = step.size, step.inputs[0].size
    return rows / above, columns / left


def _pool_words(record: ModuleRecord, kind: str) -> str:
    names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "count_include_pad", "divisor_override")
    usual = {"dilation": 1, "ceil_mode": False, "count_include_pad": True, "divisor_override": None}
    facts = [
        f"{name}={record.facts[name]}"
        for name in names
        if name in record.facts and record.facts[name] != usual.get(name, "")
    ]
    return f"{kind}({', '.join(facts)})"


def _pair(value: Any) -> Size | None:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return None
    if isinstance(value, int | float):
        return int(value), int(value)
    if isinstance(value, tuple) and len(value) == 2 and all(isinstance(side, int | float) for side in value):
        return int(value[0]), int(value[1])
    return None


def _plain(value: Any) -> str:
    """A number for a tuple of equal ones."""
    while isinstance(value, tuple) and len(set(value)) == 1:
        value = value[0]
    return str(value)
