"""How well each network fits a file: what in the file speaks against it, and which fit is the best."""

import dataclasses
import re
from collections.abc import Iterable, Sequence

from converters.downloads import published
from converters.errors import ConversionError
from converters.families import FAMILIES, Family, FamilyNetwork
from converters.families.differences import describe_differences
from converters.identification.listing import some
from converters.identification.refusals import describe_refusal
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
    """

    family: Family
    network: FamilyNetwork
    differences: tuple[str, ...]
    unknown: int
    unknown_skipped: int = 0

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
        classes = self._key(shapes, self.classes)
        return Sizes(
            num_classes=self._num_classes(shapes, classes) if classes else None,
            width=filters / self.network.filters,
            channels=channels,
            include_top=classes is not None,
            aux=self._key(shapes, self.family.aux) is not None,
        )

    def absent_parts(self, keys: Iterable[str]) -> list[str]:
        """The names of those of the network's files whose tensors are not among the keys."""
        keys = list(keys)
        return [name for name, key in self.family.parts.items() if not any(re.match(key, tensor) for tensor in keys)]

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


@dataclasses.dataclass(frozen=True)
class Candidates:
    """Every network that a source could be.

    Attributes:
        source: the source that was looked at.
        fits: one `Fit` for each network, the best first.
    """

    source: Source
    fits: tuple[Fit, ...]

    @property
    def best(self) -> Fit:
        """The best fit, which need not be perfect."""
        return self.fits[0]

    @property
    def matches(self) -> tuple[Fit, ...]:
        """The fits without a difference, in the order in which they are chosen."""
        return tuple(fit for fit in self.fits if not fit.differences)

    def choose(self, network: str | None = None) -> Fit:
        """The best fit, or the best for the network of that name.

        Raises:
            ConversionError: nothing fits; it names the nearest network and what differs.
        """
        named = [fit for fit in self.fits if network in (None, fit.network.name)]
        if not named:
            raise ConversionError(f"No family known here has a network of that name. Received: network={network!r}")
        if named[0].differences:
            self.best.check_parts(self.source)
            raise ConversionError(describe_refusal(self.source, self.best, network))
        return named[0]

    def alternatives(self, fit: Fit) -> tuple[str, ...]:
        """What else the file may be, in words: other preprocessing, and the other perfect fits."""
        lines = [
            f"{' '.join(fit.names)} with preprocessing={name!r}: {files}"
            for name, files in fit.family.preprocessing_otherwise.items()
        ]
        for other in self.matches:
            # The ports of Caffe's networks have the same names, and compute the same.
            if other is not fit and _is_caffe(other) == _is_caffe(fit):
                distinct = other.network.distinct if other.family is fit.family else other.family.distinct
                lines.append(" ".join(other.names) + (f": {distinct}" if distinct else ""))
        return tuple(lines)


def rank(source: Source, family: Family | None, skip: Sequence[str]) -> list[Fit]:
    """One `Fit` for each network, the best first.

    Among equals the one that the file is known as comes first, then the documented order counts.

    Args:
        source: the opened source.
        family: the one family to try; None: all.
        skip: regular expressions; tensors whose keys match are not considered.
    """
    shapes = {key: shape for key, shape in source.shapes.items() if not any(re.search(text, key) for text in skip)}
    families = [family] if family else list(FAMILIES.values())
    fits = _fits(source, shapes, families)
    # Caffe's tensors may have the names of their ports, which no other format of a file distinguishes. The sort is
    # stable: fits of equal merit stay in the documented order.
    caffe = any(checkpoint.format == "Caffe" for checkpoint in source.checkpoints)
    fits.sort(
        key=lambda fit: (
            len(fit.differences) > 0,
            fit.unknown,
            len(fit.differences),
            fit.unknown_skipped,
            caffe != _is_caffe(fit),
        )
    )
    matches = [fit for fit in fits if not fit.differences]
    if len(matches) > 1 and (known := _known_as(source, matches)):
        fits.remove(known)
        fits.insert(0, known)
    return fits


def _fits(source: Source, shapes: Shapes, families: Sequence[Family]) -> list[Fit]:
    fits, unknown = [], {}
    # Skipped tensors may be strangers; or they are the head, which tells what the file is: both views are tried.
    views: list[Shapes] = [shapes] if len(shapes) == len(source.shapes) else [shapes, source.shapes]
    begun = any(network.first in shapes for family in families for network in family.networks)
    for family in families:
        for network in family.networks:
            absent: tuple[str, ...] = (f"has no {network.first}",)
            if begun and network.first not in shapes:  # to read all names by all tables takes a second
                fits.append(Fit(family, network, absent, len(shapes)))
                continue
            if network.table not in unknown:  # many networks share one table
                unknown[network.table] = network.table.strangers(source.shapes)
            strangers = [key for key in unknown[network.table] if key in shapes]
            differences = absent
            if network.first in shapes:
                differences = min((tuple(describe_differences(network, view)) for view in views), key=len)
            if strangers:
                differences = (*differences, f"has {len(strangers)} tensors of other names ({some(strangers)})")
            fits.append(Fit(family, network, differences, len(strangers), len(unknown[network.table]) - len(strangers)))
    return fits


def _is_caffe(fit: Fit) -> bool:
    return "Caffe" in fit.family.formats


def _known_as(source: Source, fits: Sequence[Fit]) -> Fit | None:
    """The fit that a label in the file, or its hash, says it is; None if neither tells."""
    labels = {checkpoint.extras.get("arch") for checkpoint in source.checkpoints} - {None}
    labeled = [fit for fit in fits if fit.network.public in labels]
    if labeled:
        return labeled[0]
    if [len(checkpoint.files) for checkpoint in source.checkpoints] != [1]:
        return None
    (checkpoint,) = source.checkpoints
    # The file is only read for a hash that would change the documented choice. pytorch-fcn's files date from 2017, so
    # that a file of today's format is not one of them.
    rows = [row for row in published.PUBLISHED if any(fit.names == (row.family, row.network) for fit in fits[1:])]
    algorithms = {row.hash.partition(":")[0] for row in rows}
    if checkpoint.format != "PyTorch legacy stream":
        algorithms.discard("md5")
    row = published.recognize(checkpoint.files[0], algorithms=sorted(algorithms), hasher=source.digest)
    return next((fit for fit in fits if row and fit.names == (row.family, row.network)), None)
