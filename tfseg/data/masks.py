"""Masks from files: pixel values become class ids."""

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from tfseg.types import Array, Path

VOID = 255  # the id of ignored pixels, in every mask that leaves this package
Color = tuple[int, int, int]

_MOST_LISTED = 8  # values that a message lists


@dataclasses.dataclass(frozen=True)
class Labels:
    """How pixel values in the masks of a data set become class ids.

    Attributes:
        num_classes: number of classes; their ids are 0 to num_classes - 1.
        ids: class id of each raw value, where they differ; None: every value is its own class id.
        void: raw values of ignored pixels.
        palette: class id of each `(red, green, blue)`, for masks that are color images. A color outside the palette is
            an error. None: color images are refused.
    Example:
        >>> tfseg.data.Labels(2, ids={1: 0, 2: 1}, void=(0, 255)).num_classes
        2
    """

    num_classes: int
    ids: Mapping[int, int] | None = None
    void: tuple[int, ...] = (VOID,)
    palette: Mapping[Color, int] | None = None


@runtime_checkable
class MaskSource(Protocol):
    """A mask that is no image file, such as one drawn from polygons; `str(source)` names it in messages.

    Example:
        >>> class Blank:
        ...     def read(self):
        ...         return np.zeros((2, 3), "uint8")
        >>> isinstance(Blank(), tfseg.data.MaskSource)
        True
        >>> tfseg.data.read_mask(Blank(), tfseg.data.Labels(2)).shape
        (2, 3)
    """

    def read(self) -> Array:
        """Raw values, integers `(height, width)`."""


def read_mask(path: Path | MaskSource, labels: Labels) -> Array:
    """A mask as uint8 `(height, width)`: class ids, and 255 for ignored pixels.

    Args:
        path: a gray, palette or one-bit image whose pixel values are the raw values; a color image, with
            `labels.palette`; a `.mat` file of SBD, for which scipy must be installed; or an object with a method
            `read()`, such as COCO's masks, which are drawn.
        labels: `Labels` of the data set.
    Raises:
        ValueError: a color image without a palette, a color outside it, or a value that is neither class nor void.
        OSError: no such file, or an incomplete image.
    Example:
        >>> mask = tfseg.data.read_mask("street_classes.png", tfseg.data.Labels(11))
        >>> mask.shape, mask.dtype
        ((360, 480), dtype('uint8'))
    """
    if isinstance(path, MaskSource):
        values = path.read()
    else:
        path = pathlib.Path(path)
        values = _read_matlab(path) if path.suffix == ".mat" else _read_picture(path, labels)
    table = _class_of_value(labels)
    in_table = (values >= 0) & (values < len(table))  # 32-bit images hold any value
    classes = np.where(in_table, table[np.where(in_table, values, 0)], -1)
    if (classes < 0).any():
        unexpected = np.unique(values[classes < 0])
        raise ValueError(
            f"{path}: expected the classes 0 to {labels.num_classes - 1}"
            + (f", stored as {first_few(sorted(labels.ids))}" if labels.ids else "")
            + f", or {first_few(labels.void)} for ignored pixels. Received: {first_few(unexpected)}. "
            "Give the number of classes that the masks have, name further ignored values (--void), or "
            "look at the data with tfseg inspect-data."
        )
    return classes.astype("uint8")


def _read_picture(path: pathlib.Path, labels: Labels) -> Array:
    from PIL import Image

    with Image.open(path) as image:
        if image.mode in ("L", "P", "1", "I;16", "I"):
            return np.asarray(image if image.mode != "1" else image.convert("L"))
        if labels.palette is None:
            raise ValueError(
                f"{path}: a mask holds one number per pixel, as a gray or palette image. Received: an image of mode "
                f"{image.mode}. If its colors stand for classes, pass palette={{(128, 0, 0): 1, ...}} "
                "(--palette). If it is a drawing for people, find the masks from which it was made."
            )
        rgb = np.asarray(image.convert("RGB")).astype("int32")
    codes = (rgb[..., 0] << 16) | (rgb[..., 1] << 8) | rgb[..., 2]
    unique_codes, inverse = np.unique(codes, return_inverse=True)
    class_of_code = {(red << 16) | (green << 8) | blue: value for (red, green, blue), value in labels.palette.items()}
    unexpected = [code for code in unique_codes.tolist() if code not in class_of_code]
    if unexpected:
        colors = [(code >> 16, code >> 8 & 255, code & 255) for code in unexpected]
        raise ValueError(
            f"{path}: {len(unexpected)} colors are not in the palette of {len(class_of_code)}. Received: "
            f"{first_few(colors)}. JPEG compression adds colors to a mask: find the PNG."
        )
    return np.array([class_of_code[code] for code in unique_codes.tolist()], "int32")[inverse.reshape(codes.shape)]


def _read_matlab(path: pathlib.Path) -> Array:
    """Raw values of a file of SBD: a structure `GTcls` with the field `Segmentation`."""
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise ValueError(f'{path}: reading .mat files needs scipy: pip install "tfseg[sbd]".') from error
    saved = loadmat(path, squeeze_me=True, struct_as_record=False)
    try:
        return np.asarray(saved["GTcls"].Segmentation)
    except (KeyError, AttributeError) as error:
        raise ValueError(
            f"{path}: expected SBD's structure GTcls.Segmentation. Received: {first_few(sorted(saved))}."
        ) from error


def _class_of_value(labels: Labels) -> Array:
    """A table that maps a raw value to its class id; -1: the value must not occur."""
    table = np.full(1 << 16, -1, "int32")
    if labels.ids is None:
        table[: labels.num_classes] = np.arange(labels.num_classes)
    else:
        table[list(labels.ids)] = list(labels.ids.values())
    table[list(labels.void)] = VOID
    return table


def first_few(values: Iterable[Any]) -> str:
    """The first few of many values as text, for messages.

    Args:
        values: any values; NumPy's numbers are shown like Python's.
    """
    plain = [value.item() if hasattr(value, "item") else value for value in values]
    return ", ".join(map(str, plain[:_MOST_LISTED])) + (", ..." if len(plain) > _MOST_LISTED else "")
