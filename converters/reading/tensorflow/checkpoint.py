"""TensorFlow 1's checkpoints (`tf.train.Saver`), through TensorFlow's own reader, one tensor at a time.

Their tables have checksums, and so has every tensor of the second form. What training keeps beside the weights is left
out. Moving averages of the weights are taken in place of those of the last step, as the models' own evaluations do.

Reference: https://www.tensorflow.org/api_docs/python/tf/train/load_checkpoint
"""

import contextlib
import math
import os
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from converters.errors import ConversionError
from converters.reading.tensorflow.paths import CheckpointFiles
from converters.reading.tensors import Block, Tensor

FORMAT = "TensorFlow checkpoint"

# What follows a variable's name in the names of what optimizers keep for it, and of its moving average.
SLOTS = re.compile(
    r"(.+)/((Momentum|Adam|AdaMax|RMSProp|Adagrad|Adadelta|AdagradDA|Ftrl|LARSOptimizer)(_\d)?|biased|local_step)"
)
AVERAGED = "/ExponentialMovingAverage"
# Single numbers that count or schedule.
COUNTERS = re.compile(r"(.+/)?(global_step|beta[12]_power(_\d+)?|learning_rate|loss_scale|good_steps)")

_OBJECTS = re.compile(r".*/\.ATTRIBUTES/.*|_CHECKPOINTABLE_OBJECT_GRAPH")


def load(files: CheckpointFiles) -> dict[str, Tensor | int | float | None]:
    """The tensors by key; a counter as its number; None under a name that says what was left out.

    Args:
        files: files of the checkpoint.
    Raises: ConversionError for files that are damaged, and for checkpoints of TensorFlow 2's objects.
    """
    reader = _Reader(files.name)
    if any(map(_OBJECTS.fullmatch, reader.shapes)):
        raise ConversionError(
            "is a checkpoint of TensorFlow 2's objects, whose keys are the attributes of the program that wrote it and "
            "name no layer. Restore it there, and save the Keras model: model.save('model.keras'), or "
            "model.save_weights('model.weights.h5')."
        )
    tensors = {key: reader.tensor(key) for key in sorted(reader.shapes)}
    numeric = {key: tensor for key, tensor in tensors.items() if tensor}
    if not numeric:
        raise ConversionError(
            "holds no tensor. A file .index keeps its name, beside the data files of the same name: was it renamed?"
        )
    needed, available = sum(tensor.block.nbytes for tensor in numeric.values()), sum(map(os.path.getsize, files.data))
    if files.data and needed > available:
        raise ConversionError(
            f"its tensors take {needed} bytes. Received: data files of {available} bytes in all. They are truncated; "
            "download them again."
        )
    return _weights(numeric) | {key: None for key in tensors if key not in numeric}


def _weights(tensors: Mapping[str, Tensor]) -> dict[str, Tensor | int | float | None]:
    """The weights among the tensors of a checkpoint, its counters, and None under names of the rest."""
    weights: dict[str, Tensor | int | float | None] = {}
    others: Counter[str] = Counter()
    for key, tensor in tensors.items():
        if COUNTERS.fullmatch(key) and not tensor.shape:
            weights[key] = tensor.read().item()
        elif slot := SLOTS.fullmatch(key):
            others[f"*/{slot[2]}"] += 1
        elif f"{key}{AVERAGED}" in tensors:
            others["the last step's weights, whose moving average is used"] += 1
        else:
            weights[key.removesuffix(AVERAGED)] = tensor
    return weights | {f"{count} of {name}": None for name, count in others.items()}


class _Reader:
    """TensorFlow's reader, with ConversionErrors, and with a lock: it is not made for several threads."""

    def __init__(self, name: str) -> None:
        import tensorflow as tf

        self._name, self._lock = name, threading.Lock()
        with _conversion_errors():
            self._reader = tf.train.load_checkpoint(name)
            self.shapes = self._reader.get_variable_to_shape_map()
            self._dtypes = self._reader.get_variable_to_dtype_map()

    def tensor(self, key: str) -> Tensor | None:
        """A tensor to read later, or None for text and other things without numbers."""
        try:
            dtype = np.dtype(self._dtypes[key].as_numpy_dtype)
        except TypeError:  # resources and variants
            return None
        if dtype.kind not in "biufcV" or dtype.names:
            return None
        shape = tuple(self.shapes[key])
        return Tensor(Block(math.prod(shape) * dtype.itemsize, lambda: self._data(key)), dtype, shape)

    def _data(self, key: str) -> memoryview:
        import tensorflow as tf

        with self._lock, _conversion_errors():
            try:
                value = self._reader.get_tensor(key)
            except tf.errors.UnimplementedError:  # a variable in pieces, in the first form
                value = tf.raw_ops.Restore(file_pattern=self._name, tensor_name=key, dt=self._dtypes[key]).numpy()
        return np.ascontiguousarray(value).reshape(-1).view("u1").data


@contextlib.contextmanager
def _conversion_errors() -> Iterator[None]:
    """Turns TensorFlow's errors into ConversionErrors."""
    import tensorflow as tf

    # The last three come through its Python wrapper. A tensor beyond the end of the data is an IndexError.
    try:
        yield
    except (tf.errors.OpError, RuntimeError, ValueError, IndexError) as error:
        lines = str(getattr(error, "message", error)).strip().splitlines() or [type(error).__name__]
        raise ConversionError(
            f"TensorFlow cannot read it ({lines[0].rstrip('.')}). The file is truncated or damaged; download it again."
        ) from error
