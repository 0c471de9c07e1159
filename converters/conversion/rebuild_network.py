"""The network of a file that tfseg wrote, built as the file's header says and filled by variable path."""

from collections.abc import Sequence
from typing import Any

import keras

import tfseg
from converters.conversion.build_network import BuildRequest
from converters.errors import ConversionError
from converters.identification.own_files import BY_PATH, OwnNetwork
from converters.identification.sources import Source
from converters.memory import lazy_zeros
from converters.weights.fill_model import fill_model, variable_shapes
from converters.weights.plan import plan_by_path
from converters.weights.receipts import Receipt
from tfseg.nets import blocks


def rebuild_network(stated: OwnNetwork, source: Source, request: BuildRequest) -> keras.Model:
    """The empty network that a header describes, with its metadata.

    Args:
        stated: what the header says.
        source: source of the weights.
        request: what the caller asks for: nothing, since the file holds the network as it was built.
    Raises:
        ConversionError: a request, or options that the network does not have.
    """
    asked = {option: value for option, value in vars(request).items() if value is not None}
    if asked:
        option, value = next(iter(asked.items()))
        raise ConversionError(
            f"{option} is not available here: {source.name} holds {stated.name} as tfseg built it. Convert the "
            f"original file again, or change the model (tfseg.dilate, import_weights). Received: {option}={value!r}"
        )
    try:
        with blocks.blank_weights(lazy_zeros):
            model = tfseg.build(stated.name, **stated.options)
        if stated.features:
            features = model.get_layer(stated.features).output
            model = keras.Model(model.input, features, name=f"{stated.name}_features")
        tfseg.set_metadata(model, **stated.metadata)
    except (ValueError, TypeError, KeyError, ArithmeticError, MemoryError) as error:
        raise ConversionError(
            f"{source.name} cannot be built as its header says: {error}. Received: "
            f"{stated.name}, {dict(stated.options)}"
        ) from error
    return model


def fill_by_path(
    model: keras.Model, stated: OwnNetwork, source: Source, *, skip: Sequence[str], allow_nonfinite: bool
) -> Receipt:
    """Fills a model from `rebuild_network`; returns the receipt.

    Args:
        model: the model.
        stated: what the header says.
        source: source of the weights.
        skip: regular expressions of variable paths that keep their initial values.
        allow_nonfinite: accept NaN and infinite weights.
    Raises:
        ConversionError: the tensors are not the network's, or are not finite.
    """
    receipt = Receipt(source.name, model.name, BY_PATH, stated.name, options=dict(stated.options))
    receipt.preprocessing = tfseg.metadata(model)["preprocessing"]
    plan = plan_by_path(source.shapes, variable_shapes(model), skip=skip)
    advice = "The header and the tensors contradict each other: convert the original file again."
    fill_model(model, source, plan, receipt, advice=advice, allow_nonfinite=allow_nonfinite)
    if stated.origin:
        receipt.notes.append(f"converted from {stated.origin}")
    blocks.initialize(model, plan.untouched)
    return receipt


def describe_own_network(model: keras.Model, receipt: Receipt) -> OwnNetwork | None:
    """What the header of a file says, so that `convert` builds the model again; None for a model without a name.

    Args:
        model: model that `convert` returned.
        receipt: receipt that `convert` returned.
    """
    name = model.name.removesuffix("_features")
    if name not in tfseg.list_models():
        return None
    metadata: dict[str, Any] = {key: value for key, value in tfseg.metadata(model).items() if value is not None}
    origin = receipt.notes[-1].removeprefix("converted from ") if receipt.family == BY_PATH and receipt.notes else ""
    origin = origin or f"{receipt.source} ({receipt.family})"
    features = "" if model.name == name else model.output._keras_history.operation.name
    return OwnNetwork(name, receipt.options, features, metadata, origin)
