"""How long a model takes."""

import statistics
import time

import keras

from tfseg.types import Array

ROUNDS = 3


def median_seconds(model: keras.Model, image: Array | list[Array]) -> float:
    """The median time of a call in seconds, without the first call, which compiles.

    Args:
        model: functional model.
        image: the model's input, or a list with one array for each input.
    """
    # A new model of the same layers, so that the user's model stays as it is.
    model, times = keras.Model(model.inputs, model.outputs), []
    if keras.backend.backend() == "tensorflow":
        model.jit_compile = False  # as `tfseg.predict` runs it; on a GPU Keras would use XLA
    for _ in range(ROUNDS + 1):
        begin = time.perf_counter()
        model.predict_on_batch(image)
        times.append(time.perf_counter() - begin)
    return statistics.median(times[1:])
