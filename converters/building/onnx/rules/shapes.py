"""Axes: exchanged, merged, split, cut and joined."""

import math
from collections.abc import Sequence

import numpy as np

from converters.building.onnx.call import Call
from converters.building.onnx.constants import collapsed, integer
from converters.building.onnx.tracing import Rule
from converters.building.onnx.values import Computed, Known, Value
from converters.programs.onnx.fold_shapes import cuts_of, slices, split_sizes
from converters.types import Shape

_NO_END = 10**9  # ends from here on are no literal places: tf2onnx writes this one, others the largest integer


def reshaped(call: Call, x: Computed, shapes: Sequence[Shape]) -> Computed:
    """The same numbers in another shape; several reshapes after each other are one.

    Args:
        call: node.
        x: tensor.
        shapes: its new shape at each traced size.
    Raises:
        ValueError: another number of numbers.
    """
    base = x.base or x
    for old, new in zip(base.shapes, shapes, strict=True):
        if math.prod(old) != math.prod(new):
            raise ValueError(f"{'x'.join(map(str, old))} is not {'x'.join(map(str, new))}")
    if tuple(shapes) == base.shapes:
        return base
    return call.emit("reshape", shapes, x.kind, base, input=base)


def reshape(call: Call) -> Computed:
    """Reshape, with ONNX's zeros and minus one."""
    x = call.computed()
    if call.has(1):
        target = call.known(1, "a shape")
        call.tracer.arguments.update(target.parents)
        wanted = [[int(size) for size in array.reshape(-1)] for array in target.arrays]
    else:
        wanted = [list(call.attribute("shape", ()))] * len(x.shapes)
    literal = len({tuple(shape) for shape in wanted}) == 1
    shapes = []
    for index, (shape, sizes) in enumerate(zip(x.shapes, wanted, strict=True)):
        sizes = [
            shape[axis] if size == 0 and not call.attribute("allowzero", 0) else size for axis, size in enumerate(sizes)
        ]
        shapes.append(_resolved(call, shape, sizes, index, literal))
    return reshaped(call, x, shapes)


def _resolved(call: Call, shape: Shape, sizes: list[int], index: int, literal: bool) -> Shape:
    """The new shape. In a file for a batch of one size, its first axis may have the batch as a number."""
    stated, batch = call.tracer.batch, call.tracer.batches[index]
    total = math.prod(shape)
    if stated and literal and sizes and sizes[0] > 0 and sizes[0] % stated == 0:
        of_batch = [sizes[0] // stated * batch, *sizes[1:]]
        if -1 in sizes or math.prod(of_batch) == total:
            if shape[0] % batch:
                raise call.refusal("merges the batch, which is not its first axis")
            sizes = of_batch
    rest = math.prod(size for size in sizes if size != -1)
    if sizes.count(-1) > 1 or (-1 in sizes and (rest == 0 or total % rest)):
        raise ValueError(f"{'x'.join(map(str, shape))} does not become {sizes}")
    return tuple(total // rest if size == -1 else size for size in sizes)


def flatten(call: Call) -> Computed:
    """All axes before one merged, and all from it on."""
    x = call.computed()
    axis = int(call.attribute("axis", 1))
    axis = axis + x.rank if axis < 0 else axis
    return reshaped(call, x, [(math.prod(shape[:axis]), math.prod(shape[axis:])) for shape in x.shapes])


def squeeze(call: Call) -> Computed:
    """Axes of size 1 left out."""
    x, axes = call.computed(), call.integers(1, "axes")
    if axes is None:
        axes = [axis for axis in range(x.rank) if set(x.sizes(axis)) == {1}]
    dropped = {axis % x.rank for axis in axes}
    if any(set(x.sizes(axis)) != {1} for axis in dropped):
        raise ValueError("an axis that is larger than 1")
    return reshaped(
        call, x, [tuple(size for axis, size in enumerate(shape) if axis not in dropped) for shape in x.shapes]
    )


def unsqueeze(call: Call) -> Computed:
    """New axes of size 1."""
    x, axes = call.computed(), call.integers(1, "axes") or []
    rank = x.rank + len(axes)
    places = {axis % rank for axis in axes}
    shapes = []
    for shape in x.shapes:
        sizes = iter(shape)
        shapes.append(tuple(1 if axis in places else next(sizes) for axis in range(rank)))
    return reshaped(call, x, shapes)


def transpose(call: Call) -> Computed:
    """Axes in another order."""
    x = call.computed()
    dims = list(call.attribute("perm", tuple(reversed(range(x.rank)))))
    if sorted(dims) != list(range(x.rank)):
        raise ValueError(f"an order {dims} of {x.rank} axes")
    return permuted(call, x, dims)


def permuted(call: Call, x: Computed, dims: Sequence[int]) -> Computed:
    """The tensor with its axes in another order.

    Args:
        call: node.
        x: tensor.
        dims: for each new axis, the old one.
    """
    if list(dims) == list(range(x.rank)):
        return x
    shapes = [tuple(shape[axis] for axis in dims) for shape in x.shapes]
    return call.emit("permute", shapes, x.kind, input=x, dims=list(dims))


def split(call: Call) -> list[Value]:
    """An axis in parts."""
    x = call.computed()
    axis = int(call.attribute("axis", 0)) % x.rank
    if x.is_free(axis):
        raise call.refusal("splits an axis whose size depends on the image or the batch")
    if call.has(1):
        call.weight(1, "sizes of the parts")
    parts = split_sizes(call.arguments()[0], x.sizes(axis)[0])
    whole = call.emit("split_with_sizes", [()] * len(x.shapes), x.kind, input=x, split_sizes=parts, dim=axis)
    return [
        call.emit(
            "getitem",
            [(*shape[:axis], part, *shape[axis + 1 :]) for shape in x.shapes],
            x.kind,
            input=whole,
            index=index,
        )
        for index, part in enumerate(parts)
    ]


def concat(call: Call) -> Computed:
    """Tensors joined along an axis."""
    values = [value for value in call.inputs if value is not None]
    rank = len(values[0].shapes[0])
    axis = int(call.attribute("axis", 0)) % rank
    if stacked := _stacked(call, values, axis):
        return stacked
    parts: list[Value] = []
    first = next(value for value in values if isinstance(value, Computed))
    for value in values:
        if isinstance(value, Known) and not value.is_fixed:
            array = collapsed(value)
            if any(array.shape[other] != value.shapes[0][other] for other in range(1, rank)):
                raise call.refusal("joins a constant whose size depends on the image")
            value = Known(f"{value.name}.once", (array,) * len(value.arrays), value.parents)
        parts.append(value)
    shapes = []
    for index, shape in enumerate(first.shapes):
        size = 0
        for value in parts:
            other = value.shapes[index]
            same = len(other) == rank and all(
                other[place] == shape[place] or (place == 0 and isinstance(value, Known) and other[0] == 1)
                for place in range(rank)
                if place != axis
            )
            if not same:
                raise ValueError(f"{'x'.join(map(str, other))} beside {'x'.join(map(str, shape))}")
            size += other[axis]
        shapes.append((*shape[:axis], size, *shape[axis + 1 :]))
    if len(parts) == 1:
        return first
    return call.emit("cat", shapes, first.kind, tensors=list(parts), dim=axis)


def _stacked(call: Call, values: list[Value], axis: int) -> Computed | None:
    """Tensors that get a new axis each, along which they are joined: torch's `stack`."""
    bases = [value.base for value in values if isinstance(value, Computed) and value.base is not None]
    if len(bases) != len(values) or len(values) < 2:
        return None
    for value, base in zip(values, bases, strict=True):
        if any((*old[:axis], 1, *old[axis:]) != new for old, new in zip(base.shapes, value.shapes, strict=True)):
            return None
    if any(base.shapes != bases[0].shapes for base in bases):
        return None
    shapes = [(*shape[:axis], len(values), *shape[axis:]) for shape in bases[0].shapes]
    return call.emit("stack", shapes, bases[0].kind, tensors=list(bases), dim=axis)


def cut(call: Call) -> Computed:
    """Parts of axes: one step an axis."""
    x = call.computed()
    for index in range(1, len(call.inputs)):
        if call.has(index):
            call.known(index, "a place")
    every = [cuts_of(arguments, x.rank) for arguments in call.arguments()]
    for number, (axis, _, _, step) in enumerate(every[0]):
        if any(cuts[number][0] != axis or cuts[number][3] != step for cuts in every):
            raise call.refusal("cuts other axes at other sizes")
        starts, ends = [cuts[number][1] for cuts in every], [cuts[number][2] for cuts in every]
        shapes = [
            (*shape[:axis], _length(shape, axis, cuts[number]), *shape[axis + 1 :])
            for shape, cuts in zip(x.shapes, every, strict=True)
        ]
        if step < 0:
            if tuple(shapes) != x.shapes or step != -1:
                raise call.refusal("reads an axis backwards")
            x = call.emit("flip", shapes, x.kind, input=x, dims=[axis])
            continue
        if x.is_free(axis) and len(set(ends)) == 1 and 0 <= ends[0] < _NO_END:
            call.literal(f"ends at the place {ends[0]} of an axis that depends on the image")
        if tuple(shapes) == x.shapes:
            _check_cut(call, x, axis, starts, ends)
            continue
        x = call.emit(
            "slice", shapes, x.kind, input=x, dim=axis, start=integer(starts), end=_end(ends, x, axis), step=step
        )
    return x


def _length(shape: Shape, axis: int, part: tuple[int, int, int, int]) -> int:
    """What a cut leaves of an axis."""
    return len(range(*slices(len(shape), shape, [part])[axis].indices(shape[axis])))


def _check_cut(call: Call, x: Computed, axis: int, starts: list[int], ends: list[int]) -> None:
    """A literal end that cuts nothing off the traced sizes cuts larger images."""
    if x.is_free(axis) and len(set(ends)) == 1 and abs(ends[0]) < _NO_END:
        raise call.refusal("cuts at a place that larger images have and the traced ones lack")


def _end(ends: list[int], x: Computed, axis: int) -> object:
    if all(end >= _NO_END for end in ends):
        return None
    return integer(ends)


def gather(call: Call) -> Value:
    """Entries of an axis, whose numbers are known."""
    x, axis = call.computed(), int(call.attribute("axis", 0))
    axis %= x.rank
    indices = call.known(1, "places")
    call.tracer.arguments.update(indices.parents)
    if same := _whole(call, x, axis, indices):
        return same
    if not indices.is_fixed:
        raise call.refusal("chooses entries by what the size of the image says")
    array = indices.arrays[0].astype("i8")
    if x.is_free(axis):
        if array.ndim or axis == 0:
            raise call.refusal("chooses entries of an axis whose size depends on the image or the batch")
        return _one(call, x, axis, int(array))
    array = np.where(array < 0, array + x.sizes(axis)[0], array)
    if array.size and not 0 <= array.min() <= array.max() < x.sizes(axis)[0]:
        raise ValueError(f"the place {array.max()} of {x.sizes(axis)[0]}")
    if array.ndim == 0:
        return _one(call, x, axis, int(array))
    shapes = [(*shape[:axis], array.size, *shape[axis + 1 :]) for shape in x.shapes]
    flat = array.reshape(-1)
    if flat.size and (flat == np.arange(flat[0], flat[0] + flat.size)).all():
        x = call.emit("slice", shapes, x.kind, input=x, dim=axis, start=int(flat[0]), end=int(flat[-1]) + 1, step=1)
    else:
        x = call.emit("index_select", shapes, x.kind, input=x, dim=axis, index=[int(place) for place in flat])
    if array.ndim == 1:
        return x
    return reshaped(call, x, [(*shape[:axis], *array.shape, *shape[axis + 1 :]) for shape in x.shapes])


def _one(call: Call, x: Computed, axis: int, index: int) -> Computed:
    shapes = [(*shape[:axis], *shape[axis + 1 :]) for shape in x.shapes]
    return call.emit("select", shapes, x.kind, input=x, dim=axis, index=index)


def _whole(call: Call, x: Computed, axis: int, indices: Known) -> Computed | None:
    """The tensor itself in another shape, where all entries are taken in their order: torch's `as_strided`."""
    shapes = []
    for array, shape in zip(indices.arrays, x.shapes, strict=True):
        if array.size != shape[axis] or array.ndim == 0 or not (array.reshape(-1) == np.arange(shape[axis])).all():
            return None
        shapes.append((*shape[:axis], *array.shape, *shape[axis + 1 :]))
    return reshaped(call, x, shapes)


def expand(call: Call) -> Value:
    """Axes of size 1 repeated: left to the steps that follow, which broadcast."""
    x = call.computed()
    target = call.known(1, "a shape")
    call.tracer.arguments.update(target.parents)
    shapes = []
    for index, (shape, array) in enumerate(zip(x.shapes, target.arrays, strict=True)):
        sizes = [int(size) for size in array.reshape(-1)]
        stated = call.tracer.batch
        if stated and sizes and len(sizes) == x.rank and sizes[0] == stated and target.is_fixed:
            sizes[0] = call.tracer.batches[index]
        shapes.append(tuple(np.broadcast_shapes(shape, tuple(sizes))))
    if tuple(shapes) == x.shapes:
        return x
    return call.emit("expand", shapes, x.kind, input=x, size=[integer(sizes) for sizes in zip(*shapes, strict=True)])


def tile(call: Call) -> Value:
    """Axes repeated as a whole."""
    x = call.computed()
    if not (given := call.known(1, "repeats")).is_fixed:
        return _repeated(call, x, given)
    repeats = call.integers(1, "repeats") or []
    if len(repeats) != x.rank:
        raise ValueError(f"{len(repeats)} numbers for {x.rank} axes")
    for axis, number in enumerate(repeats):
        if number == 1:
            continue
        if number < 1 or axis == 0:
            raise call.refusal("repeats the batch")
        shapes = [(*shape[:axis], shape[axis] * number, *shape[axis + 1 :]) for shape in x.shapes]
        x = call.emit("cat", shapes, x.kind, tensors=[x] * number, dim=axis)
    return x


def _repeated(call: Call, x: Computed, repeats: Known) -> Computed:
    """Axes of size 1 repeated as often as the size of the image says."""
    numbers = [[int(number) for number in array.reshape(-1)] for array in repeats.arrays]
    if any(len(entries) != x.rank for entries in numbers):
        raise ValueError(f"{len(numbers[0])} numbers for {x.rank} axes")
    if any(max(set(x.sizes(axis))) > 1 and any(entries[axis] != 1 for entries in numbers) for axis in range(x.rank)):
        raise call.refusal("repeats an axis as a whole, as often as the size of the image says")
    shapes = [tuple(map(math.prod, zip(*pair, strict=True))) for pair in zip(x.shapes, numbers, strict=True)]
    return call.emit("expand", shapes, x.kind, input=x, size=[integer(sizes) for sizes in zip(*shapes, strict=True)])


def depth_to_space(call: Call) -> Computed:
    """Channels that become pixels."""
    x, side = call.computed(), int(call.attribute("blocksize", 1))
    if x.rank != 4 or x.sizes(1)[0] % side**2:
        raise ValueError(f"{x.sizes(1)[0]} channels in blocks of {side}")
    shapes = [(batch, channels // side**2, rows * side, columns * side) for batch, channels, rows, columns in x.shapes]
    if call.attribute("mode", "DCR") == "CRD":
        return call.emit("pixel_shuffle", shapes, input=x, upscale_factor=side)
    # The other order of channels: put into torch's, and then the same step.
    channels = x.sizes(1)[0]
    order = np.arange(channels).reshape(side, side, channels // side**2).transpose(2, 0, 1).reshape(-1)
    x = call.emit("index_select", x.shapes, input=x, dim=1, index=[int(place) for place in order])
    return call.emit("pixel_shuffle", shapes, input=x, upscale_factor=side)


def space_to_depth(call: Call) -> Computed:
    """Pixels that become channels."""
    x, side = call.computed(), int(call.attribute("blocksize", 1))
    if any(size % side for axis in (2, 3) for size in x.sizes(axis)):
        raise ValueError(f"a map that blocks of {side} do not tile")
    shapes = [(batch, channels * side**2, rows // side, columns // side) for batch, channels, rows, columns in x.shapes]
    # (batch, c, h, row, w, column) -> (batch, row, column, c, h, w)
    parts = [(b, c, h // side, side, w // side, side) for b, c, h, w in x.shapes]
    x = reshaped(call, x, parts)
    x = permuted(call, x, (0, 3, 5, 1, 2, 4))
    return reshaped(call, x, shapes)


RULES: dict[str, Rule] = {
    "Reshape": reshape,
    "Flatten": flatten,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Transpose": transpose,
    "Split": split,
    "Concat": concat,
    "Slice": cut,
    "Gather": gather,
    "Expand": expand,
    "Tile": tile,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
}
