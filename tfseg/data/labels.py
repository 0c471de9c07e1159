"""How pixel values in the masks of a data set become class ids."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tfseg.types import Array

VOID = 255
"""The id of ignored pixels in masks of at most 255 classes; see `Labels.void_id` for more."""
Color = tuple[int, int, int]
MaskValues = Sequence[int] | Mapping[int, int]

_TABLE = 1 << 16  # values up to here are looked up in a table
_MOST_LISTED = 8  # values that a message lists
_TWO_CLASSES = (
    "A network of one class has nothing to learn: its softmax is 1 everywhere. Background is a class too, so that an "
    "object and its background are num_classes=2"
)


@dataclasses.dataclass(frozen=True)
class Labels:
    """How pixel values in the masks of a data set become class ids.

    Attributes:
        num_classes: number of classes, at least 2; their ids are 0 to num_classes - 1.
        ids: class id of each raw value, where they differ; None: every value is its own class id.
        void: raw values of ignored pixels; by default `void_id`. A value that is a class's too is ignored.
        palette: class id of each `(red, green, blue)`; then colors alone decide, in pictures of every kind. A color
            outside the palette is an error. None: values decide, and colored pictures are refused.
    Raises:
        ValueError: fewer than two classes, an id that is no class, or a value that is a class and ignored.
    Example:
        >>> tfseg.data.Labels(2, ids={1: 0, 2: 1}, void=(0, 255)).num_classes
        2
    """

    num_classes: int
    ids: Mapping[int, int] | None = None
    void: tuple[int, ...] = None  # type: ignore[assignment]  # becomes a tuple below: its default depends on the classes
    palette: Mapping[Color, int] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.num_classes, int | np.integer):
            raise ValueError(f"num_classes is a whole number. Received: {self.num_classes!r}")
        if self.num_classes < 2:
            raise ValueError(f"{_TWO_CLASSES}. Received: num_classes={self.num_classes}")
        if self.void is None:
            object.__setattr__(self, "void", (self.void_id,))
        given = (*self.void, *(self.ids or ()), *(self.ids or {}).values(), *(self.palette or {}).values())
        if isinstance(self.void, str) or not all(isinstance(value, int | np.integer) for value in given):
            raise ValueError(
                f"Raw values and classes are whole numbers, such as void=(255,). Received: {first_few(given)}"
            )
        strange = [color for color in self.palette or () if not _is_color(color)]
        if strange:
            raise ValueError(
                "A palette has the class of each color, as {(128, 0, 0): 1}, from 0 to 255. Received: "
                f"{first_few(strange)}"
            )
        unknown = sorted({value for value in (self.ids or {}).values() if not 0 <= value < self.num_classes})
        if unknown:
            raise ValueError(
                f"Classes are 0 to {self.num_classes - 1}, because of num_classes={self.num_classes}. Received: "
                f"values that stand for the classes {first_few(unknown)}"
            )
        both = sorted(set(self.ids or ()) & set(self.void))
        if both:
            raise ValueError(f"A value is a class or ignored (void), not both. Received: {first_few(both)} as both")
        colored = sorted({*(self.palette or {}).values()} & {*self.void} & {*range(self.num_classes)})
        if colored:
            raise ValueError(
                "With a palette, colors alone tell classes and ignored pixels: give the ignored colors the class "
                f"{self.void_id}. Received: a palette and void={first_few(colored)}, the class of colors in it"
            )

    @property
    def void_id(self) -> int:
        """Id of ignored pixels in masks as they are read: 255, or above all classes where there are more than 255.

        Example:
            >>> tfseg.data.Labels(21).void_id, tfseg.data.Labels(300).void_id
            (255, 65535)
        """
        return VOID if self.num_classes <= VOID else 65535 if self.num_classes <= 65535 else 2**31 - 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of masks as they are read: the smallest that holds all classes and `void_id`.

        Example:
            >>> tfseg.data.Labels(21).dtype, tfseg.data.Labels(300).dtype
            (dtype('uint8'), dtype('uint16'))
        """
        return np.dtype({VOID: "uint8", 65535: "uint16"}.get(self.void_id, "int32"))


def _is_color(color: object) -> bool:
    return (
        isinstance(color, tuple)
        and len(color) == 3
        and all(isinstance(part, int | np.integer) and 0 <= part <= 255 for part in color)
    )


def labels_of(
    num_classes: int,
    *,
    void: Iterable[int] | None = None,
    palette: Mapping[Color, int] | None = None,
    mask_values: MaskValues | None = None,
    reduce_zero_label: bool = False,
) -> Labels:
    """The `Labels` of masks as people describe them.

    Args:
        num_classes: number of classes.
        void: raw values of ignored pixels; None: the id of `Labels.void_id`, unless `mask_values` has it.
        palette: class id of each `(red, green, blue)`.
        mask_values: the raw value of each class, in order of the classes, or a dictionary from raw values to classes.
        reduce_zero_label: True: the value 0 is ignored, and 1 is the first class.
    Raises:
        ValueError: two of `palette`, `mask_values` and `reduce_zero_label`, a value that is given twice, or another
            number of values than of classes.
    """
    given = {
        "palette": palette is not None,
        "mask_values": mask_values is not None,
        "reduce_zero_label": reduce_zero_label,
    }
    if sum(given.values()) > 1:
        raise ValueError(
            "palette=, mask_values= and reduce_zero_label= say the same thing in three ways: give one of them. "
            f"Received: {' and '.join(name for name, is_given in given.items() if is_given)}"
        )
    if reduce_zero_label:
        mask_values = range(1, num_classes + 1)
    ids = None if mask_values is None else _ids(mask_values, num_classes)
    if void is None:
        usual = Labels(num_classes).void
        void = [value for value in ((0, *usual) if reduce_zero_label else usual) if value not in (ids or ())]
    return Labels(num_classes, ids=ids, void=tuple(void), palette=palette)


def _ids(values: MaskValues, num_classes: int) -> dict[int, int]:
    if isinstance(values, Mapping):
        return dict(values)
    if len(set(values)) != len(values):
        raise ValueError(
            f"mask_values has one raw value for each class. Received: {first_few(values)}, one of them twice"
        )
    if len(values) != num_classes:
        raise ValueError(
            f"mask_values has one raw value for each class, so {num_classes} of them, because of num_classes="
            f"{num_classes}. Received: {len(values)} ({first_few(values)})"
        )
    return {value: index for index, value in enumerate(values)}


def class_ids(values: Array, labels: Labels, source: object) -> Array:
    """Class ids, and `labels.void_id` for ignored pixels, of raw values.

    Args:
        values: raw values, integers of any type and shape.
        labels: what they mean.
        source: where they come from, for messages.
    Raises:
        ValueError: a value that is neither class nor ignored.
    """
    meaning = dict(labels.ids) if labels.ids is not None else None
    in_table = (values >= 0) & (values < _TABLE)
    if labels.num_classes < _TABLE and bool(in_table.all()):
        table = np.full(_TABLE, -1, "int32")
        if meaning is None:
            table[: labels.num_classes] = np.arange(labels.num_classes)
        else:
            known = {value: index for value, index in meaning.items() if 0 <= value < _TABLE}
            table[list(known)] = list(known.values())
        table[[value for value in labels.void if 0 <= value < _TABLE]] = labels.void_id
        classes = table[values]
    else:  # masks of 32 bits hold any value
        unique, inverse = np.unique(values, return_inverse=True)
        looked_up = [
            labels.void_id
            if value in labels.void
            else (meaning.get(value, -1) if meaning is not None else _own_class(value, labels.num_classes))
            for value in unique.tolist()
        ]
        classes = np.array(looked_up, "int64")[inverse.reshape(values.shape)]
    if (classes < 0).any():
        raise ValueError(
            _unexpected(np.unique(values[classes < 0]).tolist(), np.unique(values).tolist(), labels, source)
        )
    return classes.astype(labels.dtype)


def _own_class(value: int, num_classes: int) -> int:
    return value if 0 <= value < num_classes else -1


def _unexpected(strange: list[int], present: list[int], labels: Labels, source: object) -> str:
    """The message about values that are neither class nor ignored, with the way out that the values suggest."""
    stored = f", stored as {first_few(sorted(labels.ids))}" if labels.ids else ""
    ignored = f", or {first_few(labels.void)} for ignored pixels" if labels.void else ""
    said = (
        f"{source}: expected the classes 0 to {labels.num_classes - 1}{stored}{ignored}. "
        f"Received: {first_few(strange)}. "
    )
    classes = [value for value in present if value not in labels.void]
    if labels.ids is None and 1 < len(classes) == labels.num_classes:
        listed = ",".join(map(str, classes))
        return said + (
            f"If these values are the classes, in this order: mask_values=({listed.replace(',', ', ')}) "
            f"(--mask_values={listed})."
        )
    if labels.ids is None and strange == [labels.num_classes]:
        return said + (
            f"If that is a class too, num_classes={labels.num_classes + 1}; if the classes count from 1, "
            "reduce_zero_label=True (--reduce_zero_label), which ignores 0."
        )
    if len(strange) > labels.num_classes and strange == [value for value in strange if 0 < value < 255]:
        return said + (
            "So many values between the classes come from a picture that was saved as JPEG, or resized with smooth "
            "edges: find the masks as PNG, or resize them by their nearest pixel."
        )
    return said + (
        "Give the number of classes that the masks have, name the value of each class (mask_values=, --mask_values) or "
        "further ignored values (void=, --void), or look at the data with tfseg inspect-data."
    )


def first_few(values: Iterable[Any]) -> str:
    """The first few of many values as text, for messages.

    Args:
        values: any values; NumPy's numbers are shown like Python's.
    """
    plain = [value.item() if hasattr(value, "item") else value for value in values]
    return ", ".join(map(str, plain[:_MOST_LISTED])) + (", ..." if len(plain) > _MOST_LISTED else "")
