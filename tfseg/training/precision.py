"""Mixed precision: a copy of a model that computes in half the bits."""

import keras

from tfseg.outputs import trained_outputs


def with_dtype(model: keras.Model, dtype: str) -> keras.Model:
    """A copy of a model that computes in another dtype and keeps weights and outputs in float32.

    Args:
        model: a functional Keras model.
        dtype: "mixed_bfloat16", "mixed_float16", or "float32" for a model that has one of them.
    Returns: a model with the same layers and weights. The last layers, and small convolutions with a bias, compute in
        float32.
    """
    output_layers = {tensor._keras_history.operation.name for tensor in trained_outputs(model.output)}

    def stays_float32(layer: keras.layers.Layer) -> bool:
        """Whether a layer is the input, the last one, or a small convolution with a bias, such as those of scores.

        On a CPU, TensorFlow 2.21 needs bias gradients in bfloat16 to have a multiple of 16 entries. For other lengths
        it writes past the end of the array, and crashes later.
        """
        small = getattr(layer, "use_bias", False) and getattr(layer, "filters", 16) % 16
        return bool(small or layer.name in output_layers or isinstance(layer, keras.layers.InputLayer))

    def clone_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if not isinstance(layer, keras.layers.InputLayer):
            config["dtype"] = "float32" if stays_float32(layer) else dtype
        return layer.__class__.from_config(config)

    copy = keras.models.clone_model(model, clone_function=clone_layer, recursive=True)
    for variable, value in zip(copy.weights, model.weights, strict=True):
        variable.assign(value)
    return copy
