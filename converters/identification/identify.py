"""Recognising a checkpoint by its tensors: the family, the network, its sizes, and on what evidence."""

import re
from typing import NamedTuple

from converters.downloads import published
from converters.errors import ConversionError
from converters.families import FAMILIES
from converters.identification.sources import open_source

_NAMED = 6  # names that a sentence lists


class Fit(NamedTuple):
    """One network that a file could be, and what in the file speaks against it."""

    family: object
    network: object
    differences: list
    strange: int  # tensors that the network does not know
    skipped: int = 0  # the same among those that are to be skipped

    @property
    def classes(self):
        return self.network.classes or self.family.classes


class Identification(NamedTuple):
    """What a checkpoint is.

    Attributes:
        family, network: names.
        num_classes: of the head; None without one; of several heads `{name: number}`.
        width: multiplier of the channel counts.
        channels: of the input.
        include_top: whether the file has its head.
        aux: whether it has an auxiliary head.
        evidence: sentences.
        others: other families and networks that fit, each with what would differ.
    """

    family: str
    network: str
    num_classes: int | None
    width: float
    channels: int
    include_top: bool
    aux: bool
    evidence: tuple
    others: tuple

    def __str__(self):
        head = f"{_counted(self.num_classes)} classes" if self.include_top else "no head"
        width = f", width {self.width:g}" if self.width != 1 else ""
        aux = ", auxiliary head" if self.aux else ""
        lines = [f"{self.family}: {self.network} ({head}{width}{aux})"]
        lines += [f"  {sentence}" for sentence in self.evidence]
        return "\n".join(lines + [f"  also fits {other}" for other in self.others])


def identify(path, *, family=None, network=None, skip=()):
    """Which network a checkpoint is for.

    Args:
        path: path, URL, published name, list of those, mapping of arrays or torch module.
        family, network: names, to choose among what fits.
        skip: regular expressions of keys to leave out of account.
    Raises:
        ConversionError: nothing fits; it names the nearest network and what differs.
    """
    source = open_source(path)
    fits = ranked(source, family=family, skip=skip)
    best = chosen(source, fits, network)
    found = sizes(best, source.shapes)
    evidence = [f"all {len(source)} tensors bear names of {best.family.name}, and the modules of {best.network.name}"]
    if lost := absent_parts(best.family, source):
        evidence.append(f"it lacks the {' and '.join(lost)}, which is a file of its own")
    keys = (best.network.first, best.classes, best.family.aux)
    evidence += [f"{key} is {list(source.shapes[key])}" for key in keys if key in source.shapes]
    return Identification(
        best.family.name, best.network.name, **found, evidence=tuple(evidence), others=others(fits, best)
    )


def chosen(source, fits, network=None):
    """The best fit, or the best of that network's name; refused with what differs if none is perfect.

    Raises:
        ConversionError: nothing fits.
    """
    wanted = [fit for fit in fits if network in (None, fit.network.name)]
    if not wanted:
        raise ConversionError(f"No family known here has a network of that name. Received: network={network!r}")
    best = wanted[0]
    if best.differences:
        check_parts(source, fits[0])
        asked = f"not a {network}" if network else "of no family known here"
        raise ConversionError(
            f"{source.name} is {asked}. Nearest: {fits[0].family.name} {fits[0].network.name}, but the file "
            f"{'; '.join(fits[0].differences) or 'fits that'}. Received: {len(source)} tensors, {some(list(source))}. "
            "Name the family and the network (family=, network=) to see all that does not fit, or pass skip=[...] for "
            "tensors of your own."
        )
    return best


def absent_parts(family, source):
    """The names of those of a network's files that are not among the source."""
    return [name for name, pattern in family.parts.items() if not any(re.match(pattern, key) for key in source)]


def check_parts(source, fit):
    """Refuses one part of a network whose publisher keeps it in several files.

    Raises:
        ConversionError: part of the fit's tensors, and none of others.
    """
    parts, absent = list(fit.family.parts), absent_parts(fit.family, source)
    if fit.strange or not absent or len(absent) == len(parts):
        return
    there = [name for name in parts if name not in absent]
    raise ConversionError(
        f"{source.name} holds the {' and '.join(there)} of a network of {fit.family.name}, without its "
        f"{' and '.join(absent)}. Give all files together: convert({[f'{part}.pth' for part in parts]}), "
        f"--checkpoint={','.join(f'{part}.pth' for part in parts)}"
        + ("; or take the features alone: include_top=False." if parts[0] in there else ".")
    )


def others(fits, best):
    """The other perfect fits, and what the file may be of its own family, in words."""
    lines = [
        f"{best.family.name} {best.network.name} with preprocessing={name!r}: {files}"
        for name, files in best.family.preprocessing_otherwise.items()
    ]
    for fit in fits:
        # The ports of Caffe's networks bear the same names, and compute the same.
        if fit is not best and not fit.differences and _is_caffes(fit) == _is_caffes(best):
            what = fit.network.distinct if fit.family == best.family else fit.family.distinct
            lines.append(f"{fit.family.name} {fit.network.name}" + (f": {what}" if what else ""))
    return tuple(lines)


def ranked(source, *, family=None, skip=()):
    """Every network as a `Fit`, the best first; among equals the one the file is known as, then the documented order.

    Raises:
        ConversionError: a family that is not known here.
    """
    shapes = {key: shape for key, shape in source.shapes.items() if not any(re.search(one, key) for one in skip)}
    fits, unknown = [], {}
    families = _families(family)
    judged = (shapes, source.shapes) if skip else (shapes,)
    begun = any(member.first in shapes for candidate in families for member in candidate.networks)
    for candidate in families:
        for member in candidate.networks:
            if begun and member.first not in shapes:  # to read all names by all tables takes a second
                fits.append(Fit(candidate, member, [f"has no {member.first}"], len(shapes)))
                continue
            if member.table not in unknown:  # many networks share one table
                unknown[member.table] = [key for key in source.shapes if not member.table.knows(key)]
            strange = [key for key in unknown[member.table] if key in shapes]
            skipped = len(unknown[member.table]) - len(strange)
            differences = [f"has no {member.first}"]
            if member.first in shapes:  # what is skipped may be a stranger, or the head, which tells what the file is
                differences = min(map(member.differences, judged), key=len)
            if strange:
                differences = [*differences, f"has {len(strange)} tensors of other names ({some(strange)})"]
            fits.append(Fit(candidate, member, differences, len(strange), skipped))
    # Caffe's tensors may bear the names of their ports, which no other format of a file tells apart. The sort is
    # stable: fits of equal merit stay in the documented order.
    caffe = any(checkpoint.format == "Caffe" for checkpoint in source.checkpoints)
    fits.sort(
        key=lambda fit: (
            len(fit.differences) > 0,
            fit.strange,
            len(fit.differences),
            fit.skipped,
            caffe != _is_caffes(fit),
        )
    )
    perfect = [fit for fit in fits if not fit.differences]
    if len(perfect) > 1 and (known := _known_as(source, perfect)):
        fits.remove(known)
        fits.insert(0, known)
    return fits


def _is_caffes(fit):
    return "Caffe" in fit.family.formats


def sizes(fit, shapes):
    """What the tensors say of a network's sizes, by the names that `tfseg.build` and `Identification` have for them."""
    family, filters = fit.family, fit.network.filters
    first = shapes.get(fit.network.first)
    *_, channels, width = (first and fit.network.table.shape(fit.network.first, first)) or (3, filters)
    classes = _key(fit, shapes, fit.classes)
    return {
        "num_classes": _num_classes(fit, shapes, classes) if classes else None,
        "width": width / filters,
        "channels": channels,
        "include_top": classes is not None,
        "aux": _key(fit, shapes, family.aux) is not None,
    }


def _num_classes(fit, shapes, classes):
    """The rows of this tensor; or, where the network has several heads, of each one's: `{name: number}`."""

    def rows(key):
        return (fit.network.table.shape(key, shapes[key]) or shapes[key])[-1]

    return {head: rows(key) for head, key in fit.family.heads.items() if key in shapes} or rows(classes)


def _counted(num_classes):
    if not isinstance(num_classes, dict):
        return str(num_classes)
    return " and ".join(f"{number} {head}" for head, number in num_classes.items())


def _key(fit, shapes, key):
    """The name under which a file has this tensor, of all names that the network's table knows it by; or None."""
    if key is None or key in shapes:
        return key
    path, _ = fit.network.table.forward(key) or (None, None)
    return path and next((other for other in shapes if (fit.network.table.forward(other) or "")[:1] == (path,)), None)


def some(names):
    """The first few of many names."""
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")


def _families(family):
    if family is not None and family not in FAMILIES:
        raise ConversionError(f"The families known here are {', '.join(FAMILIES)}. Received: family={family!r}")
    return [FAMILIES[family]] if family else list(FAMILIES.values())


def _known_as(source, fits):
    """The fit that a label in the file, or its hash, says it is; None if neither tells."""
    labels = {checkpoint.extras.get("arch") for checkpoint in source.checkpoints} - {None}
    labelled = [fit for fit in fits if fit.network.public in labels]
    if labelled:
        return labelled[0]
    if [len(checkpoint.files) for checkpoint in source.checkpoints] != [1]:
        return None
    (checkpoint,) = source.checkpoints
    # Only a hash that would change the documented choice is worth reading the file for. pytorch-fcn's files are of
    # 2017: a file of today's format is none of them.
    rows = [row for row in published.PUBLISHED if any(_names(fit) == (row.family, row.network) for fit in fits[1:])]
    algorithms = {row.hash.partition(":")[0] for row in rows}
    if checkpoint.format != "PyTorch legacy stream":
        algorithms.discard("md5")
    row = published.recognise(checkpoint.files[0], algorithms=sorted(algorithms), hasher=source.digest)
    return row and next((fit for fit in fits if _names(fit) == (row.family, row.network)), None)


def _names(fit):
    return fit.family.name, fit.network.name
