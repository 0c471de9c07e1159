"""Entries replaced by others: `f[:, :4] = g`, which exporters write as places of all these entries."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from converters.building.onnx.call import Call
from converters.building.onnx.tracing import Rule
from converters.building.onnx.values import Computed, Value
from converters.types import Shape

_NO_END = 2**31  # as torch's traces write an end that is left out


class _Part(NamedTuple):
    """Entries `start, start + step, ...` before `stop` of an axis."""

    start: int
    stop: int
    step: int


def scattered(call: Call) -> Value:
    """ScatterND whose places are all those of some rows, columns or channels."""
    x, updates = call.computed(), call.computed(2)
    if call.attribute("reduction", "none") not in ("none", b"none"):
        raise call.refusal("adds to entries that it chooses")
    places = _places(call)
    axis = places[0].shape[-1] - 1
    parts = [_part(array, shape) for array, shape in zip(places, x.shapes, strict=True)]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        raise call.refusal("replaces other entries than a part of one axis")
    return _replaced(call, x, updates, axis, known)


def scattered_elements(call: Call) -> Value:
    """ScatterElements whose places are one number: an entry of an axis."""
    x, updates = call.computed(), call.computed(2)
    axis = int(call.attribute("axis", 0)) % x.rank
    if call.attribute("reduction", "none") not in ("none", b"none"):
        raise call.refusal("adds to entries that it chooses")
    parts = []
    for array, shape, update in zip(_places(call), x.shapes, updates.shapes, strict=True):
        whole = tuple(1 if other == axis else size for other, size in enumerate(shape))
        if not array.size or array.shape != whole or update != whole or (array != array.flat[0]).any():
            raise call.refusal("replaces other entries than one of an axis")
        entry = int(array.flat[0])
        entry += shape[axis] if entry < 0 else 0
        parts.append(_Part(entry, entry + 1, 1))
    return _replaced(call, x, updates, axis, parts)


def _places(call: Call) -> Sequence[np.ndarray]:
    known = call.known(1, "places")
    call.tracer.arguments.update(known.parents)
    return known.arrays


def _part(places: np.ndarray, shape: Shape) -> _Part | None:
    """The part of the last axis of places that hold all entries of the axes before it."""
    *grid, axes = places.shape
    axis = axes - 1
    if len(grid) != axes or tuple(grid[:-1]) != tuple(shape[:axis]) or not places.size:
        return None
    entries = places[(0,) * axis][:, axis]
    steps = set(np.diff(entries).tolist())
    step = steps.pop() if steps else 1
    expected = np.stack(np.meshgrid(*map(np.arange, shape[:axis]), entries, indexing="ij"), -1)
    if steps or step < 1 or entries[0] < 0 or entries[-1] >= shape[axis] or not np.array_equal(places, expected):
        return None
    return _Part(int(entries[0]), int(entries[-1]) + 1, int(step))


def _replaced(call: Call, x: Computed, updates: Computed, axis: int, parts: Sequence[_Part]) -> Computed:
    sizes = [shape[axis] for shape in x.shapes]
    if len({part.step for part in parts}) > 1:
        raise call.refusal("replaces entries at distances that the size of the image decides")
    step = parts[0].step
    start = _from_an_end([part.start for part in parts], sizes)
    stop = _stop(parts, sizes)
    if start is None or stop is None:
        raise call.refusal("replaces entries that the size of the image chooses")
    options: dict[str, Any] = {"dim": axis, "start": start, "end": stop, "step": step}
    return call.emit("slice_scatter", x.shapes, x.kind, input=x, src=updates, **options)


def _stop(parts: Sequence[_Part], sizes: Sequence[int]) -> int | None:
    """The place after the last entry: of every size, or of those that have it."""
    ends = [size <= part.stop + part.step - 1 for part, size in zip(parts, sizes, strict=True)]
    if all(ends):
        return _NO_END
    inside = {part.stop for part, is_end in zip(parts, ends, strict=True) if not is_end}
    if len(inside) == 1 and all(size <= max(inside) for size, is_end in zip(sizes, ends, strict=True) if is_end):
        return inside.pop()
    return _from_an_end([part.stop for part in parts], sizes) if parts[0].step == 1 else None


def _from_an_end(places: Sequence[int], sizes: Sequence[int]) -> int | None:
    """A place that all sizes share, or its distance from the end as a negative number; None for another law."""
    if len(set(places)) == 1:
        return places[0]
    rests = {place - size for place, size in zip(places, sizes, strict=True)}
    return rests.pop() if len(rests) == 1 else None


RULES: dict[str, Rule] = {"ScatterND": scattered, "ScatterElements": scattered_elements}
