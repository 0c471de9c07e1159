"""Whether a model that was built computes what its source does: both are run on noise of sizes that were not traced.

The source is any function of arrays, so that every front-end is judged in the same way.
"""

import contextlib
import dataclasses
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from converters.building.builder import Builder
from converters.building.graph import ProgramGraph
from converters.building.operations import HANDLERS
from converters.errors import ConversionError

TOLERANCE = 1e-5
"""Largest max |difference| / max |reference| of any output of a model that is accepted."""

_BATCH = 2  # images that are compared together
_LEAST_FINITE = 0.5  # share of finite numbers below which a comparison says nothing

Images = np.ndarray | list[Any]
"""An array for a network of one input, or a list of one array for each."""
_DECORATION = re.compile(r"\x1b\[\d*m|\{\{.*?\}\} ?|Exception encountered when calling [^.]*\.call\(\)\.| name: *$")

Run = Callable[[Any], Any]
"""`Images` `(batch, channels, height, width)` in; results out as the source returns them: arrays, lists, mappings."""

_MAP = 4  # axes of a map


@dataclasses.dataclass(frozen=True)
class Original:
    """What a model is compared with.

    Attributes:
        name: its name in messages, such as "the torch module Unet".
        run: computes its results in single precision.
        run_double: computes them in double precision; None where it cannot.
    """

    name: str
    run: Run
    run_double: Run | None = None


def reporting(run: Run, name: str) -> Run:
    """A runner whose failures are the converter's errors.

    Args:
        run: computes the results of a source.
        name: name of what runs it.
    """

    def runs(images: Images) -> Any:
        try:
            return run(images)
        except Exception as error:  # classes of its own
            first = (str(error).strip().splitlines() or [""])[0][:300]
            raise ConversionError(f"{name} does not run it, so that nothing is compared: {first}") from error

    return runs


class Verdict(NamedTuple):
    """What the comparison showed.

    Attributes:
        parity: the entry of a receipt.
        notes: sentences for the receipt.
    """

    parity: dict[str, Any]
    notes: list[str]


def verify(
    model: keras.Model,
    original: Original,
    *,
    graph: ProgramGraph,
    fixed: tuple[int, int] | None,
    sizes: Sequence[tuple[int, int]],
    batch: int | None = None,
    tolerance: float = TOLERANCE,
) -> Verdict:
    """Compares a model with what it was built from.

    A network that amplifies rounding differs from itself in single precision: it is compared in double precision then.

    Args:
        model: the model, filled.
        original: what it was built from.
        graph: program that it was built from.
        fixed: height and width that the model takes; None: any.
        sizes: heights and widths of the images.
        batch: number of images that the model takes; None: any.
        tolerance: largest max |difference| / max |reference| of any output.
    Raises:
        ConversionError: the model differs from its source.
    """
    worst = max(difference(model, original.run, original.name, size, batch=batch or _BATCH) for size in sizes)
    images = " and ".join(f"{height} x {width}" for height, width in sizes)
    parity = {"with": original.name, "images": images, "max relative difference": worst}
    if worst <= tolerance:
        return Verdict(parity, [])
    exact = None
    if original.run_double is not None:
        exact = _difference_in_double(graph, fixed, batch, sizes, original.run_double, original.name)
    if exact is None or not exact <= tolerance:
        double = "" if exact is None else f", and by {exact:.2g} in double precision"
        raise ConversionError(
            f"{original.name}: the model that was built differs from its source by {worst:.2g} of the largest "
            f"value{double}. At most {tolerance:g} is accepted. Nothing is returned."
        )
    note = (
        f"the network amplifies rounding: in double precision, model and source differ by {exact:.2g}; in single "
        f"precision by {worst:.2g}"
    )
    return Verdict(parity, [note])


def difference(
    model: keras.Model, run: Run, name: str, size: tuple[int, int], dtype: str = "float32", batch: int = _BATCH
) -> float:
    """The largest relative difference of a model's outputs and its source's, on noise.

    Args:
        model: the model.
        run: computes the source's results.
        name: name of the source, for messages.
        size: height and width of the images.
        dtype: type of the images.
        batch: number of images.
    Raises:
        ConversionError: a source that cannot be run at this size, or results of other shapes.
    """
    images = noise(model, size, batch, dtype=dtype)
    try:
        expected = run(in_order_of_source(images))
    except Exception as error:  # a network may take only sizes that its strides divide
        raise ConversionError(
            f"{name} cannot be run at {size[0]} x {size[1]} pixels, where the model would be compared with it: "
            f"{type(error).__name__}: {str(error)[:200]}. Nothing is returned."
        ) from error
    try:
        # Keras warns of a softmax over one pixel. A small image has that, and the image is not the user's.
        with warnings.catch_warnings(action="ignore"):
            results = model(images)
    except Exception as error:  # TensorFlow's, on shapes that do not fit
        raise ConversionError(
            f"{name}: at {size[0]} x {size[1]} pixels the model that was built cannot be run, and its source can. A "
            f"size that depends on the image was not understood: {_words(error)}. Nothing is returned."
        ) from error
    worst = 0.0
    for result, reference in _pairs(results, expected):
        if result.shape != reference.shape:
            raise ConversionError(
                f"{name}: at {size[0]} x {size[1]} pixels the model gives {result.shape}, its source "
                f"{reference.shape}. A size that depends on the image was not understood; nothing is returned."
            )
        worst = max(worst, _relative(result, reference))
    return worst


def noise(model: keras.Model, size: tuple[int, int], batch: int, *, seed: int = 0, dtype: str = "float32") -> Images:
    """Random numbers for each input of a model: an array, or a list of them.

    Args:
        model: the model.
        size: height and width of the image.
        batch: number of images.
        seed: seed of the numbers.
        dtype: type of the numbers.
    """
    generator = np.random.default_rng(seed)
    arrays = []
    for tensor in model.inputs:
        shape = [batch, *tensor.shape[1:]]
        for place, side in zip((1, 2) if len(shape) == _MAP else (-2, -1), size, strict=True):
            if shape[place] is None:
                shape[place] = side
        arrays.append(generator.normal(size=shape).astype(dtype))
    return arrays if len(arrays) > 1 else arrays[0]


def in_order_of_source(images: Images) -> Images:
    """What a model takes as its source takes it: maps have their channels before rows and columns.

    Args:
        images: an array, or a list of them.
    """
    if isinstance(images, list):
        return [in_order_of_source(array) for array in images]
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)) if images.ndim == _MAP else images


def _words(error: Exception) -> str:
    """What an error says, without the colors of a terminal and the names of TensorFlow's functions."""
    text = _DECORATION.sub("", str(error))
    return " ".join(text.partition("Arguments received by")[0].split()).rstrip(".")[:200]


def _relative(result: np.ndarray, reference: np.ndarray) -> float:
    """The largest difference by the largest value; infinite if other numbers are missing, or most of them."""
    finite = np.isfinite(reference)
    if not np.array_equal(finite, np.isfinite(result)) or finite.mean() < _LEAST_FINITE:
        return float("inf")
    result, reference = np.where(finite, result, 0), np.where(finite, reference, 0)
    return float(np.abs(result - reference).max(initial=0) / np.abs(reference).max(initial=1e-30))


def _difference_in_double(
    graph: ProgramGraph,
    fixed: tuple[int, int] | None,
    batch: int | None,
    sizes: Sequence[tuple[int, int]],
    run: Run,
    name: str,
) -> float:
    with double_precision():
        model = double_model(graph, fixed, batch)
        return max(difference(model, run, name, size, "float64", batch or _BATCH) for size in sizes)


def double_model(graph: ProgramGraph, fixed: tuple[int, int] | None, batch: int | None) -> keras.Model:
    """The model of a program in double precision; called inside `double_precision`.

    Args:
        graph: program.
        fixed: height and width that the model takes; None: any.
        batch: number of images that the model takes; None: any.
    """
    tensors = {
        key: value.astype("float64") if value.dtype == "float32" else value for key, value in graph.tensors.items()
    }
    model = Builder(dataclasses.replace(graph, tensors=tensors), HANDLERS).build(fixed, batch)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Rescaling):  # TensorFlow takes Python's numbers for single precision
            layer.scale, layer.offset = np.float64(layer.scale), np.float64(layer.offset)
    return model


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """Lets Keras build and compute in double precision inside."""
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)


def _pairs(result: Any, reference: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The tensors of the model's result, each with the source's, in the source's order of axes."""
    if isinstance(reference, np.ndarray):
        value = np.asarray(keras.ops.convert_to_numpy(result), "float64")
        yield value.transpose(0, 3, 1, 2) if value.ndim == 4 else value, reference.astype("float64")
    elif isinstance(reference, Mapping):
        for key, part in reference.items():
            yield from _pairs(result[key], part)
    else:
        for part, other in zip(result if len(reference) > 1 else [result], reference, strict=True):
            yield from _pairs(part, other)
