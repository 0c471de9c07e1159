"""Masks: every kind of file becomes class ids, or is refused with a reason."""

import numpy as np
import pytest
from helpers.data_sets import mask, photograph, save

from tfseg import data
from tfseg.data.loader import load

RED_AND_BLACK = np.array([[[0, 0, 0], [128, 0, 0]]], "uint8")


@pytest.mark.parametrize("form", ["gray", "palette", "one bit", "16 bits"])
def test_masks_are_read_by_index(tmp_path, form):
    ids = mask(ids=(0, 1))
    options = {
        "gray": (ids, "L"),
        "palette": (ids, "P", [255, 0, 0, 0, 255, 0]),
        "one bit": (ids.astype(bool), None),
        "16 bits": (ids.astype("uint16"), None),
    }
    path = save(tmp_path / "m.png", *options[form])
    labels = data.Labels(2, ids={0: 0, 255: 1}, void=()) if form == "one bit" else data.Labels(2)
    np.testing.assert_array_equal(data.read_mask(path, labels), ids)


def test_color_mask_needs_a_palette(tmp_path):
    path = save(tmp_path / "m.png", RED_AND_BLACK)
    with pytest.raises(ValueError, match=r"m.png: a mask holds one number per pixel.* mode RGB.*palette="):
        data.read_mask(path, data.Labels(2))
    palette = {(0, 0, 0): 0, (128, 0, 0): 1}
    np.testing.assert_array_equal(data.read_mask(path, data.Labels(2, palette=palette)), [[0, 1]])


def test_color_outside_the_palette_is_named(tmp_path):
    path = save(tmp_path / "m.png", RED_AND_BLACK)
    with pytest.raises(ValueError, match=r"1 colors are not in the palette of 1. Received: \(128, 0, 0\)"):
        data.read_mask(path, data.Labels(2, palette={(0, 0, 0): 0}))


@pytest.mark.parametrize(
    ("suffix", "dtype", "values", "unexpected"),
    [
        (".png", "uint8", [0, 3, 9], "3, 9"),
        (".png", "uint16", [0, 2, 60000], "60000"),
        (".tif", "int32", [0, -1, 70000], "-1, 70000"),
    ],
)
def test_unknown_ids_are_named(tmp_path, suffix, dtype, values, unexpected):
    path = save(tmp_path / f"m{suffix}", np.array([values], dtype))
    with pytest.raises(
        ValueError, match=rf"m{suffix}: expected the classes 0 to 2, or 255 for .* Received: {unexpected}\."
    ):
        data.read_mask(path, data.Labels(3))


def test_mask_of_another_size_is_refused(tmp_path):
    image, small = save(tmp_path / "i.png", photograph()), save(tmp_path / "m.png", mask(size=(24, 31)))
    with pytest.raises(
        ValueError, match=r"m.png: a mask has the size of its photograph. Received: 31x24, and i.png is 32x24"
    ):
        load(data.Pair(image, small), data.Labels(3))


def test_truncated_photograph_is_named(tmp_path):
    image, ids = save(tmp_path / "i.png", photograph()), save(tmp_path / "m.png", mask())
    image.write_bytes(image.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"i.png.*not a whole picture"):
        load(data.Pair(image, ids), data.Labels(3))
