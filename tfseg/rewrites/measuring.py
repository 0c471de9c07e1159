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
    # Another model over the same layers: by itself Keras would have XLA compile all of it, which we never do.
    model, times = keras.Model(model.inputs, model.outputs), []
    model.jit_compile = False
    for _ in range(ROUNDS + 1):
        begin = time.perf_counter()
        model.predict_on_batch(image)
        times.append(time.perf_counter() - begin)
    return statistics.median(times[1:])
