"""Data sets in two directories: matching by name, splits, refusals."""

import numpy as np
import pytest
from helpers.data_sets import mask, pairs, photograph, save

from tfseg import data
from tfseg.data.loader import load


def test_folder_matches_photographs_and_masks_by_name(tmp_path):
    dataset = data.folder(pairs(tmp_path), num_classes=3, classes=("a", "b", "c"))
    assert [pair.image.name for pair in dataset.pairs] == ["p0.png", "p1.png", "p2.png"]
    assert (dataset.num_classes, dataset.classes) == (3, ("a", "b", "c"))
    image, classes = load(dataset.pairs[1], dataset.labels)
    np.testing.assert_array_equal(image, photograph(1))
    np.testing.assert_array_equal(classes, mask(1))


def test_split_may_be_two_directories(tmp_path):
    for split in ("train", "val"):
        pairs(tmp_path, images=f"images/{split}", masks=f"masks/{split}", ending="_mask")
    assert len(data.folder(tmp_path, "val", num_classes=3).pairs) == 3


@pytest.mark.parametrize("as_path", [False, True])
def test_split_may_be_a_list_of_names(tmp_path, as_path):
    path = pairs(tmp_path) / "train.txt"
    path.write_text("p2\nimages/p0.png masks/p0.png\n\n")
    dataset = data.folder(tmp_path, path if as_path else "train", num_classes=3)
    assert [pair.image.stem for pair in dataset.pairs] == ["p2", "p0"]


def test_unknown_split_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no split 'test': neither directories .* nor .*test.txt"):
        data.folder(pairs(tmp_path), "test", num_classes=3)


def test_photograph_without_mask_is_refused(tmp_path):
    pairs(tmp_path)
    (tmp_path / "masks" / "p1.png").unlink()
    with pytest.raises(ValueError, match=r"1 photographs without a mask \(p1"):
        data.folder(tmp_path, num_classes=3)


def test_name_without_photograph_is_refused(tmp_path):
    (pairs(tmp_path) / "train.txt").write_text("p1\np7\n")
    with pytest.raises(ValueError, match=r"1 lines that name no pair \(p7: there is no such photograph"):
        data.folder(tmp_path, "train", num_classes=3)


def test_two_photographs_with_one_name_are_ambiguous(tmp_path):
    save(pairs(tmp_path) / "images" / "p1.jpg", photograph())
    with pytest.raises(ValueError, match=r"p1.jpg and .*p1.png have the same name, which is ambiguous"):
        data.folder(tmp_path, num_classes=3)


def test_empty_directories_are_refused(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match=r"Received: no photograph"):
        data.folder(tmp_path, num_classes=3)
    with pytest.raises(ValueError, match=r"no directory .*pictures. Received: images, masks"):
        data.folder(tmp_path, num_classes=3, images="pictures")
