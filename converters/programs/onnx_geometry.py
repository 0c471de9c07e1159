"""Whether a network that a file describes strides and dilates where the identified network does."""

import math
from collections.abc import Mapping
from typing import Any

import keras

import tfseg
from converters.errors import ConversionError
from converters.identification.fits import Fit
from converters.identification.sources import Source
from converters.memory import lazy_zeros
from converters.names.tables import Table
from tfseg.nets import blocks

_LISTED = 3


def check_geometry(source: Source, model: keras.Model, fit: Fit, *, asked: bool = True) -> None:
    """Refuses a file whose layers compute something else than those of the model; a file without such facts passes.

    Args:
        source: source of the weights.
        model: model that its weights are to go into.
        fit: network whose names the weights have.
        asked: whether the user chose how the model strides. Then a file also passes if it has the usual form of the
            identified network.
    Raises:
        ConversionError: naming the first layers that differ.
    """
    differences = _differences(source.facts, model, fit.network.table)
    if not differences:
        return
    family, network = fit.family, fit.network
    if asked:
        with blocks.blank_weights(lazy_zeros):
            usual = tfseg.build(network.name, **{**family.options, **network.options})
        if not _differences(source.facts, usual, network.table):
            return
    more = f"; and {len(differences) - _LISTED} more" if len(differences) > _LISTED else ""
    raise ConversionError(
        f"{source.name} has the tensors of {family.name} {network.name} and computes something else: "
        f"{'; '.join(differences[:_LISTED])}{more}. If it was made with another output stride or convention, say so: "
        "output_stride=, convention= (--output_stride, --convention)."
    )


def _differences(facts: Mapping[str, Mapping[str, Any]], model: keras.Model, table: Table) -> list[str]:
    """In words: how the model's layers differ from the facts of their tensors."""
    differences, layers = [], {layer.name: layer for layer in model.layers}
    for key, stated in facts.items():
        layer = layers.get((table.path(key) or "").rpartition("/")[0])
        if layer is None:
            continue
        for name, value in stated.items():
            built = getattr(layer, name, value)
            if not _equal(value, built):
                differences.append(f"{key.rpartition('.')[0]} has {name} {value} where {layer.name} has {built}")
    return differences


def _equal(value: Any, other: Any) -> bool:
    return math.isclose(value, other, rel_tol=1e-4) if isinstance(value, float) else value == other
