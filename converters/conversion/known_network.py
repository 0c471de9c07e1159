"""`convert` for the networks of the families, and for files of tfseg."""

import dataclasses
import difflib
from collections.abc import Mapping

import keras
import numpy as np

import tfseg
from converters.conversion.agreeing_network import agreeing_network
from converters.conversion.check_live import check_live
from converters.conversion.rebuild_network import fill_by_path, rebuild_network
from converters.conversion.requests import Conversion, Request, name_classes
from converters.errors import ConversionError
from converters.identification.agreement import Agreement
from converters.identification.fits import Candidates, Fit
from converters.identification.identify import identify_source
from converters.identification.own_files import BY_PATH, OwnNetwork, own_network, refuse_own_model
from converters.identification.sources import Source
from converters.programs.check_prototxt import check_prototxt
from converters.programs.torch_modules import keep_momentum
from converters.types import Path
from converters.weights.fill_model import fill_model, variable_shapes
from converters.weights.import_weights import mapping_advice
from converters.weights.plan import plan_import
from converters.weights.receipts import Receipt
from tfseg import palettes, specs
from tfseg.nets import blocks

_HALF = ("float16", "bfloat16")


def convert_known(source: Source, request: Request) -> Conversion:
    """`convert` for the networks of the families, and for files of tfseg.

    Args:
        source: opened source.
        request: what the caller asks for.
    """
    family, network, prefix, form = request.family, request.network, request.prefix, request.form
    if network is None and family in (None, BY_PATH):
        refuse_own_model(source)
    if family in (None, BY_PATH) and (stated := own_network(source)):
        return _open_own(source, stated, request)
    candidates = identify_source(source, family=family, skip=request.skip, prefix=prefix, network=network)
    source, skip, include_top = candidates.source, candidates.skip, form.include_top
    form = dataclasses.replace(form, named=not (network is None and family is None))
    chosen = agreeing_network(candidates, _choose(candidates, network), form, network=network, skip=skip)
    fit, model, agreement, checked = chosen.fit, chosen.model, chosen.agreement, chosen.notes
    _, options, drop = chosen.built
    target, named = network or fit.network.name, network is not None
    asked = form.output_stride is not None or form.convention is not None
    live = source.module is not None and bool(source.modules)

    receipt = Receipt(source.name, model.name, *fit.names, options=options, others=list(candidates.alternatives(fit)))
    receipt.prefix = prefix
    receipt.preprocessing = specs.PREPROCESSING[request.preprocessing or fit.family.preprocessing]
    if request.preprocessing is None and agreement.preprocessing:
        receipt.preprocessing = agreement.preprocessing
    receipt.notes += [*agreement.notes, *candidates.name_notes(fit.network.name), *checked]
    receipt.notes += _head_notes(fit, model, target)
    if fit.network.assumed and target == fit.network.name and not live and not agreement.complete:
        receipt.notes.append(fit.network.assumed)
    strides = form.output_stride is not None or "output_stride" in agreement.options or agreement.binding
    if fit.network.assumed_stride and target == fit.network.name and not live and not strides:
        receipt.notes.append(fit.network.assumed_stride)
    if request.prototxt is not None:
        receipt.prototxt = _check_prototxt(model, request.prototxt, fit, target)
    _set_metadata(model, receipt, fit, target)
    name_classes(model, request.classes or _stated_classes(agreement, receipt, fit, target), request.colors)
    plan = plan_import(fit.network.table, source.shapes, variable_shapes(model), drop=drop, skip=skip)
    advice = mapping_advice(candidates, variable_shapes(model), plan)
    fill_model(model, source, plan, receipt, advice=advice, allow_nonfinite=request.allow_nonfinite)
    blocks.initialize(model, plan.untouched)
    receipt.notes += [*_precision_notes(source), *keep_momentum(source, model, fit)]
    if live:
        changed = include_top is False or form.multi_scale is not None or bool(plan.untouched)
        whole = target == fit.network.name and not changed
        receipt.notes += check_live(source, model, fit, receipt, named=named, whole=whole, asked=asked)
    return Conversion(model, receipt)


def _precision_notes(source: Source) -> list[str]:
    """What a receipt says of weights in half precision."""
    half = sorted({dtype.name for dtype in map(np.dtype, source.dtypes.values()) if dtype.name in _HALF})
    if not half:
        return []
    return [
        f"its weights are {' and '.join(half)}: the model has the same numbers and computes in float32, more exactly "
        "than a network in half precision"
    ]


def _head_notes(fit: Fit, model: keras.Model, target: str) -> list[str]:
    """What a receipt says of a head that is missing, or that has other names than the family's."""
    notes = [fit.head_note] if fit.head_note and target == fit.network.name else []
    if fit.headless and target == fit.network.name and model.name.endswith("_features"):
        other = "; network= or family= builds a segmenter on it, with a new head" if fit.is_any_trunk else ""
        notes.append(f"the file has no head: the model gives the features of its last stage{other}")
    return notes


def _stated_classes(agreement: Agreement, receipt: Receipt, fit: Fit, target: str) -> tuple[str, ...] | None:
    """The names of the classes that stand beside the weights, if the model has those classes."""
    same = target == fit.network.name and receipt.options.get("num_classes") == len(agreement.classes)
    return agreement.classes if same and agreement.classes else None


def _open_own(source: Source, stated: OwnNetwork, request: Request) -> Conversion:
    """`convert` for a file whose header says which network it holds."""
    if request.network not in (None, stated.name):
        raise ConversionError(
            f"{source.name} holds {stated.name}. Build the other network with tfseg.build and fill it with "
            f"import_weights. Received: network={request.network!r}"
        )
    model = rebuild_network(stated, source, request.form)
    if request.preprocessing:
        tfseg.set_metadata(model, preprocessing=specs.PREPROCESSING[request.preprocessing])
    name_classes(model, request.classes, request.colors)
    checked = None if request.prototxt is None else str(check_prototxt(model, request.prototxt))
    receipt = fill_by_path(model, stated, source, skip=request.skip, allow_nonfinite=request.allow_nonfinite)
    receipt.prototxt = checked
    return Conversion(model, receipt)


def _choose(candidates: Candidates, network: str | None) -> Fit:
    """The network whose table reads the file: the one asked for if it fits, else the one that the file is for."""
    if network is not None and network not in tfseg.list_models():
        near = difflib.get_close_matches(network, tfseg.list_models(), n=3)
        meant = f" Did you mean {' or '.join(near)}?" if near else ""
        raise ConversionError(
            f"No network of that name: tfseg.list_models() has all (tfseg list).{meant} Received: network={network!r}"
        )
    formats = {checkpoint.format for checkpoint in candidates.source.checkpoints}
    named = [fit for fit in candidates.fits if fit.network.name == network]
    if named and named[0].differences:  # the message then has the names that files of this format have
        named.sort(key=lambda fit: not formats <= set(fit.family.formats))
    if named and (candidates.best.differences or not named[0].differences):
        return named[0]
    # "fcn_resnetaa50" is a head on a resnetaa50. In other names the file decides which of the doubles the trunk is.
    doubles = [fit for fit in candidates.matches if fit.network.name in specs.RESNET_DOUBLES]
    trunks = [fit for fit in doubles if network is not None and network.endswith(f"_{fit.network.name}")]
    if trunks:
        return trunks[0]
    candidates.refuse_unclear(network)
    return candidates.choose()


def _check_prototxt(model: keras.Model, prototxt: Path, fit: Fit, target: str) -> str:
    if target == fit.network.name:
        return str(check_prototxt(model, prototxt, family=fit.family, network=target))
    return str(check_prototxt(model, prototxt))


def _set_metadata(model: keras.Model, receipt: Receipt, fit: Fit, target: str) -> None:
    """Lets the model carry its preprocessing, and the names and colors of its classes where they are known."""
    tfseg.set_metadata(model, preprocessing=receipt.preprocessing)
    num_classes = receipt.options.get("num_classes")
    if isinstance(num_classes, Mapping):  # the classes of the first head, which `tfseg.predict` shows
        num_classes = next(iter(num_classes.values()), None)
    for dataset in fit.family.datasets:
        if target == fit.network.name and len(palettes.CLASSES[dataset]) == num_classes:
            tfseg.set_metadata(model, classes=palettes.CLASSES[dataset], colors=palettes.COLORS[dataset])
