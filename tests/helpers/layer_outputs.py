"""The results of a layer in every way of calling it, and the layouts of torch and Keras."""

import keras
import numpy as np
from helpers.references import relative


def to_torch(pixels):
    """A torch tensor, channels first."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))


def from_torch(tensor):
    """An array, channels last."""
    return tensor.permute(0, 2, 3, 1).numpy()


def every_way(layer, *arrays):
    """Results of a layer for arrays: called directly, in a model of unknown sizes, in its copy by configuration, traced.

    Their shapes are those of `compute_output_spec`.
    """

    def packed(values):
        return values[0] if len(values) == 1 else list(values)

    inputs = [keras.Input((None, None, array.shape[-1])) for array in arrays]
    model = keras.Model(inputs, layer(packed(inputs)))
    copy = keras.Model.from_config(model.get_config())
    results = [layer(packed(arrays)), model(list(arrays)), copy(list(arrays))]
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        specs = [tf.TensorSpec((None, None, None, array.shape[-1])) for array in arrays]
        results.append(tf.function(model).get_concrete_function(specs)(list(map(tf.constant, arrays))))
    results = [keras.ops.convert_to_numpy(result) for result in results]
    predicted = layer.compute_output_spec(packed([keras.KerasTensor(array.shape) for array in arrays]))
    assert {result.shape for result in results} == {predicted.shape}
    return results


def check_layer(layer, reference, *arrays, tolerance=1e-6):
    """Compares every way of calling a layer with a reference."""
    for ours in every_way(layer, *arrays):
        assert relative(ours, reference) <= tolerance
