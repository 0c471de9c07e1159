"""Saved and cloned networks are the same function; logits are float32 in mixed precision."""

import keras
import numpy as np
import pytest
from helpers.references import copy_weights, images, output, randomize, relative
from helpers.small_nets import SMALL


def assert_same(nets, close):
    """Compares the outputs of two nets, one or several, by `close(ours, reference)`."""
    all_ours, all_references = (keras.tree.flatten(output(net, images(65, 70))) for net in nets)
    for ours, reference in zip(all_ours, all_references, strict=True):
        assert ours.dtype == np.float32
        assert close(ours, reference)


@pytest.mark.quick_variants("resnet")
@pytest.mark.parametrize("build", SMALL.values(), ids=SMALL)
def test_a_saved_or_cloned_network_is_the_same_function(build, tmp_path):
    model = randomize(build())
    model.save(tmp_path / "model.keras")
    assert_same((keras.saving.load_model(tmp_path / "model.keras"), model), np.array_equal)
    assert_same((copy_weights(model, keras.models.clone_model(model)), model), np.array_equal)


@pytest.fixture
def mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("kind", ["fcn8s", "fcn8s same", "fcn8s at once", "fcn head"])
def test_logits_are_float32_in_mixed_precision(kind, mixed_precision):
    mixed = randomize(SMALL[kind]())
    keras.config.set_dtype_policy("float32")
    full = copy_weights(mixed, SMALL[kind]())
    assert {layer.compute_dtype for layer in mixed.layers if layer.weights} == {"bfloat16"}
    assert_same((mixed, full), lambda ours, reference: relative(ours, reference) < 0.1)
