"""TensorFlow 1's checkpoints (`tf.train.Saver`), in both forms, read without TensorFlow.

Of the second form, a table says where in the data files each tensor lies; of the first, the tables hold the tensors.
Both have checksums, which are compared when a block or a tensor is first read. A variable may lie in parts, which are
put together then. What training keeps beside the weights is left
out. Moving averages of the weights are taken in place of those of the last step, as the models' own evaluations do.

Reference: https://www.tensorflow.org/api_docs/python/tf/train/load_checkpoint
"""

import os
import re
from collections import Counter
from collections.abc import Mapping

from converters.errors import ConversionError
from converters.reading import limits
from converters.reading.files import map_file, naming
from converters.reading.tensorflow.bundle import bundle_tensors, object_record
from converters.reading.tensorflow.paths import CheckpointFiles, find
from converters.reading.tensorflow.saved_tables import table_tensors
from converters.reading.tensors import Tensor

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
    maps = _maps(files)
    tensors = bundle_tensors(maps[0], maps[1:]) if files.data else table_tensors(maps)
    if any(map(_OBJECTS.fullmatch, tensors)):
        raise ConversionError(
            "is a checkpoint of TensorFlow 2's objects, whose keys are the attributes of the program that wrote it and "
            "name no layer. Restore it there, and save the Keras model: model.save('model.keras'), or "
            "model.save_weights('model.weights.h5')."
        )
    numeric = {key: tensor for key, tensor in sorted(tensors.items()) if tensor}
    if not numeric:
        raise ConversionError(
            "holds no tensor. A file .index keeps its name, beside the data files of the same name: was it renamed?"
        )
    return _weights(numeric) | {key: None for key in tensors if key not in numeric}


def read_variables(prefix: str) -> tuple[dict[str, Tensor | None], bytes | None]:
    """Every tensor of a checkpoint by its key, and what one of TensorFlow 2 says of its objects.

    Args:
        prefix: prefix of the checkpoint's files.
    Returns: the tensors, None for what holds no numbers; the record of the objects, a message, or None.
    Raises: ConversionError for files that are missing or damaged.
    """
    files = find(prefix)
    if files is None:
        raise ConversionError(f"there is no checkpoint {os.path.basename(prefix)}. Put its files beside the graph.")
    with naming(os.path.basename(prefix)), limits.budget(sum(map(os.path.getsize, files.files))):
        maps = _maps(files)
        if not files.data:
            return table_tensors(maps), None
        return bundle_tensors(maps[0], maps[1:]), object_record(maps[0], maps[1:])


def _maps(files: CheckpointFiles) -> list[memoryview]:
    maps = []
    for path in files.files:
        with naming(os.path.basename(path)):
            # A data file whose tensors have no elements is empty.
            is_empty = path in files.data and os.path.getsize(path) == 0
            maps.append(memoryview(b"") if is_empty else map_file(path))
    return maps


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
