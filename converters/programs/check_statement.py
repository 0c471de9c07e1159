"""A model that exists, held against the form that a configuration beside the weights states."""

from collections.abc import Iterator
from typing import Any

import keras

import tfseg
from converters.errors import ConversionError
from converters.identification.agreement import Agreement
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


def _check_beginning(source: Source, model: keras.Model, fit: Fit, agreement: Agreement) -> None:
    """Refuses a model whose stem or second stage is another ResNet's than the stated one."""
    name = fit.network.name
    doubles = {name for name, (double, _) in specs.RESNET_DOUBLES.items() for name in (name, double)}
    if name not in doubles or not agreement.evidence or not (agreement.binding or name in specs.RESNET_DOUBLES):
        return
    options = {key: value for key, value in agreement.options.items() if key == "stride_in"}
    with blocks.blank_weights(lazy_zeros):
        stated = _beginning(tfseg.build(name, width=fit.sizes(source.shapes).width, **options))
    has = _beginning(model)
    different = [layer for layer in stated.keys() & has.keys() if stated[layer] != has[layer]]
    if different:
        form = "".join(f", {key}={value!r}" for key, value in options.items())
        raise ConversionError(
            f"{source.name}: {agreement.evidence[0]}. The model is another network with the same tensors. Not those of "
            f"{name}{form} are: {', '.join(sorted(different))}. Received: a model {model.name}. Build "
            f"tfseg.build({name!r}{form}, ...) or a segmenter on it, or let converters.convert build it."
        )


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
