"""What the readers of annotations have in common: their options, and what they make of shapes."""

import dataclasses
import pathlib
from collections.abc import Iterable, Sequence

from tfseg.data.class_lists import ClassList, class_list
from tfseg.data.datasets import Dataset, Pair
from tfseg.data.drawn_masks import DrawnMask, Overlaps, Shape, check_overlaps
from tfseg.images import MAX_PIXELS
from tfseg.types import Path, Size


@dataclasses.dataclass(frozen=True)
class AnnotationOptions:
    """How the annotations of a tool become classes and masks: the options of `coco_json`, `labelme` and `cvat`.

    Attributes:
        images: directory of the pictures, in the directory of the data set; None: looked for.
        classes: names of the labels that are classes, in order of their ids; None: all, in the order of the tool.
        background: whether the pixels of no shape are a class, "background" or "_background_", which is 0 unless
            `classes` places it. If not, they are ignored.
        ignore: labels whose pixels are ignored, beside those of the names __ignore__, void, ignore and unlabeled.
        skip: labels that are not drawn.
        overlaps: which class a pixel of several shapes has. "last": that of the last shape in the file. "void": it is
            ignored, if the classes differ.
    Raises:
        ValueError: another rule of overlaps, or a text in place of a list of labels.
    Example:
        >>> tfseg.data.AnnotationOptions(classes=("cat", "dog")).overlaps
        'last'
    """

    images: str | None = None
    classes: Iterable[str] | None = None
    background: bool = True
    ignore: Iterable[str] = ()
    skip: Iterable[str] = ()
    overlaps: Overlaps = "last"

    def __post_init__(self) -> None:
        check_overlaps(self.overlaps)
        for option in ("classes", "ignore", "skip"):
            if isinstance(getattr(self, option), str):  # it would become a list of its letters
                raise ValueError(f'{option} is a list of names, such as ["cat"]. Received: {getattr(self, option)!r}')

    def class_list(self, present: Sequence[str], source: object) -> ClassList:
        """The classes of the labels that a data set has.

        Args:
            present: all labels, in the order that the classes have without `classes`.
            source: the data set, for messages.
        Raises:
            ValueError: labels that are no class, or a class that is named twice.
        """
        return class_list(
            present, source, classes=self.classes, background=self.background, ignore=self.ignore, skip=self.skip
        )

    def mask(self, name: str, size: Size, shapes: Sequence[Shape], chosen: ClassList) -> DrawnMask:
        """The mask of a picture.

        Args:
            name: name of the mask in messages.
            size: `(height, width)`.
            shapes: the shapes, the lowest first.
            chosen: the classes.
        Raises:
            ValueError: a size that no picture has.
        """
        if min(size) < 1 or size[0] * size[1] > MAX_PIXELS:
            raise ValueError(
                f"{name}: expected the height and the width of a picture. Received: {size[0]} and {size[1]}"
            )
        void = chosen.labels.void_id
        return DrawnMask(name, size, shapes, outside=chosen.outside, void=void, overlaps=self.overlaps)

    def directories(self, root: pathlib.Path, usual: Sequence[pathlib.Path]) -> list[pathlib.Path]:
        """The directories in which pictures are looked for.

        Args:
            root: directory of the data set.
            usual: where they may be without `images`.
        """
        places = [root / self.images] if self.images else usual
        return [directory for directory in places if directory.is_dir()]


def annotated_dataset(root: pathlib.Path, split: Path | None, pairs: Sequence[Pair], chosen: ClassList) -> Dataset:
    """The data set of pictures and their drawn masks.

    Args:
        root: directory of the data set.
        split: name of the split, or the path of its annotations; None: all.
        pairs: the pairs.
        chosen: the classes.
    """
    name = f"{root.name}/{pathlib.Path(split).stem}" if split else root.name
    return Dataset(name, tuple(sorted(pairs, key=lambda pair: pair.image)), chosen.labels, chosen.names)
