"""What the commands make of a data set's flags, and what they say of a data set that is broken."""

import re

import numpy as np
import pytest
from helpers.data_sets import mask, pairs, photograph, save
from PIL import Image

from tfseg import data
from tfseg_cli.datasets import read_palette


def test_a_palette_in_a_text_file(tmp_path):
    path = tmp_path / "colors.txt"
    path.write_text("# comment\n128 128 128 Sky\n0 0 0 Void\n64 0 64 Tunnel wall\n\n128 0 0\tTunnel wall\n")
    palette, names = read_palette(path)
    assert names == ["Sky", "Tunnel wall"]
    assert palette == {(128, 128, 128): 0, (0, 0, 0): 255, (64, 0, 64): 1, (128, 0, 0): 1}
    path.write_text("128 128 Sky\n")
    with pytest.raises(ValueError, match=r"colors.txt, line 1: expected `red green blue name`"):
        read_palette(path)


def test_an_inspection_tells_everything(tmp_path):
    dataset = data.folder(pairs(tmp_path, 4, ids=(0, 1, 255)), num_classes=3, classes=("a", "b", "c"))
    save(tmp_path / "masks" / "p1.png", mask(size=(5, 5)))
    (tmp_path / "images" / "p2.png").write_bytes(b"\x89PNG\r\n\x1a\n no more")
    save(tmp_path / "masks" / "p3.png", mask(ids=(0, 9)))
    found = data.inspect_dataset(dataset)
    assert [pair.image.name for pair, _ in found.faults] == ["p1.png", "p2.png", "p3.png"]
    assert found.sizes == {(24, 32): 1}
    expected = np.bincount(np.minimum(mask(ids=(0, 1, 255)), 3).ravel(), minlength=4)
    np.testing.assert_array_equal(found.pixels, expected)
    text = str(found)
    assert "1 of 4 pairs can be used, 3 classes" in text
    assert re.search(r"^c +0.000% +0  never there$", text, re.MULTILINE)
    assert "Received: 9" in text
    data.contact_sheet(dataset, tmp_path / "sheet.png", count=4, columns=1, width=64)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape == (48, 128, 3)
    assert (
        np.abs(sheet[24, :64].astype(int) - np.asarray(Image.fromarray(photograph()).resize((64, 48)))[24]).max() < 20
    )


def test_protocols(tmp_path):
    pairs(tmp_path, images="test", masks="testannot", ids=range(12))
    dataset = data.open_protocol("camvid-11", tmp_path)
    assert (dataset.num_classes, len(dataset.pairs)) == (11, 3)
    with pytest.raises(ValueError, match=r"The protocols known here are camvid-11, .* Received: 'coco2014'"):
        data.open_protocol("coco2014", tmp_path)
    with pytest.raises(ValueError, match="leaves out what SBD trains on"):
        data.open_protocol("voc2011-seg11valid", tmp_path)


def test_what_sbd_trains_on_is_left_out(tmp_path):
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("a\nb\nc\n")
    for name in "abc":
        save(tmp_path / "JPEGImages" / f"{name}.jpg", photograph())
        save(tmp_path / "SegmentationClass" / f"{name}.png", mask(ids=(0, 20)))
    (tmp_path / "sbd").mkdir()
    (tmp_path / "sbd" / "train.txt").write_text("b\nz\n")
    dataset = data.open_protocol("voc2011-seg11valid", tmp_path, tmp_path / "sbd")
    assert [pair.image.stem for pair in dataset.pairs] == ["a", "c"]
