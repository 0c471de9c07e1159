"""Protocols: the data sets on which published scores were measured."""

import pytest
from helpers.data_sets import mask, pairs, photograph, save

from tfseg import data


def test_protocol_opens_its_split(tmp_path):
    pairs(tmp_path, images="test", masks="testannot", ids=range(12))
    dataset = data.open_protocol("camvid-11", tmp_path)
    assert (dataset.num_classes, len(dataset.pairs)) == (11, 3)


def test_unknown_protocol_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"The known protocols are camvid-11, .* Received: 'coco2014'"):
        data.open_protocol("coco2014", tmp_path)


def test_protocol_without_its_sbd_directory_is_refused(tmp_path):
    with pytest.raises(ValueError, match="excludes SBD's training images"):
        data.open_protocol("voc2011-seg11valid", tmp_path)


def test_seg11valid_excludes_training_images_of_sbd(tmp_path):
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
