"""COCO's annotations become masks with VOC's classes, as in torchvision's training scripts."""

import itertools
import json

import numpy as np
import pytest
from helpers.data_sets import photograph, save
from helpers.torchvision_cpu import import_torchvision
from PIL import Image

import tfseg
from tfseg import data
from tfseg.data.loader import load, resize_pair

pytest.importorskip("pycocotools")
SIZE = (24, 32)


def box(top, left, bottom, right):
    return [left, top, right, top, right, bottom, left, bottom]


def annotation(image, category, segmentation, *, crowd=0, area=2000):
    return {
        "image_id": image,
        "category_id": category,
        "segmentation": segmentation,
        "iscrowd": crowd,
        "area": area,
    }


def runs(mask):
    """COCO's uncompressed run-length code: column by column, beginning with zeros."""
    counts = [len(list(group)) for _, group in itertools.groupby(mask.T.ravel())]
    return {"size": list(mask.shape), "counts": [0, *counts] if mask[0, 0] else counts}


@pytest.fixture
def root(tmp_path):
    crowd = np.zeros(SIZE, "uint8")
    crowd[15:20, 3:9] = 1
    annotations = [
        annotation(7, 1, [box(2, 3, 10, 12)]),  # a person, class 15 of VOC.
        annotation(7, 5, [box(6, 8, 14, 20), box(16, 20, 18, 24)]),  # an aeroplane, class 1, over a part of the person.
        annotation(7, 13, [box(0, 0, 24, 32)]),  # a stop sign, which VOC does not have.
        annotation(7, 72, runs(crowd), crowd=1),  # a tv, class 20.
        annotation(9, 18, [box(0, 0, 3, 3)], area=9),
    ]
    names = {9: "b.jpg", 7: "a.jpg"}
    for split in ("train", "val"):
        for name in names.values():
            save(tmp_path / f"{split}2017" / name, photograph(size=SIZE))
        (tmp_path / "annotations").mkdir(exist_ok=True)
        images = [{"id": key, "file_name": name, "height": SIZE[0], "width": SIZE[1]} for key, name in names.items()]
        path = tmp_path / "annotations" / f"instances_{split}2017.json"
        path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return tmp_path


def test_coco_objects_become_classes_of_voc(root):
    dataset = data.coco(root, "val")
    assert [pair.image.name for pair in dataset.pairs] == ["a.jpg", "b.jpg"]
    image, mask = load(dataset.pairs[0], dataset.labels)
    expected = np.zeros(SIZE, "uint8")
    expected[2:10, 3:12] = 15
    expected[6:14, 8:20] = expected[16:18, 20:24] = 1
    expected[6:10, 8:12] = 255  # where both overlap
    expected[15:20, 3:9] = 20
    assert image.shape == (*SIZE, 3)
    np.testing.assert_array_equal(mask, expected)


def test_coco_training_excludes_photographs_with_small_objects(root):
    assert [pair.image.name for pair in data.coco(root, "train").pairs] == ["a.jpg"]


def test_missing_directory_of_coco_is_named(root):
    with pytest.raises(ValueError, match=r"COCO is a directory .*test2017 and a file"):
        data.coco(root, "test")


def test_invalid_segmentation_of_coco_is_named(root):
    path = root / "annotations" / "instances_val2017.json"
    saved = json.loads(path.read_text())
    saved["annotations"][0]["segmentation"] = "nothing"
    path.write_text(json.dumps(saved))
    dataset = data.coco(root)
    with pytest.raises(ValueError, match=r"instances_val2017.json: a.jpg: expected polygons or a run-length code"):
        load(dataset.pairs[0], dataset.labels)


def test_invalid_annotation_file_of_coco_is_refused(root):
    (root / "annotations" / "instances_val2017.json").write_text("{}")
    with pytest.raises(ValueError, match=r"expected COCO's annotations of instances. Received: KeyError\('images'\)"):
        data.coco(root)


def test_coco_protocol_has_the_scores_of_torchvision(root):
    protocol = data.PROTOCOLS["coco-val2017-voc"]
    assert len(data.open_protocol("coco-val2017-voc", root).pairs) == 2
    torchvision = import_torchvision()
    for name, published in protocol.published.items():
        (weights,) = torchvision.models.get_model_weights(name)
        assert weights.meta["_metrics"]["COCO-val2017-VOC-labels"]["miou"] == published
        assert name in tfseg.list_models()


@pytest.mark.parametrize("size", [(24, 32), (37, 24), (520, 700)])
def test_resize_pair_equals_torchvision(size):
    functional = import_torchvision().transforms.functional
    image = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype("uint8")
    mask = np.random.default_rng(1).integers(0, 21, size).astype("uint8")
    resized = resize_pair(image, mask, 52)
    rules = (functional.InterpolationMode.BILINEAR, functional.InterpolationMode.NEAREST)
    for array, result, rule in zip((image, mask), resized, rules, strict=True):
        expected = np.asarray(functional.resize(Image.fromarray(array), 52, rule))
        np.testing.assert_array_equal(result, expected)
