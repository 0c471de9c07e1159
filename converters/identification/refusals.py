"""The message for a source of no known network: what it looks like, or the nearest network and what differs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from converters.identification import signatures
from converters.identification.listing import LISTED, some
from converters.identification.signature_rows import CAFFE, GRAPH, KERAS, LIVE

if TYPE_CHECKING:
    from converters.identification.fit import Fit
    from converters.identification.sources import Source

_NEAR = 0.5  # share of the tensors whose names a network must know to be called the nearest one


def describe_refusal(
    source: "Source",
    nearest: "Fit",
    network: str | None,
    *,
    trunk: str = "",
    beside: Sequence[str] = (),
    unlooked: bool = False,
) -> str:
    """What is wrong, what came and what to do.

    Args:
        source: the opened source.
        nearest: the best fit, which does not fit.
        network: name of the network that was asked for; None if none was.
        trunk: prefix of a complete network in the file; empty if there is none.
        beside: keys beside that network which may read its features.
        unlooked: whether the file has more subtrees that begin as a network does than were looked at.
    """
    table = nearest.network.table
    keys = [key for key in source if not table.why_ignored(key)]
    known = sum(table.forward(key) is not None for key in keys)
    shapes = {key: source.shapes[key] for key in keys}
    likeness = signatures.look(shapes, known=known < _NEAR * len(keys)) if known < len(keys) else None
    received = f"Received: {len(source)} tensors, {some(list(source))}"
    what = f"{source.name} is {f'not a {network}' if network else 'of no family known here'}"
    if trunk and "prefix=" not in (likeness.way if likeness else ""):
        received += (
            f". A complete network stands under {trunk!r}, and something beside it that may read its features "
            f"({some(beside)}): prefix={trunk!r} (--prefix={trunk}) takes that network alone. If only training needs "
            "what stands beside it, skip=[...] (--skip) leaves it out"
        )
    if unlooked:
        received += ". More of its subtrees begin as a network does than were looked at: prefix= (--prefix) chooses one"
    if likeness:
        return f"{what}. It looks like {likeness.name}. {received}. {likeness.way}."
    if known < _NEAR * len(keys):
        names = "none of its tensors has" if not known else f"{known} of its {len(keys)} tensors have"
        return f"{what}: {names} a name known here. {received}. {_way(source)}. For your own names, see register()."
    return (
        f"{what}. Nearest: {' '.join(nearest.names)}, but {_differences(nearest.differences)}. "
        f"{received}. Name the family and the network (family=, network=) to see all that does not fit, or pass "
        f"skip=[...] for tensors of your own. {_way(source)}."
    )


def _differences(differences: Sequence[str]) -> str:
    """The first few of many differences of a file, as a sentence."""
    if not differences:
        return "the file fits that"
    owner = "the file" if differences[0].startswith("has ") else "the file's"
    more = f"; and {len(differences) - LISTED} more differences" if len(differences) > LISTED else ""
    return f"{owner} {'; '.join(differences[:LISTED])}{more}"


def _way(source: "Source") -> str:
    """What to do with a network that is not known here."""
    formats = {checkpoint.format for checkpoint in source.checkpoints}
    if any(name.startswith("Keras") for name in formats):
        return KERAS
    if any(name.startswith("TensorFlow") for name in formats):
        return GRAPH
    return CAFFE if any(name.startswith("Caffe") for name in formats) else LIVE
