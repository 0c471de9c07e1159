"""What the tensors of a checkpoint say that it is: the family, the network, its sizes, and on what evidence."""

import dataclasses
from collections.abc import Sequence

from converters.families import FAMILIES, Family, get_family
from converters.families.differences import describe_differences
from converters.identification.fits import Candidates, Fit, rank
from converters.identification.known_names import networks_of
from converters.identification.listing import some
from converters.identification.own_files import BY_PATH, OwnNetwork, own_network, refuse_own_model
from converters.identification.prefixes.asked import asked_view, refuse_prefix
from converters.identification.prefixes.subtrees import subtrees, with_other_sets
from converters.identification.prefixes.view import View, translated_skip
from converters.identification.sources import Source, open_source
from converters.reading import limits
from converters.types import Weights

# Tensors in all subtrees that are looked at. Files of people have a few copies of a network with hundreds of tensors;
# hostile ones have many of both.
_MOST_LOOKS = 60_000


@dataclasses.dataclass(frozen=True)
class Identification:
    """What a checkpoint is.

    Attributes:
        family: name of the family.
        network: name of the network.
        num_classes: classes of the head; None without a head; `{name: number}` for several heads.
        width: multiplier of the channel counts.
        channels: channels of the input.
        include_top: whether the file has its head.
        aux: whether the file has an auxiliary head.
        evidence: sentences that say why.
        others: other families and networks that fit, each with what would differ.

    Example:
        >>> found = converters.identify("street.pth")
        >>> found.network, found.num_classes, found.width
        ('fcn_resnet18', 11, 0.5)
    """

    family: str
    network: str
    num_classes: int | dict[str, int] | None
    width: float
    channels: int
    include_top: bool
    aux: bool
    evidence: tuple[str, ...]
    others: tuple[str, ...]

    def __str__(self) -> str:
        head = f"{_counted(self.num_classes)} classes" if self.include_top else "no head"
        width = f", width {self.width:g}" if self.width != 1 else ""
        aux = ", auxiliary head" if self.aux else ""
        lines = [f"{self.family}: {self.network} ({head}{width}{aux})"]
        lines += [f"  {sentence}" for sentence in self.evidence]
        return "\n".join(lines + [f"  also fits {other}" for other in self.others])


def identify(
    path: Weights,
    *,
    family: str | Family | None = None,
    network: str | None = None,
    skip: Sequence[str] = (),
    prefix: str | None = None,
    max_expansion: float | None = None,
    trusted: bool = False,
) -> Identification:
    """The network that a checkpoint is for.

    Args:
        path: path, URL, published name, list of those, mapping of arrays or torch module.
        family: name of a family, or a `converters.families.Family`: only its networks are tried.
        network: name of a network, to choose among those that fit.
        skip: regular expressions; tensors whose keys match are not considered.
        prefix: text before the network's keys, as "model.encoder.": what stands beside is left out. By default it is
            found.
        max_expansion, trusted: what reading may cost, and whether the file's author is trusted; see `converters.read`.

    Returns: an `Identification`, which prints as a few lines.

    Raises:
        ConversionError: nothing fits; it names the nearest network and what differs.

    Example:
        >>> print(converters.identify("street.pth"))  # doctest: +ELLIPSIS
        torchvision/segmentation: fcn_resnet18 (11 classes, width 0.5)
        ...
    """
    with limits.allowing(max_expansion, trusted):
        source = open_source(path)
    if network is None and family in (None, BY_PATH):
        refuse_own_model(source)
    if family in (None, BY_PATH) and (stated := own_network(source)):
        return _identify_own(source, stated)
    candidates = identify_source(source, family=family, skip=skip, prefix=prefix, network=network)
    source = candidates.source
    fit = candidates.choose(network)
    sizes = fit.sizes(source.shapes)
    agreement = candidates.agree(fit, network=network)
    evidence = [f"all {len(source)} tensors have names of {fit.family.name}, and the modules of {fit.network.name}"]
    if absent := fit.absent_parts(source):
        evidence.append(f"it lacks the {' and '.join(absent)}, which is a file of its own")
    evidence += [*agreement.evidence, *candidates.name.evidence, *candidates.name.notes]
    evidence += source.notes
    evidence += [fit.head_note] if fit.head_note else []
    if fit.other_head:
        evidence.append(f"its head is another one ({some(fit.other_head)}): include_top=False leaves it out")
    keys = (fit.network.first, fit.classes, fit.family.aux)
    evidence += [f"{key} is {list(source.shapes[key])}" for key in keys if key and key in source.shapes]
    return Identification(
        fit.family.name,
        fit.network.name,
        **dataclasses.asdict(sizes),
        evidence=tuple(evidence),
        others=candidates.alternatives(fit),
    )


def _identify_own(source: Source, stated: OwnNetwork) -> Identification:
    """What the header of a file of tfseg says."""
    evidence = [f"the header names the network, and how tfseg built it ({len(source)} tensors in Keras layout)"]
    evidence += [f"converted from {stated.origin}"] if stated.origin else []
    options = stated.options
    return Identification(
        BY_PATH,
        stated.name,
        num_classes=options.get("num_classes"),
        width=options.get("width", 1.0),
        channels=options.get("channels", 3),
        include_top=not stated.features and options.get("include_top", True),
        aux=bool(options.get("aux")),
        evidence=tuple(evidence),
        others=(),
    )


def identify_source(
    source: Source,
    *,
    family: str | Family | None = None,
    skip: Sequence[str] = (),
    prefix: str | None = None,
    network: str | None = None,
) -> Candidates:
    """Every network that a source could be, the best first: the one entry for all that need to know.

    A source that is no network as it is may hold one under a prefix, or in another of its dictionaries. Then the
    candidates' `source` has those tensors alone, under the network's own keys.

    Args:
        source: the opened source.
        family: name of a family, or the record itself; None: all families.
        skip: regular expressions; tensors whose keys match are not considered.
        prefix: text before the network's keys in the source; None: found.
        network: name of the network that is wanted; None: any.

    Returns: the `Candidates`: `.best`, `.matches`, `.choose(network)`, `.alternatives(fit)`.

    Raises:
        ConversionError: an unknown family, or a prefix that no key has.
    """
    if source.refusal is not None:
        raise source.refusal
    record = get_family(family)
    if prefix is not None:
        asked = asked_view(source, prefix)
        if asked is None:
            raise refuse_prefix(source, prefix)
        return _candidates(asked.with_notes(), record, skip)
    whole = _candidates(source, record, skip)
    # A trunk alone is a segmenter only if the caller says so.
    bare = whole.matches and whole.best.is_any_trunk and not (family or (network and _named(whole, network)))
    if whole.matches and not bare:
        return dataclasses.replace(whole, source=with_other_sets(source, whole.best.network))
    return _best_view(whole, record, skip, network)


def _candidates(source: Source, family: Family | None, skip: Sequence[str]) -> Candidates:
    skip = translated_skip(source, skip)
    fits, name = rank(source, family, skip)
    return Candidates(source, tuple(fits), name, skip)


def _named(candidates: Candidates, network: str | None) -> Fit | None:
    return next((fit for fit in candidates.matches if network in (None, fit.network.name)), None)


def _best_view(whole: Candidates, family: Family | None, skip: Sequence[str], network: str | None) -> Candidates:
    """The candidates of the first subtree that is a network, and that nothing else in the file can be part of."""
    chosen: tuple[View, Candidates] | None = None
    nameless: tuple[View, Candidates] | None = None  # a trunk as part of anybody's segmenter
    also: list[str] = []
    trunk, beside, unlooked = "", (), False  # type: str, tuple[str, ...], bool
    networks, looks = networks_of([family] if family else FAMILIES.values()), 0
    for subtree in subtrees(whole.source):
        if chosen is None and not skip and not subtree.can_be_one_of(networks):
            continue
        if looks * len(whole.source) > _MOST_LOOKS:
            unlooked = True
            break
        view, looks = subtree.view(skip), looks + 1
        if chosen is not None:
            if not describe_differences(chosen[1].best.network, view.source.shapes):
                also.append(view.where)
            continue
        candidates = _candidates(view.source, family, skip)
        fit = _named(candidates, network) if network else None
        if fit or (candidates.matches and not view.strange and not candidates.best.is_any_trunk):
            chosen = view, candidates
        elif candidates.matches and not view.strange:
            nameless = nameless or (view, candidates)
        elif candidates.matches:
            trunk, beside = (trunk, beside) if trunk else (view.prefix, view.strange)
    chosen = chosen or nameless
    if chosen is None:
        return dataclasses.replace(whole, trunk=trunk, beside=beside, unlooked=unlooked)
    return dataclasses.replace(chosen[1], source=chosen[0].with_notes(also))


def _counted(num_classes: int | dict[str, int] | None) -> str:
    if not isinstance(num_classes, dict):
        return str(num_classes)
    return " and ".join(f"{number} {head}" for head, number in num_classes.items())
