"""The random numbers of dropout layers: no file holds their state, which is a function of the seed and the step."""

from typing import Any

import keras
import numpy as np

_DRAWS_PER_STEP = 64  # numbers that a generator may draw in one step before it repeats those of the next one


def generators_of(model: keras.Model) -> list[keras.Variable]:
    """The states of the random generators of a model.

    Args:
        model: any Keras model.
    """
    return [variable for variable in model.non_trainable_variables if variable.path.endswith("seed_generator_state")]


def generator_states(count: int, seed: int, number: Any) -> list[tuple[Any, Any]]:
    """The states of so many generators before a step, pairs of int64.

    Args:
        count: number of generators.
        seed: seed of the training.
        number: number of the step, an int64 of NumPy or of TensorFlow.
    """
    return [(np.int64(seed * count + index), number * _DRAWS_PER_STEP) for index in range(count)]


def set_generators(generators: list[keras.Variable], seed: int, number: int) -> None:
    """Gives the generators of a model their states before a step, outside of compiled functions.

    Args:
        generators: what `generators_of` returned.
        seed: seed of the training.
        number: number of the step.
    """
    for generator, state in zip(generators, generator_states(len(generators), seed, np.int64(number)), strict=True):
        generator.assign(np.array(state, "int64").astype(generator.dtype))  # as TensorFlow casts it: modulo 2^32
