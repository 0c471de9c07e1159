"""What tells a data set from another one, as plain values: its pairs, its labels, and how its images are read."""

import hashlib
import json
import os
import pathlib
from typing import Any

import numpy as np

from tfseg.data.datasets import Dataset, Pair
from tfseg.data.masks import MaskSource

HASHED = ("photographs", "masks", "annotations")  # facts that are hashes, which say nothing to a reader


def data_facts(dataset: Dataset) -> dict[str, Any]:
    """What tells a data set from another one; where it lies does not.

    Args:
        dataset: any `Dataset`.
    Returns: values for JSON. Files are told apart by their names, and masks that are drawn by their shapes.

    Example:
        >>> from tfseg.training.data_facts import data_facts
        >>> pair = tfseg.data.Pair(pathlib.Path("street.png"), pathlib.Path("street_classes.png"))
        >>> facts = data_facts(tfseg.data.Dataset("streets", (pair,), tfseg.data.Labels(11)))
        >>> facts["dataset"], facts["pairs"], facts["annotations"]
        ('streets', 1, None)
    """
    labels, photographs = dataset.labels, dataset.photographs
    drawn = [pair.mask for pair in dataset.pairs if isinstance(pair.mask, MaskSource)]
    return {
        "dataset": dataset.name,
        "pairs": len(dataset.pairs),
        "photographs": text_hash("\n".join(pair.image.name for pair in dataset.pairs)),
        "masks": text_hash("\n".join(_place_of_mask(pair) for pair in dataset.pairs)),
        "annotations": text_hash("\n".join(map(_shapes, drawn))) if drawn else None,
        "num_classes": dataset.num_classes,
        "classes": dataset.classes,
        "colors": dataset.colors,
        # Lists, because the entries of a dictionary are compared one by one, where both have them.
        "mask_values": labels.ids and sorted(labels.ids.items()),
        "void": sorted(labels.void),
        "palette": labels.palette and sorted(labels.palette.items()),
        "exif": photographs.exif,
        "image_bits": photographs.bits,
        "channels": photographs.channels,
        "no_data": str(photographs.no_data),  # NaN differs from itself
    }


def text_hash(text: str) -> str:
    """The hash of a text, which may hold names of files in any encoding.

    Args:
        text: any text.
    """
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def _place_of_mask(pair: Pair) -> str:
    """Where a mask lies, seen from its photograph, so that a data set may be moved; "" for a mask that is no file."""
    if isinstance(pair.mask, MaskSource):
        return ""
    try:
        place = pathlib.Path(os.path.relpath(pair.mask, pair.image.parent))
    except ValueError:  # another drive of Windows
        place = pathlib.Path(pair.mask.name)
    return "/".join(part for part in place.parts if part != os.pardir)


def _shapes(mask: MaskSource) -> str:
    """What a mask is drawn from; its name, which holds the place of the annotations, is left out."""
    facts = {key: value for key, value in getattr(mask, "__dict__", {}).items() if key != "name"}
    return json.dumps(facts, sort_keys=True, default=_as_text)


def _as_text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape} {hashlib.blake2b(value.tobytes(), digest_size=8).hexdigest()}"
    return repr(value) if isinstance(value, np.generic | bytes) else type(value).__name__
