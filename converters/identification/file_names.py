"""What a file's name says of the network in it: evidence where the tensors alone fit several networks.

The tensors decide what a file may be. A label in the file, or the hash of a published file, is stronger than its name.
"""

import dataclasses
import functools
import re
from collections.abc import Sequence

from converters.downloads import published
from converters.families import FAMILIES
from converters.identification.fit import Fit
from converters.identification.sources import Source
from converters.reading import Checkpoint

# Formats without a graph or a configuration of their own, which would say more than the name.
_BARE = ("PyTorch zip", "PyTorch legacy stream", "pickle", "safetensors", "NumPy npz")
_SUFFIXES = r"(\.(pth|pt|tar|ckpt|bin|pkl|safetensors|npz|npy|h5|hdf5|keras|onnx|caffemodel|weights))+$"
# torch.hub's rule: the first digits of the file's SHA-256 stand after the last dash.
_HASH = re.compile(r"-([0-9a-f]{8,64})$")


@dataclasses.dataclass(frozen=True)
class NameEvidence:
    """What the name of a file says.

    Attributes:
        fit: the one network that it says; None if it does not choose.
        unclear: fits of different networks, one of which it says, without saying which.
        evidence: sentences that agree with the tensors.
        notes: sentences that contradict the content, for the receipt.
    """

    fit: Fit | None = None
    unclear: tuple[Fit, ...] = ()
    evidence: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_name(source: Source, matches: Sequence[Fit], known: Fit | None = None) -> NameEvidence:
    """What a source's file name says of the networks that its tensors fit; nothing if none of them fits.

    Args:
        source: the opened source.
        matches: fits without a difference, in the documented order.
        known: the fit that a label or a published hash says.
    """
    if not matches or [len(checkpoint.files) for checkpoint in source.checkpoints] != [1]:
        return NameEvidence()
    (checkpoint,) = source.checkpoints
    stem = re.sub(_SUFFIXES, "", checkpoint.path.name.lower())
    names = _networks_in(stem)
    evidence, notes = _check_hash(source, checkpoint, stem)
    if strange := _contradiction(names, matches):
        notes.append(f"its name says {strange}, but its tensors are those of {(known or matches[0]).network.name}")
    is_bare = checkpoint.format in _BARE and not checkpoint.modules
    said = _claimed(stem, names, matches) if is_bare else ()
    if known or not said:
        if known and said and known.network.name not in [fit.network.name for fit in said]:
            notes.append(f"its name says {_either(said)}, but its label or its hash says {known.network.name}")
        return NameEvidence(evidence=tuple(evidence), notes=tuple(notes))
    evidence.append(f"the tensors also fit {matches[0].network.name}; the file name says {_either(said)}")
    if len({fit.network.name for fit in said}) > 1:
        return NameEvidence(unclear=said, evidence=tuple(evidence), notes=tuple(notes))
    return NameEvidence(said[0], evidence=tuple(evidence), notes=tuple(notes))


def _claimed(stem: str, names: Sequence[str], matches: Sequence[Fit]) -> tuple[Fit, ...]:
    """The fits that the name says, where that changes the documented choice; one for each network."""
    named = [fit for fit in matches if fit.network.name in names]
    plain = any(fit.network.name == matches[0].network.name for fit in named)
    if plain and any(fit.network.name != matches[0].network.name for fit in named):
        return ()  # it names several
    if plain or not named:
        named = [fit for fit in matches if re.search(fit.family.file_words, stem)]
    first: dict[str, Fit] = {}
    for fit in named:
        first.setdefault(fit.network.name, fit)
    return tuple(first.values())


def _contradiction(names: Sequence[str], matches: Sequence[Fit]) -> str:
    """The network that a name says, if it is neither one that fits nor the backbone of one; else nothing."""

    def related(name: str, other: str) -> bool:
        return name == other or name.endswith(f"_{other}") or other.endswith(f"_{name}")

    if any(related(name, fit.network.name) for name in names for fit in matches):
        return ""
    return names[0] if names else ""


def _check_hash(source: Source, checkpoint: Checkpoint, stem: str) -> tuple[list[str], list[str]]:
    """`(evidence, notes)` of the digits that the name has of the file's hash."""
    match = _HASH.search(stem)
    # A number, as of a date or of a step, is no hash, unless the file is known to be published so.
    if not match or (match[1].isdecimal() and not published.find(stem)):
        return [], []
    digits, digest = match[1], source.digest(checkpoint.files[0], "sha256")
    if digest.startswith(digits):
        return [f"its SHA-256 begins with {digits}, as its name says"], []
    return [], [
        f"its name ends with -{digits}, but its SHA-256 begins with {digest[: len(digits)]}: "
        "it is not the file that was published under this name"
    ]


def _either(fits: Sequence[Fit]) -> str:
    return " or ".join(fit.network.name for fit in fits)


def _networks_in(stem: str) -> list[str]:
    """The names of known networks in a file name, the longest at each place."""
    names: list[str] = []
    for words in re.split("[^a-z0-9_]", re.sub(r"[\s.-]", "_", stem)):
        parts, start = words.split("_"), 0
        while start < len(parts):
            ends = range(len(parts), start, -1)
            name, end = next(((name, end) for end in ends if (name := _spelled(parts[start:end]))), ("", start + 1))
            names += [name] if name else []
            start = end
    return names


def _spelled(parts: Sequence[str]) -> str:
    """The network whose name these parts are; none if they are not: ResNet-50, resnet_50 and resnet50 are one name."""
    name = _names().get("".join(parts), "")
    pieces = re.findall(r"aa(?=\d)|blur(?=\d)|[a-z]+?(?=aa\d|blur\d|\d|_|$)|\d+", name)
    return name if re.fullmatch("_?".join(pieces), "_".join(parts)) else ""


@functools.cache
def _names() -> dict[str, str]:
    """Letters and digits of every network's name -> the name."""
    return {_letters(network.name): network.name for family in FAMILIES.values() for network in family.networks}


def _letters(name: str) -> str:
    return name.replace("_", "")
