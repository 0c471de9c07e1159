"""Formats whose runtime rounds get networks without BatchNorm: rounded apart from its convolution, it costs accuracy."""

import keras
import numpy as np
import pytest
from helpers.small_nets import fcn_resnet18

from tfseg.exporting import FORMATS
from tfseg.exporting.job import ExportJob


def norms(model):
    return sum(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)


@pytest.mark.full
def test_a_folded_job_computes_the_same_without_batch_norms():
    job = ExportJob(fcn_resnet18(), preprocessing="torch", outputs="classes")
    folded = job.rewritten(("fold_batch_norm",))
    assert folded is job.rewritten(("fold_batch_norm",))
    assert norms(job.network) > norms(folded.network) == 0
    images = np.random.default_rng(0).normal(size=(1, 64, 96, 3)).astype("float32")
    expected, computed = (keras.ops.convert_to_numpy(network(images)) for network in (job.network, folded.network))
    assert np.abs(computed - expected).max() <= 1e-5 * np.abs(expected).max()
    assert folded.metadata == job.metadata
    assert folded.deployed is not job.deployed


def test_a_model_whose_call_is_code_stays_as_it_is():
    class Odd(keras.Model):
        def call(self, x):
            return super().call(x)

    image = keras.Input((None, None, 3))
    job = ExportJob(Odd(image, keras.layers.BatchNormalization()(image)), preprocessing="torch")
    assert job.rewritten(("fold_batch_norm",)) is job


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_below_float32_is_folded(name):
    half = name == "litert_float16" or name.endswith("int8")
    assert ("fold_batch_norm" in FORMATS[name].rewrites) == (
        half or name == "openvino"
    )  # which takes bfloat16 where the processor has it
