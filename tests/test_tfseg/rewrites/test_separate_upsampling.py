"""Transposed convolutions whose kernel is a column times a row."""

import numpy as np
import pytest
from helpers.optimized_models import assert_same_outputs, layer_classes, model_of_layers
from keras import layers

import tfseg
from tfseg.rewrites.separate_upsampling import SeparableUpsampling, factors


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("size", "strides"), [(4, 2), ((5, 7), (3, 2)), (2, 3), ((1, 4), 1)])
@pytest.mark.parametrize("use_bias", [False, True])
def test_separable_kernels_become_two_matrix_products(padding, size, strides, use_bias):
    model = model_of_layers(layers.Conv2DTranspose(4, size, strides, padding=padding, use_bias=use_bias))
    (kernel, *_) = model.layers[-1].weights
    random = np.random.default_rng(0)
    column, row, scale = (random.normal(size=length) for length in (*kernel.shape[:2], 4))
    kernel.assign(np.einsum("i,j,c,cd->ijcd", column, row, scale, np.eye(4)))
    optimized = tfseg.optimize(model)
    assert type(optimized.layers[-1]) is SeparableUpsampling
    assert_same_outputs(model, optimized, [(1, 1), (5, 8)])


def test_kernels_that_are_no_product_stay():
    kernel = np.asarray(tfseg.BilinearInitializer()((4, 4, 3, 3)))
    assert [len(vector) for vector in factors(kernel)] == [4, 4, 3]
    inseparable, mixing = kernel.copy(), kernel.copy()
    inseparable[0, 0, 1, 1] += 1e-3
    mixing[0, 0, 0, 1] = 1e-3
    for other in (inseparable, mixing, 0 * kernel, kernel[..., :2]):
        assert factors(other) is None
    model = model_of_layers(layers.Conv2DTranspose(4, 4, 2))
    assert layer_classes(tfseg.optimize(model)) == layer_classes(model)
