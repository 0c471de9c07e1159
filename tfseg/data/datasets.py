"""The records `Dataset` and `Pair`: which photograph belongs to which mask."""

import dataclasses
import pathlib
from typing import NamedTuple

from tfseg.data.labels import Color, Labels, first_few
from tfseg.data.masks import MaskSource
from tfseg.data.photographs import Photographs


class Pair(NamedTuple):
    """A photograph and its mask.

    Attributes:
        image: path of the photograph.
        mask: path of the mask, or an object with a method `read()` that returns it.
    Example:
        >>> pair = tfseg.data.Pair(pathlib.Path("street.png"), pathlib.Path("street_classes.png"))
        >>> tfseg.data.read_mask(pair.mask, tfseg.data.Labels(11)).shape
        (360, 480)
    """

    image: pathlib.Path
    mask: pathlib.Path | MaskSource


@dataclasses.dataclass(frozen=True, repr=False)
class Dataset:
    """Pairs of photographs and masks.

    Attributes:
        name: name of the data set in messages.
        pairs: tuple of `Pair`, sorted by name.
        labels: `Labels` of the masks.
        classes: names of the classes, or None if unknown.
        colors: `(red, green, blue)` of each class, or None if unknown.
        photographs: how the photographs are read.
    Raises:
        ValueError: another number of names or colors than of classes.
    Example:
        >>> pair = tfseg.data.Pair(pathlib.Path("street.png"), pathlib.Path("street_classes.png"))
        >>> tfseg.data.Dataset("streets", (pair,), tfseg.data.Labels(11))
        <Dataset 'streets': 1 pairs, 11 classes>
    """

    name: str
    pairs: tuple[Pair, ...]
    labels: Labels
    classes: tuple[str, ...] | None = None
    colors: tuple[Color, ...] | None = None
    photographs: Photographs = dataclasses.field(default_factory=Photographs)

    def __post_init__(self) -> None:
        for what, given in (("names", self.classes), ("colors", self.colors)):
            if given is not None and len(given) != self.num_classes:
                raise ValueError(
                    f"{self.name}: expected {what} of {self.num_classes} classes, because of num_classes="
                    f"{self.num_classes}. Received: {len(given)} ({first_few(given)})"
                )

    @property
    def num_classes(self) -> int:
        """Number of classes, without void."""
        return self.labels.num_classes

    def __repr__(self) -> str:
        return f"<Dataset {self.name!r}: {len(self.pairs)} pairs, {self.num_classes} classes>"
