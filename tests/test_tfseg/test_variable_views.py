"""Views of variables: equal values, read-only or copied, and without a copy where that is possible."""

import keras
import numpy as np
import pytest

from tfseg.variable_views import view


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int32", "bool"])
def test_views_have_the_values(dtype):
    variable = keras.Variable(np.array([[0, 1], [1, 1]]), dtype=dtype)
    np.testing.assert_array_equal(view(variable), keras.ops.convert_to_numpy(variable))


def test_views_are_no_copies():
    variable = keras.Variable(np.zeros((300, 3), "float32"))
    assert np.shares_memory(view(variable), view(variable))
    assert not view(variable).flags.writeable


def test_a_view_keeps_its_values_when_the_variable_changes():
    variable = keras.Variable(np.zeros((300, 3), "float32"))
    before = view(variable)
    variable.assign_add(np.ones((300, 3), "float32"))
    assert before.max() == 0
    assert view(variable).min() == 1
