"""Data sets with COCO's annotations of their own classes, as most tools export them."""

import collections
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from tfseg.data.annotation_files import annotation_file, find_pictures, read_json
from tfseg.data.annotation_options import AnnotationOptions, annotated_dataset
from tfseg.data.datasets import Dataset, Pair
from tfseg.data.drawn_masks import Shape
from tfseg.data.labels import first_few
from tfseg.types import Path, Size

PLACES = (
    "_annotations.coco.json",
    "annotations.json",
    "annotations/instances_default.json",
    "annotations/instances.json",
    "{split}/_annotations.coco.json",
    "{split}/annotations.json",
    "annotations/{split}.json",
    "annotations/instances_{split}.json",
    "annotations/instances_{split}2017.json",
    "{split}.json",
)


def coco_json(root: Path, split: Path | None = None, **options: Any) -> Dataset:
    """A data set with COCO's annotations of any classes: polygons, and run-length codes, compressed or not.

    Shapes are drawn by pycocotools when a mask is read: about the pixels whose centers lie inside. A crowd is an object
    like others. A photograph without annotations is all background.

    Args:
        root: directory of the data set. Photographs are looked for in it, in `images`, `images/<split>`, `<split>`, and
            beside the annotations.
        split: name of the split, in `<split>/_annotations.coco.json`, `annotations/<split>.json`,
            `annotations/instances_<split>.json` or `<split>.json`; or the path of the file with the annotations. None:
            `annotations.json`, or the only JSON file.
        options: `images`, `classes`, `background`, `ignore`, `skip` and `overlaps`, see `AnnotationOptions`. The labels
            are COCO's categories. Without `classes`, they come in order of their ids, which may have gaps.
    Raises:
        ValueError: no annotations, annotations of another kind, a photograph that is missing, a category that is no
            class, or an object without an outline.
    Reference: https://cocodataset.org/#format-data
    Example:
        >>> import json, shutil
        >>> pathlib.Path("cats/images").mkdir(parents=True)
        >>> copy = shutil.copy("street.png", "cats/images/a.png")
        >>> cat = {"image_id": 7, "category_id": 3, "segmentation": [[0, 0, 20, 0, 20, 20, 0, 20]]}
        >>> size = pathlib.Path("cats/annotations.json").write_text(json.dumps({
        ...     "images": [{"id": 7, "file_name": "a.png", "height": 360, "width": 480}],
        ...     "categories": [{"id": 3, "name": "cat"}],
        ...     "annotations": [cat],
        ... }))
        >>> dataset = tfseg.data.coco_json("cats")
        >>> dataset, dataset.classes
        (<Dataset 'cats': 1 pairs, 2 classes>, ('background', 'cat'))
    """
    chosen_options = AnnotationOptions(**options)
    root = pathlib.Path(root)
    path = annotation_file(root, split, PLACES, ".json")
    saved = read_json(path, ("images", "annotations", "categories"), "COCO's annotations")
    try:
        label_of = {category["id"]: str(category["name"]) for category in saved["categories"]}
        pictures = {image["id"]: image for image in saved["images"]}
        names = [str(image["file_name"]) for image in pictures.values()]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: expected COCO's images and categories. Received: {error!r}") from error
    _check_ids(path, saved, pictures, label_of)
    present = [label_of[category] for category in _sorted(label_of)]
    chosen = chosen_options.class_list(present, path)
    shapes: dict[Any, list[Shape]] = collections.defaultdict(list)
    for annotation in saved["annotations"]:
        label = label_of[annotation["category_id"]]
        if label not in chosen.skipped:
            what = f"{path}: {label} in {pictures[annotation['image_id']]['file_name']}"
            shapes[annotation["image_id"]].append(_shape(annotation, chosen.values[label], what))
    part = pathlib.Path(path if split is None else split).stem.removeprefix("instances_")
    usual = [path.parent, root / "images" / part, root / "images", root / part, root / f"{part}2017", root]
    paths = find_pictures(names, chosen_options.directories(root, usual), path)
    pairs = [
        Pair(image, chosen_options.mask(*_named(path, picture), shapes[picture_id], chosen))
        for image, (picture_id, picture) in zip(paths, pictures.items(), strict=True)
    ]
    if not pairs:
        raise ValueError(f"{path}: expected photographs. Received: none.")
    return annotated_dataset(root, split, pairs, chosen)


def has_split(root: Path, split: Path) -> bool:
    """Whether there are annotations of a split.

    Args:
        root: directory of the data set.
        split: name of the split, or a path.
    """
    try:
        annotation_file(pathlib.Path(root), split, PLACES, ".json")
    except ValueError:
        return False
    return True


def _check_ids(
    path: pathlib.Path, saved: Mapping[str, Any], pictures: Mapping[Any, Any], label_of: Mapping[Any, str]
) -> None:
    """Refuses ids that are given twice, and annotations of pictures or categories that do not exist."""
    annotations = saved["annotations"]
    if not isinstance(annotations, list) or not all(isinstance(entry, Mapping) for entry in annotations):
        raise ValueError(f"{path}: expected a list of annotations. Received: {str(annotations)[:80]}")
    for what, entries in (("images", pictures), ("categories", label_of)):
        if len(entries) < len(saved[what]):
            raise ValueError(f"{path}: expected an id for each of the {what}. Received: ids that two of them have")
    for key, known in (("image_id", pictures), ("category_id", label_of)):
        ids = [entry.get(key) for entry in annotations]
        strange = [value for value in ids if not isinstance(value, int | str) or value not in known]
        if strange:
            raise ValueError(
                f"{path}: {len(strange)} annotations have {key} of no entry in the file. Received: "
                f"{first_few(sorted(set(map(str, strange))))}"
            )


def _sorted(ids: Iterable[Any]) -> list[Any]:
    """Ids in order; numbers come before texts."""
    return sorted(ids, key=lambda key: (isinstance(key, str), key))


def _shape(annotation: Mapping[str, Any], value: int, what: str) -> Shape:
    code = annotation.get("segmentation")
    if not code:
        raise ValueError(
            f"{what}: expected the outline of the object. Received: "
            f"{'a box alone' if annotation.get('bbox') else 'none'}. Export polygons or masks, or leave the category "
            "out: skip= (--skip_labels)."
        )
    if isinstance(code, Mapping):
        if not {"size", "counts"} <= code.keys():
            raise ValueError(f"{what}: expected a run-length code with size and counts. Received: {first_few(code)}")
        return Shape(value, "runs", dict(code))
    polygons = code if isinstance(code, list) and isinstance(code[0], list) else [code]
    for points in polygons:
        # pycocotools would take four numbers for a box.
        if not isinstance(points, list) or len(points) < 6 or len(points) % 2 or not _are_numbers(points):
            raise ValueError(
                f"{what}: expected polygons [x, y, x, y, ...] of three points or more. Received: {str(points)[:80]}"
            )
    return Shape(value, "polygons", polygons)


def _are_numbers(values: Iterable[Any]) -> bool:
    return all(isinstance(value, int | float) and abs(value) < 1e9 for value in values)  # no NaN, either


def _named(path: pathlib.Path, picture: Mapping[str, Any]) -> tuple[str, Size]:
    """The name of a picture in messages, and its height and width."""
    name = f"{path}: {picture['file_name']}"
    height, width = picture.get("height"), picture.get("width")
    if not isinstance(height, int) or not isinstance(width, int) or min(height, width) < 1:
        raise ValueError(f"{name}: expected the height and the width of the picture. Received: {height} and {width}")
    return name, (height, width)
