"""The convolutions of a training step equal TensorFlow's own, and so do both of their gradients."""

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
from helpers.random_weights import randomize_weights
from helpers.references import images, relative
from keras import layers

from tfseg import trained_convolutions
from tfseg.native_operations import native_operations
from tfseg.trained_convolutions import along_rows, trained_convolution, with_products


def run(convolve, maps, kernel, outer, **options):
    """Results and gradients, from a graph for batches of any size."""

    def step(maps, kernel, outer):
        with tf.GradientTape() as tape:
            tape.watch((maps, kernel))
            results = convolve(maps, kernel)
        return results, *tape.gradient(results, (maps, kernel), outer)

    signature = [tf.TensorSpec((None, *maps.shape[1:]), maps.dtype), tf.TensorSpec(kernel.shape, kernel.dtype)]
    signature.append(tf.TensorSpec((None, *outer.shape[1:]), outer.dtype))
    function = tf.function(step, input_signature=signature, autograph=False, **options)
    return [np.array(tf.cast(values, "float32")) for values in function(maps, kernel, outer)]


def own(padding, rates):
    return lambda maps, kernel: tf.nn.conv2d(maps, kernel, 1, padding.upper(), dilations=rates)


def operands(shape, side, filters, padding, rates, dtype="float32"):
    maps, kernel = (
        images(*shape[1:3], channels=shape[3], batch=shape[0]),
        images(side, shape[3], channels=filters, batch=side),
    )
    maps, kernel = tf.cast(maps, dtype), tf.cast(kernel / np.sqrt(side * side * shape[3]), dtype)
    results = own(padding, rates)(maps, kernel)
    return maps, kernel, tf.cast(images(*results.shape[1:3], channels=filters, batch=shape[0], seed=1), dtype)


@pytest.mark.quick_variants(every=7)
@pytest.mark.parametrize("rates", [(1, 1), (2, 2), (1, 3), (4, 1)])
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("size", [(9, 11), (13, 16), (16, 13)])
def test_filtering_along_rows_equals_the_convolution(size, padding, rates):
    values = operands((3, *size, 5), 3, 7, padding, rates)
    expected = run(own(padding, rates), *values)
    for options in ({}, {"jit_compile": True}):
        actual = run(along_rows(padding, rates), *values, **options)
        assert all(relative(*arrays) < 4e-6 for arrays in zip(actual, expected, strict=True))


@pytest.mark.quick_variants(every=5)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize(("side", "rates"), [(1, (1, 1)), (3, (1, 1)), (3, (2, 3)), (3, (4, 4))])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_products_equal_the_gradient_of_the_convolution(padding, side, rates, dtype):
    values = operands((2, 12, 13, 8), side, 6, padding, rates, dtype)
    actual = run(with_products(padding, rates), *values)
    # Dilated gradients in 16 bits exist on some processors only.
    expected = run(own(padding, rates), *(tf.cast(value, "float32") for value in values))
    bound = {"float32": 1e-6, "bfloat16": 1e-2, "float16": 2e-3}[dtype]
    assert all(relative(*arrays) < bound for arrays in zip(actual, expected, strict=True))


@pytest.mark.parametrize(
    ("shape", "kernel", "dtype", "expected"),
    [
        ((2, 32, 32, 512), (3, 3, 512, 512), "float32", "along_rows"),
        ((None, 32, 32, 512), (3, 3, 512, 512), "float32", "along_rows"),
        ((1, 31, 32, 512), (3, 3, 512, 512), "float32", None),  # few pixels
        ((2, 32, 33, 512), (3, 3, 512, 512), "float32", "along_rows"),
        ((2, 32, 34, 512), (3, 3, 512, 512), "float32", "along_rows"),
        ((8, 32, 9, 512), (3, 3, 512, 512), "float32", None),  # twelve columns for nine
        ((2, 32, 32, 256), (3, 3, 256, 512), "float32", None),
        ((2, 32, None, 512), (3, 3, 512, 512), "float32", None),
        ((2, 32, 32, 512), (3, 3, 512, 512), "float64", None),
        ((2, 32, 32, 512), (1, 1, 512, 512), "float32", None),
        ((2, 32, 32, 512), (1, 1, 512, 512), "bfloat16", "with_products"),
        ((2, 32, 32, 32), (1, 1, 32, 512), "bfloat16", None),
        ((2, 32, 32, 512), (3, 3, 512, 512), "float16", None),
        ((2, 32, 32, 1024), (3, 3, 1024, 64), "float16", "with_products"),
        ((2, 32, 32, 1024), (5, 5, 1024, 64), "float16", None),
    ],
)
def test_only_what_pays_is_changed(shape, kernel, dtype, expected, monkeypatch):
    for name in ("along_rows", "with_products"):
        monkeypatch.setattr(trained_convolutions, name, lambda *_, name=name: name)
    assert trained_convolution(tf.TensorSpec(shape, dtype), tf.TensorSpec(kernel, dtype), "same", (1, 1)) == expected


def network():
    image = keras.Input((16, 20, 3))
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(image)
    x = layers.Conv2D(16, 3, dilation_rate=2, activation="relu", use_bias=False)(x)
    return randomize_weights(keras.Model(image, layers.Conv2D(16, 3, padding="same")(x)))


def step(model, batch, context):
    with context(model), tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.exp(model(batch, training=True)))
    return loss, *tape.gradient(loss, [variable.value for variable in model.trainable_variables])


def test_a_network_trains_with_them(monkeypatch):
    monkeypatch.setattr(trained_convolutions, "LEAST_CHANNELS", 16)
    monkeypatch.setattr(trained_convolutions, "LEAST_PIXELS", 1)
    model, batch = network(), tf.constant(images(16, 20, batch=2))
    graph = tf.function(lambda batch: step(model, batch, functools.partial(native_operations, gradients=True)))
    operations = [node.type for node in graph.get_concrete_function(batch).graph.get_operations()]
    assert operations.count("Conv2D") == 1  # of three channels
    expected = step(model, batch, contextlib.nullcontext)
    assert all(relative(*arrays) < 1e-5 for arrays in zip(graph(batch), expected, strict=True))


@pytest.mark.full
def test_two_devices_train_with_them():
    """In a process of its own: devices are counted once. Each computes its half of a batch."""
    code = (
        "import tensorflow as tf\n"
        "cpu = tf.config.list_physical_devices('CPU')[0]\n"
        "tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)\n"
        "import functools, numpy as np, test_trained_convolutions as t\n"
        "t.trained_convolutions.LEAST_CHANNELS, t.trained_convolutions.LEAST_PIXELS = 16, 1\n"
        "strategy = tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'])\n"
        "with strategy.scope():\n"
        "    model = t.network()\n"
        "batch = tf.constant(t.images(16, 20))\n"
        "native = functools.partial(t.native_operations, gradients=True)\n"
        "results = tf.function(lambda: strategy.run(lambda: t.step(model, batch, native)))()\n"
        "expected = t.step(model, batch, t.contextlib.nullcontext)\n"
        "of_devices = [strategy.experimental_local_results(result) for result in results]\n"
        "assert all(len(values) == 2 for values in of_devices)\n"
        "print(max(t.relative(v, e) for values, e in zip(of_devices, expected, strict=True) for v in values))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(pathlib.Path(__file__).parent), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert float(done.stdout) < 1e-5
