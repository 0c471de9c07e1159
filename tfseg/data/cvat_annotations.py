"""Data sets of CVAT: one XML file of the format "CVAT for images 1.1"."""

import math
import pathlib
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

from tfseg.data.annotation_files import annotation_file, find_pictures
from tfseg.data.annotation_options import AnnotationOptions, annotated_dataset
from tfseg.data.class_lists import ClassList
from tfseg.data.datasets import Dataset, Pair
from tfseg.data.drawn_masks import Shape
from tfseg.types import Path, Size

PLACES = ("annotations.xml", "{split}/annotations.xml", "{split}.xml", "annotations/{split}.xml")
_NO_AREA = ("polyline", "points", "skeleton", "cuboid")


def cvat(root: Path, split: Path | None = None, **options: Any) -> Dataset:
    """A data set of CVAT's XML for images 1.1: polygons, boxes, ellipses and masks, by their z-order.

    Shapes are drawn when a mask is read. Polygons and boxes are drawn by pycocotools, as CVAT's own masks are: about
    the pixels whose centers lie inside. Pixels of ellipses have their centers inside.

    Args:
        root: directory of the data set. Pictures are looked for in it, in `images`, and in the folders of subsets.
        split: None for all pictures of `annotations.xml`; the name of a subset in it; the name of a directory with an
            `annotations.xml`; or the path of an XML file.
        options: `images`, `classes`, `background`, `ignore`, `skip` and `overlaps`, see `AnnotationOptions`. Without
            `classes`, labels come in the order of CVAT. The last of several shapes is that of the highest z-order.
    Raises:
        ValueError: no such file, a file of another kind, a picture that is missing, a label that is no class, or a
            shape that encloses nothing.
    Reference: https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/
    Example:
        >>> import shutil
        >>> pathlib.Path("cats/images").mkdir(parents=True)
        >>> copy = shutil.copy("street.png", "cats/images/a.png")
        >>> size = pathlib.Path("cats/annotations.xml").write_text('''<annotations>
        ...   <version>1.1</version>
        ...   <image id="0" name="a.png" width="480" height="360">
        ...     <polygon label="cat" points="0,0;20,0;20,20" z_order="0"/>
        ...   </image>
        ... </annotations>''')
        >>> dataset = tfseg.data.cvat("cats")
        >>> dataset, dataset.classes
        (<Dataset 'cats': 1 pairs, 2 classes>, ('background', 'cat'))
    """
    chosen_options = AnnotationOptions(**options)
    root = pathlib.Path(root)
    whole = root / PLACES[0]
    path, subset = _file_of(root, split, whole)
    tree = _parsed(path)
    entries = [image for image in tree.iter("image") if subset is None or image.get("subset") == subset]
    if not entries:
        raise ValueError(f"{path}: expected pictures{f' of the subset {subset}' if subset else ''}. Received: none.")
    stated = [label.findtext("name", "") for label in tree.iter("label") if label.find("parent") is None]
    used = sorted({shape.get("label", "") for image in entries for shape in image if shape.tag != "tag"})
    present = [*dict.fromkeys(name for name in [*stated, *used] if name)]
    chosen = chosen_options.class_list(present, path)
    names = ["/".join(filter(None, [image.get("subset"), image.get("name", "")])) for image in entries]
    part = subset or ("" if split is None else str(split))
    usual = [
        root / "images" / part, root / "images", root / part / "images", root / part, path.parent / "images",
        path.parent, root,
    ]  # fmt: skip
    paths = find_pictures(names, chosen_options.directories(root, usual), path)
    pairs = [
        Pair(picture, chosen_options.mask(*_drawn(path, image, chosen), chosen))
        for picture, image in zip(paths, entries, strict=True)
    ]
    return annotated_dataset(root, split, pairs, chosen)


def has_split(root: Path, split: Path) -> bool:
    """Whether there are annotations of a split.

    Args:
        root: directory of the data set.
        split: name of the split, or a path.
    """
    root = pathlib.Path(root)
    try:
        path, subset = _file_of(root, split, root / PLACES[0])
        return subset is None or any(image.get("subset") == subset for image in _parsed(path).iter("image"))
    except ValueError:
        return False


def _file_of(root: pathlib.Path, split: Path | None, whole: pathlib.Path) -> tuple[pathlib.Path, str | None]:
    """The file of a split, and the subset in it; None: all of the file."""
    try:
        return annotation_file(root, split, PLACES, ".xml"), None
    except ValueError:
        if split is None or not whole.is_file():
            raise
    return whole, str(split)


def _parsed(path: pathlib.Path) -> ElementTree.Element:
    try:
        tree = ElementTree.fromstring(path.read_bytes())
    except ElementTree.ParseError as error:
        raise ValueError(f"{path}: expected CVAT's annotations, a whole XML file. Received: {error}") from error
    if tree.tag != "annotations" or tree.find("track") is not None:
        kind = "tracks of a film" if tree.tag == "annotations" else f"the element {tree.tag}"
        raise ValueError(f"{path}: expected the format CVAT for images 1.1. Received: {kind}. Export the task in it.")
    return tree


def _drawn(path: pathlib.Path, image: ElementTree.Element, chosen: ClassList) -> tuple[str, Size, list[Shape]]:
    """The name of a picture in messages, its height and width, and its shapes, the lowest first."""
    name = f"{path}: {image.get('name')}"
    height, width = (_number(name, image, key) for key in ("height", "width"))
    drawn = []
    for element in image:
        label = element.get("label", "")
        if element.tag != "tag" and label not in chosen.skipped:
            what = f"{name}: {element.tag} of {label or 'no label'}"
            drawn.append((_number(what, element, "z_order", 0), _shape(what, element, chosen.values.get(label))))
    drawn.sort(key=lambda entry: entry[0])  # stable: equals stay in the order of the file
    return name, (int(height), int(width)), [shape for _, shape in drawn]


def _shape(what: str, element: ElementTree.Element, value: int | None) -> Shape:
    if element.tag in _NO_AREA:
        raise ValueError(
            f"{what}: expected a shape that encloses pixels. Draw a polygon, or leave the label out: skip= "
            "(--skip_labels)."
        )
    if value is None or element.tag not in _GEOMETRIES:
        raise ValueError(f"{what}: expected {', '.join(_GEOMETRIES)} with a label.")
    kind, geometry = _GEOMETRIES[element.tag]
    return Shape(value, kind, geometry(what, element))


def _polygon(what: str, element: ElementTree.Element) -> list[list[float]]:
    text = element.get("points", "")
    try:
        points = [float(value) for point in text.split(";") for value in _two(point.split(","))]
    except ValueError:
        points = []
    if len(points) < 6 or not all(abs(value) < 1e9 for value in points):
        raise ValueError(f"{what}: expected points x,y;x,y;x,y. Received: {text[:80]!r}")
    return [points]


def _two(values: list[str]) -> list[str]:
    if len(values) != 2:
        raise ValueError(values)
    return values


def _box(what: str, element: ElementTree.Element) -> list[list[float]]:
    """The corners of a box, turned around its center."""
    left, top, right, bottom = (_number(what, element, key) for key in ("xtl", "ytl", "xbr", "ybr"))
    angle = math.radians(_number(what, element, "rotation", 0))
    center_x, center_y = (left + right) / 2, (top + bottom) / 2
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return [
        [
            value
            for x, y in corners
            for value in (
                center_x + (x - center_x) * math.cos(angle) - (y - center_y) * math.sin(angle),
                center_y + (x - center_x) * math.sin(angle) + (y - center_y) * math.cos(angle),
            )
        ]
    ]


def _ellipse(what: str, element: ElementTree.Element) -> tuple[float, ...]:
    radii = [_number(what, element, key) for key in ("rx", "ry")]
    if min(radii) <= 0:
        raise ValueError(f"{what}: expected radii above 0. Received: {radii[0]} and {radii[1]}")
    return (
        _number(what, element, "cx"), _number(what, element, "cy"), *radii, _number(what, element, "rotation", 0),
    )  # fmt: skip


def _runs(what: str, element: ElementTree.Element) -> tuple[int, int, int, int, list[int]]:
    left, top, width, height = (int(_number(what, element, key)) for key in ("left", "top", "width", "height"))
    text = element.get("rle", "")
    try:
        counts = [int(count) for count in text.split(",")]
    except ValueError as error:
        raise ValueError(f"{what}: expected the lengths of runs. Received: {text[:80]!r}") from error
    return left, top, width, height, counts


def _number(what: str, element: ElementTree.Element, key: str, default: float | None = None) -> float:
    text = element.get(key)
    try:
        value = float(text) if text is not None or default is None else default  # type: ignore[arg-type]
    except (TypeError, ValueError):
        value = math.nan
    if not abs(value) < 1e9:
        raise ValueError(f"{what}: expected a number {key}. Received: {text!r}")
    return value


_GEOMETRIES: dict[str, tuple[str, Callable[[str, ElementTree.Element], object]]] = {
    "polygon": ("polygons", _polygon),
    "box": ("polygons", _box),
    "ellipse": ("ellipse", _ellipse),
    "mask": ("row_runs", _runs),
}
