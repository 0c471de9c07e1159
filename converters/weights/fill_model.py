"""Weights into a model's variables: everything is checked, then everything is written."""

from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np

from converters.errors import ConversionError
from converters.identification.listing import some
from converters.identification.sources import Source
from converters.memory import assign
from converters.types import Shapes
from converters.weights.plan import ImportPlan, MappingError
from converters.weights.receipts import Receipt


def fill_model(
    model: keras.Model,
    source: Source,
    plan: ImportPlan,
    receipt: Receipt,
    *,
    advice: str = "",
    allow_nonfinite: bool = False,
) -> Receipt:
    """Carries a plan out and completes the receipt.

    Args:
        model: model to fill.
        source: source of the weights.
        plan: which tensor fills which variable.
        receipt: receipt to complete.
        advice: what to do about a plan with problems, for the message.
        allow_nonfinite: accept NaN and infinite weights.
    Returns: the receipt.
    Raises:
        ConversionError: a plan with problems, or unusable weights. Nothing is written then.
    """
    if plan.problems:
        raise MappingError(plan, source.name, repr(model.name), advice)
    variables = {variable.path: variable for variable in model.variables}
    with ThreadPoolExecutor() as pool:
        files = [file for checkpoint in source.checkpoints for file in checkpoint.files]
        digests = [pool.submit(source.digest, file, "sha256") for file in files]
        # Everything is read and checked before the first variable changes.
        keys = [assignment.key for assignment in plan.assignments]
        faults = [fault for fault in pool.map(lambda key: _fault(source[key], key), keys) if fault]
        if faults and not (allow_nonfinite and all(only_infinite for only_infinite, _ in faults)):
            raise ConversionError(
                f"{source.name} holds weights that cannot be used: {some([text for _, text in faults])}. "
                "Fetch the file again; to import NaN and infinite weights anyway, pass allow_nonfinite=True "
                "(--allow_nonfinite)."
            )
        for key, path, layout in plan.assignments:
            variable = variables[path]
            assign(variable, layout.apply(source[key], tuple(variable.shape), _numpy_dtype(variable)))
        receipt.files = [
            {"path": str(file), "size": file.stat().st_size, "sha256": digest.result()}
            for file, digest in zip(files, digests, strict=True)
        ]
    receipt.transplant = plan.transplant
    receipt.notes += source.notes
    receipt.tensors = [
        {
            "key": key,
            "shape": list(source.shapes[key]),
            "dtype": str(source.dtypes[key]),
            "path": path,
            "layout": str(layout),
        }
        for key, path, layout in plan.assignments
    ]
    receipt.ignored, receipt.untouched = dict(plan.ignored), dict(plan.untouched)
    receipt.dtype = "/".join(sorted({variables[assignment.path].dtype for assignment in plan.assignments}))
    return receipt


def variable_shapes(model: keras.Model) -> Shapes:
    """Variable path -> shape, without the counters of random generators, which no checkpoint has."""
    return {variable.path: tuple(variable.shape) for variable in model.weights}


def _fault(array: np.ndarray, key: str) -> tuple[bool, str] | None:
    """What makes a tensor unusable, as (whether it is only not finite, words), or None."""
    if array.dtype.kind in "iubc":
        return False, f"{key} holds {array.dtype} where weights are floating point"
    if array.size == 0:
        return None
    # Two passes over the memory map, and no temporary array: minimum and maximum show every NaN and infinity.
    low, high = float(array.min()), float(array.max())
    limit = float(np.finfo("float32").max)
    return None if -limit <= low <= high <= limit else (True, f"{key} is not finite in float32")


def _numpy_dtype(variable: keras.Variable) -> np.dtype:
    if variable.dtype == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(variable.dtype)
