"""Classes of maps with many logits, some rows at a time: the whole map of a thousand classes would be gigabytes.

Most segmenters end with a resize, from a coarse map of scores to the size of the image. It is linear in each axis, so
that some rows of its result are the product with some rows of its matrix: nothing is approximated.
"""

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from tfseg.layers import Metadata, ResizeLike
from tfseg.outputs import logits_of
from tfseg.prediction.compiled import compiled_once

LARGEST = 128 << 20  # bytes of logits that are computed as one map
BLOCK = 16 << 20  # bytes of logits of a block of rows: they stay near the processor


class CoarseModel(NamedTuple):
    """A segmenter without its last resize.

    Attributes:
        scores: model from images to the coarse map.
        resize: layer that enlarges the map to the size of the image.
    """

    scores: keras.Model
    resize: ResizeLike


_coarse: weakref.WeakKeyDictionary[keras.Model, CoarseModel | None] = weakref.WeakKeyDictionary()
_largest: weakref.WeakKeyDictionary[ResizeLike, Callable[..., Any]] = weakref.WeakKeyDictionary()


def coarse_model(model: keras.Model) -> CoarseModel | None:
    """The segmenter without its last resize; None if it ends otherwise.

    Args:
        model: segmentation model.
    """
    if model not in _coarse:
        _coarse[model] = _without_resize(model)
    return _coarse[model]


def has_many_logits(model: keras.Model, batch: np.ndarray) -> bool:
    """Whether the logits of a batch take more memory than is good, and `classes_by_rows` can do without them.

    Args:
        model: segmentation model.
        batch: preprocessed images `(batch, height, width, channels)`.
    """
    classes = logits_of(model.output).shape[-1]
    return 4 * np.prod(batch.shape[:3], dtype=int) * classes > LARGEST and coarse_model(model) is not None


def classes_by_rows(model: keras.Model, batch: np.ndarray, dtype: str) -> np.ndarray:
    """The class of every pixel `(batch, height, width)`, computed block by block.

    Args:
        model: segmentation model for which `has_many_logits` holds.
        batch: preprocessed images `(batch, height, width, channels)`.
        dtype: type of the classes.
    """
    coarse = coarse_model(model)
    assert coarse is not None
    scores = compiled_once(coarse.scores, "scores", lambda scores: ops.cast(scores, "float32"))(batch)
    images, height, width = batch.shape[:3]
    step = max(1, BLOCK // (4 * images * width * scores.shape[-1]))
    if coarse.resize not in _largest:
        _largest[coarse.resize] = _largest_of_rows(coarse.resize, scores.shape[-1])
    classes = np.empty((images, height, width), dtype)
    for top in range(0, height, step):
        rows = (top, min(top + step, height))
        block = _largest[coarse.resize](scores, (height, width), rows)
        classes[:, slice(*rows)] = ops.convert_to_numpy(block)
    return classes


def _without_resize(model: keras.Model) -> CoarseModel | None:
    output = logits_of(model.output)
    operation = output._keras_history.operation
    if type(operation) is not ResizeLike or len(operation._inbound_nodes) != 1 or len(model.inputs) != 1:
        return None
    scores, reference = operation.input
    if not _is_image(reference, model.inputs[0]):
        return None
    return CoarseModel(keras.Model(model.inputs[0], scores, name=f"{model.name}_scores"), operation)


def _is_image(tensor: keras.KerasTensor, image: keras.KerasTensor) -> bool:
    """Whether a tensor has the pixels of the image: it is the image, or the layer of its metadata passes it on."""
    while tensor is not image and type(tensor._keras_history.operation) is Metadata:
        tensor = tensor._keras_history.operation.input
    return tensor is image


def _largest_of_rows(layer: ResizeLike, num_classes: int) -> Callable[..., Any]:
    """A function from scores, the size of the image and the first and last row to the classes of these rows."""
    reference = weakref.ref(layer)

    def largest(scores: Any, size: Any, rows: Any) -> Any:
        resize = reference()
        assert resize is not None  # the caller holds it
        return ops.argmax(resize.some_rows(scores, (size[0], size[1]), (rows[0], rows[1])), axis=-1)

    if keras.config.backend() != "tensorflow":
        return largest
    return _compiled(largest, num_classes)


def _compiled(function: Callable[..., Any], num_classes: int) -> Callable[..., Any]:
    import tensorflow as tf

    pair = tf.TensorSpec((2,), "int32")
    maps = tf.TensorSpec((None, None, None, num_classes), "float32")
    traced = tf.function(function).get_concrete_function(maps, pair, pair)

    def run(scores: Any, size: Any, rows: Any) -> Any:
        return traced(scores, tf.constant(size, "int32"), tf.constant(rows, "int32"))

    return run
