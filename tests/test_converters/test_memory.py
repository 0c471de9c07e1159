"""Variables take arrays without a copy where that is safe."""

import keras
import numpy as np
import pytest

from converters import memory


@pytest.fixture
def variable():
    return keras.Variable(np.zeros((300, 3), "float32"))


def test_a_variable_keeps_the_assigned_values(variable):
    array = memory.empty((300, 3), "float32")
    array[...] = 2
    memory.assign(variable, array)
    np.testing.assert_array_equal(variable, array)


@pytest.mark.parametrize(
    "array",
    [np.arange(901, dtype="float32")[1:].reshape(300, 3), np.broadcast_to(np.float32(3), (300, 3))],
    ids=["misaligned", "broadcast"],
)
def test_arrays_that_tensorflow_cannot_share_are_copied(variable, array):
    """TensorFlow would abort on their addresses."""
    memory.assign(variable, array)
    np.testing.assert_array_equal(variable, array)


def test_a_variable_can_change_after_sharing(variable):
    memory.assign(variable, np.full((300, 3), 3, "float32"))
    variable.assign_add(np.ones((300, 3), "float32"))
    assert float(variable[0, 0]) == 4


def test_layers_in_layers_are_saved_as_keras_saves_them(tmp_path):
    tokens = keras.Input((6, 8))
    model = keras.Model(tokens, keras.layers.MultiHeadAttention(2, 4)(tokens, tokens))
    model.save_weights(tmp_path / "keras.weights.h5")
    with memory.saved_without_copies(model):
        model.save_weights(tmp_path / "ours.weights.h5")
    assert (tmp_path / "ours.weights.h5").read_bytes() == (tmp_path / "keras.weights.h5").read_bytes()
