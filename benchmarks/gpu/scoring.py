"""Part "score": class maps as PNGs, and their scores by what `tfseg evaluate` computes.

    python -m benchmarks.gpu.scoring RESULTS DATA FOLDER [FOLDER ...]

scores the folders of class maps that are named. It needs no accelerator and no weights.
"""

import pathlib
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.gpu.records import Records

if TYPE_CHECKING:
    import keras

    from tfseg.data import Dataset


def write_maps(model: "keras.Model", dataset: "Dataset", folder: pathlib.Path) -> None:
    """Writes the class of every pixel of every photograph, as gray PNGs.

    Args:
        model: a segmenter.
        dataset: the photographs.
        folder: where the PNGs are written, under the names of the photographs.
    """
    from PIL import Image

    from tfseg.data.loader import load
    from tfseg.evaluation import class_map

    folder.mkdir(parents=True, exist_ok=True)
    for pair in dataset.pairs:
        image, _ = load(pair, dataset.labels, dataset.photographs)
        classes = class_map(model, image).astype("uint8")
        Image.fromarray(classes).save(folder / f"{pair.image.stem}.png", optimize=True)


def score_maps(dataset: "Dataset", folder: pathlib.Path) -> dict[str, Any]:
    """The scores of class maps in a folder.

    Args:
        dataset: photographs and masks.
        folder: what `write_maps` wrote.
    Raises:
        ValueError: a map is missing, or has another size than its mask, or classes that the data set does not have.
    """
    from PIL import Image

    from tfseg.data.masks import read_mask
    from tfseg.evaluation import Evaluation
    from tfseg.metrics import SCORES, confusion_matrix

    matrix, accuracies = np.zeros((dataset.num_classes,) * 2, "int64"), []
    for pair in dataset.pairs:
        path = folder / f"{pair.image.stem}.png"
        if not path.exists():
            raise ValueError(f"{folder}: the map of {pair.image.name} is missing.")
        classes, mask = np.asarray(Image.open(path)).astype("int32"), read_mask(pair.mask, dataset.labels)
        if classes.shape != mask.shape or classes.max() >= dataset.num_classes:
            raise ValueError(f"{path} is no map of {dataset.num_classes} classes for a mask of {mask.shape}.")
        matrix += confusion_matrix(mask, classes, dataset.num_classes, dataset.labels.void_id)
        counted = mask != dataset.labels.void_id
        accuracies.append(float((classes == mask)[counted].mean()) if counted.any() else float("nan"))
    evaluation = Evaluation(dataset, matrix, tuple(accuracies))
    evaluation.save(folder.parent / "evaluation.json")
    values = evaluation.scores
    names = zip(evaluation.class_names, values["iou"], strict=True)
    return {name: float(values[name]) for name in SCORES} | {
        "iou": {name: None if np.isnan(value) else float(value) for name, value in names}
    }


def main(path: str, root: str, folders: list[str]) -> None:
    """Scores folders of class maps, and writes a record of each.

    Args:
        path: path of the records.
        root: directory of CamVid.
        folders: folders of class maps; the name of a plan is that of the folder around each.
    """
    from tfseg import data

    dataset, records = data.camvid(root, "val"), Records(path)
    for folder in map(pathlib.Path, folders):
        records.add("score", plan=folder.parent.name, maps=len(dataset.pairs), **score_maps(dataset, folder))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
