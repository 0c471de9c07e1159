"""What a source says that it computes, held against the network that is built for it: the one door of `convert`."""

import re
from collections.abc import Sequence

import keras

from converters.identification.fits import Fit
from converters.identification.sources import Source
from converters.names.tables import Table
from converters.programs.check_keras import check_keras
from converters.programs.check_onnx import check_onnx


def check_source(
    source: Source,
    model: keras.Model,
    fit: Fit,
    *,
    asked: bool = True,
    features: bool = True,
    skip: Sequence[str] = (),
    named: bool = False,
) -> list[str]:
    """Refuses a source whose own description contradicts the network that is built; one without a description passes.

    Args:
        source: source of the weights.
        model: model that its weights are to go into.
        fit: network whose names the weights have.
        asked: whether the user chose how the model strides. Then a source also passes if it describes the usual form of
            the identified network.
        features: whether the user chose to have no head. Then what the source computes of the features does not count.
        skip: regular expressions of variables and tensors that are left alone. Their layers may have another number of
            classes.
        named: whether the user named the network, which counts where a Keras model is code.
    Returns: sentences for the receipt: what was compared, and what could not be.
    Raises:
        ConversionError: naming the first layers that differ.
    """
    free = _free_layers(model, fit.network.table, skip)
    return [
        *check_onnx(source, model, fit, asked=asked, features=features, free=free),
        *check_keras(source, model, fit, asked=asked, free=free, named=named),
    ]


def _free_layers(model: keras.Model, table: Table, skip: Sequence[str]) -> frozenset[str]:
    """The layers that do not get their weights from the source."""
    if not skip:
        return frozenset()
    layers = set[str]()
    for variable in model.weights:
        names = (variable.path, *(table.backward(variable.path) or ("",))[:1])
        if any(re.search(pattern, name) for pattern in skip for name in names):
            layers.add(variable.path.rpartition("/")[0])
    return frozenset(layers)
