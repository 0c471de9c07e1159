"""COCO in the classes of PASCAL VOC, as torchvision's segmenters saw it: masks drawn from polygons."""

import json
import pathlib

import numpy as np

from tfseg import specs
from tfseg.data.datasets import Dataset, Pair
from tfseg.data.masks import VOID, Labels

# COCO's category of each of VOC's classes, background first.
CATEGORIES = (0, 5, 2, 16, 9, 44, 6, 3, 17, 62, 21, 67, 18, 19, 4, 1, 64, 20, 63, 7, 72)
_LEAST = 1000  # pixels that the objects of a photograph to train on cover, more than


class Drawn:
    """A mask that is drawn when it is read: the objects of one photograph, void where two of them overlap.

    Args:
        name: what messages call it.
        size: `(height, width)`.
        objects: list of `(class id, segmentation)`: polygons, or a run-length code, as COCO writes them.
    """

    def __init__(self, name, size, objects):
        self.name, self.size, self.objects = name, size, objects

    def __str__(self):
        return self.name

    def read(self):
        """Class ids, uint8 `(height, width)`; pycocotools draws them.

        Raises:
            ValueError: pycocotools is not installed, or a segmentation is none.
        """
        try:
            from pycocotools import mask as drawing
        except ImportError as error:
            raise ValueError('COCO\'s masks need pycocotools: pip install "tfseg[coco]".') from error
        classes, seen = np.zeros(self.size, "uint8"), np.zeros(self.size, "int32")
        for value, segmentation in self.objects:
            try:
                drawn = drawing.decode(drawing.frPyObjects(segmentation, *self.size))
            except Exception as error:  # a Cython module: TypeError, ValueError, KeyError, bare Exception
                raise ValueError(f"{self}: expected polygons or a run-length code. Received: {error!r}") from error
            drawn = drawn.reshape(*self.size, -1).any(axis=-1)
            classes = np.maximum(classes, drawn * np.uint8(value))
            seen += drawn
        classes[seen > 1] = VOID
        return classes


def coco(root, split="val"):
    """COCO 2017 in VOC's 21 classes: `<split>2017/*.jpg`, `annotations/instances_<split>2017.json`.

    What belongs to no object of the twenty classes is background; where two objects overlap, void. For training,
    photographs count whose objects cover more than 1,000 pixels; for validation, all 5,000.

    Args:
        root: the directory of both.
        split: "train" or "val".
    Raises:
        ValueError: directories or annotations that are not there, or are none.
    Reference: Lin et al. 2014, https://arxiv.org/abs/1405.0312; the conventions are those of
        https://github.com/pytorch/vision/tree/main/references/segmentation
    """
    root = pathlib.Path(root)
    images, path = root / f"{split}2017", root / "annotations" / f"instances_{split}2017.json"
    if not images.is_dir() or not path.is_file():
        raise ValueError(f"COCO is a directory {images} and a file {path}: one of them is not there.")
    try:
        saved = json.loads(path.read_text())
        objects = {one["id"]: [] for one in saved["images"]}
        areas = dict.fromkeys(objects, 0.0)
        for one in saved["annotations"]:
            if one["category_id"] in CATEGORIES:
                objects[one["image_id"]].append((CATEGORIES.index(one["category_id"]), one["segmentation"]))
                areas[one["image_id"]] += one["area"]
        pairs = tuple(
            Pair(
                images / one["file_name"],
                Drawn(f"{path}: {one['file_name']}", (one["height"], one["width"]), objects[one["id"]]),
            )
            for one in sorted(saved["images"], key=lambda one: one["id"])
            if split != "train" or areas[one["id"]] > _LEAST
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: expected COCO's annotations of instances. Received: {error!r}") from error
    if not pairs:
        raise ValueError(f"{path}: expected photographs. Received: none.")
    return Dataset(f"coco/{split}", pairs, Labels(21), tuple(specs.CLASSES["voc"]), tuple(specs.COLORS["voc"]))
