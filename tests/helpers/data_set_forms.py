"""Data sets as people have them: how each form is written, and what `tfseg.data` and the commands are told to read it."""

import base64
import dataclasses
import io
import json
import pathlib
import unicodedata
from collections.abc import Callable
from typing import Any

import numpy as np
from helpers.channel_images import write_geotiff
from helpers.data_sets import save
from PIL import Image

from tfseg import data
from tfseg.data.named_files import MASK_ENDINGS

CLASSES = ("background", "road", "tree")


@dataclasses.dataclass(frozen=True)
class Drawn:
    """What the files of a data set show.

    Attributes:
        count: number of pictures.
        picture: the number of a picture -> uint8 `(height, width, 3)`.
        truth: the number of a picture -> ids of three classes, `(height, width)`.
        channels: the number of a picture -> uint16 `(height, width, 4)`, for images that are no photographs.
    """

    count: int
    picture: Callable[[int], np.ndarray]
    truth: Callable[[int], np.ndarray]
    channels: Callable[[int], np.ndarray]


@dataclasses.dataclass(frozen=True)
class DataForm:
    """A form of data sets.

    Attributes:
        write: writes what is drawn into a directory.
        dataset: its layout, a function of `tfseg.data` and the value of --dataset.
        options: options of that function.
        needs: a package that its files need.
        images: the directory of its pictures.
        turned: whether a prediction lies on its side, seen from the mask.
    """

    write: Callable[[pathlib.Path, Drawn], None]
    dataset: str = "folder"
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    needs: str | None = None
    images: str = "images"
    turned: bool = False

    def opened(self, root: pathlib.Path) -> data.Dataset:
        """The data set in a directory."""
        classes = {"num_classes": len(CLASSES)} if self.dataset == "folder" else {}
        return getattr(data, self.dataset)(root, **classes, **self.options)

    @property
    def flags(self) -> list[str]:
        """What the commands are told to read it."""
        kind = f"--num_classes={len(CLASSES)}" if self.dataset == "folder" else f"--dataset={self.dataset}"
        return [kind, *(f"--{name}={value}" for name, value in self.options.items())]


def equal_names(root: pathlib.Path, drawn: Drawn, image: str = "images/p{}.png", mask: str = "masks/p{}.png") -> None:
    """Writes pictures and masks of equal names, or names by two patterns."""
    for index in range(drawn.count):
        save(root / image.format(index), drawn.picture(index))
        save(root / mask.format(index), drawn.truth(index))


def named(image: str, mask: str) -> Callable[[pathlib.Path, Drawn], None]:
    """`equal_names` by two patterns."""
    return lambda root, drawn: equal_names(root, drawn, image, mask)


def endings(root: pathlib.Path, drawn: Drawn) -> None:
    """Writes masks with the endings that people use."""
    for index in range(drawn.count):
        save(root / "images" / f"p{index}.png", drawn.picture(index))
        save(root / "masks" / f"p{index}{MASK_ENDINGS[index % len(MASK_ENDINGS)]}.png", drawn.truth(index))


def second_column(root: pathlib.Path, drawn: Drawn) -> None:
    """Writes a list whose second column names the mask, in Windows' way; names do not tell it."""
    lines = []
    for index in range(drawn.count):
        mask = f"masks/p{(index + 5) % drawn.count}.png"
        save(root / "images" / f"p{index}.png", drawn.picture(index))
        save(root / mask, drawn.truth(index))
        lines.append(f"images/p{index}.png\t{mask}")
    (root / "all.txt").write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")


def links(root: pathlib.Path, drawn: Drawn) -> None:
    """Writes links to files of other names."""
    for index in range(drawn.count):
        for kind, array in (("images", drawn.picture(index)), ("masks", drawn.truth(index))):
            target = save(root / "elsewhere" / f"{kind}{index}.png", array)
            (root / kind).mkdir(exist_ok=True)
            (root / kind / f"p{index}.png").symlink_to(target)


def turned(drawn_on: str) -> Callable[[pathlib.Path, Drawn], None]:
    """Photographs that a camera stored on their side, with masks of one of the two pictures."""

    def write(root: pathlib.Path, drawn: Drawn) -> None:
        for index in range(drawn.count):
            upright = drawn.picture(index) if drawn_on == "upright" else np.rot90(drawn.picture(index), -1)
            stored = Image.fromarray(np.ascontiguousarray(np.rot90(upright)))
            exif = stored.getexif()
            exif[0x0112] = 6
            (root / "images").mkdir(parents=True, exist_ok=True)
            stored.save(root / "images" / f"p{index}.png", exif=exif)
            save(root / "masks" / f"p{index}.png", drawn.truth(index))

    return write


def runs(flat: np.ndarray) -> list[int]:
    """Lengths of the runs of zeros and ones in turn, zeros first."""
    changes = np.flatnonzero(np.diff(np.concatenate([[0], flat, [0]])))
    edges = np.concatenate([[0], changes, [len(flat)]])
    lengths = np.diff(edges).tolist()
    return lengths[:-1] if len(lengths) > 1 and lengths[-1] == 0 else lengths


def coco_json(root: pathlib.Path, drawn: Drawn) -> None:
    """Writes COCO's JSON with runs of pixels, and ids of categories in another order."""
    images, annotations = [], []
    for index in range(drawn.count):
        save(root / "images" / f"p{index}.png", drawn.picture(index))
        truth = drawn.truth(index)
        height, width = truth.shape
        images.append({"id": index + 7, "file_name": f"p{index}.png", "height": height, "width": width})
        for category in (1, 2):
            counts = runs((truth == category).ravel(order="F").astype(int))
            code = {"size": [height, width], "counts": counts}
            annotations.append({"image_id": index + 7, "category_id": 10 * category, "segmentation": code})
    categories = [{"id": 20, "name": "tree"}, {"id": 10, "name": "road"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations.json").write_text(json.dumps(content))


def labelme(root: pathlib.Path, drawn: Drawn) -> None:
    """Writes a JSON of LabelMe beside each picture."""
    for index in range(drawn.count):
        save(root / f"p{index}.png", drawn.picture(index))
        truth, shapes = drawn.truth(index), []
        height, width = truth.shape
        for value in (1, 2):
            stream = io.BytesIO()
            Image.fromarray(((truth == value) * 255).astype("uint8")).save(stream, format="PNG")
            code = base64.b64encode(stream.getvalue()).decode()
            corners = [[0, 0], [width - 1, height - 1]]
            shapes.append({"label": CLASSES[value], "shape_type": "mask", "points": corners, "mask": code})
        content = {"imagePath": f"p{index}.png", "imageHeight": height, "imageWidth": width, "shapes": shapes}
        (root / f"p{index}.json").write_text(json.dumps(content))


def cvat(root: pathlib.Path, drawn: Drawn) -> None:
    """Writes an XML of CVAT for images."""
    entries = []
    for index in range(drawn.count):
        save(root / "images" / f"p{index}.png", drawn.picture(index))
        truth = drawn.truth(index)
        size = f'width="{truth.shape[1]}" height="{truth.shape[0]}"'
        masks = [
            f'<mask label="{CLASSES[value]}" left="0" top="0" {size} '
            f'rle="{", ".join(map(str, runs((truth == value).ravel().astype(int))))}" z_order="0"/>'
            for value in (1, 2)
        ]
        entries.append(f'<image id="{index}" name="p{index}.png" {size}>{"".join(masks)}</image>')
    (root / "annotations.xml").write_text(f"<annotations><version>1.1</version>{''.join(entries)}</annotations>")


def geotiff(root: pathlib.Path, drawn: Drawn) -> None:
    """Writes images of four channels with a place on Earth."""
    for index in range(drawn.count):
        write_geotiff(root / "images" / f"p{index}.tif", drawn.channels(index))
        save(root / "masks" / f"p{index}.png", drawn.truth(index))


def npy(root: pathlib.Path, drawn: Drawn) -> None:
    """Writes arrays of four channels."""
    for index in range(drawn.count):
        save(root / "masks" / f"p{index}.png", drawn.truth(index))
        (root / "images").mkdir(exist_ok=True)
        np.save(root / "images" / f"p{index}.npy", drawn.channels(index))


# A photograph's name from Linux, a mask's from macOS.
_DECOMPOSED = unicodedata.normalize("NFD", "masks/straße ü{}.png")

FORMS = {
    "equal names": DataForm(equal_names),
    "endings": DataForm(endings),
    "upper-case suffixes": DataForm(named("images/P{}.PNG", "masks/P{}.PNG")),
    "nested folders": DataForm(named("images/a/b/p{}.png", "masks/a/b/p{}.png")),
    "decomposed names": DataForm(named("images/straße ü{}.png", _DECOMPOSED)),
    "other folders": DataForm(
        named("photos/p{}.png", "labels/p{}.png"), options={"images": "photos", "masks": "labels"}, images="photos"
    ),
    "names by a pattern": DataForm(
        named("images/p{}.png", "masks/p{}-seg.png"), options={"mask_pattern": "{name}-seg"}
    ),
    "links": DataForm(links),
    "second column": DataForm(second_column, options={"split": "all"}),
    "EXIF 6, drawn upright": DataForm(turned("upright")),
    "EXIF 6, drawn as stored": DataForm(turned("stored"), turned=True),
    "COCO JSON": DataForm(coco_json, "coco_json", needs="pycocotools"),
    "LabelMe": DataForm(labelme, "labelme", images="."),
    "CVAT": DataForm(cvat, "cvat"),
    "GeoTIFF": DataForm(geotiff, options={"channels": 4}, needs="rasterio"),
    ".npy": DataForm(npy, options={"channels": 4}),
}
