"""COCO with the classes of PASCAL VOC, as torchvision trains its segmenters: masks are drawn from polygons."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfseg import specs
from tfseg.data.datasets import Dataset, Pair
from tfseg.data.labels import VOID, Labels
from tfseg.types import Array, Path, Size

# COCO's category of each of VOC's classes, background first.
CATEGORIES = (0, 5, 2, 16, 9, 44, 6, 3, 17, 62, 21, 67, 18, 19, 4, 1, 64, 20, 63, 7, 72)
_SMALLEST_AREA = 1000  # a training photograph is used if its objects cover more than so many pixels


class CocoMask:
    """A mask that is drawn when it is read: the objects of one photograph, with void where two of them overlap.

    Args:
        name: name of the mask in messages.
        size: `(height, width)`.
        objects: list of `(class id, segmentation)`. A segmentation is a list of polygons or a run-length code, as in
            COCO's annotations.
    """

    def __init__(self, name: str, size: Size, objects: Sequence[tuple[int, Any]]) -> None:
        self.name, self.size, self.objects = name, size, objects

    def __str__(self) -> str:
        return self.name

    def read(self) -> Array:
        """Class ids, uint8 `(height, width)`, drawn by pycocotools.

        Raises:
            ValueError: pycocotools is not installed, or an invalid segmentation.
        """
        try:
            from pycocotools import mask as drawing
        except ImportError as error:
            raise ValueError('COCO\'s masks need pycocotools: pip install "tfseg[coco]".') from error
        classes, objects_per_pixel = np.zeros(self.size, "uint8"), np.zeros(self.size, "int32")
        for class_id, segmentation in self.objects:
            try:
                drawn = drawing.decode(drawing.frPyObjects(segmentation, *self.size))
            except Exception as error:  # a Cython module: TypeError, ValueError, KeyError, bare Exception
                raise ValueError(f"{self}: expected polygons or a run-length code. Received: {error!r}") from error
            drawn = drawn.reshape(*self.size, -1).any(axis=-1)
            classes = np.maximum(classes, drawn * np.uint8(class_id))
            objects_per_pixel += drawn
        classes[objects_per_pixel > 1] = VOID
        return classes


def coco(root: Path, split: str = "val") -> Dataset:
    """COCO 2017 with VOC's 21 classes: `<split>2017/*.jpg`, `annotations/instances_<split>2017.json`.

    A pixel of no object of the twenty classes is background; a pixel of two objects is void. For training, only
    photographs are used whose objects cover more than 1,000 pixels. For validation, all 5,000 are used.

    Args:
        root: directory that holds the photographs' directory and `annotations`.
        split: "train" or "val".
    Returns: `Dataset` with 21 classes.
    Raises:
        ValueError: missing directories, or invalid annotations.
    Reference: Lin et al. 2014, https://arxiv.org/abs/1405.0312. The conventions are those of
        https://github.com/pytorch/vision/tree/main/references/segmentation.
    Example:
        >>> import json, shutil
        >>> for directory in ("val2017", "annotations"):
        ...     pathlib.Path("COCO", directory).mkdir(parents=True)
        >>> copy = shutil.copy("street.png", "COCO/val2017/a.jpg")
        >>> images = [{"id": 1, "file_name": "a.jpg", "height": 360, "width": 480}]
        >>> square = [[0, 0, 20, 0, 20, 20, 0, 20]]
        >>> cat = {"image_id": 1, "category_id": 17, "segmentation": square, "area": 400}
        >>> path = pathlib.Path("COCO/annotations/instances_val2017.json")
        >>> size = path.write_text(json.dumps({"images": images, "annotations": [cat]}))
        >>> tfseg.data.coco("COCO", "val")
        <Dataset 'coco/val': 1 pairs, 21 classes>
    """
    root = pathlib.Path(root)
    directory, path = root / f"{split}2017", root / "annotations" / f"instances_{split}2017.json"
    if not directory.is_dir() or not path.is_file():
        raise ValueError(f"COCO is a directory {directory} and a file {path}: one of them does not exist.")
    try:
        pairs = _read_pairs(directory, path, _SMALLEST_AREA if split == "train" else None)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: expected COCO's annotations of instances. Received: {error!r}") from error
    if not pairs:
        raise ValueError(f"{path}: expected photographs. Received: none.")
    return Dataset(f"coco/{split}", pairs, Labels(21), tuple(specs.CLASSES["voc"]), tuple(specs.COLORS["voc"]))


def _read_pairs(directory: pathlib.Path, path: pathlib.Path, smallest_area: float | None) -> tuple[Pair, ...]:
    """The pairs of an annotation file, sorted by COCO's number of the photograph."""
    saved = json.loads(path.read_text())
    objects: dict[int, list[tuple[int, Any]]] = {image["id"]: [] for image in saved["images"]}
    areas = dict.fromkeys(objects, 0.0)
    for annotation in saved["annotations"]:
        if annotation["category_id"] in CATEGORIES:
            class_id = CATEGORIES.index(annotation["category_id"])
            objects[annotation["image_id"]].append((class_id, annotation["segmentation"]))
            areas[annotation["image_id"]] += annotation["area"]
    pairs = []
    for image in sorted(saved["images"], key=lambda image: image["id"]):
        name, size = image["file_name"], (image["height"], image["width"])
        if smallest_area is None or areas[image["id"]] > smallest_area:
            pairs.append(Pair(directory / name, CocoMask(f"{path}: {name}", size, objects[image["id"]])))
    return tuple(pairs)
