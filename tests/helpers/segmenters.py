"""A narrow segmenter for tests of prediction."""

import keras
import numpy as np

import tfseg


def narrow_fcn():
    """An FCN-32s of five classes, which predicts several of them."""
    keras.utils.set_random_seed(0)
    network = tfseg.FCN32s(5, width=1 / 16, padding="same")
    kernel = network.get_layer("score_fr").kernel  # with its zeros, all classes would have equal logits
    kernel.assign(np.random.default_rng(0).normal(size=kernel.shape))
    return network
