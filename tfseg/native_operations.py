"""Single TensorFlow operations where Keras uses several, while a model is traced.

* BatchNorm in training is one TensorFlow operation. Keras uses about ten, each of which reads the whole feature map.
* A dilated convolution is one TensorFlow operation. Keras rearranges the feature map before and after it (space to
  batch), which becomes a dozen operations in the files of other runtimes.
* A grouped convolution is one. Keras compiles it with XLA, which other runtimes do not know.
* A wide convolution without strides takes less time in training: see `tfseg/trained_convolutions.py`.
* A narrow 1x1 convolution with strides reads a slice of its input while a model is trained. oneDNN's gradient of its
  kernel writes past the end of an array, and crashes later: TensorFlow 2.21, one image of 12x12, 4 channels to 8.

Results differ by rounding only.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator

import keras

from tfseg.trained_convolutions import trained_convolution
from tfseg.types import Tensor


@contextlib.contextmanager
def native_operations(model: keras.Model, *, gradients: bool) -> Iterator[None]:
    """A context in which a model's layers call single TensorFlow operations; the model itself does not change.

    Args:
        model: the model whose layers are replaced, those of models inside it, too.
        gradients: whether the operations must have gradients.
    """
    patched = []
    try:
        for layer in model._flatten_layers(include_self=False):
            call: Callable[..., Tensor]
            if not layer.built:  # a part of a layer that never calls it
                continue
            if type(layer) is keras.layers.BatchNormalization and _is_plain(layer):
                call = _batch_norm
            elif type(layer) is keras.layers.Conv2D and gradients and _is_narrow_and_strided(layer):
                call = _convolution_of_slice
            elif type(layer) is keras.layers.Conv2D and _is_single(layer, gradients):
                call = functools.partial(_convolution, gradients=gradients)
            else:
                continue
            vars(layer)["call"] = functools.partial(call, layer)  # hides the class's method; Keras does not track it
            patched.append(layer)
        yield
    finally:
        for layer in patched:
            del vars(layer)["call"]


def _is_plain(layer: keras.layers.BatchNormalization) -> bool:
    usual = layer.axis in (-1, 3) and layer.scale and layer.center and layer.variable_dtype == "float32"
    return usual and not (layer.synchronized or layer.renorm)


def _is_single(layer: keras.layers.Conv2D, gradients: bool) -> bool:
    """Whether a convolution is one operation, or in training another than that of Keras."""
    if layer.data_format != "channels_last" or layer.padding not in ("same", "valid"):
        return False
    if layer.groups > 1:  # which have no gradients
        return not gradients
    if max(layer.dilation_rate) == 1:
        return gradients and max(layer.strides) == 1
    return not gradients or _has_gradients_of_dilated_convolutions(layer.compute_dtype)


def _is_narrow_and_strided(layer: keras.layers.Conv2D) -> bool:
    """Whether a 1x1 convolution skips pixels, and its channels do not come in sixteens."""
    is_strided = layer.kernel_size == (1, 1) and max(layer.strides) > 1 and layer.data_format == "channels_last"
    return bool(is_strided and layer.groups == 1 and any(number % 16 for number in layer.kernel.shape[2:]))


def _batch_norm(
    layer: keras.layers.BatchNormalization, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None
) -> Tensor:
    if not (training and layer.trainable) or mask is not None or len(inputs.shape) != 4:
        return type(layer).call(layer, inputs, training=training, mask=mask)
    import tensorflow as tf

    outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
        inputs, layer.gamma.value, layer.beta.value, epsilon=layer.epsilon, is_training=True
    )
    # TensorFlow returns the unbiased variance, n / (n - 1) of the batch's. Both normalize by the batch's variance, and
    # Keras's moving average takes that too.
    count = tf.cast(tf.size(inputs) // inputs.shape[-1], variance.dtype)
    for moving, new in ((layer.moving_mean, mean), (layer.moving_variance, variance * (1 - 1 / count))):
        moving.assign(moving * layer.momentum + new * (1 - layer.momentum))
    return outputs


def _convolution(layer: keras.layers.Conv2D, inputs: Tensor, *, gradients: bool) -> Tensor:
    import tensorflow as tf

    kernel, padding, rates = tf.convert_to_tensor(layer.kernel), layer.padding, layer.dilation_rate
    faster = trained_convolution(inputs, kernel, padding, rates) if gradients and max(layer.strides) == 1 else None
    if layer.groups > 1:  # other runtimes count them by the channels, which TensorFlow forgets where a map is padded
        inputs = tf.reshape(inputs, (*tf.unstack(tf.shape(inputs)[:3]), kernel.shape[2] * layer.groups))
    if faster:
        outputs = faster(inputs, kernel)
    else:
        outputs = tf.nn.conv2d(inputs, kernel, layer.strides, padding.upper(), dilations=rates)
    if layer.use_bias:
        outputs = outputs + layer.bias  # not `tf.nn.bias_add`: see `tfseg.training.preparation.with_dtype`
    return outputs if layer.activation is None else layer.activation(outputs)


def _convolution_of_slice(layer: keras.layers.Conv2D, inputs: Tensor) -> Tensor:
    import tensorflow as tf

    rows, columns = layer.strides
    outputs = tf.nn.conv2d(inputs[:, ::rows, ::columns], tf.convert_to_tensor(layer.kernel), 1, "VALID")
    outputs = outputs + layer.bias if layer.use_bias else outputs
    return outputs if layer.activation is None else layer.activation(outputs)


@functools.cache
def _has_gradients_of_dilated_convolutions(dtype: str) -> bool:
    """Whether this build of TensorFlow has them: on a CPU only oneDNN does, for the types that the processor computes
    with; so a small one is tried.

    Args:
        dtype: type of the images and the kernel.
    """
    import tensorflow as tf

    with tf.init_scope():
        ones, options = (
            tf.ones((1, 8, 8, 1), dtype),
            {"strides": (1,) * 4, "padding": "SAME", "dilations": (1, 2, 2, 1)},
        )
        try:
            tf.raw_ops.Conv2DBackpropFilter(input=ones, filter_sizes=(3, 3, 1, 1), out_backprop=ones, **options)
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
            return False
    return True
