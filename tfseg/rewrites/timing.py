"""How long a model takes."""

import statistics
import time

import keras

ROUNDS = 3


def seconds(model, image):
    """The median time of a call, the first one, which compiles, apart.

    Args:
        image: the model's input, or a list of them.
    """
    # Over the same layers, so that the user's model stays as it is.
    model, times = keras.Model(model.inputs, model.outputs), []
    if keras.backend.backend() == "tensorflow":
        model.jit_compile = False  # as `tfseg.predict` runs it; beside a GPU Keras would take XLA
    for _ in range(ROUNDS + 1):
        begin = time.perf_counter()
        model.predict_on_batch(image)
        times.append(time.perf_counter() - begin)
    return statistics.median(times[1:])
