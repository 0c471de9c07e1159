"""Whether a network that a file describes strides and dilates where the one that it was taken for does."""

import math

import tfseg
from converters.errors import ConversionError
from converters.memory import lazy_zeros
from tfseg.nets import blocks

_LISTED = 3


def check_geometry(source, model, fit, *, asked=True):
    """Refuses a file whose layers do not compute what those of the model do; one without such facts passes.

    Args:
        source: a `Source`.
        model: that its weights are to go into.
        fit: the `Fit` by which they go.
        asked: whether the user chose how the model strides. Then a file passes, too, that has the usual form of the
            network that it was taken for.
    Raises:
        ConversionError: naming the first layers that differ.
    """
    if not (wrong := _differences(source.facts, model, fit.network.table)):
        return
    family, network = fit.family, fit.network
    if asked:
        with blocks.blank_weights(lazy_zeros):
            usual = tfseg.build(network.name, **(family.options | network.options))
        if not _differences(source.facts, usual, network.table):
            return
    more = f"; and {len(wrong) - _LISTED} more" if len(wrong) > _LISTED else ""
    raise ConversionError(
        f"{source.name} has the tensors of {family.name} {network.name} and computes something else: "
        f"{'; '.join(wrong[:_LISTED])}{more}. If it was made with another output stride or convention, say so: "
        "output_stride=, convention= (--output_stride, --convention)."
    )


def _differences(facts, model, table):
    """In words, of every layer of the model that a tensor with facts is for."""
    wrong, layers = [], {layer.name: layer for layer in model.layers}
    for key, told in facts.items():
        path, _ = table.forward(key) or ("", None)
        layer = layers.get(path.rpartition("/")[0])
        for name, theirs in told.items():
            ours = getattr(layer, name, theirs)
            if not _same(theirs, ours):
                wrong.append(f"{key.rpartition('.')[0]} has {name} {theirs} where {layer.name} has {ours}")
    return wrong


def _same(theirs, ours):
    return math.isclose(theirs, ours, rel_tol=1e-4) if isinstance(theirs, float) else theirs == ours
