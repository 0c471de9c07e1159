"""Which class the labels of an annotation tool stand for."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from tfseg.data.labels import Labels, first_few

BACKGROUND = ("background", "_background_")  # labels that stand for pixels of no object
IGNORED = ("__ignore__", "ignore", "void", "unlabelled", "unlabeled")  # labels whose pixels do not count


@dataclasses.dataclass(frozen=True)
class ClassList:
    """The classes of a data set that is drawn from annotations.

    Attributes:
        names: names of the classes, in order of their ids.
        labels: `Labels` of the masks: every value is its own class, and `void_id` is ignored.
        values: label -> its value in the masks.
        skipped: labels whose shapes are not drawn.
        outside: value of the pixels that no shape covers.
    """

    names: tuple[str, ...]
    labels: Labels
    values: Mapping[str, int]
    skipped: frozenset[str]
    outside: int


def class_list(
    present: Sequence[str],
    source: object,
    *,
    classes: Iterable[str] | None = None,
    background: bool = True,
    ignore: Iterable[str] = (),
    skip: Iterable[str] = (),
) -> ClassList:
    """The classes of the labels that a data set has.

    Args:
        present: all labels, in the order that the classes have without `classes`.
        source: the data set, for messages.
        classes: names of the classes, in order of their ids.
        background: whether pixels that no shape covers are a class: that of the name background or _background_, or
            else a first class "background". If not, they are ignored.
        ignore: labels whose pixels are ignored, beside `IGNORED`.
        skip: labels whose shapes are not drawn.
    Raises:
        ValueError: labels that are no class, a class that is named twice, or fewer than two classes.
    """
    ignored, skipped = {*ignore}, frozenset(skip)

    def is_ignored(label: str) -> bool:
        return label in ignored or label.lower() in IGNORED

    listed = [
        name for name in (present if classes is None else classes) if not is_ignored(name) and name not in skipped
    ]
    names = [*dict.fromkeys(listed)] if classes is None else listed
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{source}: a class has one name, and a name one class. Received twice: {first_few(twice)}")
    known = [name for name in names if name.lower() in BACKGROUND]
    if background and len(known) > 1:
        raise ValueError(f"{source}: expected one background. Received the labels {first_few(known)}")
    if background and (classes is None or not known):  # background is 0, unless `classes` says where it is
        names = [*(known or ["background"]), *(name for name in names if name not in known)]
    unknown = [label for label in dict.fromkeys(present) if label not in {*names, *skipped} and not is_ignored(label)]
    aliases = {label for label in unknown if background and label.lower() in BACKGROUND}
    unknown = [label for label in unknown if label not in aliases]
    if unknown:
        raise ValueError(
            f"{source}: expected the classes {first_few(names)}. Received {len(unknown)} other labels: "
            f"{first_few(unknown)}. Add them to classes= (--classes). Or name them in ignore= (--ignore_labels), if "
            "their pixels must not count, or in skip= (--skip_labels), if they must not be drawn."
        )
    labels = Labels(len(names))
    values = {name: index for index, name in enumerate(names)}
    outside = next((values[name] for name in names if name.lower() in BACKGROUND), labels.void_id)
    values |= dict.fromkeys(aliases, outside)
    values |= {label: labels.void_id for label in present if is_ignored(label)}
    return ClassList(tuple(names), labels, values, skipped, outside if background else labels.void_id)
