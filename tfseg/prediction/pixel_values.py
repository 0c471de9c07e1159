"""Whether the values of an array can be a photograph's."""

import numpy as np

from tfseg.preprocessing import STORED, preprocessing_entries
from tfseg.stored_channels import EXACT
from tfseg.types import Array, Preprocessing


def check_pixel_values(images: Array, preprocessing: Preprocessing) -> None:
    """Refuses arrays that are no photographs: they would be predicted as black, white or gray ones.

    Images that are read as they are stored may have all finite values.

    Args:
        images: `(..., height, width, 3)`.
        preprocessing: how they will be prepared. One that changes nothing is for images that are prepared already, and
            takes all finite values.
    Raises:
        ValueError: no pixels, values that are not finite, or outside 0 to 255; or floating-point numbers that are all
            at most 1.
    """
    if not images.size:
        raise ValueError(f"An image has pixels, and a batch has images. Received: an array of shape {images.shape}")
    if images.dtype == np.uint8:
        return
    if images.dtype.kind not in "uifb":
        raise ValueError(f"An image is an array of real numbers. Received: an array of {images.dtype}")
    low, high = float(images.min()), float(images.max())
    if not np.isfinite(low + high):
        raise ValueError("A photograph has finite values. Received: an array with NaN or infinity")
    entries = preprocessing_entries(preprocessing)
    if entries["channel_order"] == STORED:
        largest = max(abs(low), abs(high))
        if largest > (EXACT if images.dtype.kind in "ui" else float(np.finfo("float32").max)):
            raise ValueError(f"Images hold numbers that are exact in 32-bit floats: scale them. Received: {largest:g}")
        return
    if entries["divisor"] == 1 and not np.any(entries["mean"]) and np.all(np.equal(entries["std"], 1)):
        return
    received = f"Received: {images.dtype.name} from {low:g} to {high:g}"
    prepared = (
        "If it is prepared for the network already: preprocessing={'channel_order': 'RGB', 'divisor': 1, "
        "'mean': (0, 0, 0), 'std': (1, 1, 1)}"
    )
    if low < 0:
        raise ValueError(f"A photograph has values from 0 to 255, before preprocessing. {prepared}. {received}")
    if high > 255:
        bits = int(high).bit_length()
        raise ValueError(
            f"A photograph has values from 0 to 255. If this one has {bits} bits: divide it by {2 ** (bits - 8)}. "
            f"{received}"
        )
    if 0 < high <= 1 and not np.issubdtype(images.dtype, np.integer):
        raise ValueError(
            "A photograph has values from 0 to 255, before preprocessing; this one seems to have 0 to 1: multiply it "
            f"by 255. {prepared}. {received}"
        )
