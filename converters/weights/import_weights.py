"""Weights into a model that exists: planned, checked, then written."""

import re
from collections.abc import Sequence

import keras

from converters.families import Family
from converters.identification.fits import Candidates, Fit
from converters.identification.identify import identify_source
from converters.identification.own_files import BY_PATH
from converters.identification.sources import Source, open_source
from converters.programs.check_source import check_source
from converters.programs.check_statement import check_beginning, check_name, check_statement
from converters.programs.torch_modules import check_forward, check_modules
from converters.reading import limits
from converters.types import Shapes, Weights
from converters.weights.fill_model import fill_model, variable_shapes
from converters.weights.plan import ImportPlan, plan_by_path, plan_import
from converters.weights.receipts import Receipt
from tfseg import specs


def import_weights(
    model: keras.Model,
    source: Weights,
    skip: Sequence[str] = (),
    *,
    family: str | Family | None = None,
    network: str | None = None,
    prefix: str | None = None,
    allow_nonfinite: bool = False,
    max_expansion: float | None = None,
    trusted: bool = False,
) -> Receipt:
    """Fills a model with foreign weights, all of it or nothing; across heads where a transplant is known.

    A VGG16 classifier goes into any FCN: its fully connected layers become fc6 and fc7. FCN-32s goes into FCN-16s,
    FCN-16s into FCN-8s, a ResNet classifier into any dilated segmenter.

    Args:
        model: a tfseg model, or another model with the same layer names.
        source: path, URL, published name or a list of those; a mapping of arrays; or a live torch module.
        skip: regular expressions, found anywhere in a variable's path or a tensor's key: those are left alone.
        family: name of a family, or the record itself: only its networks are tried. "tfseg/paths" reads tensors that
            are named by variable path.
        network: name of the network that the weights are of. It overrules a label or a file name that says otherwise.
        prefix: text before the network's keys in the source, as "model.encoder."; by default it is found.
        allow_nonfinite: accept NaN and infinite weights.
        max_expansion, trusted: what reading may cost, and whether the file's author is trusted; see `converters.read`.
    Returns: the receipt.
    Raises:
        ConversionError: before anything is written. It lists everything that is missing, unexpected, of another shape,
            there twice, or not finite; or it says what the source states of itself, which the model is not.

    Example:
        >>> classifier = {"conv1.weight": np.ones((64, 3, 7, 7), "float32")}
        >>> model = tfseg.ResNet(18)
        >>> receipt = converters.import_weights(model, classifier, skip=["bn", "conv[2-5]"])
        >>> float(model.get_layer("conv1_conv").kernel[0, 0, 0, 0])
        1.0
    """
    with limits.allowing(max_expansion, trusted):
        opened = open_source(source)
    shapes = variable_shapes(model)
    fits: Sequence[Fit]
    if prefix is None and (family == BY_PATH or (family is None and opened and all(key in shapes for key in opened))):
        plan = plan_by_path(opened.shapes, shapes, skip=skip)
        candidates = identify_source(opened, skip=skip) if plan.problems and family is None else None
        if candidates is None or not candidates.matches:
            receipt = Receipt(opened.name, model.name, BY_PATH, model.name)
            return fill_model(model, opened, plan, receipt, allow_nonfinite=allow_nonfinite)
        # The trunks of keras.applications have tfseg's names, and may go into more than a network of the same names.
        fits = candidates.matches
    else:
        candidates = identify_source(opened, family=family, skip=skip, prefix=prefix, network=network)
        named = [fit for fit in candidates.fits if network in (None, fit.network.name)]
        fits = named or candidates.fits
    opened, skip = candidates.source, candidates.skip
    fit, plan = _best_plan(fits, opened, shapes, skip)
    others = list(candidates.alternatives(fit))
    receipt = Receipt(opened.name, model.name, *fit.names, others=others, prefix=prefix)
    receipt.preprocessing = specs.PREPROCESSING[fit.family.preprocessing]
    receipt.notes += check_statement(opened, model, fit, candidates.agree(fit, network=network))
    if network is None:
        check_name(opened, model, candidates.name)
    receipt.notes += [*candidates.name_notes(model.name), *check_source(opened, model, fit, skip=skip, named=True)]
    if opened.modules and not plan.problems:
        check_beginning(opened, model, fit)
        check_modules(opened, model, fit, asked=True, whole=model.name == fit.network.name)
        receipt.notes += check_forward(opened, fit, named=True)
    advice = mapping_advice(candidates, shapes, plan)
    return fill_model(model, opened, plan, receipt, advice=advice, allow_nonfinite=allow_nonfinite)


def mapping_advice(candidates: Candidates, shapes: Shapes, plan: ImportPlan) -> str:
    """What to do about a plan with problems: the last sentences of its error.

    Args:
        candidates: networks that the source could be.
        shapes: variable path of the model -> shape.
        plan: the plan.
    """
    if not candidates.matches:
        return f"The file fits no network known here; nearest is {' '.join(candidates.best.names)}."
    fit, source = candidates.matches[0], candidates.source
    known = f"The file is a {fit.network.name} of {fit.family.name}"
    if plan.missing and all("/moving_" in name for name in plan.missing) and not plan.unexpected:
        return (
            f"{known}, but {len(plan.missing) // 2} of its normalizations have no running averages. GroupNorm, "
            "InstanceNorm and a BatchNorm with track_running_stats=False have such tensors, which do not tell which "
            "one it is. Convert the live module, whose program does: converters.convert(module)."
        )
    shape = source.shapes.get(fit.classes)
    classes = shape and (fit.network.table.shape(fit.classes, shape) or shape)[-1]
    target = fit.network.table.path(fit.classes) or ""
    if not plan.missing and classes and target in shapes and shapes[target][-1] != classes:
        layer = re.sub(r"(?<=_)\d+$", "", target.rpartition("/")[0])  # DeepLabV2 has four: what their names share
        wanted = fit.sizes(source.shapes).num_classes
        flag = "" if fit.family.heads else f" (--num_classes={classes})"
        return (
            f"{known} with {classes} classes; the model has {shapes[target][-1]}. Build it with num_classes={wanted}"
            f"{flag}, or leave those layers at their initial values: skip=['{layer}'] "
            f"(--skip={layer})."
        )
    return f"{known}. Build that network, or name what to leave alone: skip=[...] (--skip=...)."


def _best_plan(fits: Sequence[Fit], source: Source, shapes: Shapes, skip: Sequence[str]) -> tuple[Fit, ImportPlan]:
    """The first fit whose plan has no problem, or the fit whose plan has the fewest."""
    plans: list[tuple[Fit, ImportPlan]] = []
    planned = set()
    for fit in fits:
        # Many networks share a table, and to plan for one takes a tenth of a second.
        if fit.network.table in planned or (plans and fit.unknown == len(source)):
            continue
        planned.add(fit.network.table)
        plans.append((fit, plan_import(fit.network.table, source.shapes, shapes, skip=skip)))
        if not plans[-1][1].problems:
            break
    return min(plans, key=lambda pair: pair[1].problems)
