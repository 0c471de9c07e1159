"""The flags of data sets that are drawn from annotations: COCO's JSON, LabelMe, CVAT."""

from typing import TYPE_CHECKING, Any

from absl import flags

from tfseg_cli import choices, flag_types
from tfseg_cli.launch import UsageError

if TYPE_CHECKING:
    from tfseg import data

_KINDS = ", ".join(choices.ANNOTATIONS)
_BACKGROUND = flags.DEFINE_bool(
    "background",
    True,
    f"For {_KINDS}: whether the pixels of no shape are the class background, of id 0; otherwise they are ignored.",
)
_IGNORE_LABELS = flag_types.texts("ignore_labels", None, f"For {_KINDS}: labels whose pixels are ignored.")
_SKIP_LABELS = flag_types.texts("skip_labels", None, f"For {_KINDS}: labels whose shapes are not drawn.")
_OVERLAPS = flag_types.choice(
    "overlaps",
    "last",
    choices.OVERLAPS,
    f"For {_KINDS}: the class of a pixel of several shapes: that of the last one, or void if they differ.",
)


def check(kind: str) -> None:
    """Refuses these flags for data sets of another layout.

    Args:
        kind: layout of the data set.
    Raises:
        UsageError: one of the flags is given.
    """
    given = [flag.name for flag in (_BACKGROUND, _IGNORE_LABELS, _SKIP_LABELS, _OVERLAPS) if flag.present]
    if given and kind not in choices.ANNOTATIONS:
        raise UsageError(f"--{given[0]} is for annotations: add --dataset={choices.ANNOTATIONS[0]}, or leave it out")


def open_dataset(
    kind: str, root: str, split: str | None, images: str | None, classes: list[str] | None
) -> "data.Dataset":
    """The `tfseg.data.Dataset` that is drawn from annotations.

    Args:
        kind: one of `choices.ANNOTATIONS`.
        root: directory of the data set.
        split: name of the split, or the path of its annotations; None: the default.
        images: directory of the pictures in `root`; None: looked for.
        classes: names of the classes; None: all labels.
    """
    from tfseg import data

    options: dict[str, Any] = {
        "background": _BACKGROUND.value,
        "ignore": _IGNORE_LABELS.value or (),
        "skip": _SKIP_LABELS.value or (),
        "overlaps": _OVERLAPS.value,
    }
    return getattr(data, kind)(root, split, images=images, classes=classes, **options)


def has_split(kind: str, root: str, split: str) -> bool:
    """Whether a data set of annotations has a split.

    Args:
        kind: one of `choices.ANNOTATIONS`.
        root: directory of the data set.
        split: name of the split, or the path of its annotations.
    """
    from tfseg.data import coco_annotations, cvat_annotations, labelme_annotations

    modules = {"coco_json": coco_annotations, "labelme": labelme_annotations, "cvat": cvat_annotations}
    return modules[kind].has_split(root, split)
