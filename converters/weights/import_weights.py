"""Weights into a model that exists: planned, checked, then written."""

import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from converters.errors import ConversionError
from converters.identification.identify import others, ranked, sizes, some
from converters.identification.sources import open_source
from converters.memory import assign
from converters.names import layouts
from converters.programs.onnx_geometry import check_geometry
from converters.weights.plan import Assignment, MappingError, Plan, plan
from converters.weights.receipts import Receipt
from tfseg import specs

OWN = "tfseg/paths"  # tensors named by variable path, in Keras layout: what tfseg-convert writes as .safetensors


def import_weights(model, source, skip=(), *, allow_nonfinite=False):
    """Fills a model with foreign weights, all of it or nothing; across heads where a transplant is known.

    A VGG16 classifier goes into any FCN (its fully connected layers become fc6 and fc7), FCN-32s into FCN-16s into
    FCN-8s, a ResNet classifier into any dilated segmenter.

    Args:
        model: of tfseg, or one with its layer names.
        source: path, URL, published name or a list of those; a mapping of arrays; or a live torch module.
        skip: regular expressions, found anywhere in a variable's path or a tensor's key: those are left alone.
        allow_nonfinite: accept NaN and infinite weights.
    Returns: the receipt.
    Raises:
        ConversionError: before anything is written, listing everything that is missing, unexpected, of another shape,
            twice there, or not finite.
    """
    source = open_source(source)
    shapes = variable_shapes(model)
    fits, own = None, None
    if source and all(key in shapes for key in source):
        own = _own_plan(source, shapes, skip)
        # The trunks of keras.applications have names of ours, and may go into more than a network of their own.
        fits = [fit for fit in ranked(source, skip=skip) if not fit.differences] if own.problems else None
    if own and not fits:
        receipt = Receipt(source.name, model.name, OWN, model.name)
        return fill(model, source, own, receipt, allow_nonfinite=allow_nonfinite)
    fits = fits or ranked(source, skip=skip)
    best, planned = None, set()
    for fit in fits:
        # Many networks share a table, and to plan for one takes a tenth of a second.
        if fit.network.table in planned or (best and fit.strange == len(source)):
            continue
        planned.add(fit.network.table)
        made = plan(fit.network.table, source.shapes, shapes, skip=skip)
        if best is None or made.problems < best[1].problems:
            best = fit, made
        if not made.problems:
            break
    fit, made = best
    receipt = Receipt(source.name, model.name, fit.family.name, fit.network.name, others=list(others(fits, fit)))
    receipt.preprocessing = specs.PREPROCESSING[fit.family.preprocessing]
    check_geometry(source, model, fit)
    return fill(model, source, made, receipt, hint=hint(source, fits, shapes, made), allow_nonfinite=allow_nonfinite)


def fill(model, source, made, receipt, *, hint="", allow_nonfinite=False):
    """Carries a plan out and completes the receipt."""
    if made.problems:
        raise MappingError(made, source.name, repr(model.name), hint)
    variables = {variable.path: variable for variable in model.variables}
    with ThreadPoolExecutor() as pool:
        files = [file for one in source.checkpoints for file in one.files]
        digests = [pool.submit(source.digest, file, "sha256") for file in files]
        # Everything is read and checked before the first variable changes.
        bad = [fault for fault in pool.map(lambda one: _fault(source[one.key], one.key), made.assignments) if fault]
        if bad and not (allow_nonfinite and all(only_infinite for only_infinite, _ in bad)):
            raise ConversionError(
                f"{source.name} holds weights that cannot be used: {some([text for _, text in bad])}. "
                "Fetch the file anew; to import NaN and infinite weights all the same, pass allow_nonfinite=True "
                "(--allow_nonfinite)."
            )
        for key, path, layout in made.assignments:
            variable = variables[path]
            assign(variable, layout.apply(source[key], tuple(variable.shape), _numpy_dtype(variable)))
        receipt.files = [
            {"path": str(file), "size": file.stat().st_size, "sha256": digest.result()}
            for file, digest in zip(files, digests, strict=True)
        ]
    receipt.transplant, receipt.notes = made.transplant, list(source.notes)
    receipt.tensors = [
        {
            "key": key,
            "shape": list(source.shapes[key]),
            "dtype": str(source.dtypes[key]),
            "path": path,
            "layout": str(layout),
        }
        for key, path, layout in made.assignments
    ]
    receipt.ignored, receipt.untouched = dict(made.ignored), dict(made.untouched)
    receipt.dtype = "/".join(sorted({variables[one.path].dtype for one in made.assignments}))
    return receipt


def variable_shapes(model):
    """Variable path -> shape, without the counters of random generators, which no checkpoint has."""
    return {variable.path: tuple(variable.shape) for variable in model.weights}


def hint(source, fits, shapes, made):
    """What to do about a plan with problems: the last sentences of its error."""
    fit = next((fit for fit in fits if not fit.differences), None)
    if fit is None:
        return f"The file fits no network known here; nearest is {fits[0].family.name} {fits[0].network.name}."
    known = f"The file is a {fit.network.name} of {fit.family.name}"
    shape = source.shapes.get(fit.classes)
    classes = shape and (fit.network.table.shape(fit.classes, shape) or shape)[-1]
    target = fit.network.table.forward(fit.classes)[0]
    if not made.missing and classes and target in shapes and shapes[target][-1] != classes:
        layer = re.sub(r"(?<=_)\d+$", "", target.rpartition("/")[0])  # of DeepLabV2's four, what their names share
        wanted = sizes(fit, source.shapes)["num_classes"]
        flag = "" if fit.family.heads else f" (--num_classes={classes})"
        return (
            f"{known} with {classes} classes; the model has {shapes[target][-1]}. Build it with num_classes={wanted}"
            f"{flag}, or leave those layers at their initial values: skip=['{layer}'] "
            f"(--skip={layer})."
        )
    return f"{known}. Build that network, or name what to leave alone: skip=[...] (--skip=...)."


def _own_plan(source, shapes, skip):
    """The plan for tensors that already bear the model's own names."""
    skipped = {path: f"skip={pattern!r}" for pattern in skip for path in shapes if re.search(pattern, path)}
    wanted = [path for path in shapes if path not in skipped]
    same = [path for path in wanted if path in source and tuple(source.shapes[path]) == shapes[path]]
    axes = "abcdefgh"
    layout = {path: layouts.parse(" -> ".join([" ".join(axes[: len(shapes[path])])] * 2)) for path in same}
    return Plan(
        assignments=[Assignment(path, path, layout[path]) for path in same],
        ignored={path: why for path, why in skipped.items() if path in source},
        untouched=skipped,
        missing=[path for path in wanted if path not in source],
        unexpected=[],
        misshapen=[
            f"{path} {list(source.shapes[path])}, expected {list(shapes[path])}"
            for path in wanted
            if path in source and path not in same
        ],
        duplicates=[],
    )


def _fault(array, key):
    """What makes a tensor unusable, as (whether it is only not finite, words), or None."""
    if array.dtype.kind in "iubc":
        return False, f"{key} holds {array.dtype} where weights are floating point"
    if array.size == 0:
        return None
    # Two passes over the memory map, and no temporary array: minimum and maximum show every NaN and infinity.
    low, high = float(array.min()), float(array.max())
    limit = float(np.finfo("float32").max)
    return None if -limit <= low <= high <= limit else (True, f"{key} is not finite in float32")


def _numpy_dtype(variable):
    if variable.dtype == "bfloat16":
        import ml_dtypes

        return ml_dtypes.bfloat16
    return variable.dtype
