"""What a whole Keras model does after the scores or the features that a network of tfseg ends with."""

import keras

from converters.identification.sources import Source
from converters.reading.keras.configuration import LayerCall, LayerGraph, read_graph

_SOFTMAX, _POOLS = "softmax", ("GlobalAveragePooling2D", "GlobalMaxPooling2D")


def add_end(model: keras.Model, graph: LayerGraph) -> keras.Model:
    """The model with the softmax of its scores, or the pooling of its features, that the file's model ends with.

    The name of the longer model says so; a model that ends as the file's does is returned as it is.

    Args:
        model: network that is built for a file.
        graph: calls of the file's layers.
    """
    last = graph.call(graph.outputs[0]) if len(graph.outputs) == 1 else None
    if last is None or isinstance(model.output, list | tuple):
        return model
    is_map = len(model.output.shape) == 4
    if _is_softmax(last) and not is_map:
        layer = keras.layers.Activation(_SOFTMAX, name=_SOFTMAX)
    elif last.kind in _POOLS and is_map and not last.arguments:
        keepdims = bool(last.options.get("keepdims"))
        layer = getattr(keras.layers, last.kind)(keepdims=keepdims, data_format="channels_last", name="pooling")
    else:
        return model
    return keras.Model(model.input, layer(model.output), name=f"{model.name}_with_{layer.name}")


def add_stated_end(model: keras.Model, source: Source) -> keras.Model:
    """`add_end` for a source that is one whole Keras model; for every other source the model itself.

    Args:
        model: network that is built for the source.
        source: source of the weights.
    """
    configs = [checkpoint.keras_config for checkpoint in source.checkpoints]
    graph = read_graph(configs[0]) if len(configs) == 1 and configs[0] else None
    return add_end(model, graph) if graph else model


def _is_softmax(call: LayerCall) -> bool:
    axis = call.options.get("axis", -1)
    return (call.kind == "Softmax" and axis in (-1, 1)) or (
        call.kind in ("Dense", "Activation") and call.options.get("activation") == _SOFTMAX
    )
