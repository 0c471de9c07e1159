"""A training step with single TensorFlow operations equals one with Keras's operations."""

import contextlib
import functools
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.random_weights import random_image, randomize_weights
from helpers.references import relative
from keras import layers

from tfseg import training
from tfseg.native_operations import native_operations
from tfseg.training import preparation
from tfseg.training.step import make_step


def network(rates=(1, 2, (1, 3)), **norm):
    image = x = keras.Input((None, None, 3))
    for rate in rates:
        x = layers.Conv2D(16, 3, padding="same", dilation_rate=rate, activation="relu", use_bias=rate != 2)(x)
        x = layers.BatchNormalization(momentum=0.8, **norm)(x)
    return randomize_weights(keras.Model(image, x))


native = functools.partial(native_operations, gradients=True)


def run_step(model, context=native, **options):
    """The loss, gradients and moving averages of a step, and the names of its graph's operations."""
    before = [tf.identity(variable.value) for variable in model.weights]
    images = tf.constant(random_image(17, 20))

    @tf.function(**options)
    def run():
        with context(model), tf.GradientTape() as tape:
            outputs = tf.cast(model(images, training=True), "float32")
            loss = tf.reduce_mean(outputs**2 * tf.cos(tf.cumsum(tf.ones_like(outputs), 2)))
        return loss, tape.gradient(loss, [variable.value for variable in model.trainable_variables])

    loss, gradients = run()
    averages = [tf.identity(variable.value) for variable in model.non_trainable_variables]
    for variable, value in zip(model.weights, before, strict=True):
        variable.assign(value)
    results = [tensor.numpy() for tensor in (loss, *gradients, *averages)]
    return results, [operation.type for operation in run.get_concrete_function().graph.get_operations()]


@pytest.mark.parametrize(
    ("dtype", "compiled"), [("float32", False), ("float32", True), ("mixed_bfloat16", False), ("mixed_float16", False)]
)
def test_step_equals_that_of_keras(dtype, compiled):
    model = network()
    model = model if dtype == "float32" else preparation.with_dtype(model, dtype)
    actual, names = run_step(model, jit_compile=compiled)
    expected, keras_names = run_step(model, contextlib.nullcontext)
    tolerance = {"float32": 1e-5, "mixed_bfloat16": 0.05, "mixed_float16": 0.01}[dtype]
    assert all(relative(*arrays) <= tolerance for arrays in zip(actual, expected, strict=True))
    assert (names.count("FusedBatchNormV3"), keras_names.count("FusedBatchNormV3")) == (3, 0)
    assert ("SpaceToBatchND" in names, "SpaceToBatchND" in keras_names) == (False, True)
    assert not any("call" in vars(layer) for layer in model.layers)


@pytest.mark.parametrize(
    "norm",
    [
        {"scale": False},
        {"center": False},
        {"synchronized": True},
        {"renorm": True},
        {"axis": 2},
        {"axis": 3},
        {"dtype": "float64"},
    ],
)
def test_unusual_batch_norm_stays_that_of_keras(norm):
    image = keras.Input((17, 20, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    model = randomize_weights(keras.Model(image, layers.BatchNormalization(**norm)(x)))
    (actual, names), (expected, _) = run_step(model), run_step(model, contextlib.nullcontext)
    assert all(relative(*arrays) <= 1e-5 for arrays in zip(actual, expected, strict=True))
    assert names.count("FusedBatchNormV3") == (norm == {"axis": 3})


def test_frozen_batch_norm_equals_that_of_keras():
    model = network(rates=(2,))
    preparation.prepare(model, batch_norm="frozen")
    (actual, _), (expected, _) = run_step(model), run_step(model, contextlib.nullcontext)
    assert all(relative(*arrays) <= 1e-5 for arrays in zip(actual, expected, strict=True))


def test_exception_restores_the_layers():
    model = network(rates=(2,))
    with pytest.raises(ZeroDivisionError), native(model):
        raise ZeroDivisionError
    assert not any("call" in vars(layer) for layer in model.layers)


def test_training_step_uses_native_operations():
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3, padding="same", dilation_rate=2)(image)
    x = layers.Conv2D(3, 1, name="logits")(layers.BatchNormalization()(x))
    model = keras.Model(image, x)
    recipe = training.Recipe(power=0.0, batch_size=1)
    training.compile_model(model, recipe)
    examples = random_image(16, 20), np.zeros((1, 16, 20), "int32")
    graph = make_step(model, recipe).get_concrete_function(examples, np.int64(0)).graph.as_graph_def()
    names = {node.op for function in graph.library.function for node in function.node_def}
    assert "FusedBatchNormV3" in names
    assert "SpaceToBatchND" not in names


def test_build_without_dilated_gradients_keeps_the_operations_of_keras():
    """On a CPU, TensorFlow without oneDNN has no gradients of dilated convolutions."""
    code = "import test_native_operations as t; _, names = t.run_step(t.network(rates=(2,))); print(names.count('SpaceToBatchND'))"
    environment = os.environ | {
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "PYTHONPATH": os.pathsep.join([str(pathlib.Path(__file__).parent), *sys.path]),
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 1
