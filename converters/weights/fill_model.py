"""Weights into a model's variables: everything is checked, then everything is written."""

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import keras
import numpy as np

from converters.errors import ConversionError
from converters.identification.listing import some
from converters.identification.sources import Source
from converters.memory import assign
from converters.types import Shapes
from converters.weights.plan import ImportPlan, MappingError
from converters.weights.receipts import Receipt
from tfseg.progress import Progress, reported

Item = TypeVar("Item")


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
    weights = _WeightBytes(source, plan)
    with ThreadPoolExecutor() as pool, reported("bytes") as report:
        files = [file for checkpoint in source.checkpoints for file in checkpoint.files]
        digests = [pool.submit(source.digest, file, "sha256") for file in files]
        # Everything is read and checked before the first variable changes.
        keys = [assignment.key for assignment in plan.assignments]
        checked = pool.map(lambda key: _fault(source[key], key), keys)
        faults = [fault for fault in weights.counted(checked, report, first=True) if fault]
        if faults and not (allow_nonfinite and all(only_infinite for only_infinite, _ in faults)):
            raise ConversionError(
                f"{source.name} holds weights that cannot be used: {some([text for _, text in faults])}. "
                "Fetch the file again; to import NaN and infinite weights anyway, pass allow_nonfinite=True "
                "(--allow_nonfinite)."
            )
        for key, path, layout in weights.counted(plan.assignments, report, first=False):
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


class _WeightBytes:
    """Counts the bytes of the tensors while they are read, twice: half of them when checked, half when filled in."""

    def __init__(self, source: Source, plan: ImportPlan) -> None:
        self._sizes = [
            math.prod(source.shapes[key]) * np.dtype(source.dtypes[key]).itemsize for key, *_ in plan.assignments
        ]

    def counted(self, items: Iterable[Item], report: Progress, *, first: bool) -> Iterator[Item]:
        """Yields the items, one for each tensor, and reports after each.

        Args:
            items: items in the order of the plan.
            report: where to report.
            first: whether this is the first of the two passes.
        """
        total = sum(self._sizes)
        done = 0 if first else total
        if first:
            report(0, total)
        for size, item in zip(self._sizes, items, strict=True):
            yield item
            done += size
            report(done // 2, total)


def variable_shapes(model: keras.Model) -> Shapes:
    """Variable path -> shape, without the counters of random generators, which no checkpoint has."""
    return {variable.path: tuple(variable.shape) for variable in model.weights}


def _fault(array: np.ndarray, key: str) -> tuple[bool, str] | None:
    """What makes a tensor unusable, as (whether it is only not finite, words), or None."""
    if array.dtype.kind in "iubc":
        return False, f"{key} holds {array.dtype} where weights are floating point"
    if array.size == 0:
        return None
    if array.dtype == np.float32 and array.flags.c_contiguous:
        numbers = array.reshape(-1)
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(np.dot(numbers, numbers)):  # one quick pass: a NaN or an infinity stays in a sum of squares
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
