"""Masks from files: pixel values become class ids, whatever the data set calls its classes."""

import pathlib
from typing import NamedTuple

import numpy as np

VOID = 255  # the id of pixels that do not count, in every mask that leaves this package
_NAMED = 8  # ids that a message lists


class Labels(NamedTuple):
    """How the pixels of a data set's masks become class ids.

    Attributes:
        num_classes: ids 0 to num_classes - 1 are classes.
        ids: raw value -> class id, for values that are not what they mean; None: each is its own.
        void: raw values of pixels that do not count.
        palette: `(red, green, blue)` -> class id, of masks that are pictures in colours; a colour that is not in it is
            an error. None: such masks are refused.
    """

    num_classes: int
    ids: dict | None = None
    void: tuple = (255,)
    palette: dict | None = None


def read_mask(path, labels):
    """A mask as uint8 `(height, width)`: class ids, and 255 where nothing counts.

    Args:
        path: a PNG or another picture in grey, by palette or of one bit, whose pixel values count; a picture in
            colours, with `labels.palette`; one of SBD's `.mat` files, for which scipy must be installed; or what has
            a method `read()` of its own, as COCO's have, which are drawn.
        labels: `Labels` of the data set.
    Raises:
        ValueError: colours without a palette or not in it, values that are neither class nor void.
        OSError: no file, or not a whole picture.
    """
    if hasattr(path, "read"):
        values = path.read()
    else:
        path = pathlib.Path(path)
        values = _matlab(path) if path.suffix == ".mat" else _picture(path, labels)
    table = _table(labels)
    known = (values >= 0) & (values < len(table))  # 32-bit pictures hold anything
    classes = np.where(known, table[np.where(known, values, 0)], -1)
    if (classes < 0).any():
        strange = np.unique(values[classes < 0])
        raise ValueError(
            f"{path}: expected the classes 0 to {labels.num_classes - 1}"
            + (f" under the names {some(sorted(labels.ids))}" if labels.ids else "")
            + f", or {some(labels.void)} where nothing counts. Received: {some(strange)}. "
            "Give the number of classes that the masks have, name further values that do not count (--void), or "
            "look at the data with tfseg-inspect-data."
        )
    return classes.astype("uint8")


def _picture(path, labels):
    from PIL import Image

    with Image.open(path) as image:
        if image.mode in ("L", "P", "1", "I;16", "I"):
            return np.asarray(image if image.mode != "1" else image.convert("L"))
        if labels.palette is None:
            raise ValueError(
                f"{path}: a mask holds one number a pixel, in grey or by palette. Received: a picture of mode "
                f"{image.mode}. If its colours stand for classes, say which: palette={{(128, 0, 0): 1, ...}} "
                "(--palette); if it is a drawing made for people, find the masks that it was drawn from."
            )
        pixels = np.asarray(image.convert("RGB")).astype("int32")
    codes = (pixels[..., 0] << 16) | (pixels[..., 1] << 8) | pixels[..., 2]
    found, inverse = np.unique(codes, return_inverse=True)
    known = {(red << 16) | (green << 8) | blue: value for (red, green, blue), value in labels.palette.items()}
    strange = [code for code in found.tolist() if code not in known]
    if strange:
        colors = [(code >> 16, code >> 8 & 255, code & 255) for code in strange]
        raise ValueError(
            f"{path}: {len(strange)} colours are not in the palette of {len(known)}. Received: {some(colors)}. "
            "A mask saved as JPEG has colours that nobody chose: find the PNG."
        )
    return np.array([known[code] for code in found.tolist()], "int32")[inverse.reshape(codes.shape)]


def _matlab(path):
    """SBD's: a structure `GTcls` with the map `Segmentation`."""
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise ValueError(f'{path}: reading .mat files needs scipy: pip install "tfseg[sbd]".') from error
    saved = loadmat(path, squeeze_me=True, struct_as_record=False)
    try:
        return np.asarray(saved["GTcls"].Segmentation)
    except (KeyError, AttributeError) as error:
        raise ValueError(
            f"{path}: expected SBD's structure GTcls.Segmentation. Received: {some(sorted(saved))}."
        ) from error


def _table(labels):
    """Raw value -> class id, -1 for what must not occur."""
    table = np.full(1 << 16, -1, "int32")
    if labels.ids is None:
        table[: labels.num_classes] = np.arange(labels.num_classes)
    else:
        table[list(labels.ids)] = list(labels.ids.values())
    table[list(labels.void)] = VOID
    return table


def some(values):
    """The first few of many values, in words."""
    values = [value.item() if hasattr(value, "item") else value for value in values]
    return ", ".join(map(str, values[:_NAMED])) + (", ..." if len(values) > _NAMED else "")
