"""TensorFlow's single operations where Keras makes several, for the time in which a model is traced.

BatchNorm over a batch is one operation there, where Keras writes it in some ten that each go through the map; and a
dilated convolution is one as well, where Keras's rearranges the map before and behind (space to batch), by a dozen
operations in the files of other runtimes. Numbers differ by rounding.
"""

import contextlib
import functools

import keras


@contextlib.contextmanager
def native_operations(model, *, gradients):
    """Within it, a model's layers are called as TensorFlow's operations; the model stays as it is.

    Args:
        model: whose layers; those of models in it are left.
        gradients: whether the operations will have to have them.
    """
    dilates = not gradients or _can_train_dilated()
    patched = []
    try:
        for layer in model.layers:
            if type(layer) is keras.layers.BatchNormalization and _is_plain(layer):
                call = _batch_norm
            elif type(layer) is keras.layers.Conv2D and _is_dilated(layer) and dilates:
                call = _convolution
            else:
                continue
            vars(layer)["call"] = functools.partial(call, layer)  # before its class's; Keras tracks none of it
            patched.append(layer)
        yield
    finally:
        for layer in patched:
            del vars(layer)["call"]


def _is_plain(layer):
    usual = layer.axis in (-1, 3) and layer.scale and layer.center and layer.variable_dtype == "float32"
    return usual and not (layer.synchronized or layer.renorm)


def _is_dilated(layer):
    return max(layer.dilation_rate) > 1 and layer.groups == 1 and layer.data_format == "channels_last"


def _batch_norm(layer, inputs, training=None, mask=None):
    if not (training and layer.trainable) or mask is not None or len(inputs.shape) != 4:
        return type(layer).call(layer, inputs, training=training, mask=mask)
    import tensorflow as tf

    outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
        inputs, layer.gamma.value, layer.beta.value, epsilon=layer.epsilon, is_training=True
    )
    # Its variance is that of the population, n / (n - 1) of the batch's, by which it normalises and which Keras keeps.
    count = tf.cast(tf.size(inputs) // inputs.shape[-1], variance.dtype)
    for moving, new in ((layer.moving_mean, mean), (layer.moving_variance, variance * (1 - 1 / count))):
        moving.assign(moving * layer.momentum + new * (1 - layer.momentum))
    return outputs


def _convolution(layer, inputs):
    import tensorflow as tf

    kernel = tf.convert_to_tensor(layer.kernel)
    outputs = tf.nn.conv2d(inputs, kernel, layer.strides, layer.padding.upper(), dilations=layer.dilation_rate)
    if layer.use_bias:
        outputs = outputs + layer.bias  # not `tf.nn.bias_add`: see `with_dtype`
    return layer.activation(outputs)


@functools.cache
def _can_train_dilated():
    """On a CPU only oneDNN has the gradients of a dilated convolution; builds of TensorFlow differ, so it is tried."""
    import tensorflow as tf

    with tf.init_scope():
        ones, options = tf.ones((1, 8, 8, 1)), {"strides": (1,) * 4, "padding": "SAME", "dilations": (1, 2, 2, 1)}
        try:
            tf.raw_ops.Conv2DBackpropFilter(input=ones, filter_sizes=(3, 3, 1, 1), out_backprop=ones, **options)
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
            return False
    return True
