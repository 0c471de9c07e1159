"""`tfseg.preprocess` computes the same from arrays and from TensorFlow tensors."""

import subprocess
import sys

import numpy as np
import pytest
from helpers.paths import ROOT

import tfseg


def images(channels=3):
    return np.random.default_rng(0).integers(0, 256, (2, 5, 7, channels), dtype=np.uint8)


@pytest.mark.parametrize("name", tfseg.specs.PREPROCESSING)
def test_arrays_and_tensors_give_the_same_bits(name):
    tensorflow = pytest.importorskip("tensorflow")
    batch = images(len(tfseg.specs.PREPROCESSING[name]["channel_order"]))
    expected = tfseg.preprocess(batch, name)
    assert expected.dtype == np.float32
    tensor = tfseg.preprocess(tensorflow.constant(batch), name)
    assert tensorflow.is_tensor(tensor)
    np.testing.assert_array_equal(tensor, expected)
    in_graph = tensorflow.function(lambda x: tfseg.preprocess(x, name))
    # A graph multiplies by the reciprocal of a constant instead of dividing: the last bits differ.
    np.testing.assert_allclose(in_graph(tensorflow.constant(batch)), expected, rtol=1e-6, atol=1e-6)


def test_channels_are_reordered_divided_centered_and_scaled():
    custom = {"channel_order": "BGR", "divisor": 2.0, "mean": (1, 2, 3), "std": (1, 2, 4)}
    np.testing.assert_array_equal(tfseg.preprocess([[[10, 20, 30]]], custom), [[[14.0, 4.0, 0.5]]])


def test_depth_stays_the_fourth_channel():
    batch = images(4)
    prepared = tfseg.preprocess(batch, "nyud_color_d")
    np.testing.assert_allclose(prepared[..., 3], batch[..., 3] - np.float32(7.844), rtol=1e-6)
    np.testing.assert_array_equal(prepared[..., :3], tfseg.preprocess(batch[..., :3], "nyud"))


def test_tensors_of_a_wrong_number_of_channels_are_refused():
    tensorflow = pytest.importorskip("tensorflow")
    for batch in (images(4), tensorflow.constant(images(4))):
        with pytest.raises(ValueError, match=r"Images for RGB have 3 channels. Received: 4"):
            tfseg.preprocess(batch, "torch")


@pytest.mark.full
def test_arrays_are_prepared_without_tensorflow():
    pytest.importorskip("torch")
    script = (
        "import os, sys; os.environ['KERAS_BACKEND'] = 'torch'; sys.modules['tensorflow'] = None\n"
        "import numpy as np; from tfseg.preprocessing import preprocess\n"
        "print(preprocess(np.zeros((1, 1, 3)), 'fast_rcnn').sum())"
    )
    output = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert output.stdout.startswith("-341.6"), output.stderr
