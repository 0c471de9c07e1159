"""One network that a file could be, with its sizes as the file's tensors tell them."""

import dataclasses
import re
from collections.abc import Iterable, Sequence

from converters.errors import ConversionError
from converters.families import Family, FamilyNetwork
from converters.identification.listing import some
from converters.identification.sources import Source
from converters.types import Shapes


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What the tensors say of a network's sizes, by the names that `tfseg.build` has for them.

    Attributes:
        num_classes: classes of the head; None without a head; `{name: number}` for several heads.
        width: multiplier of the channel counts.
        channels: channels of the input.
        include_top: whether the file has its head.
        aux: whether the file has an auxiliary head.
    """

    num_classes: int | dict[str, int] | None
    width: float
    channels: int
    include_top: bool
    aux: bool


@dataclasses.dataclass(frozen=True, eq=False)
class Fit:
    """One network that a file could be, and what in the file speaks against it.

    Attributes:
        family: record of the family.
        network: record of the network.
        differences: what is not as in this network, in words; empty if the network fits.
        unknown: number of tensors that the network does not know.
        unknown_skipped: number of further such tensors, which are to be skipped.
        headless: whether this is a segmenter and the file its trunk alone.
        other_head: keys of a head that is not this network's.
        head_note: sentence about a head that has other names or sizes than the family's.
    """

    family: Family
    network: FamilyNetwork
    differences: tuple[str, ...]
    unknown: int
    unknown_skipped: int = 0
    headless: bool = False
    other_head: tuple[str, ...] = ()
    head_note: str = ""

    @property
    def is_any_trunk(self) -> bool:
        """Whether the file is a trunk that needs not be this family's: others name theirs so, too."""
        return self.headless and self.family.trunk is not None

    @property
    def classes(self) -> str:
        """Key of the tensor with one row for each class."""
        return self.network.classes or self.family.classes

    @property
    def names(self) -> tuple[str, str]:
        """Names of the family and of the network."""
        return self.family.name, self.network.name

    def sizes(self, shapes: Shapes) -> Sizes:
        """The network's sizes, read off the tensors' shapes."""
        first = shapes.get(self.network.first)
        kernel = first and self.network.table.shape(self.network.first, first)
        *_, channels, filters = kernel or (3, self.network.filters)
        classes = None if self.other_head else self._key(shapes, self.classes)
        return Sizes(
            num_classes=self._num_classes(shapes, classes) if classes else None,
            width=self._width(shapes) or filters / self.network.filters,
            channels=channels,
            include_top=classes is not None,
            aux=self._key(shapes, self.family.aux) is not None,
        )

    def _width(self, shapes: Shapes) -> float | None:
        """The width by the kernel that tells it most exactly, if the network has one."""
        network = self.network
        key = network.table.key(network.widest) if network.widest else None
        shape = network.table.shape(key, shapes[key]) if key and key in shapes else None
        return shape[-1] / network.variables(1.0)[network.widest][-1] if shape else None

    def absent_parts(self, keys: Iterable[str]) -> list[str]:
        """The names of those of the network's files whose tensors are not among the keys."""
        keys = list(keys)
        return [name for name, key in self.family.parts.items() if not any(re.match(key, tensor) for tensor in keys)]

    def aux_classes(self, shapes: Shapes) -> int | None:
        """The classes of the auxiliary head; None without one."""
        key = self._key(shapes, self.family.aux)
        return (self.network.table.shape(key, shapes[key]) or shapes[key])[-1] if key else None

    def check_head(self, source: Source, skip: Sequence[str] = ()) -> None:
        """Refuses a head that is not this network's, and that cannot be built from its tensors alone.

        Args:
            source: source of the weights.
            skip: regular expressions of keys; a head of such tensors alone is left out.
        Raises:
            ConversionError: naming the head's tensors and the ways out.
        """
        if all(any(re.search(pattern, key) for pattern in skip) for key in self.other_head):
            return
        listed = some([f"{key} {list(source.shapes[key])}" for key in self.other_head])
        firsts = list(dict.fromkeys(re.split(r"[./]", key)[0] for key in self.other_head))
        pattern = f"^{firsts[0]}" if len(firsts) == 1 else f"^({'|'.join(firsts)})"
        raise ConversionError(
            f"{source.name} is a {self.network.name} of {self.family.name} with another head: the tensors do not tell "
            f"what it computes between its layers. Expected: a head that ends with {self.classes}, or one dense layer. "
            f"Received: {listed}. Take the features alone: include_top=False (--noinclude_top), or "
            f"skip=['{pattern}'] (--skip='{pattern}')."
        )

    def check_parts(self, source: Source) -> None:
        """Refuses a source that holds one part of a network whose publisher keeps it in several files.

        Raises:
            ConversionError: a part is missing; the message says which files to give together.
        """
        parts, absent = list(self.family.parts), self.absent_parts(source)
        if self.unknown or not absent or len(absent) == len(parts):
            return
        present = [name for name in parts if name not in absent]
        files = [f"{part}.pth" for part in parts]
        raise ConversionError(
            f"{source.name} holds the {' and '.join(present)} of a network of {self.family.name}, without its "
            f"{' and '.join(absent)}. Give all files together: convert({files}), --checkpoint={','.join(files)}"
            + ("; or take the features alone: include_top=False." if parts[0] in present else ".")
        )

    def _num_classes(self, shapes: Shapes, classes: str) -> int | dict[str, int]:
        """The rows of this tensor; for a network with several heads the rows of each: `{name: number}`."""

        def rows(key: str) -> int:
            return (self.network.table.shape(key, shapes[key]) or shapes[key])[-1]

        return {head: rows(key) for head, key in self.family.heads.items() if key in shapes} or rows(classes)

    def _key(self, shapes: Shapes, key: str | None) -> str | None:
        """The name under which a file has this tensor, of all names that the network's table knows; or None."""
        if key is None or key in shapes:
            return key
        path = self.network.table.path(key)
        return path and next((other for other in shapes if self.network.table.path(other) == path), None)
