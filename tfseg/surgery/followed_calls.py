"""Every call of a network with the stride of what it makes, and the calls through which all others must pass."""

import dataclasses
import math
from collections.abc import Sequence
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
class _Sizes:
    """The two images on which a model is followed: heights and widths.

    Attributes:
        small: the model's own size, if it takes one size only.
        large: `_MORE` pixels more on both sides.
    """

    small: tuple[int, int]
    large: tuple[int, int]


@dataclasses.dataclass(frozen=True, eq=False)
class _Followed(graphs.TrackedTensor):
    """A result on an image (`tensor`) and on a larger one; None where the operation does not take that size."""

    larger: Any
    maker: Call | None

    def stride(self, sizes: _Sizes) -> int:
        """The stride of a map; 0 for anything else.

        Args:
            sizes: sizes of the two images.
        """
        if self.tensor is None or len(self.tensor.shape) != 4:
            return 0
        sides = self.tensor.shape[1:3]
        if self.larger is None:  # the network takes one size only: its maps divide that
            return _common_quotient(sizes.small, sides) if self.tensor.shape[0] == 1 else 0
        grown = [(large, small) for large, small in zip(self.larger.shape[1:3], sides, strict=True)]
        if any(None in side for side in grown):
            return 0
        rows, columns = (large - small for large, small in grown)
        return _MORE // rows if rows > 0 and rows == columns and _MORE % rows == 0 else 0

    def pixel_stride(self, sizes: _Sizes) -> int:
        """The stride of a map whose pixels stand in one row, `(batch, pixels, channels)`; 0 for anything else.

        Args:
            sizes: sizes of the two images.
        """
        if self.tensor is None or len(self.tensor.shape) != 3 or self.tensor.shape[0] != 1:
            return 0
        pixels = [self.tensor.shape[1], *([] if self.larger is None else [self.larger.shape[1]])]
        areas = [math.prod(sizes.small), math.prod(sizes.large)][: len(pixels)]
        return next((stride for stride in _STRIDES if [(size or 0) * stride**2 for size in pixels] == areas), 0)


def _common_quotient(image: Sequence[int], sides: Sequence[int | None]) -> int:
    """The power of two that leads from both sides of a map of several pixels to the image's; 0: there is none."""
    fitting = (
        stride
        for stride in _STRIDES
        if all(side and side > 1 and side * stride == pixels for side, pixels in zip(sides, image, strict=True))
    )
    return next(fitting, 0)


def followed_calls(model: keras.Model) -> list[Call]:
    """The calls of a model with one image as input, in the order of computation; inner models are entered.

    Args:
        model: functional or Sequential model.
    Raises:
        ValueError: the model is a subclass, or its input is not one image.
    """
    return _followed(model)[0]


def output_strides(model: keras.Model) -> list[int]:
    """The stride of each output of a model; 0 for one that is no map `(batch, height, width, channels)`.

    Args:
        model: functional or Sequential model.
    Raises:
        ValueError: the reasons of `followed_calls`.
    """
    return _followed(model)[1]


def _followed(model: keras.Model) -> tuple[list[Call], list[int]]:
    """The calls, and the strides of the outputs."""
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
        strides = [result.stride(sizes) for result in made]
        level = max(strides) or max(result.pixel_stride(sizes) for result in made)
        call = _call(len(calls), operation, outputs, taken, strides, level, sizes)
        calls.append(call)
        return [dataclasses.replace(result, maker=call) for result in made]

    rows, columns = (side or _MORE for side in image.shape[1:3])
    sizes = _Sizes((rows, columns), (rows + _MORE, columns + _MORE))
    images = [keras.KerasTensor((1, *size, image.shape[3]), image.dtype) for size in (sizes.small, sizes.large)]
    results = graphs.replay(model, [_Followed(images[0], images[1], None)], follow)
    return calls, [result.stride(sizes) for result in results]


def _made(operation: keras.Operation, args: tuple[Any, ...], kwargs: dict[str, Any], count: int) -> list[_Followed]:
    """The results of a call on both images, without computing anything."""

    def on(field: str) -> list[Any]:
        leaves = [leaf for leaf in keras.tree.flatten((args, kwargs)) if isinstance(leaf, _Followed)]
        if any(getattr(leaf, field) is None for leaf in leaves):
            return [None] * count
        own_args, own_kwargs = keras.tree.map_structure(
            lambda leaf: getattr(leaf, field) if isinstance(leaf, _Followed) else leaf, (args, kwargs)
        )
        try:
            return keras.tree.flatten(operation.compute_output_spec(*own_args, **own_kwargs))
        except Exception:  # a layer that takes one size only, as behind Flatten, may raise anything
            return [None] * count

    return [_Followed(small, large, None) for small, large in zip(on("tensor"), on("larger"), strict=True)]


def _call(
    index: int,
    operation: keras.Operation,
    outputs: list[keras.KerasTensor],
    taken: list[_Followed],
    strides: list[int],
    level: int,
    sizes: _Sizes,
) -> Call:
    reads = list({id(tensor.maker): tensor.maker for tensor in taken if tensor.maker}.values())
    level = level or max(
        [tensor.stride(sizes) or (tensor.maker.level if tensor.maker else 1) for tensor in taken] or [1]
    )
    same = [call for call in reads if call.level == level]
    common = frozenset.intersection(*(call.passes for call in same)) if same else frozenset()
    depth = 1 + max([call.depth for call in reads], default=0)
    return Call(index, operation, outputs, strides, level, reads, same, depth, common | {index})
