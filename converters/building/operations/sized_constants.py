"""Constants whose shape depends on the image: counted positions, masks of windows, and what is computed with them."""

from typing import Any

import keras
import numpy as np
from keras import ops

from converters.building.builder import Builder, Handler
from converters.building.graph import SizedFloat, Sizes
from converters.building.laid import Laid
from converters.building.operations.formulas import formula
from converters.building.operations.kinds import is_floating
from converters.building.operations.measures import Measures
from converters.building.operations.shapes import expand
from converters.building.operations.sized_numbers import image_of
from tfseg.layers.sized_constants import Counted, Filled, Repeated, Replaced, Spaced

_UNBOUNDED = 2**31  # what traces write for an end that is left out


_NARROW = frozenset("float16 bfloat16 half int8 uint8 int16 complex64 complex128".split())


def _kind(dtype: Any, default: str) -> str:
    """Keras's name of a torch type; integers have 32 bits, as everywhere in a model."""
    if dtype is None:
        return default
    name = str(dtype).removeprefix("torch.")
    if name == "bool":
        return name
    return "int32" if name.startswith(("int", "uint")) else keras.config.floatx()


def filled(b: Builder, value: Any, dtype: Any = None, default: str | None = None) -> Any:
    """One number in the shape of the step's result."""
    shapes, kind = b.shapes(), _kind(dtype, default or keras.config.floatx())
    if len(set(shapes)) == 1 and isinstance(value, int | float):
        return np.full(shapes[0], value, kind)
    measures = Measures(b, image_of(b))
    value = formula(b, measures, value)
    sides = [tuple(shape[axis] for shape in shapes) for axis in range(len(shapes[0]))]
    dims = [measures.find(side, "a constant") for side in sides]
    return b.laid(b.layer(Filled, measures.packed(), dims=dims, value=value, kind=kind), range(len(sides)))


def _like(value: float) -> Handler:
    def handler(b: Builder, input: Any = None, dtype: Any = None, **_: Any) -> Any:
        default = input.tensor.dtype if isinstance(input, Laid) else None
        return filled(b, value, dtype, default)

    return handler


def full(b: Builder, fill_value: Any, dtype: Any = None, input: Any = None, **_: Any) -> Any:
    """A number in a shape: `full`, `new_full`, `full_like`."""
    if not isinstance(fill_value, int | float | Sizes | SizedFloat):
        raise b.refusal("fills with a number that the network computes")
    is_whole = isinstance(fill_value, int | Sizes)
    kind = "bool" if isinstance(fill_value, bool) else "int32" if is_whole else keras.config.floatx()
    if input is not None:  # new_full, full_like
        kind = str(input.tensor.dtype) if isinstance(input, Laid) else _kind(input.dtype, kind)
    return filled(b, fill_value, dtype, kind)


def arange(b: Builder, start: Any = 0, end: Any = None, step: Any = 1, dtype: Any = None, **_: Any) -> Laid:
    """Counted numbers, as many as the size of the image says."""
    measures = Measures(b, image_of(b))
    number = measures.find(tuple(shape[0] for shape in b.shapes()), "a constant")
    is_whole = all(isinstance(part, int | Sizes) for part in (start, 0 if end is None else end, step))
    kind = _kind(dtype, "int32" if is_whole else keras.config.floatx())
    start, step = (formula(b, measures, part) for part in (start, step))
    return b.laid(b.layer(Counted, measures.packed(), number=number, start=start, step=step, kind=kind), (0,))


def linspace(b: Builder, start: Any, end: Any, steps: Any, dtype: Any = None, **_: Any) -> Laid:
    """Numbers at equal distances, as many as the size of the image says."""
    kind = _kind(dtype, keras.config.floatx())
    if kind != keras.config.floatx():
        raise b.refusal("rounds numbers at equal distances to integers")
    measures = Measures(b, image_of(b))
    number = measures.find(tuple(shape[0] for shape in b.shapes()), "a constant")
    start, end = (formula(b, measures, part) for part in (start, end))
    return b.laid(b.layer(Spaced, measures.packed(), number=number, start=start, end=end, kind=kind), (0,))


def meshgrid(b: Builder, tensors: Any, indexing: str = "ij") -> list[Laid]:
    """Each vector along an axis of its own, repeated along those of the others."""
    if not all(isinstance(part, Laid) and part.rank == 1 for part in tensors):
        raise b.refusal("makes a grid of constants and of what the size of the image says")
    places = list(range(len(tensors)))
    if indexing == "xy":
        places[:2] = places[:2][::-1]
    sides = [tensors[places.index(axis)].sizes(0) for axis in range(len(tensors))]
    shapes = tuple(zip(*sides, strict=True))
    results = []
    for part, place in zip(tensors, places, strict=True):
        tensor = ops.expand_dims(part.tensor, [axis for axis in range(len(tensors)) if axis != place])
        measures = Measures(b, Laid(tensor, tuple(range(len(tensors))), shapes))
        measures.laid = part
        dims = [measures.find(side, "an axis") for side in sides]
        results.append(Laid(b.layer(Repeated, measures.packed(), dims=dims), tuple(range(len(tensors))), shapes))
    return results


def fill(b: Builder, input: Laid, value: Any) -> Laid:
    """A number at every place."""
    number = value.item() if isinstance(value, np.ndarray) else value
    if not isinstance(number, int | float):
        raise b.refusal("fills with a number that the network computes")
    return b.laid(ops.full_like(input.tensor, number), input.axes)


def copied(b: Builder, input: Any, src: Any, **_: Any) -> Laid:
    """`x[...] = y`, as `f[:, :4] = g` is traced: the numbers of y in the shape of x."""
    if isinstance(src, np.ndarray) and src.size == 1 and isinstance(input, Laid):
        return fill(b, input, src)
    if not (isinstance(input, Laid) and isinstance(src, Laid)):
        raise b.refusal("replaces entries by a constant")
    if is_floating(input.tensor) != is_floating(src.tensor):
        raise b.refusal("converts numbers to another type")
    return expand(b, src)


def replaced(b: Builder, input: Any, src: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Laid:
    """`x[start:end:step] = part`."""
    if not (isinstance(input, Laid) and isinstance(src, Laid)):
        raise b.refusal("replaces entries by a constant")
    if isinstance(start, Sizes) or isinstance(end, Sizes):
        raise b.refusal("replaces entries that the size of the image chooses")
    laid = input.plain()
    part = src.arranged(laid.axes)
    stop = None if end is None or end >= _UNBOUNDED else end
    options: dict[str, Any] = {"axis": laid.place(dim), "start": start or 0, "stop": stop, "step": step}
    return b.laid(b.layer(Replaced, [laid.tensor, part.tensor], **options), laid.axes)


def replaced_entry(b: Builder, input: Any, src: Any, dim: int, index: Any) -> Laid:
    """`x[index] = part`, where the part lacks the axis."""
    if not (isinstance(input, Laid) and isinstance(src, Laid) and isinstance(index, int)):
        raise b.refusal("replaces an entry by a constant, or one that the size of the image chooses")
    laid = input.plain()
    axis = dim % laid.rank
    if len(set(laid.sizes(axis))) > 1 and axis == 0:
        raise b.refusal("replaces one image of the batch")
    # From the end where the size of the image decides: entry -1 has another number at each size.
    place, entry = laid.place(axis), index if len(set(laid.sizes(axis))) > 1 else index % laid.sizes(axis)[0]
    part = src.arranged([other - (other > axis) for other in laid.axes if other != axis])
    options: dict[str, Any] = {
        "axis": place,
        "start": entry,
        "stop": None if entry + 1 in (0, laid.sizes(axis)[0]) else entry + 1,
    }
    return b.laid(b.layer(Replaced, [laid.tensor, ops.expand_dims(part.tensor, place)], **options), laid.axes)


def cumsum(b: Builder, input: Laid, dim: int, dtype: Any = None) -> Laid:
    """Sums of all entries up to each one."""
    x = input.plain()
    tensor = ops.cast(x.tensor, _kind(dtype, "int32" if x.tensor.dtype == "bool" else x.tensor.dtype))
    return b.laid(ops.cumsum(tensor, axis=x.place(dim)), x.axes)


def converted(b: Builder, input: Laid, dtype: Any = None, **_: Any) -> Laid:
    """Another type: between kinds of numbers; all floating-point numbers have one type."""
    name = str(dtype).removeprefix("torch.")
    if name in _NARROW:
        raise b.refusal(f"rounds or wraps its numbers to {name}, and the model computes in {keras.config.floatx()}")
    kind = _kind(dtype, input.tensor.dtype)
    if kind == input.tensor.dtype or (kind == keras.config.floatx() and "float" in input.tensor.dtype):
        return input
    if "float" in input.tensor.dtype and kind != "bool" and kind != "int32":
        raise b.refusal("converts numbers to another type")
    return b.laid(ops.cast(input.tensor, kind), input.axes, input.mixed)


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("zeros", "new_zeros", "zeros_like"), _like(0)),
    **dict.fromkeys(("ones", "new_ones", "ones_like"), _like(1)),
    **dict.fromkeys(("full", "new_full", "full_like"), full),
    "arange": arange,
    "linspace": linspace,
    "meshgrid": meshgrid,
    "fill": fill,
    "_assert_tensor_metadata": lambda b, **_: None,  # a check of the trace
    "copy": copied,
    "slice_scatter": replaced,
    "select_scatter": replaced_entry,
    "cumsum": cumsum,
    **dict.fromkeys(("to", "_to_copy"), converted),
    "type_as": lambda b, input, other: converted(
        b, input, other.tensor.dtype if isinstance(other, Laid) else other.dtype
    ),
}
