"""`renew_head`: a segmenter for other classes, with all of its weights but those that give the classes."""

from typing import Any

import keras

from tfseg import graphs
from tfseg.layers.crop_like import CropLike
from tfseg.layers.interpolate import Interpolate
from tfseg.layers.metadata import Metadata
from tfseg.layers.resample import Resample
from tfseg.layers.resizing import ResizeLike
from tfseg.outputs import trained_outputs

# How the configuration of a layer calls the number of channels that it gives.
_COUNTS = ("filters", "units")
# How the configuration of a Reshape, a layer or a bare operation, calls its shape.
_SHAPES = ("target_shape", "newshape")


def renew_head(model: keras.Model, num_classes: int, *, name: str | None = None) -> keras.Model:
    """The segmenter for another number of classes: the layers that give the classes are replaced.

    These are the last convolution or dense layer before each output, auxiliary ones included. What upsamples its scores
    with weights of its own belongs to them. They get the initial values of their configuration. All other layers keep
    their weights. Names and colors of the classes are left out.

    Args:
        model: a functional model whose outputs are logits; it is not changed.
        num_classes: number of classes of the result.
        name: name of the result; the model's by default.
    Returns: a functional model, not compiled.
    Raises:
        ValueError: the layer that gives the classes is not found. The message says what was looked for.

    Example:
        >>> model = tfseg.build("fcn_resnet18", num_classes=21, width=1 / 16)
        >>> mine = tfseg.renew_head(model, 3)
        >>> mine.output_shape[-1], tfseg.surgery.renew_head.class_layers(model)
        (3, ['logits'])
    """
    graphs.check(model)
    if type(num_classes) is not int or num_classes < 1:
        raise ValueError(f"num_classes is a whole number from 1. Received: {num_classes!r}")
    renewed = _class_layers(model)
    copies = graphs.LayerCopies(model)

    def call(
        operation: keras.Operation, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: list[keras.KerasTensor]
    ) -> list[graphs.TrackedTensor]:
        changes: dict[str, Any] = {}
        if any(operation is layer for layer in renewed) and (key := _count_key(operation)):
            changes[key] = num_classes
        changes |= _new_shape(operation, outputs[0], args, num_classes)
        if isinstance(operation, Metadata):
            # The program that it was built from gives other classes.
            changes = {"classes": None, "colors": None, "source": None}
        args, kwargs = graphs.untracked((args, kwargs))
        try:
            results = keras.tree.flatten(copies.of(operation, **changes)(*args, **kwargs))
        except ValueError as error:
            raise ValueError(
                f"The head of {model.name!r} cannot be replaced: its layer {operation.name!r} "
                f"({type(operation).__name__}) does not take {num_classes} classes: {error}. Build the network with "
                f"num_classes={num_classes}."
            ) from error
        return [graphs.TrackedTensor(result) for result in results]

    inputs = [copies.of(layer).output for layer in graphs.input_layers(model)]
    results = graphs.replay(model, [graphs.TrackedTensor(tensor) for tensor in inputs], call)
    old = graphs.structure(model)
    new = (inputs, [result.tensor for result in results])
    copy = keras.Model(*map(keras.tree.pack_sequence_as, old, new), name=name or model.name)
    for output in trained_outputs(copy.output):
        if output.shape[-1] != num_classes:
            raise ValueError(
                f"The outputs of {model.name!r} are not all scores of the same classes. Received: an output with "
                f"{output.shape[-1]} channels. Build the network with num_classes={num_classes}."
            )
    copies.fill(but=renewed)
    return copy


def class_layers(model: keras.Model) -> list[str]:
    """The names of the layers that `renew_head` replaces.

    Args:
        model: a functional model whose outputs are logits.
    Raises:
        ValueError: the layer that gives the classes is not found.
    """
    return [layer.name for layer in _class_layers(model)]


def _class_layers(model: keras.Model) -> list[keras.Layer]:
    """The layers that give the classes, the last ones first."""
    classifying: list[keras.Layer] = []
    for output in trained_outputs(model.output):
        waiting, before = [output], len(classifying)
        while waiting:
            operation, index, _ = waiting.pop(0)._keras_history
            if graphs.is_graph(operation):
                raise ValueError(
                    f"The classes of {model.name!r} come from the inner model {operation.name!r}. Dissolve it first: "
                    "tfseg.dilate(model, output_stride=32) gives a model without inner ones."
                )
            if any(operation is layer for layer in classifying):
                continue
            if getattr(operation, "weights", ()):
                classifying.append(operation)
                if _count_key(operation) and not isinstance(operation, keras.layers.Conv2DTranspose):
                    continue  # it makes scores of features
            # On from scores to scores: what has other channels is the image, or a size.
            sources = operation._inbound_nodes[index].input_tensors
            if isinstance(operation, ResizeLike | CropLike | Interpolate | Resample):
                sources = sources[:1]  # the others give sizes, and may be images of as many channels
            waiting += [tensor for tensor in sources if tensor.shape[-1:] == output.shape[-1:]]
        if len(classifying) == before or not any(_count_key(layer) for layer in classifying[before:]):
            raise ValueError(
                f"The model {model.name!r} has no convolution that gives the {output.shape[-1]} channels of its output "
                f"alone. Build the network with the classes that you want."
            )
    return classifying


def _new_shape(
    operation: keras.Operation, output: keras.KerasTensor, args: tuple[Any, ...], num_classes: int
) -> dict[str, Any]:
    """What changes in a Reshape of scores that keeps the channels, and whose shape names their number."""
    key = next((key for key in _SHAPES if hasattr(operation, key)), None)
    if key is None or not isinstance(args[0], graphs.TrackedTensor):
        return {}
    shape = tuple(getattr(operation, key))
    old = operation._inbound_nodes[output._keras_history.node_index].input_tensors[0].shape[-1]
    is_renewed = args[0].tensor.shape[-1] == num_classes != old
    return {key: (*shape[:-1], num_classes)} if is_renewed and shape[-1] == old else {}


def _count_key(operation: keras.Operation) -> str | None:
    """The entry of a layer's configuration that is the number of its channels, or None."""
    if not hasattr(operation, "get_config"):
        return None
    return next((key for key in _COUNTS if hasattr(operation, key)), None)
