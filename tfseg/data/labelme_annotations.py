"""Data sets of LabelMe: one JSON file for each picture."""

import base64
import collections
import io
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfseg.data.annotation_files import picture_below, read_json, same_name
from tfseg.data.annotation_options import AnnotationOptions, annotated_dataset
from tfseg.data.class_lists import ClassList
from tfseg.data.datasets import Dataset, Pair
from tfseg.data.drawn_masks import Shape
from tfseg.data.folders import list_directory, split_lines
from tfseg.data.labels import first_few
from tfseg.data.split_lists import columns
from tfseg.picture_formats import open_picture
from tfseg.types import Path, Size

_LINES = ("point", "points", "line", "linestrip")


def labelme(root: Path, split: Path | None = None, **options: Any) -> Dataset:
    """A data set of LabelMe's JSON files: polygons, rectangles, circles and masks.

    Shapes are drawn when a mask is read, by LabelMe's own rule: Pillow's, with the outline and corners without their
    fractions. So a rectangle from (2, 3) to (5, 6) has 16 pixels. Pictures without a JSON file do not belong to the
    data set.

    Args:
        root: directory with JSON files at any depth.
        split: None for all files; or the name of a directory in `root`; or of a file with one name per line
            (`train.txt`, in `root` or in `root/splits`), or its path.
        options: `images`, `classes`, `background`, `ignore`, `skip` and `overlaps`, see `AnnotationOptions`. Without
            `images`, pictures are where the JSON files say, or beside them. Without `classes`, labels are sorted.
    Raises:
        ValueError: no JSON files, one of another kind, a picture that is missing, a label that is no class, or a shape
            that encloses nothing.
    Reference: https://github.com/wkentaro/labelme
    Example:
        >>> import json, shutil
        >>> pathlib.Path("cats").mkdir()
        >>> copy = shutil.copy("street.png", "cats/a.png")
        >>> cat = {"label": "cat", "shape_type": "polygon", "points": [[0, 0], [20, 0], [20, 20]]}
        >>> size = pathlib.Path("cats/a.json").write_text(json.dumps({
        ...     "imagePath": "a.png", "imageHeight": 360, "imageWidth": 480, "imageData": None, "shapes": [cat],
        ... }))
        >>> dataset = tfseg.data.labelme("cats")
        >>> dataset, dataset.classes
        (<Dataset 'cats': 1 pairs, 2 classes>, ('background', 'cat'))
    """
    chosen_options = AnnotationOptions(**options)
    root = pathlib.Path(root)
    paths = _json_files(root, split)
    pictures = {
        path: _without_data(read_json(path, ("shapes", "imagePath"), "LabelMe's annotations")) for path in paths
    }
    present = sorted({_label(path, shape) for path, saved in pictures.items() for shape in _shapes(path, saved)})
    chosen = chosen_options.class_list(present, root)
    images = root / chosen_options.images if chosen_options.images else None
    pairs = []
    for path, saved in pictures.items():
        image = _picture(path, str(saved["imagePath"]), images)
        drawn = [shape for shape in _shapes(path, saved) if _label(path, shape) not in chosen.skipped]
        shapes = [_shape(path, shape, chosen) for shape in drawn]
        pairs.append(Pair(image, chosen_options.mask(str(path), _size(path, saved, image), shapes, chosen)))
    counts = collections.Counter(pair.image for pair in pairs)
    twice = sorted(str(image) for image, count in counts.items() if count > 1)
    if twice:
        raise ValueError(f"{root}: expected one JSON file for a picture. Received several for {first_few(twice)}")
    return annotated_dataset(root, split, pairs, chosen)


def has_split(root: Path, split: Path) -> bool:
    """Whether there are annotations of a split.

    Args:
        root: directory of the data set.
        split: name of the split, or a path.
    """
    root = pathlib.Path(root)
    lists = (pathlib.Path(split), root / f"{split}.txt", root / "splits" / f"{split}.txt")
    return (root / split).is_dir() or any(path.is_file() for path in lists)


def _json_files(root: pathlib.Path, split: Path | None) -> list[pathlib.Path]:
    """Sorted paths of the JSON files of a split."""
    directory = root / split if split is not None and (root / split).is_dir() else root
    hidden = len(directory.parts)
    paths = [
        path
        for path in sorted(directory.rglob("*.json"))
        if not any(part.startswith(".") for part in path.parts[hidden:])
    ]
    if not paths:
        raise ValueError(
            f"{directory}: expected LabelMe's JSON files. Received: {list_directory(directory)}. Pictures alone are "
            "annotated first."
        )
    if split is None or directory != root:
        return paths
    path_of = {path.stem: path for path in paths}
    listed = {line: _listed(line, path_of) for line in split_lines(root, split)}
    missing = [line for line, path in listed.items() if path is None]
    if missing or not listed:
        raise ValueError(
            f"{root}: expected a JSON file for every name of the split {str(split)!r}. Received: "
            f"{first_few(missing) or 'no names'}"
        )
    return sorted({path for path in listed.values() if path is not None})


def _listed(line: str, path_of: Mapping[str, pathlib.Path]) -> pathlib.Path | None:
    """The file that a line of a list names: with an ending or without, alone or in the first of two columns."""
    for text in (line, *(first for first, _ in columns(line))):
        name = pathlib.PureWindowsPath(text)
        if path := path_of.get(name.name) or path_of.get(name.stem):
            return path
    return None


def _without_data(saved: dict[str, Any]) -> dict[str, Any]:
    """The content of a file without the picture that it repeats."""
    return {key: value for key, value in saved.items() if key != "imageData"}


def _shapes(path: pathlib.Path, saved: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    shapes = saved["shapes"]
    if not isinstance(shapes, list) or not all(isinstance(shape, Mapping) and "label" in shape for shape in shapes):
        raise ValueError(f"{path}: expected LabelMe's shapes, each with a label. Received: {str(shapes)[:80]}")
    return shapes


def _label(path: pathlib.Path, shape: Mapping[str, Any]) -> str:
    if not isinstance(shape["label"], str) or not shape["label"]:
        raise ValueError(f"{path}: expected a label for every shape. Received: {shape['label']!r}")
    return shape["label"]


def _picture(path: pathlib.Path, name: str, images: pathlib.Path | None) -> pathlib.Path:
    """The picture of a JSON file: in `images`, where the file says, or beside it."""
    if images is not None:
        image = picture_below(images, name)
    else:
        stated = path.parent / pathlib.PurePosixPath(name.replace("\\", "/"))
        image = stated if stated.is_file() else picture_below(path.parent, name) or same_name(path)
    if image is None:
        raise ValueError(
            f"{path}: its picture {name} is missing. Received neither that in {images or path.parent} nor a picture "
            f"beside it of its name. Name the directory of the pictures: images= (--images). What imageData holds is "
            "not read."
        )
    return image


def _size(path: pathlib.Path, saved: Mapping[str, Any], image: pathlib.Path) -> Size:
    """`(height, width)` that a file states, or that of its picture as LabelMe shows it."""
    height, width = saved.get("imageHeight"), saved.get("imageWidth")
    if height is None and width is None:  # old versions do not state them
        with open_picture(image) as picture:
            width, height = picture.size
            if picture.getexif().get(0x0112, 1) >= 5:  # it is shown on its side
                width, height = height, width
    if not all(isinstance(side, int) and side > 0 for side in (height, width)):
        raise ValueError(f"{path}: expected imageHeight and imageWidth. Received: {height!r} and {width!r}")
    return int(height or 0), int(width or 0)


def _shape(path: pathlib.Path, shape: Mapping[str, Any], chosen: ClassList) -> Shape:
    label, kind = _label(path, shape), shape.get("shape_type") or "polygon"
    what, value = f"{path}: {kind} of {label}", chosen.values[label]
    if kind in _LINES:
        raise ValueError(
            f"{what}: expected a shape that encloses pixels. Draw a polygon, or leave the label out: skip= "
            "(--skip_labels)."
        )
    points = shape.get("points")
    if not isinstance(points, list) or not all(_is_point(point) for point in points):
        raise ValueError(f"{what}: expected points [[x, y], ...]. Received: {str(points)[:80]}")
    corners = [(float(x), float(y)) for x, y in points]
    counts = {"polygon": len(corners) >= 3, "oriented_rectangle": len(corners) == 4}
    if not counts.get(kind, len(corners) == 2):
        raise ValueError(f"{what}: another number of points. Received: {len(corners)}")
    if kind in ("polygon", "oriented_rectangle"):
        return Shape(value, "outlined_polygon", corners)
    (left, top), (right, bottom) = corners
    if kind == "circle":  # its center, and a point on it
        radius = math.hypot(right - left, bottom - top)
        return Shape(value, "outlined_ellipse", [(left - radius, top - radius), (left + radius, top + radius)])
    (left, right), (top, bottom) = sorted((left, right)), sorted((top, bottom))
    if kind == "rectangle":
        return Shape(value, "outlined_rectangle", [(left, top), (right, bottom)])
    if kind == "mask":
        return Shape(value, "patch", (int(left), int(top), _patch(what, shape.get("mask"))))
    raise ValueError(f"{what}: expected a polygon, rectangle, circle or mask.")


def _is_point(point: Any) -> bool:
    return (
        isinstance(point, list)
        and len(point) == 2
        and all(isinstance(value, int | float) and abs(value) < 1e9 for value in point)
    )


def _patch(what: str, text: Any) -> Any:
    """The mask of a shape, a picture in base64, as booleans."""
    try:
        with open_picture(io.BytesIO(base64.b64decode(text))) as picture:
            return np.asarray(picture.convert("L")) > 0
    except Exception as error:  # a broken picture raises nearly anything
        raise ValueError(f"{what}: expected a picture in base64. Received: {error}") from error
