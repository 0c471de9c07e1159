"""The subtrees of a file that begin as a network does: where they are, and how their names are read."""

import bisect
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from converters.families import FAMILIES
from converters.identification.prefixes.order import preference
from converters.types import Shapes

# Parts of a network by their places in a sequence.
_RESNET_PLACES = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
_RESNET_TOP = {"9": "fc", "10": "fc"}
_VGG_PLACES = {"0": "features", "2": "classifier"}  # 1 is a pooling

# transformers' models without the heads around them: first key -> prefix that the heads give, beginnings of the keys.
_BARE = {
    "embedder.embedder.convolution.weight": ("resnet.", ("embedder.", "encoder.")),
    "conv_stem.first_conv.convolution.weight": ("mobilenet_v2.", ("conv_stem.", "layer.", "conv_1x1.")),
}

_LEAST_KERNELS = 8  # no network known here has fewer
_MOST_PLACES = 50
_MOST_LEVELS = 20  # of modules around a network; hostile keys have thousands


class Reading(NamedTuple):
    """A way in which the names of a subtree are read.

    Attributes:
        fits: function that says whether a subtree has such names.
        name: function that gives the network's key for a key in the subtree.
    """

    fits: Callable[["Names", str], bool]
    name: Callable[[str], str]


class Place(NamedTuple):
    """A subtree that may hold a network.

    Attributes:
        prefix: text before its keys, without what wrappers put in.
        name: function that gives the network's key for a key in the subtree.
    """

    prefix: str
    name: Callable[[str], str]


class Names:
    """The names of a file, sorted, so that those under a prefix lie together.

    Args:
        names: key -> name in the file, without what wrappers put in.
        shapes: key -> shape.
    """

    def __init__(self, names: Mapping[str, str], shapes: Shapes) -> None:
        keys = sorted(names, key=names.__getitem__)
        self._names = [names[key] for key in keys]
        self._kernels = list(itertools.accumulate((len(shapes[key]) == 4 for key in keys), initial=0))

    def under(self, prefix: str) -> Sequence[str]:
        """The names that begin with a prefix, without it.

        Args:
            prefix: text that ends with a dot, or "".
        """
        first, last = self._range(prefix)
        return [name[len(prefix) :] for name in itertools.islice(self._names, first, last)]

    def has(self, name: str) -> bool:
        """Whether there is such a name."""
        place = bisect.bisect_left(self._names, name)
        return place < len(self._names) and self._names[place] == name

    def kernels(self, prefix: str) -> int:
        """The number of kernels under a prefix."""
        first, last = self._range(prefix)
        return self._kernels[last] - self._kernels[first]

    def _range(self, prefix: str) -> tuple[int, int]:
        if not prefix:
            return 0, len(self._names)
        after = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        return bisect.bisect_left(self._names, prefix), bisect.bisect_left(self._names, after)


def places_of(names: Mapping[str, str], shapes: Shapes) -> list[Place]:
    """The subtrees that begin as a network does and have enough kernels, in the documented order.

    Args:
        names: key -> name in the file, without what wrappers put in.
        shapes: key -> shape.
    """
    beginnings = _beginnings()
    endings = tuple(beginnings)
    firsts = [name for name in names.values() if name.endswith(endings)]
    index = Names(names if firsts else {}, shapes)
    tried: set[tuple[str, str]] = set()
    places: list[Place] = []
    for name in firsts:
        for prefix, kind in _ways(name, beginnings):
            if len(places) >= _MOST_PLACES or (prefix, kind) in tried or index.kernels(prefix) < _LEAST_KERNELS:
                continue
            tried.add((prefix, kind))
            if _READINGS[kind].fits(index, prefix):
                places.append(Place(prefix, _READINGS[kind].name))
    return sorted(places, key=lambda place: preference(place.prefix))


def _ways(name: str, beginnings: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    """Every way in which a name may be the first of a network: `(prefix, name of a reading)`."""
    for ending, kinds in beginnings.items():
        prefix = name.removesuffix(ending)
        if name.endswith(ending) and (not prefix or prefix.endswith(".")) and prefix.count(".") < _MOST_LEVELS:
            yield from ((prefix, kind) for kind in kinds)


def _beginnings() -> dict[str, tuple[str, ...]]:
    """First key of a network -> names of the ways in which its subtree may be read; long keys first."""
    networks = [network for family in FAMILIES.values() for network in family.networks]
    beginnings: dict[str, tuple[str, ...]] = {
        "0.weight": ("children", "features", "vgg"),
        "0.0.weight": ("children", "features", "vgg"),
        **{first: (prefix,) for first, (prefix, _) in _BARE.items()},
    }
    beginnings |= {network.first: ("plain",) for network in networks if _has_levels(network.first)}
    return {key: beginnings[key] for key in sorted(beginnings, key=len, reverse=True)}


def _has_levels(key: str) -> bool:
    return "." in key and "/" not in key


def _renamed(places: Mapping[str, str]) -> Callable[[str], str]:
    def name(key: str) -> str:
        place, dot, rest = key.partition(".")
        return f"{places.get(place, place)}{dot}{rest}"

    return name


def _prefixed(prefix: str, beginnings: tuple[str, ...]) -> Callable[[str], str]:
    return lambda key: f"{prefix}{key}" if key.startswith(beginnings) else key


def _all_are(pattern: str) -> Callable[[Names, str], bool]:
    compiled = re.compile(pattern)
    return lambda names, prefix: all(compiled.fullmatch(key) for key in names.under(prefix))


_READINGS = {
    "plain": Reading(lambda names, prefix: True, lambda key: key),
    **{prefix: Reading(lambda names, prefix: True, _prefixed(prefix, parts)) for prefix, parts in _BARE.values()},
    # nn.Sequential(*resnet.children())
    "children": Reading(
        lambda names, prefix: names.has(f"{prefix}4.0.conv1.weight"), _renamed(_RESNET_PLACES | _RESNET_TOP)
    ),
    # vgg.features alone
    "features": Reading(
        _all_are(r"\d+\.(weight|bias|running_mean|running_var|num_batches_tracked)"), lambda key: f"features.{key}"
    ),
    # nn.Sequential(*vgg.children())
    "vgg": Reading(_all_are(r"[02]\.\d+\.\w+"), _renamed(_VGG_PLACES)),
}
