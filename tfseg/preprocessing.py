"""From pixels of 0 to 255 to what a network was trained on: one implementation, for NumPy and for TensorFlow."""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfseg import specs
from tfseg.types import Preprocessing, Tensor

STORED = "stored"  # the channel order of networks for images of any channels, which come as their files store them
_KEYS = {"channel_order", "divisor", "mean", "std"}


def preprocess(images: np.ndarray | Tensor, preprocessing: Preprocessing) -> np.ndarray | Tensor:
    """Images as a network takes them: float32, in its channel order, divided, minus the mean, by the deviation.

    Args:
        images: RGB values of 0 to 255, `(..., height, width, 3)`: an array or a TensorFlow tensor. A network of channel
            order "BGRD" takes a fourth channel, the natural logarithm of the depth. One of channel order "stored" takes
            numbers of any kind, `(..., height, width, channels)`, and NaN, which becomes 0, for missing data.
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
    count = channels_of(entries)
    if x.shape[-1] not in (count, None):
        raise ValueError(f"Images for {order} have {count} channels. Received: {x.shape[-1]}")
    if order == "BGR":
        x = x[..., ::-1]
    elif order == "BGRD":
        x = concatenate([x[..., 2::-1], x[..., 3:]], -1)
    mean, std = (np.asarray(entries[key], "float32") for key in ("mean", "std"))
    prepared = (x / np.float32(entries["divisor"]) - mean) / std
    if order != STORED:
        return prepared
    if tensorflow is not None and tensorflow.is_tensor(prepared):
        return tensorflow.where(tensorflow.math.is_nan(prepared), tensorflow.zeros_like(prepared), prepared)
    return np.where(np.isnan(prepared), np.float32(0), prepared)


def stored_preprocessing(mean: Sequence[float], std: Sequence[float]) -> dict[str, Any]:
    """The preprocessing of images as their files store them: minus the mean, divided by the deviation.

    Args:
        mean: mean of each channel, in the numbers of the files.
        std: deviation of each channel, above 0.
    Raises:
        ValueError: another number of means than of deviations, or a deviation that is not above 0.

    Example:
        >>> from tfseg.preprocessing import stored_preprocessing
        >>> stored_preprocessing([1200, 900], [300, 250])["channel_order"]
        'stored'
    """
    entries = {"channel_order": STORED, "divisor": 1.0, "mean": [*map(float, mean)], "std": [*map(float, std)]}
    return dict(preprocessing_entries(entries))


def is_stored(preprocessing: Preprocessing | None) -> bool:
    """Whether a preprocessing is for images of any channels, as their files store them.

    Args:
        preprocessing: a name of `tfseg.specs.PREPROCESSING`, a dictionary like those in it, or None.
    """
    return not isinstance(preprocessing, str | None) and preprocessing.get("channel_order") == STORED


def channels_of(preprocessing: Preprocessing) -> int:
    """Number of channels of the images that a preprocessing takes.

    Args:
        preprocessing: a name of `tfseg.specs.PREPROCESSING`, or a dictionary like those in it.
    """
    entries = preprocessing_entries(preprocessing)
    return len(entries["mean"]) if entries["channel_order"] == STORED else len(entries["channel_order"])


def fill_missing(image: np.ndarray | Tensor, preprocessing: Preprocessing) -> np.ndarray | Tensor:
    """An image in which the mean of its channel stands for missing data, so that it can be resized.

    Args:
        image: array or TensorFlow tensor `(height, width, channels)`, with NaN for missing data.
        preprocessing: a dictionary of channel order "stored".
    Returns: a tensor for a tensor, else an array.
    """
    entries = preprocessing_entries(preprocessing)
    mean = np.asarray(entries["mean"], "float32") * np.float32(entries["divisor"])
    if isinstance(image, np.ndarray):
        return np.where(np.isnan(image), mean, image)
    import tensorflow as tf

    return tf.where(tf.math.is_nan(image), mean * tf.ones_like(image), image)


def _are_usable(mean: Sequence[float], std: Sequence[float]) -> bool:
    return all(map(math.isfinite, mean)) and all(0 < value < math.inf for value in std)


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
    if not _KEYS.issubset(preprocessing) or preprocessing["channel_order"] not in ("RGB", "BGR", "BGRD", STORED):
        raise ValueError(
            "Preprocessing has channel_order (RGB, BGR or BGRD), divisor, mean and std, as in "
            f"tfseg.specs.PREPROCESSING; or the channel_order {STORED}. Received: {preprocessing}"
        )
    if preprocessing["channel_order"] == STORED:
        mean, std = preprocessing["mean"], preprocessing["std"]
        if len(mean) != len(std) or not len(mean) or not _are_usable(mean, std):
            raise ValueError(
                "Images as they are stored have a mean and a deviation above 0 for each channel, which tfseg "
                f"inspect-data measures. Received: mean {list(mean)} and std {list(std)}"
            )
    return preprocessing
