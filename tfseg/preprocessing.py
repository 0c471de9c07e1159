"""From pixels of 0 to 255 to what a network was trained on: one implementation, for NumPy and for TensorFlow."""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfseg import specs
from tfseg.types import Preprocessing, Tensor

_KEYS = {"channel_order", "divisor", "mean", "std"}


def preprocess(images: np.ndarray | Tensor, preprocessing: Preprocessing) -> np.ndarray | Tensor:
    """Images as a network takes them: float32, in its channel order, divided, minus the mean, by the deviation.

    Args:
        images: RGB values of 0 to 255, `(..., height, width, 3)`: an array or a TensorFlow tensor. A network of channel
            order "BGRD" takes a fourth channel, the natural logarithm of the depth.
        preprocessing: a name of `tfseg.specs.PREPROCESSING`, or a dictionary like those in it.
    Returns: a tensor for a tensor, else an array; of the same shape.
    Raises:
        ValueError: an unknown name, a dictionary that lacks an entry, or images of another number of channels.

    Example:
        >>> image = np.full((1, 1, 3), (255, 128, 0), "uint8")
        >>> tfseg.preprocess(image, "torch").round(2)
        array([[[ 2.25,  0.21, -1.8 ]]], dtype=float32)
        >>> tfseg.preprocess(image, "caffe").round(2)
        array([[[-103.94,   11.22,  131.32]]], dtype=float32)
    """
    entries = preprocessing_entries(preprocessing)
    order = entries["channel_order"]
    tensorflow = sys.modules.get("tensorflow")  # whoever has a tensor of it has loaded it
    if tensorflow is not None and tensorflow.is_tensor(images):
        x, concatenate = tensorflow.cast(images, "float32"), tensorflow.concat
    else:
        x, concatenate = np.asarray(images, "float32"), np.concatenate
    if x.shape[-1] not in (len(order), None):
        raise ValueError(f"Images for {order} have {len(order)} channels. Received: {x.shape[-1]}")
    if order == "BGR":
        x = x[..., ::-1]
    elif order == "BGRD":
        x = concatenate([x[..., 2::-1], x[..., 3:]], -1)
    mean, std = (np.asarray(entries[key], "float32") for key in ("mean", "std"))
    return (x / np.float32(entries["divisor"]) - mean) / std


def preprocessing_entries(preprocessing: Preprocessing) -> Mapping[str, Any]:
    """The dictionary that `preprocessing` stands for: channel_order, divisor, mean and std.

    Args:
        preprocessing: a name of `tfseg.specs.PREPROCESSING`, or a dictionary like those in it.
    Raises:
        ValueError: an unknown name, or a dictionary that lacks an entry.
    """
    if isinstance(preprocessing, str):
        if preprocessing not in specs.PREPROCESSING:
            raise ValueError(
                f"Preprocessing is a dictionary or one of {', '.join(specs.PREPROCESSING)}. Received: {preprocessing!r}"
            )
        return specs.PREPROCESSING[preprocessing]
    if not _KEYS.issubset(preprocessing) or preprocessing["channel_order"] not in ("RGB", "BGR", "BGRD"):
        raise ValueError(
            "Preprocessing has channel_order (RGB, BGR or BGRD), divisor, mean and std, as in "
            f"tfseg.specs.PREPROCESSING. Received: {preprocessing}"
        )
    return preprocessing
