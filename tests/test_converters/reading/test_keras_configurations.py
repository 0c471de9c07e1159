"""Configurations of Keras models in which one value is of another kind."""

import copy
import json

import keras
import pytest

from converters.errors import ConversionError
from converters.reading.keras.configuration import read_graph

VALUES = ([], ["a"], {}, {"a": []}, 7, None, "a", 1e300, True)


def _network():
    inputs = keras.Input((None, None, 3), name="image")
    inner = keras.Sequential([keras.Input((None, None, 4)), keras.layers.ReLU()], name="inner")
    x = keras.layers.Conv2D(4, 3, dilation_rate=2, name="conv")(inputs)
    return keras.Model(inputs, keras.layers.Add(name="sum")([inner(x), x]))


def _places(value, place=()):
    """The place of every value in JSON, as keys and indices."""
    if place:
        yield place
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from _places(inner, (*place, key))


@pytest.mark.parametrize("form", ["functional", "sequential"])
def test_a_value_of_another_kind_is_read_or_refused(form):
    model = (
        _network() if form == "functional" else keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3)])
    )
    config = json.loads(model.to_json())
    refused = 0
    assert read_graph(config).calls
    for place in _places(config):
        for value in VALUES:
            damaged = copy.deepcopy(config)
            around = damaged
            for key in place[:-1]:
                around = around[key]
            around[place[-1]] = value
            try:
                read_graph(damaged)
            except ConversionError:
                refused += 1
    assert refused > 10
