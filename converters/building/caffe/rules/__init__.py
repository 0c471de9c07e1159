"""The rule of each of Caffe's layers: which steps it is."""

from converters.building.caffe.rules import (
    activations,
    arithmetic,
    convolutions,
    normalizations,
    poolings,
    resizes,
    shapes,
)
from converters.building.caffe.tracing import Rule

RULES: dict[str, Rule] = {
    **convolutions.RULES,
    **normalizations.RULES,
    **activations.RULES,
    **poolings.RULES,
    **arithmetic.RULES,
    **shapes.RULES,
    **resizes.RULES,
}
"""Type of a layer -> its rule."""
