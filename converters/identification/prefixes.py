"""Where in a file a known network stands complete: the prefix of its keys, and what stands beside it.

Training code puts networks into other modules (`model.`, `module.encoder_q.`, `student.backbone.`), numbers their parts
(`nn.Sequential(*resnet.children())`), and keeps losses, averages and projections beside them. A `View` is a source
without all that: the keys of one subtree as the network itself has them.

What stands beside decides. What training alone needs is left out and listed. A convolution that nothing here explains
may read the network's features: then the file is another network, and a trunk is taken out of it only if asked for.
"""

import copy
import dataclasses
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from converters.errors import ConversionError
from converters.families import FAMILIES, FamilyNetwork
from converters.families.differences import describe_differences
from converters.identification.heads import HEAD_NAMES
from converters.identification.sources import Source
from converters.reading.pytorch.module_tree import ModuleTree
from converters.types import Shape, Shapes

# Parts of a key that wrappers put anywhere: DataParallel, torch.compile, FSDP, activation checkpointing.
WRAPPING = frozenset({"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})

# Of two subtrees that are complete, the one whose key has the earlier of these parts is taken: averages before the last
# step, teacher before student, query before key, the model before what is beside it.
ORDER = (
    r"(\w+_)?(ema|swa|averaged|avg)(_\w+)?",
    r"(\w+_)?teacher(_\w+)?",
    r"(\w+_)?(encoder_q|query_encoder|encoder_query|base_encoder|online_encoder|online_network|online)",
    r"model|net|network",
    r"(\w+_)?student(_\w+)?",
    r".*",
    r"attacker",
    r"(\w+_)?(encoder_k|key_encoder|encoder_key|momentum\w*|base_momentum|target(_\w+)?)",
)

SELF_SUPERVISED_HEAD = "of a head that only self-supervised training has"
# What training keeps beside a network: part of the key, what it is, and most axes that such a tensor has.
BESIDE = (
    (r"(\w+_)?(criterion|criterions|criteria|crit|loss|losses|loss_?fn|loss_?func|lossfunc)(_?\w+)?", "of a loss", 9),
    (r"\w+(_loss|Loss)\d*", "of a loss", 9),
    (
        r"(\w+_)?(ce|bce|nll|cross_?entropy|dice|focal|tversky|lovasz|ohem|objective|log_?(vars?|sigmas?))(_\w+)?\d*",
        "of a loss",
        1,
    ),
    (r"(\w+_)?metrics?(_?\w+)?", "of a metric", 9),
    (
        r"(\w+_)?(accuracy|acc|m?iou|jaccard|f1|f1_?score|auroc|confmat|confusion_matrix|precision|recall)(_?\w+)?",
        "of a metric",
        2,
    ),
    (r"queue\w*", "of a queue of training examples", 9),
    (
        r"(\w+_)?(encoder_[kq]|key_encoder|query_encoder|base_encoder|momentum\w*|target_\w+|online_\w+|teacher\w*|"
        r"student\w*|ema(_\w+)?|swa(_\w+)?|attacker)",
        "of a copy of the network",
        9,
    ),
    (
        r"(\w+_)?(projector|projection_head|projection|projection_mlp|proj_head|predictor|prediction_head|"
        r"prediction_mlp|prototypes)\d*",
        SELF_SUPERVISED_HEAD,
        2,
    ),
    (
        r"n_averaged|num_updates|decay|((global|train|best|current)_)?(step|epoch|iteration|iter|score)|initted|seen|"
        r"center|(\w+_)?(count|counter|total|num|dummy)(_\w+)?|n_\w+|_?(dummy|device)\w*",
        "of training",
        1,
    ),
)
# The weight of a loss, as a tensor without a module or of a module that is no layer.
LOSS_WEIGHT = re.compile(r"weights?|(.*\.)?((class|cls|pos|task|label|sample|pixel|balance)_weights?|weights)")
# Buffers that prepare images: one number for each channel.
PREPARATION = re.compile(
    r"(.*\.)?((pixel|image|img|input|data|dataset|imagenet|rgb|norm)_)?(mean|std)"
    r"|(.*\.)?(normali[sz]er?|preprocess(or)?)\.(\w+\.)?\w*(mean|std)"
)
_MOST_CHANNELS = 16
# The same for whole keys.
BESIDE_KEYS = (
    (r"(.*\.)?neck\.(mlp2?|fc\d*|bn\d*|projector)(\.\w+)+", "of a head that only self-supervised training has"),
    (r"(.*\.)?head\.(mlp|last_layer|predictor|prototypes)(\.\w+)+", "of a head that only self-supervised training has"),
    # A BatchNorm without factors normalizes what a loss compares.
    (r"bn\.(running_mean|running_var|num_batches_tracked)", "of a head that only self-supervised training has"),
)
# Parts of keys of training whose network projects with its `fc`: it gives no scores there. Networks with a projection
# of another name keep their classifier.
SELF_SUPERVISED = re.compile(
    r"queue\w*|encoder_[kq]|(key|query|momentum|base|online|target)_(encoder|network|momentum)"
)
# The same of heads with several layers. A lone dense layer of such a name may be a classifier.
PREDICTOR = re.compile(r"predictor|prediction_mlp")
PROJECTION = re.compile(r"fc(\.\d+)*\.\w+")

# Parts of a network by their places in a sequence: name of the first tensor, and place -> name.
_RESNET_PLACES = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
_RESNET_TOP = {"9": "fc", "10": "fc"}
_LEAST_KERNELS = 8  # no network known here has fewer
_MOST_PLACES = 50
_MOST_LEVELS = 20  # of modules around a network; hostile keys have thousands
_NAMED = 6


class Place(NamedTuple):
    """A subtree that may hold a network.

    Attributes:
        prefix: text before its keys, without what `WRAPPING` names.
        names: key in the subtree -> key of the network.
    """

    prefix: str
    names: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class View:
    """One subtree of a source, as a source.

    Attributes:
        source: the subtree's tensors under the network's own keys, with the tensors of a head beside it.
        prefix: text before its keys in the file.
        wrapper: keys of the dictionary that the tensors lie in, for messages.
        left_out: key in the file -> what it is.
        strange: keys beside the subtree that may read its features.
    """

    source: Source
    prefix: str
    wrapper: str
    left_out: Mapping[str, str]
    strange: tuple[str, ...]

    @property
    def where(self) -> str:
        """Where the subtree is, in words."""
        return repr(self.prefix or self.wrapper)

    def notes(self, also: Sequence[str] = ()) -> tuple[str, ...]:
        """Sentences for the receipt.

        Args:
            also: where else a network of the same kind is complete.
        """
        sentences = [f"the network stands under {self.prefix!r} in the file"] if self.prefix else []
        if also:
            sentences.append(f"also complete under {', '.join(also)}: prefix= (--prefix) chooses")
        if self.left_out or self.strange:
            sentences.append(f"left out: {_grouped([*self.left_out, *self.strange])}")
        if "of the preparation of images" in self.left_out.values():
            sentences.append("the mean and std beside the network prepare its images: compare them with preprocessing")
        return tuple(sentences)

    def with_notes(self, also: Sequence[str] = ()) -> Source:
        """The view as a source that carries these sentences."""
        source = copy.copy(self.source)
        source.notes = (*self.source.notes, *self.notes(also))
        return source


def views(source: Source, *, skip: Sequence[str] = (), prefix: str | None = None) -> Iterator[View]:
    """The subtrees of a source, and of the further sets of tensors in its file, that may be a network.

    Args:
        source: the opened source.
        skip: regular expressions; tensors whose keys match do not count.
        prefix: prefix of the one subtree that is wanted; None: all, in the documented order.
    """
    for tensors in (source, *source.others):
        if prefix is None:
            yield from _views(tensors, skip)
        else:
            asked = next((text for text in _spellings(tensors, prefix) if _stands_under(tensors, text)), None)
            if asked is not None:
                yield _asked_view(tensors, asked)


def refuse_prefix(source: Source, prefix: str) -> ConversionError:
    """The error for a prefix that no key has, with those that exist.

    Args:
        source: the opened source.
        prefix: prefix that was asked for.
    """
    counts: Counter[str] = Counter()
    for tensors in (source, *source.others):
        for key in tensors:
            parts = tensors.name_in_file(key).split(".")
            counts.update(".".join(parts[:depth]) + "." for depth in range(1, min(len(parts), 4)))
    # Of prefixes with the same tensors the longest says most.
    listed = [f"{text!r} ({count} tensors)" for text, count in counts.most_common(12)]
    return ConversionError(
        f"{source.name} has no tensor under that prefix. Expected one of those that its keys have, such as "
        f"{', '.join(listed) or 'none'}. Received: prefix={prefix!r}"
    )


def _views(source: Source, skip: Sequence[str]) -> Iterator[View]:
    if source.graph is not None or not any("." in key for key in source):
        return
    short = _shortened(source)
    places = _places(source, short)
    kernels = {place.prefix: _kernels(source, short, place) for place in places}
    for place in places:
        copies = [
            prefix for prefix, same in kernels.items() if same == kernels[place.prefix] and prefix != place.prefix
        ]
        yield _view(source, short, place, skip, tuple(copies))


def _asked_view(source: Source, prefix: str) -> View:
    """The one subtree under a prefix in the file; everything else is left out."""
    inside = {key: source.name_in_file(key)[len(prefix) :] for key in source if _has(source, key, prefix)}
    names = dict(inside)
    short = _without_wrapping(inside)
    places = [place for place in _places_of(short, {key: source.shapes[key] for key in short}) if not place.prefix]
    if places:
        names = {key: places[0].names.get(text, text) for key, text in short.items()}
    kept, left_out, _ = _sorted(source, {key: names[key] for key in inside}, {}, (), _known(names.values()))
    left_out |= {source.name_in_file(key): "beside the prefix" for key in source if key not in inside}
    view = _renamed(source, {key: names[key] for key in kept}, _inner_modules(source, prefix, names))
    view.module = _inner_module(source.module, prefix)
    return View(view, prefix, _wrapper(source), left_out, ())


def _kernels(source: Source, short: Mapping[str, str], place: Place) -> frozenset[tuple[str, Shape]]:
    """The kernels of a subtree: those of a copy are the same."""
    return frozenset(
        (place.names.get(text[len(place.prefix) :], ""), source.shapes[key])
        for key, text in short.items()
        if text.startswith(place.prefix) and len(source.shapes[key]) == 4
    )


def _view(source: Source, short: Mapping[str, str], place: Place, skip: Sequence[str], copies: tuple[str, ...]) -> View:
    inside, outside, copied = {}, {}, {}
    for key, text in short.items():
        if text.startswith(place.prefix) and (name := place.names.get(text[len(place.prefix) :])):
            inside[key] = name
        elif copies and text.startswith(copies):
            copied[source.name_in_file(key)] = "of a copy of the network"
        elif not any(re.search(pattern, text) or re.search(pattern, source.name_in_file(key)) for pattern in skip):
            outside[key] = _relative(text, place.prefix)
    kept, left_out, strange = _sorted(source, inside, outside, skip, _known(inside.values()))
    keys = {key: inside.get(key) or outside[key] for key in kept}
    if len(set(keys.values())) < len(keys):  # a second head of the same name
        strange = (*strange, *(key for key in kept if key in outside))
        keys = {key: name for key, name in keys.items() if key in inside}
    begin = next((key for key in inside), "")
    prefix = source.name_in_file(begin)[: len(source.name_in_file(begin)) - _tail(short[begin], place.prefix)]
    names_in_file = tuple(source.name_in_file(key) for key in strange)
    return View(_renamed(source, keys, source.modules), prefix, _wrapper(source), copied | left_out, names_in_file)


def _tail(text: str, prefix: str) -> int:
    return len(text) - len(prefix)


def _sorted(
    source: Source,
    inside: Mapping[str, str],
    outside: Mapping[str, str],
    skip: Sequence[str],
    known: frozenset[str],
) -> tuple[list[str], dict[str, str], tuple[str, ...]]:
    """What of a source belongs to the network, what is left out and why, and what is strange."""
    foreign = {key: name for key, name in {**inside, **outside}.items() if key in outside or name not in known}
    training = _is_self_supervised(source)
    lone_is_head = not training and not any("prototypes" in source.name_in_file(key) for key in source)
    # A mask, a scale or a zero point in a layer of the network changes what the layer computes.
    layers = {name.rpartition(".")[0] for name in known} - {""}
    kept, left_out, strange = [], {}, []
    for key in source:
        if key not in inside and key not in outside:
            continue
        name = inside[key] if key in inside else outside[key]
        if key in inside and training and PROJECTION.fullmatch(name):
            left_out[source.name_in_file(key)] = "of a head that only self-supervised training has"
        elif key not in foreign:
            kept.append(key)
        elif name.rpartition(".")[0] not in layers and (
            why := _why_beside(source, key, name, lone_is_head=lone_is_head)
        ):
            left_out[source.name_in_file(key)] = why
        elif key in inside or _may_be_head(source, key, name):
            kept.append(key)
        else:
            strange.append(key)
    return kept, left_out, tuple(strange)


def _is_self_supervised(source: Source) -> bool:
    """Whether the file is one of training without labels."""
    names = [source.name_in_file(key).split(".") for key in source]
    signs = any(SELF_SUPERVISED.fullmatch(part) for parts in names for part in parts)
    return signs or any(PREDICTOR.fullmatch(part) for parts in names for part in parts[:-2])


def _why_beside(source: Source, key: str, name: str, *, lone_is_head: bool) -> str:
    """What a tensor is that no network reads; nothing if it may be part of one."""
    shape, parts = source.shapes[key], name.split(".")
    if PREPARATION.fullmatch(name) and math.prod(shape) <= _MOST_CHANNELS:
        return "of the preparation of images"
    for pattern, why, axes in BESIDE:
        if len(shape) <= axes and any(re.fullmatch(pattern, part) for part in parts):
            lone = why == SELF_SUPERVISED_HEAD and not any(re.fullmatch(pattern, part) for part in parts[:-2])
            if not (lone and lone_is_head):
                return why
    if LOSS_WEIGHT.fullmatch(name) and len(shape) <= 1:
        return "of a loss"
    for pattern, why in BESIDE_KEYS:
        if re.fullmatch(pattern, name):
            return why
    if np.dtype(source.dtypes[key]).kind in "iub" and parts[-1] != "num_batches_tracked":
        return "whole numbers"
    return "empty" if 0 in shape else ""


def _may_be_head(source: Source, key: str, name: str) -> bool:
    return len(source.shapes[key]) <= 2 and bool(HEAD_NAMES.fullmatch(name.split(".")[0]))


def _relative(text: str, prefix: str) -> str:
    """A key beside a subtree as the module that holds both names it."""
    parent = prefix.rstrip(".").rpartition(".")[0]
    parent = f"{parent}." if parent else ""
    name = text.removeprefix(parent) if text.startswith(parent) else text
    # fastai has a body and a head, in this order.
    return f"head.{name[2:]}" if prefix == f"{parent}0." and name.startswith("1.") else name


def _places(source: Source, short: Mapping[str, str]) -> list[Place]:
    """The subtrees that begin as a network does and have enough kernels, in the documented order."""
    return _places_of(short, {key: source.shapes[key] for key in source})


def _places_of(short: Mapping[str, str], shapes: Shapes) -> list[Place]:
    texts = list(short.values())
    kernels = Counter(start for key, text in short.items() if len(shapes[key]) == 4 for start in _starts(text))
    places: dict[tuple[str, str], Place] = {}
    for text in texts:
        for ending, kind in _beginnings(text):
            prefix = text[: len(text) - len(ending)]
            if (prefix, kind) in places or kernels[prefix] < _LEAST_KERNELS or len(places) >= _MOST_PLACES:
                continue
            inner = [key[len(prefix) :] for key in texts if key.startswith(prefix)]
            if names := _named(inner, kind):
                places[prefix, kind] = Place(prefix, names)
    return sorted(places.values(), key=lambda place: (_preference(place.prefix), place.prefix.count(".")))


def _starts(text: str) -> list[str]:
    """Every prefix of a key, the empty one first."""
    parts = text.split(".")
    return ["".join(f"{part}." for part in parts[:depth]) for depth in range(min(len(parts), _MOST_LEVELS))]


def _beginnings(text: str) -> Iterator[tuple[str, str]]:
    """Every way in which a key may be the first of a network: `(its name there, how the names are read)`."""
    parts = text.split(".")
    firsts = _first_keys()
    for start in range(min(len(parts), _MOST_LEVELS)):
        ending = ".".join(parts[start:])
        if ending in firsts:
            yield ending, "plain"
        elif ending in ("0.weight", "0.0.weight"):
            yield ending, "places"
            yield ending, "features"
        elif ending == "embedder.embedder.convolution.weight":
            yield ending, "resnet."


def _named(inner: Sequence[str], kind: str) -> dict[str, str]:
    """Key in a subtree -> key of the network; nothing if the subtree is not of this kind."""
    if kind == "plain":
        return {key: key for key in inner}
    if kind == "resnet.":
        return {key: f"resnet.{key}" if key.startswith(("embedder.", "encoder.")) else key for key in inner}
    if kind == "places":
        if "4.0.conv1.weight" in inner:
            return {key: _placed(key, _RESNET_PLACES | _RESNET_TOP) for key in inner}
        return {}
    if all(re.fullmatch(r"\d+\.(weight|bias|running_mean|running_var|num_batches_tracked)", key) for key in inner):
        return {key: f"features.{key}" for key in inner}
    if all(re.fullmatch(r"[02]\.\d+\.\w+", key) for key in inner):  # the children of a VGG; 1 is a pooling
        return {key: _placed(key, {"0": "features", "2": "classifier"}) for key in inner}
    return {}


def _placed(key: str, places: Mapping[str, str]) -> str:
    place, dot, rest = key.partition(".")
    return f"{places.get(place, place)}{dot}{rest}"


def _first_keys() -> frozenset[str]:
    return frozenset(network.first for network in _networks() if "." in network.first and "/" not in network.first)


def _networks() -> Iterator[FamilyNetwork]:
    for family in FAMILIES.values():
        yield from family.networks


def _known(names: Iterable[str]) -> frozenset[str]:
    """The names that some network knows which begins as these do."""
    names = tuple(names)
    there = frozenset(names)
    strangers = set(names)
    for table in {network.table for network in _networks() if network.first in there}:
        strangers &= set(table.strangers(tuple(strangers)))
    return there - strangers


def _preference(prefix: str) -> int:
    parts = [part for part in prefix.split(".") if part]
    usual = ORDER.index(r".*")
    ranks = [next(rank for rank, pattern in enumerate(ORDER) if re.fullmatch(pattern, part)) for part in parts]
    special = [rank for rank in ranks if rank != usual]
    return (max(special) if max(special) > usual else min(special)) if special else usual - 2 if not prefix else usual


def _shortened(source: Source) -> dict[str, str]:
    return _without_wrapping({key: key for key in source})


def _without_wrapping(names: Mapping[str, str]) -> dict[str, str]:
    """Names without the parts that wrappers put in; the names themselves if two would become one."""
    short = {key: ".".join(part for part in name.split(".") if part not in WRAPPING) for key, name in names.items()}
    return short if len(set(short.values())) == len(short) else dict(names)


def _spellings(source: Source, prefix: str) -> Iterator[str]:
    """What a user may mean by a prefix: text before keys, or names of the dictionaries that hold the tensors."""
    dotted = prefix if prefix.endswith(".") or not prefix else f"{prefix}."
    yield dotted
    for checkpoint in source.checkpoints[:1]:
        for count in range(1, len(checkpoint.wrapper) + 1):
            outer = ".".join(checkpoint.wrapper[-count:]) + "."
            if dotted.startswith(outer):
                yield dotted.removeprefix(outer)


def _stands_under(source: Source, prefix: str) -> bool:
    return any(_has(source, key, prefix) for key in source)


def _has(source: Source, key: str, prefix: str) -> bool:
    name = source.name_in_file(key)
    return name.startswith(prefix) and name != prefix


def _wrapper(source: Source) -> str:
    return "/".join(source.checkpoints[0].wrapper) if len(source.checkpoints) == 1 else ""


def _inner_modules(source: Source, prefix: str, names: Mapping[str, str]) -> ModuleTree:
    """The modules under a prefix, the first of them being the network."""
    tree: dict[str, object] = {}
    for name, record in source.modules.items():
        if f"{name}.".startswith(prefix):
            inner = name[len(prefix) :] if len(name) >= len(prefix) else ""
            tree[inner] = dataclasses.replace(record, name=inner)
    return tree  # type: ignore[return-value]


def _inner_module(module: Any, prefix: str) -> Any:
    """The live module under a prefix; the whole one, if the prefix names no module in it."""
    if module is None:
        return None
    return dict(module.named_modules(remove_duplicate=False)).get(prefix.rstrip("."), module)


def _renamed(source: Source, names: Mapping[str, str], modules: ModuleTree) -> Source:
    """A source of some tensors under other keys."""
    owners = {name: key for key, name in names.items()}
    view = Source(
        _RenamedArrays(source, owners),
        source.name,
        {name: source.shapes[key] for name, key in owners.items()},
        {name: source.dtypes[key] for name, key in owners.items()},
        source.checkpoints,
        notes=source.notes,
        module=source.module,
        names_in_file={name: source.name_in_file(key) for name, key in owners.items()},
    )
    view.modules = modules
    return view


class _RenamedArrays(Mapping[str, np.ndarray]):
    def __init__(self, arrays: Mapping[str, np.ndarray], owners: Mapping[str, str]) -> None:
        self._arrays, self._owners = arrays, owners

    def __getitem__(self, key: str) -> np.ndarray:
        return self._arrays[self._owners[key]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._owners)

    def __len__(self) -> int:
        return len(self._owners)


def _grouped(keys: Sequence[str]) -> str:
    """Keys by their first parts: few by name, many by number."""
    groups: dict[str, list[str]] = {}
    for key in keys:
        groups.setdefault(".".join(key.split(".")[:2]) if key.startswith("module.") else key.split(".")[0], []).append(
            key
        )
    listed = [
        ", ".join(members) if len(members) <= 2 else f"{len(members)} tensors under {first}."
        for first, members in groups.items()
    ]
    more = f"; and {len(listed) - _NAMED} more groups" if len(listed) > _NAMED else ""
    return "; ".join(listed[:_NAMED]) + more


def translated_skip(source: Source, skip: Sequence[str]) -> tuple[str, ...]:
    """Patterns that find in a view's keys what the given ones find in those keys or in the file's.

    Args:
        source: the view.
        skip: regular expressions.
    """
    more = [
        f"^{re.escape(key)}$"
        for key in source
        if any(re.search(text, source.name_in_file(key)) for text in skip)
        and not any(re.search(text, key) for text in skip)
    ]
    return (*skip, *more)


def with_other_sets(source: Source, network: FamilyNetwork) -> Source:
    """The source, with a sentence for the receipt if further sets of tensors in its file are of the same network.

    Args:
        source: source that fits as it is.
        network: network that it fits.
    """
    same = [other for other in source.others if not describe_differences(network, other.shapes)]
    if not same:
        return source
    noted = copy.copy(source)
    listed = ", ".join(repr(_wrapper(other)) for other in same)
    noted.notes = (
        *source.notes,
        f"taken from {_wrapper(source)!r}; also complete under {listed}: prefix= (--prefix) chooses",
    )
    return noted
