"""How well each network fits a file: what in the file speaks against it, and which fit is the best."""

import dataclasses
import functools
import itertools
import re
from collections.abc import Collection, Mapping, Sequence

from converters.downloads import published
from converters.errors import ConversionError
from converters.families import FAMILIES, Family, FamilyNetwork
from converters.families.differences import describe_differences
from converters.identification.agreement import Agreement, agree, refuse_stated, source_statements, stated_fits
from converters.identification.file_names import NameEvidence, read_name
from converters.identification.fit import Fit as Fit
from converters.identification.fit import Sizes as Sizes
from converters.identification.heads import Head, read_head
from converters.identification.known_names import index_of, known_keys, networks_of
from converters.identification.listing import LISTED, some
from converters.identification.refusals import describe_refusal
from converters.identification.sources import Source
from converters.names.tables import Table
from converters.types import Shapes
from tfseg import specs
from tfseg.garbage import uncollected


@dataclasses.dataclass(frozen=True)
class Candidates:
    """Every network that a source could be.

    Attributes:
        source: the source that was looked at.
        fits: one `Fit` for each network, the best first.
        name: what the name of its file says.
        skip: regular expressions of the tensors that were not considered.
        trunk: prefix of a complete network in a file that is another one as a whole; empty if there is none.
        beside: keys beside that network which may belong to the other one.
        unlooked: whether the file has more subtrees that begin as a network does than were looked at.
    """

    source: Source
    fits: tuple[Fit, ...]
    name: NameEvidence = dataclasses.field(default_factory=NameEvidence)
    skip: tuple[str, ...] = ()
    trunk: str = ""
    beside: tuple[str, ...] = ()
    unlooked: bool = False

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
            refuse_stated(self.source, source_statements(self.source))
            self.best.check_parts(self.source)
            raise ConversionError(
                describe_refusal(
                    self.source, self.best, network, trunk=self.trunk, beside=self.beside, unlooked=self.unlooked
                )
            )
        return named[0]

    def agree(self, fit: Fit, *, network: str | None = None, head: bool = True) -> Agreement:
        """What a configuration or labels beside the tensors decide of a network; a contradiction is refused.

        Args:
            fit: the network.
            network: name of the network that the caller asks for: it overrules labels, not a configuration.
            head: whether the network is built with its head.
        Raises:
            ConversionError: saying what is stated, what fits, and the way out.
        """
        sizes, statements = fit.sizes(self.source.shapes), source_statements(self.source)
        return agree(self.source, fit, sizes, statements, network=network, head=head)

    def refuse_unclear(self, network: str | None = None) -> None:
        """Refuses a file whose name says one of several networks with the same tensors, but not which one.

        Args:
            network: name of a segmenter on such a network; None: the networks themselves are named.

        Raises:
            ConversionError: naming the networks, and how to choose one.
        """
        if not self.name.unclear:
            return
        unclear = self.name.unclear
        head = next((head for head in specs.RESNET_HEADS if network and network.startswith(f"{head}_")), "")
        choices = " or ".join(f"network={f'{head}_{fit.network.name}'.lstrip('_')!r}" for fit in unclear)
        reasons = [f"{' '.join(fit.names)}: {fit.network.distinct or fit.family.distinct}" for fit in unclear]
        raise ConversionError(
            f"{self.source.name}: {len(unclear)} networks with the same tensors have such a name, and compute other "
            f"things. Choose {choices} (--network=NAME). {'. '.join([*reasons, *self.name.notes])}. "
            f"Received: {len(self.source)} tensors without a statement of their network."
        )

    def name_notes(self, network: str) -> list[str]:
        """What the file's name contradicts, in sentences for a receipt.

        Args:
            network: name of the network that the weights go into.
        """
        said = [fit.network.name for fit in (self.name.fit, *self.name.unclear) if fit]
        notes = list(self.name.notes)
        if said and not any(network == name or network.endswith(f"_{name}") for name in said):
            notes.append(
                f"the file name says {' or '.join(said)}: it is right here only if the network computes the same"
            )
        return notes

    def alternatives(self, fit: Fit) -> tuple[str, ...]:
        """What else the file may be, in words: other preprocessing, and the other perfect fits."""
        lines = [
            f"{' '.join(fit.names)} with preprocessing={name!r}: {files}"
            for name, files in fit.family.preprocessing_otherwise.items()
        ]
        for other in self.matches:
            # The ports of Caffe's networks have the same names, and compute the same.
            if other is not fit and _is_caffe(other) == _is_caffe(fit) and not self._is_scaled(other, fit):
                distinct = _distinct(other, fit)
                lines.append(" ".join(other.names) + (f": {distinct}" if distinct else ""))
        return tuple(lines)

    def _is_scaled(self, other: Fit, fit: Fit) -> bool:
        """Whether a fit is the same network by the name of a wider or thinner one."""
        alike = other.family is fit.family and other.network.distinct == fit.network.distinct
        widths = [candidate.sizes(self.source.shapes).width for candidate in (other, fit)]
        return alike and widths[0] != widths[1]


def _distinct(other: Fit, fit: Fit) -> str:
    """How the function of one fit differs from that of another with the same tensors."""
    if other.network.distinct and other.network.distinct != fit.network.distinct:
        return other.network.distinct
    return other.family.distinct if other.family is not fit.family else ""


@uncollected()
def rank(source: Source, family: Family | None, skip: Sequence[str]) -> tuple[list[Fit], NameEvidence]:
    """One `Fit` for each network, the best first, and what the file's name says.

    Among equals the one that the file is known as comes first, then the one that its name says, then the documented
    order counts.

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
            fit.is_any_trunk,
            len(fit.other_head) > 0,
            fit.unknown,
            len(fit.differences),
            fit.unknown_skipped,
            caffe != _is_caffe(fit),
            not fit.differences and fit.sizes(shapes).width != 1,  # a MiT-B1 is a MiT-B0 of twice the width
        )
    )
    matches = [fit for fit in fits if not fit.differences]
    known = _known_as(source, matches) if len(matches) > 1 else None
    name = read_name(source, matches, known)
    if first := known or name.fit or next(iter(name.unclear), None):
        fits.remove(first)
        fits.insert(0, first)
    return fits, name


def _fits(source: Source, shapes: Shapes, families: Sequence[Family]) -> list[Fit]:
    fits = []
    # Skipped tensors may be strangers; or they are the head, which tells what the file is: both views are tried.
    views: list[Shapes] = [shapes] if len(shapes) == len(source.shapes) else [shapes, source.shapes]
    networks = networks_of(families)
    begun = [network for network in networks if network.first in shapes]
    known = known_keys(begun, source.shapes) if begun else index_of(networks).known(source.shapes)

    @functools.cache  # a table serves several networks
    def counted(table: Table) -> tuple[_Strangers, int]:
        strangers = _Strangers(shapes, known[table])
        if len(views) == 1:
            return strangers, 0
        return strangers, _Strangers(source.shapes, known[table]).number - strangers.number

    for family in families:
        for network in family.networks:
            absent: tuple[str, ...] = (f"has no {network.first}",)
            if begun and network.first not in shapes:
                fits.append(Fit(family, network, absent, len(shapes)))
                continue
            strangers, skipped = counted(network.table)
            differences = absent
            if network.first in shapes:
                parts = (_part(network, view, known) for view in views)
                differences = min((tuple(describe_differences(network, part)) for part in parts), key=len)
            head = Head(network) if differences else _head(family, network, views)
            if head.network is not network:
                strangers = _Strangers(shapes, index_of([head.network]).known(shapes)[head.network.table])
            headless = not (differences or strangers.number) and _is_headless(family, network, source)
            if strangers.number:
                differences = (*differences, strangers.text)
            more = (headless, head.other, head.note)
            fits.append(Fit(family, head.network, differences, strangers.number, skipped, *more))
    return fits


def _part(network: FamilyNetwork, shapes: Shapes, known: Mapping[Table, Collection[str]]) -> Shapes:
    """The tensors that a network can have, or that tell it from others: of thousands of others it says nothing."""
    keys = {*known[network.table], *network.requires, *network.requires.values()}
    if network.whole:
        keys.update(known[network.whole.table])
    return {key: shape for key, shape in shapes.items() if key in keys}


class _Strangers:
    """The tensors that a table does not know: how many, and a sentence with the first few."""

    def __init__(self, shapes: Shapes, known: Collection[str]) -> None:
        self.number = len(shapes) - len(shapes.keys() & known)
        first = list(itertools.islice((key for key in shapes if key not in known), LISTED + 1))
        self.text = f"has {self.number} tensors of other names ({some(first)})"


def _head(family: Family, network: FamilyNetwork, views: Sequence[Shapes]) -> Head:
    """The head that counts; another one that is skipped stays another one."""
    heads = [read_head(family, network, view) for view in views]
    return next((head for head in heads if head.other), heads[0])


def _is_headless(family: Family, network: FamilyNetwork, source: Source) -> bool:
    """Whether a segmenter's file, skipped tensors included, has no tensor of any head."""
    paths = (network.table.path(key) for key in source.shapes)
    return family.features is not None and not any(re.fullmatch(family.head, path) for path in paths if path)


def _is_caffe(fit: Fit) -> bool:
    return "Caffe" in fit.family.formats


def _known_as(source: Source, fits: Sequence[Fit]) -> Fit | None:
    """The fit that a configuration or a label says it is, or its hash; None if nothing tells."""
    stated = stated_fits(source_statements(source), fits)
    if len(stated) < len(fits):
        return stated[0]
    if [len(checkpoint.files) for checkpoint in source.checkpoints] != [1]:
        return None
    (checkpoint,) = source.checkpoints
    # The file is only read for a hash that would change the documented choice. pytorch-fcn's files date from 2017, so
    # that a file of today's format is not one of them.
    rows = [row for row in published.PUBLISHED if any(fit.names == (row.family, row.network) for fit in fits[1:])]
    # Of a hundred ResNets hardly one is Caffe's: those files are hashed whose names are those of published ones.
    rows = [row for row in rows if row.family != "open-mmlab/mmcv" or published.find(checkpoint.path.name)]
    algorithms = {row.hash.partition(":")[0] for row in rows}
    if checkpoint.format != "PyTorch legacy stream":
        algorithms.discard("md5")
    row = published.recognize(checkpoint.files[0], algorithms=sorted(algorithms), hasher=source.digest)
    return next((fit for fit in fits if row and fit.names == (row.family, row.network)), None)
