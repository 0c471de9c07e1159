"""Layouts against NumPy's own transposes, and back bit by bit."""

import numpy as np
import pytest

from converters.names import layouts


@pytest.mark.parametrize(
    ("text", "shape", "by_hand"),
    [
        ("o i h w -> h w i o", (5, 3, 2, 4), lambda x: x.transpose(2, 3, 1, 0)),
        ("i o h w -> h w o i", (5, 3, 2, 4), lambda x: x.transpose(2, 3, 1, 0)),
        ("o i -> i o", (5, 3), lambda x: x.T),
        ("o i -> 1 1 i o", (5, 3), lambda x: x.T[None, None]),
        (
            "o (c h w) -> (h w c) o; h=2 w=3",
            (4, 30),
            lambda x: x.reshape(4, 5, 2, 3).transpose(2, 3, 1, 0).reshape(30, 4),
        ),
        ("o (c h w) -> h w c o; h=2 w=3", (4, 30), lambda x: x.reshape(4, 5, 2, 3).transpose(2, 3, 1, 0)),
        ("c -> c", (7,), lambda x: x),
    ],
)
def test_there_and_back(text, shape, by_hand):
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    layout = layouts.parse(text)
    y = layout.apply(x)
    np.testing.assert_array_equal(y, by_hand(x))
    np.testing.assert_array_equal(layout.inverse().apply(y), x)
    assert str(layout) == text
    assert layout.target_shape(x.shape) == y.shape
    assert y.flags.c_contiguous
    assert not np.shares_memory(x, y)


@pytest.mark.parametrize(("shape", "order"), [((301, 517, 3, 3), "h w i o"), ((1100, 1000), "h o")])
def test_large_arrays_go_block_by_block_to_the_same_result(shape, order):
    source = "o i h w" if len(shape) == 4 else "o h"
    x = (np.arange(np.prod(shape)) % 1999).astype("float32").reshape(shape)
    layout = layouts.parse(f"{source} -> {order}")
    axes = [source.split().index(axis) for axis in order.split()]
    np.testing.assert_array_equal(layout.apply(x), x.transpose(axes))
    np.testing.assert_array_equal(layout.apply(x, dtype="float16"), x.transpose(axes).astype("float16"))


@pytest.mark.parametrize(
    ("text", "source", "target"),
    [
        ("o i h w -> h w i o", (5, 3, 2), None),
        ("o i h w -> h w i o", (5, 3, 2, 2), (2, 2, 3, 6)),
        ("o (c h w) -> h w c o; h=7 w=7", (5, 50), None),
        ("o i -> 1 1 i o", (5, 3), (1, 2, 3, 5)),
    ],
)
def test_shapes_that_do_not_fit(text, source, target):
    layout = layouts.parse(text)
    assert layout.solve(source, target) is None
    with pytest.raises(ValueError, match="does not fit the layout"):
        layout.apply(np.zeros(source, "float32"), target)


@pytest.mark.parametrize("text", ["o i -> i", "o o -> o o", "o i -> i o p"])
def test_a_layout_names_every_axis_once(text):
    with pytest.raises(ValueError, match="names every axis once"):
        layouts.parse(text)
