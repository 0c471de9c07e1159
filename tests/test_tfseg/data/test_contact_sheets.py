"""The contact sheet: masks over photographs, with names, void that is no class, and one legend."""

import dataclasses

import numpy as np
import pytest
from helpers.data_sets import photograph, save
from PIL import Image

from tfseg import data
from tfseg.data import contact_sheets

BLACK_FIRST = ((0, 0, 0), (200, 0, 0), (0, 0, 200))


def dataset(root, ids, count=2):
    """Pairs whose masks are one id above the other."""
    for index in range(count):
        rows = np.repeat(ids, 24 // len(ids))[:, None] + np.zeros(32, int)
        save(root / "images" / f"p{index}.png", np.full((24, 32, 3), 120, "uint8"))
        save(root / "masks" / f"p{index}.png", rows.astype("uint8"))
    pairs = data.folder(root, num_classes=3, classes=("nothing", "car", "sky"))
    return dataclasses.replace(pairs, colors=BLACK_FIRST)


def sheet(dataset, tmp_path, **options):
    data.contact_sheet(dataset, tmp_path / "sheet.png", **options)
    with Image.open(tmp_path / "sheet.png") as image:
        return np.asarray(image.convert("RGB"))


def test_the_mask_lies_over_the_photograph(tmp_path):
    seen = sheet(dataset(tmp_path, [1]), tmp_path, count=2, columns=2, width=320)
    assert seen.shape[1] > 2 * 320
    assert np.abs(seen[100, 100].astype(int) - [160, 60, 60]).max() <= 1  # half of the photograph shows through


def test_void_is_not_black_as_class_0_is(tmp_path):
    seen = sheet(dataset(tmp_path, [0, 1, 255]), tmp_path, count=1, width=320)
    nothing, void = seen[40:90, 10:300], seen[200:250, 10:300]
    assert len(np.unique(nothing)) == 1
    assert len(np.unique(void)) == 2  # stripes


def test_names_and_the_number_of_pairs_are_written(tmp_path, monkeypatch):
    arranged = {}
    arrange = contact_sheets.arrange
    monkeypatch.setattr(
        contact_sheets,
        "arrange",
        lambda *args, **kwargs: arranged.update(kwargs, args=args) or arrange(*args, **kwargs),
    )
    sheet(dataset(tmp_path, [0, 1, 255], count=5), tmp_path, count=3, width=200)
    tiles, legend = arranged["args"]
    assert [tile.caption for tile in tiles] == ["p0.png", "p2.png", "p4.png"]
    assert arranged["title"].endswith(": 3 of 5 pairs")
    assert [(row.name, row.color) for row in legend] == [("nothing", (0, 0, 0)), ("car", (200, 0, 0)), ("void", None)]
    assert [row.share for row in legend] == pytest.approx([1 / 3] * 3)


def test_unusable_pairs_are_left_out(tmp_path):
    pairs = dataset(tmp_path, [1], count=3)
    save(tmp_path / "masks" / "p1.png", np.full((24, 32), 9, "uint8"))
    seen = sheet(pairs, tmp_path, count=3, columns=3, width=64)
    assert 2 * 64 <= seen.shape[1] < 3 * 64
    for index in range(3):
        save(tmp_path / "masks" / f"p{index}.png", np.full((24, 32), 9, "uint8"))
    with pytest.raises(ValueError, match="none of the pairs chosen for the contact sheet can be read"):
        sheet(pairs, tmp_path)


def test_tall_photographs_keep_their_shape(tmp_path):
    save(tmp_path / "images" / "tall.png", photograph(size=(64, 16)))
    save(tmp_path / "masks" / "tall.png", np.zeros((64, 16), "uint8"))
    seen = sheet(data.folder(tmp_path, num_classes=3), tmp_path, count=1, width=60)
    assert seen.shape[0] > 240
