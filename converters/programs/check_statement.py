"""A model that exists, held against the form that a configuration beside the weights states."""

from collections.abc import Iterator, Mapping
from typing import Any

import keras

import tfseg
from converters.errors import ConversionError
from converters.identification.agreement import Agreement
from converters.identification.file_names import NameEvidence
from converters.identification.fit import Fit
from converters.identification.sources import Source
from converters.memory import lazy_zeros
from tfseg import specs
from tfseg.nets import blocks

_FACTS = ("strides", "dilation_rate")


def check_statement(source: Source, model: keras.Model, fit: Fit, agreement: Agreement) -> list[str]:
    """Refuses a model of the stated network in another form; returns sentences for the receipt.

    A model of another network gets the weights as a transplant. Then the beginning alone is compared: it tells apart
    the ResNets with the same tensors.

    Args:
        source: source of the weights.
        model: model that its weights are to go into.
        fit: network whose names the weights have.
        agreement: what is stated.
    Raises:
        ConversionError: naming what is stated, and the first layers that differ.
    """
    _check_beginning(source, model, fit, agreement)
    if not agreement.options or model.name != fit.network.name:
        return list(agreement.notes)
    sizes = fit.sizes(source.shapes)
    options: dict[str, Any] = {**fit.family.options, **fit.network.options, **agreement.options}
    if sizes.num_classes is not None:
        options["num_classes"] = sizes.num_classes
    with blocks.blank_weights(lazy_zeros):
        stated = tfseg.build(fit.network.name, **options, width=sizes.width, channels=sizes.channels)
    differences = list(_differences(stated, model))
    if differences:
        listed = ", ".join(f"{key}={value!r}" for key, value in agreement.options.items())
        raise ConversionError(
            f"{source.name}: {agreement.evidence[0]}, with {listed}. The model has another form: "
            f"{'; '.join(differences[:3])}. Received: a model {model.name} with {len(differences)} such layers. Build "
            f"it with tfseg.build({fit.network.name!r}, {listed}, ...), or let converters.convert build it."
        )
    return list(agreement.notes)


def check_name(source: Source, model: keras.Model, name: NameEvidence) -> None:
    """Refuses a model of another network than the one that the file's name says, where only the name tells.

    Args:
        source: source of the weights.
        model: model that its weights are to go into.
        name: what the file's name says.
    Raises:
        ConversionError: naming the network, and the layers that differ.
    """
    said = [fit for fit in (name.fit, *name.unclear) if fit and fit.network.name in specs.RESNET_DOUBLES]
    differing = {fit.network.name: _other_layers(source, model, fit, {}) for fit in said}
    if not said or not all(differing.values()):
        return
    layers = ", ".join(sorted(set().union(*differing.values())))
    names = " or ".join(differing)
    usual, _ = specs.RESNET_DOUBLES[said[0].network.name]
    raise ConversionError(
        f"The name of {source.name} says {names}, a network with the same tensors, and the model is another one. Not "
        f"those of {names} are: {layers}. Received: a model {model.name}. Build tfseg.build({said[0].network.name!r}) "
        f"or a segmenter on it; or, if the name is wrong, say what the weights are of: network={usual!r}."
    )


def check_beginning(source: Source, model: keras.Model, fit: Fit) -> None:
    """Refuses a model that strides or pools at its beginning as another network with the same tensors does.

    Args:
        source: source of the weights, which is what its family says.
        model: model that its weights are to go into, in any output stride.
        fit: network that the source is.
    Raises:
        ConversionError: naming the layers that differ.
    """
    options = {**fit.family.options, **fit.network.options}
    if fit.network.name in specs.RESNETS and (layers := _other_layers(source, model, fit, options)):
        form = "".join(f", {key}={value!r}" for key, value in options.items())
        raise ConversionError(
            f"{source.name} is {' '.join(fit.names)}, and the model is another network with the same tensors. Other "
            f"layers are: {', '.join(sorted(layers))}. Received: a model {model.name}. Build "
            f"tfseg.build({fit.network.name!r}{form}, ...), or let converters.convert build it."
        )


def _check_beginning(source: Source, model: keras.Model, fit: Fit, agreement: Agreement) -> None:
    """Refuses a model whose stem or second stage is another ResNet's than the stated one."""
    name = fit.network.name
    doubles = {name for name, (double, _) in specs.RESNET_DOUBLES.items() for name in (name, double)}
    if name not in doubles or not agreement.evidence or not (agreement.binding or name in specs.RESNET_DOUBLES):
        return
    options = {key: value for key, value in agreement.options.items() if key == "stride_in"}
    if different := _other_layers(source, model, fit, options):
        form = "".join(f", {key}={value!r}" for key, value in options.items())
        raise ConversionError(
            f"{source.name}: {agreement.evidence[0]}. The model is another network with the same tensors. Not those of "
            f"{name}{form} are: {', '.join(sorted(different))}. Received: a model {model.name}. Build "
            f"tfseg.build({name!r}{form}, ...) or a segmenter on it, or let converters.convert build it."
        )


def _other_layers(source: Source, model: keras.Model, fit: Fit, options: Mapping[str, Any]) -> list[str]:
    """The layers at the beginning of a model that are not those of a network."""
    with blocks.blank_weights(lazy_zeros):
        stated = _beginning(tfseg.build(fit.network.name, width=fit.sizes(source.shapes).width, **options))
    has = _beginning(model)
    return [layer for layer in stated.keys() & has.keys() if stated[layer] != has[layer]]


def _beginning(model: keras.Model) -> dict[str, object]:
    """What differs between ResNets with the same tensors: the stem's pooling, and where the second stage strides."""
    layers = {layer.name: layer for layer in model.layers}
    facts: dict[str, object] = {
        name: (type(layers[name]).__name__, getattr(layers[name], fact))
        for name, fact in (("pool1_pool", "strides"), ("pool1_pad", "padding"))
        if name in layers
    }
    places = [layers.get(f"conv3_block1_{index}_conv") for index in (1, 2)]
    strides = tuple(place.strides for place in places if place is not None)
    return facts | ({"conv3_block1": strides} if (2, 2) in strides else {})


def _differences(stated: keras.Model, model: keras.Model) -> Iterator[str]:
    layers = {layer.name: layer for layer in model.layers}
    for layer in stated.layers:
        other = layers.get(layer.name)
        for fact in _FACTS:
            values = getattr(layer, fact, None), getattr(other, fact, None)
            if other is not None and values[0] != values[1]:
                yield f"{layer.name} has {fact} {values[1]} instead of {values[0]}"
