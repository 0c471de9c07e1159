"""The steps of a Keras model."""

from collections.abc import Sequence
from typing import Any

import keras

from converters.programs.keras_layers import other_layer, read_layer
from converters.programs.steps import ProgramStep, StepFactory
from tfseg import graphs


def describe(model: keras.Model, factory: StepFactory) -> list[ProgramStep]:
    """The steps that make the outputs of a model.

    Args:
        model: a functional model; models inside it are entered.
        factory: factory for the size of image at which programs are compared.
    """
    images = [factory.image(tensor.name) for tensor in model.inputs[:1]]
    images += [factory.step(f"the input {tensor.name}", (), tensor.name) for tensor in model.inputs[1:]]

    def call(
        layer: keras.Layer, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: list[Any]
    ) -> list[ProgramStep]:
        leaves = _leaves((args, kwargs))
        inputs = [leaf for leaf in leaves if isinstance(leaf, ProgramStep)]
        others = [leaf for leaf in _leaves(args) if not (leaf is None or isinstance(leaf, ProgramStep))]
        step = _step(factory, layer, inputs, others)
        return [step, *(factory.step(f"result {index}", [step], step.name) for index in range(1, len(outputs)))]

    return graphs.replay(model, images, call)


def _leaves(structure: Any) -> list[Any]:
    if isinstance(structure, dict):
        structure = structure.values()
    elif not isinstance(structure, list | tuple):
        return [structure]
    return [leaf for part in structure for leaf in _leaves(part)]


def _step(
    factory: StepFactory, layer: keras.Operation, inputs: Sequence[ProgramStep], arguments: Sequence[Any]
) -> ProgramStep:
    kind = _kind(layer)
    key = layer.name if getattr(layer, "weights", ()) else ""
    if arguments or not isinstance(layer, keras.Layer):
        options = {**_options(layer), "further arguments": list(arguments)}
        return other_layer(factory, kind, options, inputs, layer.name, key)
    return read_layer(factory, kind, _options(layer), inputs, layer.name, key)


def _options(layer: keras.Operation) -> dict[str, Any]:
    """The configuration, or nothing for a class that has none: its steps are equal to those of no other layer."""
    try:
        return layer.get_config()
    except NotImplementedError:
        return {"object": id(layer)}


def _kind(layer: keras.Operation) -> str:
    """The exact class, as `keras_layers` names it: a subclass may compute anything."""
    kind = type(layer)
    registered = keras.saving.get_registered_name(kind)
    if ">" in registered:
        return registered
    known = getattr(keras.layers, kind.__name__, None) is kind
    return kind.__name__ if known else f"{kind.__module__}.{kind.__name__}"
