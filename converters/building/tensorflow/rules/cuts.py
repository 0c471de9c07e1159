"""Axes: split, cut, and taken apart."""

from collections.abc import Sequence

from converters.building.onnx.constants import integer
from converters.building.tensorflow.call import GraphCall, Rule
from converters.building.tensorflow.rules.poolings import without
from converters.building.tensorflow.rules.shapes import reshaped
from converters.building.tensorflow.values import Meaning, Ordered

_NO_END = 2**31


def split(call: GraphCall) -> list[Meaning]:
    """An axis in parts: equal ones, or of given sizes."""
    given = call.node.type == "SplitV"
    x = call.computed(0 if given else 1)
    (place,) = call.fixed_numbers(2 if given else 0, "an axis")
    axis = x.axis(place)
    if x.is_free(axis):
        raise call.refusal("splits an axis whose size depends on the image or the batch")
    whole, number = x.sizes(axis)[0], int(call.attribute("num_split", 1))
    parts = call.fixed_numbers(1, "sizes of the parts") if given else [whole // number] * number
    if -1 in parts:
        parts[parts.index(-1)] = whole - sum(part for part in parts if part != -1)
    if sum(parts) != whole or min(parts) < 1:
        raise ValueError(f"parts of {parts} entries of {whole}")
    results = call.make("split_with_sizes", [()] * len(x.shapes), x.kind, input=x, split_sizes=parts, dim=axis)
    return [
        call.make(
            "getitem",
            [(*sizes[:axis], part, *sizes[axis + 1 :]) for sizes in x.shapes],
            x.kind,
            order=x.axes,
            input=results,
            index=index,
        )
        for index, part in enumerate(parts)
    ]


def unpack(call: GraphCall) -> list[Meaning]:
    """Each entry of an axis, which disappears."""
    x = call.computed()
    axis = x.axis(int(call.attribute("axis", 0)))
    if x.is_free(axis):
        raise call.refusal("takes an axis apart whose size depends on the image or the batch")
    return [_entry(call, x, axis, index) for index in range(x.sizes(axis)[0])]


def _entry(call: GraphCall, x: Ordered, axis: int, index: int) -> Ordered:
    shapes = [(*sizes[:axis], *sizes[axis + 1 :]) for sizes in x.shapes]
    return call.make("select", shapes, x.kind, order=without(x.axes, [axis]), input=x, dim=axis, index=index)


def slice_(call: GraphCall) -> Ordered:
    """A part of each axis, by its beginning and its size."""
    x = call.computed()
    begins, sizes = call.numbers(1, "beginnings"), call.numbers(2, "sizes")
    for place in range(x.rank):
        starts = [begin[place] for begin in begins]
        ends = [
            seen[place] if length[place] == -1 else start + length[place]
            for seen, length, start in zip(x.seen, sizes, starts, strict=True)
        ]
        whole = all(length[place] == -1 for length in sizes)
        x = cut(call, x, x.axis(place), starts, None if whole else ends, 1)
    return x


def strided(call: GraphCall) -> Ordered:
    """Parts and entries of axes, as Python writes them: `x[:, 1:-1, ::2, 0, None]`."""
    x = call.computed()
    names = ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    begin, end, ellipsis, new, shrink = (int(call.attribute(f"{name}_mask", 0)) for name in names)
    begins, ends = call.numbers(1, "beginnings"), call.numbers(2, "ends")
    steps = call.fixed_numbers(3, "steps")
    kept: list[int | None] = []  # axes of the step that the result has; None for a new one
    place = 0
    for number, step in enumerate(steps):
        bit = 1 << number
        if ellipsis & bit:
            rest = sum(1 for other in range(number + 1, len(steps)) if not new >> other & 1)
            kept += [x.axis(between) for between in range(place, x.rank - rest)]
            place = x.rank - rest
            continue
        if new & bit:
            kept.append(None)
            continue
        axis = x.axis(place)
        place += 1
        starts = [places[number] for places in begins]
        stops = None if end & bit else [places[number] for places in ends]
        if shrink & bit:
            if len(set(starts)) != 1:
                raise call.refusal("chooses an entry by what the size of the image says")
            x = cut(call, x, axis, starts, [starts[0] + 1] * len(starts) if starts[0] != -1 else None, 1)
            continue  # the axis, which has one entry now, goes at the end
        kept.append(axis)
        if step == -1 and begin & end & bit:
            if axis == x.axes[0]:
                raise call.refusal("reads the batch backwards")
            x = call.alike("flip", x, dims=[axis])
        elif step < 1:
            raise call.refusal("reads a part of an axis backwards")
        else:
            x = cut(call, x, axis, [0] * len(starts) if begin & bit else starts, stops, step)
    kept += [x.axis(between) for between in range(place, x.rank)]
    return _with_axes(call, x, kept)


def _with_axes(call: GraphCall, x: Ordered, kept: Sequence[int | None]) -> Ordered:
    """A tensor with some axes of its step, in TensorFlow's order, and new ones of size 1; the others have one entry."""
    gone = [axis for axis in range(x.rank) if axis not in kept]
    if gone:
        if len(gone) == 1 and not x.is_free(gone[0]):
            x = _entry(call, x, gone[0], 0)
        else:
            shapes = [tuple(part for axis, part in enumerate(sizes) if axis not in gone) for sizes in x.shapes]
            x = call.make("reshape", shapes, x.kind, order=without(x.axes, gone), input=x)
    if None not in kept:
        return x
    x = call.plain(x)
    wide = []
    for sizes in x.shapes:
        rest = iter(sizes)
        wide.append(tuple(1 if axis is None else next(rest) for axis in kept))
    return reshaped(call, x, wide)


def cut(call: GraphCall, x: Ordered, axis: int, starts: list[int], ends: list[int] | None, step: int) -> Ordered:
    """A part of one axis of the step.

    Args:
        call: node.
        x: tensor.
        axis: axis of the step.
        starts: where the part begins, at each traced size.
        ends: where it ends; None: at the end of the axis.
        step: distance of its entries.
    """
    shapes, whole = [], True
    for index, sizes in enumerate(x.shapes):
        length = sizes[axis]
        part = slice(starts[index], None if ends is None else ends[index], step).indices(length)
        shapes.append((*sizes[:axis], len(range(*part)), *sizes[axis + 1 :]))
        whole = whole and part == (0, length, 1)
    if any(0 in sizes for sizes in shapes):
        raise ValueError("a part without entries")
    literal = ends is not None and len(set(ends)) == 1 and x.is_free(axis) and abs(ends[0]) < _NO_END
    if literal and ends is not None and ends[0] >= 0:
        if ends[0] > 1:  # one entry is there at any size
            call.literal(f"ends at the place {ends[0]} of an axis that depends on the image")
        if whole:
            raise call.refusal("cuts at a place that larger images have and the traced ones lack")
    if whole:
        return x
    end = None if ends is None else integer(ends)
    return call.make(
        "slice", shapes, x.kind, order=x.axes, input=x, dim=axis, start=integer(starts), end=end, step=step
    )


def gather(call: GraphCall) -> Ordered:
    """Entries of an axis, whose numbers are known."""
    x = call.computed()
    places = call.weight(1, "places").arrays[0]
    call.numbers(1, "places")
    (place,) = call.fixed_numbers(2, "an axis") if call.has(2) else (0,)
    if int(call.attribute("batch_dims", 0)):
        raise call.refusal("chooses entries image by image")
    axis = x.axis(place)
    if x.is_free(axis):
        raise call.refusal("chooses entries of an axis whose size depends on the image or the batch")
    if places.size and not 0 <= places.min() <= places.max() < x.sizes(axis)[0]:
        raise ValueError(f"the place {places.max()} of {x.sizes(axis)[0]}")
    if places.ndim == 0:
        return _entry(call, x, axis, int(places))
    if places.ndim > 1:
        raise call.refusal("chooses entries in several axes")
    shapes = [(*sizes[:axis], places.size, *sizes[axis + 1 :]) for sizes in x.shapes]
    index = [int(number) for number in places]
    return call.make("index_select", shapes, x.kind, order=x.axes, input=x, dim=axis, index=index)


def reverse(call: GraphCall) -> Ordered:
    """Axes read backwards."""
    x = call.computed()
    axes = [x.axis(place) for place in call.fixed_numbers(1, "axes")]
    if any(len(set(x.sizes(axis))) > 1 and axis == 0 for axis in axes):
        raise call.refusal("reads the batch backwards")
    return call.alike("flip", x, dims=axes) if axes else x


RULES: dict[str, Rule] = {
    "Split": split,
    "SplitV": split,
    "Unpack": unpack,
    "Slice": slice_,
    "StridedSlice": strided,
    "Gather": gather,
    "GatherV2": gather,
    "ReverseV2": reverse,
}
