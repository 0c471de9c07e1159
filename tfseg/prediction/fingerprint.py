"""What tells whether two results were made from the same: the marks of an image, of a model, and of settings."""

import hashlib
import json
import pathlib
import re
from typing import Any, NamedTuple

import keras
import numpy as np

HEAD = 1 << 16  # bytes of an image file that are looked at


class ImageMark(NamedTuple):
    """What tells an image file from another one.

    Attributes:
        size: size of the file in bytes.
        time: when the file was changed, in nanoseconds.
        head: hash of its first 64 KiB.
    """

    size: int
    time: int
    head: str


def image_mark(path: pathlib.Path) -> ImageMark:
    """The mark of an image file.

    Args:
        path: path of the file.
    Raises:
        OSError: the file cannot be read.
    """
    facts = path.stat()
    with open(path, "rb") as file:
        return ImageMark(facts.st_size, facts.st_mtime_ns, _hash(file.read(HEAD)))


def content_mark(path: pathlib.Path) -> str:
    """The hash of a whole file.

    Args:
        path: path of the file.
    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def model_mark(model: keras.Model) -> str:
    """The hash of the model's configuration and of its weights; its name does not count.

    Args:
        model: any Keras model.
    """
    digest = hashlib.blake2b(_structure(model).encode(), digest_size=16)
    for variable in model.weights:
        values = np.ascontiguousarray(keras.ops.convert_to_numpy(variable))
        digest.update(f"{values.dtype} {values.shape}".encode())
        digest.update(values.reshape(-1).view("uint8").data)
    return digest.hexdigest()


def plain(value: Any) -> Any:
    """A value as JSON stores it: what is read back is equal to it.

    Args:
        value: numbers, texts, arrays, and collections of them.
    """
    return json.loads(json.dumps(value, sort_keys=True, default=_listed))


def _structure(model: keras.Model) -> str:
    try:
        saved = keras.saving.serialize_keras_object(model)["config"]
        saved = {key: value for key, value in saved.items() if key != "name"}
        text = json.dumps(saved, sort_keys=True, default=str)
    except Exception:  # a user's own class may have no configuration, or one that raises anything
        text = repr([(type(layer).__name__, layer.name) for layer in model.layers])
    return re.sub(r"0x[0-9a-f]+", "", text)  # addresses in memory


def _listed(value: Any) -> Any:
    return np.asarray(value).tolist() if hasattr(value, "__array__") else str(value)


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
