"""What of a file belongs to the network in one of its subtrees, what is left out, and what may read its features."""

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from converters.identification.heads import HEAD_NAMES
from converters.identification.prefixes.beside import TRAINING_HEAD, why_beside
from converters.identification.sources import Source

# Parts of keys of training whose network projects with its `fc`: it gives no scores there. Networks with a projection
# of another name keep their classifier.
_SELF_SUPERVISED = re.compile(
    r"queue\w*|encoder_[kq]|(key|query|momentum|base|online|target)_(encoder|network|momentum)"
)
# The same of heads with several layers. A lone dense layer of such a name may be a classifier.
_PREDICTOR = re.compile(r"predictor|prediction_mlp")
_COUNTER = ".num_batches_tracked"  # a name that every network knows
_PROJECTION = re.compile(r"fc(\.\d+)*\.\w+")


class Belonging(NamedTuple):
    """The tensors of a file, seen from one of its subtrees.

    Attributes:
        kept: keys of those that belong to the network.
        left_out: key in the file -> what it is.
        strange: keys of those that may read the network's features.
    """

    kept: list[str]
    left_out: dict[str, str]
    strange: tuple[str, ...]


class Judge:
    """Says what belongs to a network.

    Args:
        source: the whole source.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        parts: set[str] = set()  # of all keys: few, where keys are many
        outer: set[str] = set()  # those that hold modules
        for key in source:
            of_key = source.name_in_file(key).split(".")
            parts.update(of_key)
            outer.update(of_key[:-2])
        self._training = any(map(_SELF_SUPERVISED.fullmatch, parts)) or any(map(_PREDICTOR.fullmatch, outer))
        self._lone_is_head = not self._training and not any("prototypes" in part for part in parts)

    def sort(self, inside: Mapping[str, str], outside: Mapping[str, str], known: Collection[str]) -> Belonging:
        """What belongs to the network, what is left out and why, and what is strange.

        Args:
            inside: key -> key of the network, for the tensors of the subtree.
            outside: key -> key seen from the module that holds the subtree, for what stands beside it and counts.
            known: keys that the network has.
        """
        # A mask, a scale or a zero point in a layer of the network changes what the layer computes.
        layers = {name.rpartition(".")[0] for name in known if not name.endswith(_COUNTER)} - {""}
        source, kept, left_out, strange = self._source, [], {}, []
        for key in source:
            name = inside.get(key)
            beside = name is None
            if name is None and (name := outside.get(key)) is None:
                continue
            if not beside and self._is_projection(name):
                left_out[source.name_in_file(key)] = TRAINING_HEAD
            elif not beside and name in known and not self._counts_elsewhere(name, layers):
                kept.append(key)
            elif name.rpartition(".")[0] not in layers and (why := self._why_beside(key, name)):
                left_out[source.name_in_file(key)] = why
            elif not beside or self._may_be_head(key, name):
                kept.append(key)
            else:
                strange.append(key)
        return Belonging(kept, left_out, tuple(strange))

    def is_foreign(self, key: str, name: str) -> bool:
        """Whether a tensor in a subtree makes it another network, if no table knows its name.

        Args:
            key: its key.
            name: its name in the subtree.
        """
        return not (self._may_be_head(key, name) or self._is_projection(name) or self._why_beside(key, name))

    def _why_beside(self, key: str, name: str) -> str:
        shape, dtype = self._source.shapes[key], self._source.dtypes[key]
        return why_beside(name, shape, dtype, lone_is_head=self._lone_is_head)

    def _counts_elsewhere(self, name: str, layers: Collection[str]) -> bool:
        """Whether a tensor counts the batches of a layer that the network does not have."""
        return name.endswith(_COUNTER) and name.removesuffix(_COUNTER) not in layers

    def _may_be_head(self, key: str, name: str) -> bool:
        return len(self._source.shapes[key]) <= 2 and bool(HEAD_NAMES.fullmatch(re.split(r"[./]", name)[0]))

    def _is_projection(self, name: str) -> bool:
        return self._training and bool(_PROJECTION.fullmatch(name))
