"""Every call of a network with the stride of what it makes, and the calls through which all others must pass."""

import dataclasses
from typing import Any

import keras

from tfseg import graphs

# Pixels by which the second of two images is larger. Whatever borders and "valid" kernels take away, they take away
# from both, so a map of stride s gains exactly 1024 / s pixels.
_MORE = 1024
_STRIDES = tuple(2**power for power in range(8))


@dataclasses.dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer or bare operation.

    Attributes:
        index: place in the order of computation.
        operation: layer or bare operation.
        outputs: symbolic results.
        strides: stride of each result; 0 for what is no map `(batch, height, width, channels)` that grows with the
            image.
        level: stride of the maps from which the results come, or which they are.
        reads: the calls whose results it takes.
        same: those among them that have its own level.
        depth: number of calls on the longest way from the image.
        passes: indices of the calls of its level through which every way of this level to it leads; its own is one.
    """

    index: int
    operation: keras.Operation
    outputs: list[keras.KerasTensor]
    strides: list[int]
    level: int
    reads: list["Call"]
    same: list["Call"]
    depth: int
    passes: frozenset[int]

    @property
    def kind(self) -> str:
        """Name of the operation's class."""
        return type(self.operation).__name__

    @property
    def map(self) -> keras.KerasTensor | None:
        """The map that it makes, if it makes one."""
        maps = [output for output, stride in zip(self.outputs, self.strides, strict=True) if stride]
        return maps[0] if len(maps) == 1 else None


@dataclasses.dataclass(frozen=True, eq=False)
class _Followed(graphs.TrackedTensor):
    """A result on an image (`tensor`) and on a larger one; both are None if the operation takes one size only."""

    larger: Any
    maker: Call | None

    @property
    def stride(self) -> int:
        if self.tensor is None or len(self.tensor.shape) != 4:
            return 0
        sizes = [(large, small) for large, small in zip(self.larger.shape[1:3], self.tensor.shape[1:3], strict=True)]
        if any(None in size for size in sizes):
            return 0
        rows, columns = (large - small for large, small in sizes)
        return _MORE // rows if rows > 0 and rows == columns and _MORE % rows == 0 else 0

    def pixel_stride(self, areas: list[int]) -> int:
        """The stride of a map whose pixels stand in one row, `(batch, pixels, channels)`; 0 for anything else.

        Args:
            areas: pixels of the two images.
        """
        if self.tensor is None or len(self.tensor.shape) != 3:
            return 0
        pixels = [self.tensor.shape[1], self.larger.shape[1]]
        return next((stride for stride in _STRIDES if [(size or 0) * stride**2 for size in pixels] == areas), 0)


def followed_calls(model: keras.Model) -> list[Call]:
    """The calls of a model with one image as input, in the order of computation; inner models are entered.

    Args:
        model: functional or Sequential model.
    Raises:
        ValueError: the model is a subclass, or its input is not one image.
    """
    graphs.check(model)
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4:
        raise ValueError(
            f"The model {model.name!r} must take one image (batch, height, width, channels). Received: inputs "
            f"{[tuple(tensor.shape) for tensor in model.inputs]}"
        )
    (image,) = model.inputs
    calls: list[Call] = []

    def follow(
        operation: keras.Operation, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: list[keras.KerasTensor]
    ) -> list[_Followed]:
        taken = [leaf for leaf in keras.tree.flatten((args, kwargs)) if isinstance(leaf, _Followed)]
        made = _made(operation, args, kwargs, len(outputs))
        strides = [result.stride for result in made]
        level = max(strides) or max(result.pixel_stride(areas) for result in made)
        call = _call(len(calls), operation, outputs, taken, strides, level)
        calls.append(call)
        return [dataclasses.replace(result, maker=call) for result in made]

    sizes = [[side or _MORE for side in image.shape[1:3]] for _ in range(2)]
    sizes[1] = [side + _MORE for side in sizes[1]]
    areas = [rows * columns for rows, columns in sizes]
    images = [keras.KerasTensor((1, *size, image.shape[3]), image.dtype) for size in sizes]
    graphs.replay(model, [_Followed(images[0], images[1], None)], follow)
    return calls


def _made(operation: keras.Operation, args: tuple[Any, ...], kwargs: dict[str, Any], count: int) -> list[_Followed]:
    """The results of a call on both images, without computing anything."""

    def on(field: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        swapped = keras.tree.map_structure(
            lambda leaf: getattr(leaf, field) if isinstance(leaf, _Followed) else leaf, (args, kwargs)
        )
        return swapped[0], swapped[1]

    try:
        small, large = (
            keras.tree.flatten(operation.compute_output_spec(*args_of, **kwargs_of))
            for args_of, kwargs_of in (on("tensor"), on("larger"))
        )
    except Exception:  # a layer that takes one size only, as behind Flatten, may raise anything: it makes no map
        return [_Followed(None, None, None)] * count
    return [_Followed(first, second, None) for first, second in zip(small, large, strict=True)]


def _call(
    index: int,
    operation: keras.Operation,
    outputs: list[keras.KerasTensor],
    taken: list[_Followed],
    strides: list[int],
    level: int,
) -> Call:
    reads = list({id(tensor.maker): tensor.maker for tensor in taken if tensor.maker}.values())
    level = level or max([tensor.stride or (tensor.maker.level if tensor.maker else 1) for tensor in taken] or [1])
    same = [call for call in reads if call.level == level]
    common = frozenset.intersection(*(call.passes for call in same)) if same else frozenset()
    depth = 1 + max([call.depth for call in reads], default=0)
    return Call(index, operation, outputs, strides, level, reads, same, depth, common | {index})
