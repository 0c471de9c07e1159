"""TensorFlow's operations as steps: each is compared with TensorFlow at four sizes that were not traced."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import tf1_graphs

import converters

v1 = tf.compat.v1


def kernel(*shape):
    return tf.constant(np.random.default_rng(sum(shape)).normal(size=shape).astype("float32") * 0.4)


def conv(x, filters=4, size=3, stride=1, padding="SAME", **options):
    return tf.nn.conv2d(x, kernel(size, size, int(x.shape[-1]), filters), stride, padding, **options)


def depthwise(x, multiplier=1, stride=1, padding="SAME", rate=1):
    return tf.nn.depthwise_conv2d(
        x, kernel(3, 3, int(x.shape[-1]), multiplier), [1, stride, stride, 1], padding, dilations=[rate, rate]
    )


def smaller(x):
    return v1.nn.max_pool2d(x, 2, 2, "SAME")


def transposed(x, size, stride, padding="SAME", sides=None):
    shape = tf.shape(x)
    sides = sides or (lambda n: n * stride)
    result = [shape[0], sides(shape[1]), sides(shape[2]), 4]
    return tf.nn.conv2d_transpose(x, kernel(size, size, 4, 3), tf.stack(result), stride, padding)


def normalized(x, gamma=True, beta=True):
    scale, shift = kernel(3) if gamma else None, kernel(3) * 2 if beta else None
    return tf.nn.batch_normalization(x, kernel(3), tf.abs(kernel(3)) + 0.5, shift, scale, 1e-3)


NUMBERS = {
    "elu": tf.nn.elu,
    "selu": tf.nn.selu,
    "sigmoid": tf.sigmoid,
    "tanh": tf.tanh,
    "softplus": tf.nn.softplus,
    "leaky_relu": lambda x: tf.nn.leaky_relu(x, 0.1),
    "hard_swish": lambda x: x * tf.nn.relu6(x + 3) * 0.16666667,
    "hard_sigmoid": lambda x: tf.nn.relu6(x + 3.0) / 6.0,
    "swish": lambda x: x * tf.sigmoid(x),
    "gelu": tf.nn.gelu,
    "gelu_tanh": lambda x: tf.nn.gelu(x, approximate=True),
    "softsign": tf.nn.softsign,
    "clip": lambda x: tf.clip_by_value(x, -0.5, 0.5),
    "exp": tf.exp,
    "pow": lambda x: tf.pow(tf.abs(x) + 1.0, 1.5),
    "rsqrt": lambda x: tf.math.rsqrt(tf.abs(x) + 1.0),
    "squared_difference": lambda x: tf.math.squared_difference(x, kernel(3)),
    "reciprocal": lambda x: 1.0 / (tf.abs(x) + 2.0),
    "one_less": lambda x: 1.0 - x,
    "vector_less": lambda x: tf.constant([1.0, 2.0, 3.0]) - x,
    "by_vector": lambda x: x / tf.constant([1.0, 2.0, 3.0]),
    "sum_of_many": lambda x: tf.add_n([x, x * 2.0, tf.nn.relu(x)]),
    "between": lambda x: tf.minimum(tf.maximum(x, -1.0), tf.nn.relu(x)),
    "where": lambda x: tf.where(x > 0.3, x, x * 0.1),
    "compared": lambda x: tf.cast(x > 0.0, tf.float32) * x,
    "filled": lambda x: x + tf.fill(tf.shape(x), 0.5),
}
WINDOWS = {
    "even_kernel_strided": lambda x: conv(x, 4, 4, 2),
    "wide_stride": lambda x: conv(x, 4, 5, 3),
    "one_pixel_strided": lambda x: conv(x, 4, 1, 2),
    "strides_of_two_kinds": lambda x: tf.nn.conv2d(x, kernel(1, 7, 3, 4), [1, 1, 2, 1], "SAME"),
    "explicit": lambda x: tf.nn.conv2d(x, kernel(3, 3, 3, 4), 2, [[0, 0], [1, 2], [0, 1], [0, 0]]),
    "dilated": lambda x: conv(x, dilations=2),
    "dilated_valid": lambda x: conv(x, padding="VALID", dilations=3),
    "between_blocks": lambda x: tf1_graphs.Slim._strided(lambda y, how: conv(y, padding=how), x, 3, 4, "SAME"),
    "between_blocks_valid": lambda x: tf1_graphs.Slim._strided(lambda y, how: conv(y, padding=how), x, 3, 3, "VALID"),
    "depthwise_multiplied": lambda x: depthwise(x, 2),
    "depthwise_strided": lambda x: depthwise(x, stride=2),
    "depthwise_dilated": lambda x: depthwise(x, rate=2),
    "bias": lambda x: tf.nn.relu(tf.nn.bias_add(conv(x), kernel(4))),
    "sum_as_bias": lambda x: conv(x) + kernel(1, 1, 4),
    "transposed_odd": lambda x: transposed(x, 3, 2),
    "transposed_even": lambda x: transposed(x, 4, 2),
    "transposed_valid": lambda x: transposed(x, 3, 2, "VALID", lambda n: 2 * n + 1),
    "max_same": lambda x: v1.nn.max_pool2d(x, 3, 2, "SAME"),
    "max_valid": lambda x: v1.nn.max_pool2d(x, 2, 2, "VALID"),
    "average_same": lambda x: v1.nn.avg_pool2d(x, 3, 2, "SAME"),
    "average_valid": lambda x: v1.nn.avg_pool2d(x, 5, 3, "VALID"),
    "batch_norm": normalized,
    "batch_norm_alone": lambda x: normalized(x, gamma=False),
    "batch_norm_scaled": lambda x: normalized(x, beta=False),
    "response_norm": tf.nn.lrn,
    "of_the_map": lambda x: (
        (x - tf.reduce_mean(x, [1, 2], keepdims=True))
        * tf.math.rsqrt(tf.math.reduce_variance(x, [1, 2], keepdims=True) + 1e-5)
    ),
}
AXES = {
    "mean_of_maps": lambda x: tf.reduce_mean(x, [1, 2]),
    "mean_of_rows": lambda x: tf.reduce_mean(x, 1),
    "mean_of_channels": lambda x: tf.reduce_mean(x, -1, keepdims=True),
    "max_of_channels": lambda x: tf.reduce_max(x, 3),
    "sum_of_maps": lambda x: tf.reduce_sum(x, [1, 2]),
    "concat": lambda x: tf.concat([x, tf.nn.relu(x)], -1),
    "concat_rows": lambda x: tf.concat([x, x], 1),
    "split": lambda x: tf.concat(tf.split(conv(x, 6), 3, 3)[::-1], 3),
    "split_uneven": lambda x: tf.split(conv(x, 6), [1, 2, -1], 3)[2],
    "unstack": lambda x: tf.stack(tf.unstack(x, axis=3)[::-1], 3),
    "other_colors": lambda x: x[..., ::-1] - tf.constant([103.0, 116.0, 123.0]),
    "slice": lambda x: tf.slice(x, [0, 1, 2, 0], [-1, -1, -1, 2]),
    "strided_slice": lambda x: x[:, 1:-1, ::2, :2],
    "one_channel": lambda x: x[:, :, :, 1],
    "one_channel_kept": lambda x: x[:, :, :, 0, None],
    "last_row": lambda x: x[:, -1],
    "gather": lambda x: tf.gather(x, [2, 0], axis=3),
    "transpose": lambda x: tf.transpose(x, [0, 3, 1, 2]),
    "there_and_back": lambda x: tf.transpose(tf.nn.relu(tf.transpose(x, [0, 3, 1, 2])), [0, 2, 3, 1]),
    "tokens": lambda x: tf.reshape(x, [tf.shape(x)[0], -1, 3]),
    "softmax": lambda x: tf.nn.softmax(conv(x, 5)),
    "log_softmax": tf.nn.log_softmax,
    "softmax_of_rows": lambda x: tf.nn.softmax(x, 1),
    "dense": lambda x: tf.matmul(tf.reduce_mean(x, [1, 2]), kernel(3, 7)) + kernel(7),
    "dense_turned": lambda x: tf.matmul(tf.reduce_mean(x, [1, 2]), kernel(7, 3), transpose_b=True),
    "ones_beside": lambda x: tf.concat([x, tf.ones_like(x[..., :1])], 3),
}
SIZES = {
    "pad": lambda x: tf.pad(x, [[0, 0], [1, 2], [3, 0], [0, 0]]),
    "pad_by_number": lambda x: tf.pad(x, [[0, 0], [1, 2], [3, 0], [0, 0]], constant_values=2.5),
    "pad_channels": lambda x: tf.pad(x, [[0, 0], [0, 0], [0, 0], [1, 2]]),
    "reflect": lambda x: tf.pad(x, [[0, 0], [2, 2], [3, 1], [0, 0]], "REFLECT"),
    "bilinear_corners": lambda x: v1.image.resize_bilinear(smaller(x), tf.shape(x)[1:3], align_corners=True),
    "bilinear_of_old": lambda x: v1.image.resize_bilinear(smaller(x), tf.shape(x)[1:3]),
    "bilinear_of_old_smaller": lambda x: v1.image.resize_bilinear(x, tf.shape(x)[1:3] // 2),
    "bilinear": lambda x: tf.image.resize(smaller(x), tf.shape(x)[1:3]),
    "nearest_of_old": lambda x: v1.image.resize_nearest_neighbor(smaller(x), tf.shape(x)[1:3]),
    "nearest": lambda x: tf.image.resize(smaller(x), tf.shape(x)[1:3], "nearest"),
    "nearest_corners": lambda x: v1.image.resize_nearest_neighbor(smaller(x), tf.shape(x)[1:3], align_corners=True),
    "computed_in_floats": lambda x: tf.image.resize(
        x, tf.cast(tf.math.ceil(tf.cast(tf.shape(x)[1:3], tf.float32) / 2.0), tf.int32)
    ),
    "depth_to_space": lambda x: tf.nn.depth_to_space(conv(x, 12), 2),
    "tile": lambda x: tf.tile(tf.reduce_mean(x, [1, 2], keepdims=True), [1, tf.shape(x)[1], tf.shape(x)[2], 1]),
    "labels": lambda x: tf.argmax(conv(x, 5), 3),
}
GROUPS = {"numbers": NUMBERS, "windows": WINDOWS, "axes": AXES, "sizes": SIZES}


SLOW = [pytest.param(group, marks=pytest.mark.full) for group in ("numbers", "axes", "sizes")]


@pytest.mark.parametrize("group", ["windows", *SLOW])
def test_operations_are_exact(group, tmp_path):
    """All of a group in one graph: `convert` refuses it if one result differs from TensorFlow's."""

    def build(x):
        return [tf.identity(function(x), name=f"{name}_result") for name, function in GROUPS[group].items()]

    path = tf1_graphs.frozen(build, tmp_path / "operations.pb")
    names = [f"{name}_result" for name in GROUPS[group]]
    model, _ = converters.convert(path, outputs=names)
    images = np.random.default_rng(3).normal(size=(2, 37, 46, 3)).astype("float32")
    results = model(images)
    for name, result, expected in zip(names, results, tf1_graphs.run_frozen(path, images, names), strict=True):
        assert result.shape == expected.shape, name
        np.testing.assert_allclose(result, expected, atol=1e-5 * np.abs(expected).max(), err_msg=name)


@pytest.mark.full
@pytest.mark.parametrize("name", {**NUMBERS, **WINDOWS, **AXES, **SIZES})
def test_each_operation_is_exact(name, tmp_path):
    function = {**NUMBERS, **WINDOWS, **AXES, **SIZES}[name]
    _, receipt = converters.convert(tf1_graphs.frozen(lambda x: tf.identity(function(x)), tmp_path / "operation.pb"))
    assert receipt.parity["max relative difference"] <= 1e-5


def test_convolution_between_blocks_is_a_dilated_one(tmp_path):
    """SpaceToBatchND and BatchToSpaceND, whose numbers are computed from the image's size, leave no layer."""
    model, _ = converters.convert(tf1_graphs.frozen(WINDOWS["between_blocks"], tmp_path / "atrous.pb"))
    (layer,) = model.layers[2:]
    assert isinstance(layer, keras.layers.Conv2D)
    assert (layer.dilation_rate, layer.padding) == ((4, 4), "same")
