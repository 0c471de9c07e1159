"""What a file of unknown networks looks like: names by which public networks are recognized, to say it in a refusal."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from converters.identification.signature_rows import (
    BACKBONES,
    EQUIVALENT,
    FOLDER,
    HEADS,
    LIVE,
    STATES,
    TRUNK,
    Signature,
)
from converters.types import Shapes

_LIBRARIES = re.compile(r"\((timm|transformers)\)|segmentation_models_pytorch")
_RESNET = ("conv#.weight", "bn#.running_mean", "layer#.#.conv#.weight", "layer#.#.bn#.running_mean")


class Likeness(NamedTuple):
    """What a file looks like.

    Attributes:
        name: name of the network.
        way: sentences that say what to do.
    """

    name: str
    way: str


def look(shapes: Shapes, *, known: bool = False) -> Likeness | None:
    """What the tensors of a file look like; None if no public network is recognized.

    Args:
        shapes: key -> shape of every tensor.
        known: whether to name a network, too, each of whose parts converts beside another one.
    """
    forms = dict.fromkeys(re.sub(r"\d+", "#", "\n".join(shapes)).split("\n"))
    text = "".join(f"\n.{form}" for form in forms) + "\n"
    if state := _first(STATES, text, shapes):
        return Likeness(state.name, state.way)
    parts = [part for rows in (HEADS, BACKBONES) if (part := _first(rows, text, shapes))]
    if not parts or (all(part.known for part in parts) and not (known and len(parts) == 2)):
        return None
    name, way = " on ".join(part.name for part in parts), parts[0].way
    if way is LIVE and _LIBRARIES.search(name):
        way = f"{way}. {FOLDER}"
    if len(parts) == 2:
        return Likeness(name, way)
    if equivalent := parts[0].keras:
        return Likeness(name, f"{EQUIVALENT.format(name=equivalent)}. {way}")
    if prefix := _resnet(text):
        return Likeness(f"{name} on a ResNet", f"{TRUNK.format(prefix=prefix)}. {way}")
    return Likeness(name, way)


def _first(signatures: Iterable[Signature], text: str, shapes: Shapes) -> Signature | None:
    return next((signature for signature in signatures if _fits(signature, text, shapes)), None)


def _fits(signature: Signature, text: str, shapes: Shapes) -> bool:
    forms = all(f".{form}" in text or f"/{form}" in text for form in signature.forms.split())
    return forms and all(shapes.get(key) == shape for key, shape in signature.shapes.items())


def _resnet(text: str) -> str | None:
    """The prefix of a ResNet's tensors."""
    prefixes = dict.fromkeys(re.findall(r"\n\.(\S+\.)layer#\.#\.conv#\.weight\n", text))
    return next((prefix for prefix in prefixes if all(f"\n.{prefix}{form}\n" in text for form in _RESNET)), None)
