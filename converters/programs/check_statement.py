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
from tfseg.nets import blocks

_FACTS = ("strides", "dilation_rate")


def check_statement(source: Source, model: keras.Model, fit: Fit, agreement: Agreement) -> list[str]:
    """Refuses a model of the stated network in another form; returns sentences for the receipt.

    A model of another network, to which the weights are transplanted, is not compared.

    Args:
        source: source of the weights.
        model: model that its weights are to go into.
        fit: network whose names the weights have.
        agreement: what is stated.
    Raises:
        ConversionError: naming what is stated, and the first layers that differ.
    """
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


def _differences(stated: keras.Model, model: keras.Model) -> Iterator[str]:
    layers = {layer.name: layer for layer in model.layers}
    for layer in stated.layers:
        other = layers.get(layer.name)
        for fact in _FACTS:
            values = getattr(layer, fact, None), getattr(other, fact, None)
            if other is not None and values[0] != values[1]:
                yield f"{layer.name} has {fact} {values[1]} instead of {values[0]}"
