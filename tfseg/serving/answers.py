"""What `/segment` answers with: a class map as a mask, a picture, shares, or an array."""

import io
import json

import numpy as np

from tfseg import drawing
from tfseg.serving.errors import Refused


def chosen_classes(wanted, exported):
    """Numbers of the classes that a client names, by name or by number.

    Raises:
        Refused: a class that the model does not have.
    """
    numbers = {str(number): number for number in range(len(exported.classes))}
    numbers |= {name: number for number, name in enumerate(exported.classes)}
    for one in wanted:
        if one not in numbers:
            raise Refused(
                400,
                f"The model {exported.name!r} has no class {one!r}. It has 0 to {len(exported.classes) - 1}: "
                f"{', '.join(exported.classes)}",
            )
    return [numbers[one] for one in wanted]


def mask(pixels, classes, exported, chosen):
    """PNG whose pixel values are the classes; of chosen classes, 255 where they are and 0 elsewhere."""
    stream = io.BytesIO()
    if chosen:
        from PIL import Image

        Image.fromarray(np.where(np.isin(classes, chosen), 255, 0).astype("uint8")).save(stream, format="PNG")
    else:
        drawing.write_mask(stream, classes, exported.colors)
    return stream.getvalue(), "image/png"


def overlay(pixels, classes, exported, chosen):
    """JPEG of the picture under the colours of its classes, with a legend."""
    stream = io.BytesIO()
    drawing.overlay(pixels, classes, exported.colors, exported.classes).save(stream, format="JPEG", quality=92)
    return stream.getvalue(), "image/jpeg"


def shares(pixels, classes, exported, chosen):
    """JSON with the share of every class that occurs, or of every chosen one, the commonest first."""
    counts = np.bincount(classes.ravel(), minlength=len(exported.classes))
    listed = chosen or np.flatnonzero(counts).tolist()
    rows = [
        {
            "class": number,
            "name": exported.classes[number],
            "color": exported.colors[number],
            "pixels": int(counts[number]),
            "share": float(counts[number] / classes.size),
        }
        for number in sorted(listed, key=lambda number: -counts[number])
    ]
    height, width = classes.shape
    return json.dumps({"height": height, "width": width, "classes": rows}).encode(), "application/json"


def array(pixels, classes, exported, chosen):
    """The classes as a `.npy` file, uint8 or little-endian uint16 `(height, width)`."""
    stream = io.BytesIO()
    np.save(stream, classes if classes.dtype == np.uint8 else classes.astype("<u2"))
    return stream.getvalue(), "application/octet-stream"


OUTPUTS = {"mask": mask, "overlay": overlay, "json": shares, "npy": array}
WITH_CHOICE = ("mask", "json")
