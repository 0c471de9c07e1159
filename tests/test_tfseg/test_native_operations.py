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


@functools.cache
def has_dilated_gradients(dtype="float32"):
    """Whether TensorFlow has gradients of dilated convolutions here: on processors for which it chooses oneDNN."""
    images, kernel = tf.ones((1, 8, 8, 1), dtype), tf.Variable(tf.ones((3, 3, 1, 1), dtype))
    try:
        with tf.GradientTape() as tape:
            maps = tf.nn.conv2d(images, kernel, strides=1, padding="SAME", dilations=2)
        return tape.gradient(maps, kernel) is not None
    except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
        return False


def run_step(model, context=native, **options):
    """The loss, gradients and moving averages of a step, and the names of its graph's operations."""
    before = [tf.identity(variable.value) for variable in model.weights]
    # More pixels would let the rounding of long sums show, on one thread most.
    images = tf.constant(random_image(12, 13))

    @tf.function(**options)
    def run():
        with context(model), tf.GradientTape() as tape:
            outputs = tf.cast(model(images, training=True), "float32")
            loss = tf.reduce_mean(outputs**2 * tf.cos(tf.cumsum(tf.ones_like(outputs), 2)))
        # The terms of the loss cancel, so that its rounding is large beside it: it is compared beside their mean size.
        return loss + tf.reduce_mean(outputs**2), tape.gradient(
            loss, [variable.value for variable in model.trainable_variables]
        )

    loss, gradients = run()
    averages = [tf.identity(variable.value) for variable in model.non_trainable_variables]
    for variable, value in zip(model.weights, before, strict=True):
        variable.assign(value)
    results = [tensor.numpy() for tensor in (loss, *gradients, *averages)]
    return results, [operation.type for operation in run.get_concrete_function().graph.get_operations()]


@pytest.mark.quick_variants(1)
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
    keeps = not has_dilated_gradients(dtype.removeprefix("mixed_"))
    assert ("SpaceToBatchND" in names, "SpaceToBatchND" in keras_names) == (keeps, True)
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
    image = keras.Input((12, 13, 3))
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
    assert ("SpaceToBatchND" in names) != has_dilated_gradients()


@pytest.mark.full
@pytest.mark.parametrize("onednn", [0, 1])
def test_only_a_build_without_dilated_gradients_keeps_the_operations_of_keras(onednn):
    """On a CPU, TensorFlow without oneDNN has no gradients of dilated convolutions."""
    code = "import test_native_operations as t; _, names = t.run_step(t.network(rates=(2,))); print(names.count('SpaceToBatchND'))"
    environment = os.environ | {
        "TF_ENABLE_ONEDNN_OPTS": str(onednn),
        "PYTHONPATH": os.pathsep.join([str(pathlib.Path(__file__).parent), *sys.path]),
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (int(done.stdout) == 0) == bool(onednn)


@pytest.mark.parametrize(("filters", "operation"), [(8, "StridedSlice"), (16, None)])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_narrow_strided_convolutions_read_a_slice(filters, operation, padding):
    """oneDNN's gradient of their kernels writes past the end of an array."""
    image = keras.Input((None, None, 16))
    x = layers.Conv2D(filters, 1, strides=(2, 3), padding=padding, activation="tanh", name="shortcut")(image)
    model = randomize_weights(keras.Model(image, x))
    batch = tf.constant(np.random.default_rng(0).normal(size=(1, 12, 13, 16)).astype("float32"))

    def gradients(context):
        @tf.function
        def run():
            with context(model), tf.GradientTape() as tape:
                tape.watch(batch)
                loss = tf.reduce_mean(model(batch, training=True) ** 2)
            return tape.gradient(loss, [batch, *(variable.value for variable in model.trainable_variables)])

        graph = run.get_concrete_function().graph
        kinds = {node.type for node in graph.get_operations() if "shortcut" in node.name}
        return run(), kinds

    actual, kinds = gradients(native)
    assert ("StridedSlice" in kinds) == (operation is not None)
    # The reference is computed in NumPy, through a slice.
    weights, bias = (np.array(variable) for variable in model.weights)
    outputs = np.tanh(np.array(batch)[:, ::2, ::3] @ weights[0, 0] + bias)
    outer = 2 * outputs / outputs.size * (1 - outputs**2)
    expected = np.einsum("bhwi,bhwo->io", np.array(batch)[:, ::2, ::3], outer)[None, None]
    assert relative(np.array(actual[1]), expected) < 1e-5
    assert relative(np.array(actual[2]), outer.sum((0, 1, 2))) < 1e-5


@pytest.mark.full
def test_one_image_a_step_does_not_damage_the_memory():
    """In a process of its own, whose allocator checks what is freed."""
    script = (
        "import numpy as np, tfseg; from tfseg import training; from tfseg.training.step import make_step\n"
        "model = tfseg.build('fcn_resnet18', num_classes=3, width=1 / 16)\n"
        "recipe = training.RECIPES['poly']; training.compile_model(model, recipe, 100); step = make_step(model, recipe)\n"
        "for n in range(20): step((np.ones((1, 48, 48, 3), 'float32'), np.ones((1, 48, 48), 'uint8')), np.array(n, 'int64'))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "MALLOC_CHECK_": "3"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-1000:]


def test_a_convolution_without_activation_computes():
    model = network(rates=(1, 2))
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D):
            layer.activation = None
    images = random_image(12, 13)
    expected = np.array(model(images))
    with native(model):
        assert relative(np.array(model(images)), expected) <= 1e-5


class WithSpare(layers.Layer):
    """A layer with a convolution inside, and one that it never calls."""

    def __init__(self):
        super().__init__()
        self.used = layers.Conv2D(4, 3, padding="same", dilation_rate=2)
        self.spare = layers.Conv2D(4, 1, strides=2)

    def build(self, shape):
        self.used.build(shape)

    def call(self, inputs):
        return self.used(inputs)


def test_layers_within_layers_are_replaced_and_parts_without_weights_are_not():
    layer = WithSpare()
    model = keras.Model(image := keras.Input((None, None, 3)), layer(image))
    with native_operations(model, gradients=False):
        assert "call" in vars(layer.used)
        assert "call" not in vars(layer.spare)
        function = tf.function(model).get_concrete_function(tf.TensorSpec((None, None, None, 3)))
    assert "SpaceToBatchND" not in {node.op for node in function.graph.as_graph_def().node}
    pixels = random_image(9, 11)
    assert relative(function(tf.constant(pixels)), model(pixels)) < 1e-6


def test_a_step_takes_optimizers_of_keras():
    model = network()
    recipe = training.Recipe(learning_rate=0.1, momentum=0.0, decay=0.0, power=0.0)
    training.compile_model(model, recipe)
    model.optimizer = keras.optimizers.SGD(0.1)
    before = np.array(model.trainable_variables[0])
    masks = np.zeros((1, 9, 11), "int32")
    assert np.isfinite(float(make_step(model, recipe)((random_image(9, 11), masks), np.int64(0))))
    assert not np.array_equal(before, model.trainable_variables[0])
