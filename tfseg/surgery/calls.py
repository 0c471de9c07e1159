"""One call of the original network, its tensors replaced by those of the new network."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import keras

from tfseg import graphs
from tfseg.surgery.grids import PixelGrid


@dataclasses.dataclass(frozen=True, eq=False)
class GriddedTensor(graphs.TrackedTensor):
    """A tensor of the new model and its grid: None for vectors, and for what a pooling of all pixels left."""

    grid: PixelGrid | None

    @property
    def rate(self) -> int:
        """How many times denser the map is than the original one."""
        return self.grid.rate if self.grid else 1

    @property
    def spreads(self) -> bool:
        """Whether it is the same at every pixel: a vector for the whole image, as `(batch, 1, 1, channels)`."""
        return all(side == 1 for side in self.tensor.shape[-3:-1])


@dataclasses.dataclass(frozen=True, eq=False)
class TrackedCall:
    """A call whose arguments hold a `graphs.TrackedTensor` where the original has a tensor.

    Attributes:
        operation: layer or bare operation of the original.
        args: positional arguments.
        kwargs: keyword arguments.
    """

    operation: keras.Operation
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def maps(self) -> list[Any]:
        """The tracked tensors among the arguments, maps and vectors."""
        return [leaf for leaf in self._leaves if isinstance(leaf, graphs.TrackedTensor)]

    @property
    def constants(self) -> list[Any]:
        """The arrays among the arguments."""
        return [leaf for leaf in self._leaves if hasattr(leaf, "shape") and not isinstance(leaf, graphs.TrackedTensor)]

    @property
    def has_placed_constants(self) -> bool:
        """Whether an array among the arguments has rows or columns."""
        return any(side != 1 for constant in self.constants for side in tuple(constant.shape)[-3:-1])

    @property
    def _leaves(self) -> list[Any]:
        return keras.tree.flatten((self.args, self.kwargs))

    def tensors(self, layer: Callable[..., Any]) -> list[keras.KerasTensor]:
        """The results of `layer`, called with these arguments."""
        args, kwargs = graphs.untracked((self.args, self.kwargs))
        return keras.tree.flatten(layer(*args, **kwargs))


@dataclasses.dataclass(frozen=True, eq=False)
class GriddedCall(TrackedCall):
    """A call whose tracked tensors are `GriddedTensor`s."""

    @property
    def is_dense(self) -> bool:
        """Whether one of the maps is denser than the original's."""
        return any(tracked.rate > 1 for tracked in self.maps)

    @property
    def grid(self) -> PixelGrid:
        """The grid of the first map."""
        return next(tracked.grid for tracked in self.maps if tracked.grid)

    def on(self, maps: Iterable[GriddedTensor]) -> "GriddedCall":
        """The same call on other maps."""
        swap = dict(zip(map(id, self.maps), maps, strict=True))
        args, kwargs = keras.tree.map_structure(lambda leaf: swap.get(id(leaf), leaf), (self.args, self.kwargs))
        return dataclasses.replace(self, args=args, kwargs=kwargs)

    def result(self, layer: Callable[..., Any], grid: PixelGrid | None) -> list[GriddedTensor]:
        """The results of `layer`, called with these arguments, all on one grid."""
        return [GriddedTensor(tensor, grid) for tensor in self.tensors(layer)]
