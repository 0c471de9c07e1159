"""Axes joined, split, cut, merged and exchanged."""

import math
from collections.abc import Sequence

from converters.building.caffe.parameters import parameter_message
from converters.building.caffe.tracing import Call, Rule
from converters.building.onnx.values import Computed
from converters.reading.caffe.message_fields import messages, values
from converters.types import Shape


def _named_axis(call: Call, x: Computed, old: str) -> int:
    """The axis of a layer that has an older name for it."""
    if call.states("axis") and call.states(old):
        raise call.refusal(f"has both axis and {old}")
    axis = call.axis(x, call.parameters[old if call.states(old) else "axis"])
    if axis == 0:
        raise call.refusal("joins or splits the images of a batch")
    return axis


def concat(call: Call) -> Computed:
    """Blobs joined along an axis."""
    first = call.input(count=None)
    axis = _named_axis(call, first, "concat_dim")
    if len(call.inputs) == 1:
        return first
    for other in call.inputs[1:]:
        for mine, shape in zip(first.shapes, other.shapes, strict=True):
            if len(mine) != len(shape) or any(
                a != b for index, (a, b) in enumerate(zip(mine, shape, strict=True)) if index != axis
            ):
                raise call.mismatch("its blobs differ along other axes than the one that joins them")
    shapes = []
    for index, mine in enumerate(first.shapes):
        length = sum(value.shapes[index][axis] for value in call.inputs)
        shapes.append((*mine[:axis], length, *mine[axis + 1 :]))
    return call.emit("cat", shapes, tensors=list(call.inputs), dim=axis)


def slice_(call: Call) -> list[Computed]:
    """An axis in parts: equal ones, or between the points that are given."""
    x, parts = call.input(), len(call.node.outputs)
    axis, points = _named_axis(call, x, "slice_dim"), list(call.parameters["slice_point"])
    if points and len(points) != parts - 1:
        raise call.refusal(f"has {len(points)} points for {parts} parts")
    if parts == 1:
        return [x]
    results = []
    sizes = x.sizes(axis)
    if not points:
        if any(size % parts for size in sizes):
            raise call.mismatch(f"{sizes[0]} entries cannot be split in {parts} equal parts")
        if x.is_free(axis):
            raise call.mismatch("it splits an axis whose size depends on the image in equal parts")
        points = [sizes[0] // parts * index for index in range(1, parts)]
    if sorted(set(points)) != points or points[0] < 1 or any(points[-1] >= size for size in sizes):
        raise call.mismatch(f"its points {points} do not split {min(sizes)} entries")
    for index in range(parts):
        start, stop = (0, *points)[index], points[index] if index < len(points) else None
        shapes = [
            (*shape[:axis], (shape[axis] if stop is None else stop) - start, *shape[axis + 1 :]) for shape in x.shapes
        ]
        results.append(call.emit("slice", shapes, input=x, dim=axis, start=start, end=stop))
    return results


def split(call: Call) -> list[Computed]:
    """One blob under several names."""
    return [call.input()] * len(call.node.outputs)


def crop(call: Call) -> Computed:
    """A part of a blob that is as large as another one."""
    x, like = call.input(0, count=2), call.input(1, count=2)
    axis, offsets = call.axis(x, call.parameters["axis"]), list(call.parameters["offset"])
    axes = range(axis, x.rank)
    if like.rank != x.rank or len(offsets) not in (0, 1, len(axes)):
        raise call.refusal(f"has {len(offsets)} offsets for {len(axes)} axes")
    offsets = offsets * len(axes) if len(offsets) == 1 else offsets or [0] * len(axes)
    shapes = []
    for mine, other in zip(x.shapes, like.shapes, strict=True):
        for place, offset in zip(axes, offsets, strict=True):
            if offset < 0 or offset + other[place] > mine[place]:
                raise call.mismatch(f"{other[place]} entries from {offset} on are more than it has")
        shapes.append((*mine[:axis], *other[axis:]))
    if not call.states("offset") and tuple(shapes) != x.shapes:
        raise call.refusal(
            "states no offset: Caffe cuts from the first pixel on, and the branches that made FCN and HED cut from "
            "where both maps lie on the same pixels. Write the offset into the prototxt, as crop_param { offset: 0 }"
        )
    if axis == 0 and offsets[0]:
        raise call.refusal("cuts the images of a batch")
    for place, offset in zip(axes, offsets, strict=True):
        if place < 2 and (offset or x.sizes(place) != like.sizes(place)):
            cut = [
                (*shape[:place], size, *shape[place + 1 :])
                for shape, size in zip(x.shapes, like.sizes(place), strict=True)
            ]
            x = call.emit("slice", cut, input=x, dim=place, start=offset, end=offset + like.sizes(place)[0])
    pixels = [offset for place, offset in zip(axes, offsets, strict=True) if place >= 2]
    if x.rank != 4 or len(pixels) != 2:
        raise call.refusal("cuts something else than rows and columns together")
    return call.emit("crop_like", shapes, input=x, like=like, offsets=pixels)


def _reshaped(call: Call, x: Computed, shapes: Sequence[Shape]) -> Computed:
    return x if tuple(shapes) == x.shapes else call.emit("reshape", shapes, input=x)


def flatten(call: Call) -> Computed:
    """Axes merged into one."""
    x = call.input()
    first, last = call.axis(x, call.parameters["axis"]), call.axis(x, call.parameters["end_axis"])
    if first == 0 and last:
        raise call.refusal("merges the images of a batch with their contents")
    if last < first:
        raise call.refusal("merges no axes")
    return _reshaped(
        call,
        x,
        [(*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]) for shape in x.shapes],
    )


def reshape(call: Call) -> Computed:
    """Axes of other sizes: 0 copies a size, and -1 stands for what is left."""
    x, count = call.input(), call.parameters["num_axes"]
    start = call.parameters["axis"]
    start = start if start >= 0 else x.rank + start + 1
    end = x.rank if count == -1 else start + count
    if not 0 <= start <= end <= x.rank or count < -1:
        raise call.refusal(f"reshapes {count} axes from {start} on")
    message = parameter_message(call.layer.fields, call.layer.type)
    dims = [dim for shape in messages(message, "shape") for dim in values(shape, "dim", int)]
    batch = call.tracer.stated_batch
    if start == 0 and dims and batch is not None and dims[0] == batch:
        dims[0] = 0  # the batch that the prototxt states stands for any
    shapes = [(*shape[:start], *_filled(call, dims, shape, start, end), *shape[end:]) for shape in x.shapes]
    if any(shape[0] != before[0] for shape, before in zip(shapes, x.shapes, strict=True)):
        raise call.refusal("merges the images of a batch with their contents, or splits the batch")
    return _reshaped(call, x, shapes)


def _filled(call: Call, dims: Sequence[int], shape: Shape, start: int, end: int) -> list[int]:
    sizes = []
    for index, dim in enumerate(dims):
        if dim == 0 and start + index >= len(shape):
            raise call.refusal(f"copies the size of axis {start + index}, which its blob lacks")
        sizes.append(shape[start + index] if dim == 0 else dim)
    total, known = math.prod(shape[start:end]), math.prod(size for size in sizes if size != -1)
    if sizes.count(-1) > 1 or any(size < -1 for size in sizes):
        raise call.refusal(f"has the sizes {list(dims)}")
    if -1 in sizes and known and total % known == 0:
        sizes[sizes.index(-1)] = total // known
    if -1 in sizes or math.prod(sizes) != total:
        raise call.mismatch(f"{total} entries do not fit the sizes {list(dims)}")
    return sizes


def permute(call: Call) -> Computed:
    """Axes in another order."""
    x, order = call.input(), list(call.parameters["order"])
    order += [axis for axis in range(x.rank) if axis not in order]
    if sorted(order) != list(range(x.rank)) or order[0] != 0:
        raise call.refusal(f"has the order {order}")
    if order == list(range(x.rank)):
        return x
    return call.emit("permute", [tuple(shape[axis] for axis in order) for shape in x.shapes], input=x, dims=order)


def shuffle(call: Call) -> Computed:
    """Channels of groups, one of each in turn."""
    x, groups = call.input(rank=4), call.parameters["group"]
    if groups < 1 or x.is_free(1) or x.sizes(1)[0] % groups:
        raise call.refusal(f"shuffles {groups} groups of {x.sizes(1)[0]} channels")
    return call.step("channel_shuffle", x, groups=groups) if groups > 1 else x


RULES: dict[str, Rule] = {
    "Concat": concat,
    "Slice": slice_,
    "Split": split,
    "Crop": crop,
    "Flatten": flatten,
    "Reshape": reshape,
    "Permute": permute,
    "ShuffleChannel": shuffle,
}
