"""Reads the metadata of a folder that `tfseg.export` made, and finds the artifacts in it."""

import dataclasses
import json
import pathlib
from typing import Any

from tfseg.types import Path

METADATA = "metadata.json"


@dataclasses.dataclass(frozen=True)
class ExportedFolder:
    """A folder that `tfseg.export` made.

    Attributes:
        path: path of the folder.
        name: name of the model.
        num_classes: number of classes.
        classes: name of each class; None if unknown.
        colors: `[red, green, blue]` of each class, 0 to 255; None if unknown.
        preprocessing: dictionary as in `tfseg.specs.PREPROCESSING`; None if unknown.
        outputs: what the artifacts of other runtimes than TensorFlow give: "logits", "classes" or "probabilities".
        least_side: smallest height and width of an image, in pixels; 1 for folders of older versions.
    """

    path: pathlib.Path
    name: str
    num_classes: int
    classes: list[str] | None
    colors: list[list[int]] | None
    preprocessing: dict[str, Any] | None
    outputs: str = "logits"
    least_side: int = 1

    @property
    def saved_model(self) -> pathlib.Path:
        """The directory of the SavedModel: `1/`, or the highest number if there are several.

        Raises:
            ValueError: the folder has no SavedModel.
        """
        versions = [path for path in self.path.iterdir() if path.name.isdigit() and path.is_dir()]
        if not versions:
            content = ", ".join(sorted(path.name for path in self.path.iterdir()))
            raise ValueError(
                f"{str(self.path)!r} has no SavedModel in a directory 1: export with the format saved_model. "
                f"Received: {content}"
            )
        return max(versions, key=lambda path: int(path.name))


def is_exported_folder(path: Path) -> bool:
    """Whether a path is a folder that `tfseg.export` made.

    Args:
        path: any path.
    """
    return (pathlib.Path(path) / METADATA).is_file()


def read_exported_folder(path: Path) -> ExportedFolder:
    """The metadata of a folder that `tfseg.export` made.

    Args:
        path: path of the folder.
    Raises:
        ValueError: the folder has no metadata.json, or it is damaged.
    """
    folder = pathlib.Path(path)
    if not is_exported_folder(folder):
        raise ValueError(f"{str(folder)!r} has no {METADATA}, so it is no folder of tfseg.export.")
    try:
        facts = json.loads((folder / METADATA).read_text(encoding="utf-8"))
        known = {key: facts[key] for key in ("name", "num_classes", "classes", "colors")}
        outputs, least = facts.get("outputs", "logits"), int(facts.get("least_side", 1))
        prepared = facts.get("preprocessing")
        return ExportedFolder(folder, **known, preprocessing=prepared, outputs=outputs, least_side=least)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{str(folder / METADATA)!r} is not what tfseg.export writes: {error!r}. Export the model again."
        ) from error
