"""What `/segment` answers with: the classes as a mask, a picture, shares, or an array."""

import io
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfseg import drawing
from tfseg.prediction.probabilities import void_of
from tfseg.serving.errors import Refused
from tfseg.serving.exported import ExportedModel
from tfseg.serving.uploads import LONGEST_SIDE

if TYPE_CHECKING:
    from PIL import Image

Answer = tuple[bytes, str]
"""The body of a response and its content type."""

Writer = Callable[[np.ndarray, np.ndarray, ExportedModel, list[int]], Answer]
"""A function from an image, its classes, the model, and the ids of the chosen classes to an answer."""


def chosen_classes(names: Sequence[str], exported: ExportedModel) -> list[int]:
    """The ids of classes that a client names.

    Args:
        names: names of classes, or their ids as text.
        exported: model that has the classes.
    Raises:
        Refused: the model does not have one of the classes.
    """
    ids = {str(index): index for index in range(len(exported.classes))}
    ids |= {name: index for index, name in enumerate(exported.classes)}
    for name in names:
        if name not in ids:
            raise Refused(
                400,
                f"The model {exported.name!r} has no class {name!r}. It has 0 to {len(exported.classes) - 1}: "
                f"{', '.join(exported.classes)}",
            )
    return [ids[name] for name in names]


def mask(image: np.ndarray, classes: np.ndarray, exported: ExportedModel, chosen: list[int]) -> Answer:
    """A PNG whose pixel values are the classes; with chosen classes, 255 where they are and 0 elsewhere.

    Args:
        image: uint8 `(height, width, 3)`, not used.
        classes: class of each pixel, `(height, width)`.
        exported: model that predicted the classes.
        chosen: ids of the chosen classes; empty for all.
    """
    stream = io.BytesIO()
    if chosen:
        from PIL import Image

        Image.fromarray(np.where(np.isin(classes, chosen), 255, 0).astype("uint8")).save(stream, format="PNG")
    else:
        drawing.write_mask(stream, classes, exported.colors)
    return stream.getvalue(), "image/png"


def overlay(image: np.ndarray, classes: np.ndarray, exported: ExportedModel, chosen: list[int]) -> Answer:
    """A JPEG of the image under the colors of its classes, with a legend.

    Args:
        image: `(height, width, channels)`, see `tfseg.drawing.as_photograph`.
        classes: class of each pixel, `(height, width)`.
        exported: model that predicted the classes.
        chosen: not used.
    """
    void = void_of(len(exported.classes))
    picture = drawing.overlay(drawing.as_photograph(image), classes, exported.colors, exported.classes, void=void)
    return _jpeg(picture)


def shares(image: np.ndarray, classes: np.ndarray, exported: ExportedModel, chosen: list[int]) -> Answer:
    """JSON with the share of every class that occurs, or of every chosen one, the most frequent first.

    Args:
        image: uint8 `(height, width, 3)`, not used.
        classes: class of each pixel, `(height, width)`.
        exported: model that predicted the classes.
        chosen: ids of the chosen classes; empty for all.
    """
    counts = np.bincount(classes.ravel(), minlength=len(exported.classes))
    listed = chosen or np.flatnonzero(counts[: len(exported.classes)]).tolist()  # void is no class
    rows = [
        {
            "class": index,
            "name": exported.classes[index],
            "color": exported.colors[index],
            "pixels": int(counts[index]),
            "share": float(counts[index] / classes.size),
        }
        for index in sorted(listed, key=lambda index: -counts[index])
    ]
    height, width = classes.shape
    return json.dumps({"height": height, "width": width, "classes": rows}).encode(), "application/json"


def array(image: np.ndarray, classes: np.ndarray, exported: ExportedModel, chosen: list[int]) -> Answer:
    """The classes as a `.npy` file, uint8 or little-endian uint16 `(height, width)`.

    Args:
        image: uint8 `(height, width, 3)`, not used.
        classes: class of each pixel, `(height, width)`.
        exported: not used.
        chosen: not used.
    """
    stream = io.BytesIO()
    np.save(stream, classes if classes.dtype == np.uint8 else classes.astype("<u2"))
    return stream.getvalue(), "application/octet-stream"


def preview(image: np.ndarray) -> Answer:
    """The image itself as a JPEG, for browsers that do not show the format of its file.

    Args:
        image: `(height, width, channels)`, see `tfseg.drawing.as_photograph`.
    """
    from PIL import Image

    return _jpeg(Image.fromarray(drawing.as_photograph(image)), subsampling=0)


def _jpeg(picture: "Image.Image", **options: Any) -> Answer:
    if max(picture.size) > LONGEST_SIDE:
        width, height = picture.size
        raise Refused(
            413,
            f"A JPEG has at most {LONGEST_SIDE} pixels a side, and the answer has {width} x {height}: ask for a mask",
        )
    stream = io.BytesIO()
    picture.save(stream, format="JPEG", quality=92, **options)
    return stream.getvalue(), "image/jpeg"


OUTPUTS: dict[str, Writer] = {"mask": mask, "overlay": overlay, "json": shares, "npy": array}
OUTPUTS_WITH_CHOICE = ("mask", "json")
