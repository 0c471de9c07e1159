"""The rule of each of TensorFlow's operations: which steps it is."""

from converters.building.tensorflow.rules import (
    activations,
    arithmetic,
    convolutions,
    normalizations,
    poolings,
    resizes,
    shapes,
)
from converters.building.tensorflow.tracing import Rule

RULES: dict[str, Rule] = {
    **convolutions.RULES,
    **normalizations.RULES,
    **activations.RULES,
    **poolings.RULES,
    **shapes.RULES,
    **resizes.RULES,
    **arithmetic.RULES,
}
