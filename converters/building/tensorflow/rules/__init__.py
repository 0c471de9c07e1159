"""The rule of each of TensorFlow's operations: which steps it is."""

from converters.building.tensorflow.call import Rule
from converters.building.tensorflow.rules import (
    activations,
    arithmetic,
    branches,
    convolutions,
    cuts,
    normalizations,
    poolings,
    resizes,
    shapes,
)

RULES: dict[str, Rule] = {
    **convolutions.RULES,
    **normalizations.RULES,
    **activations.RULES,
    **poolings.RULES,
    **shapes.RULES,
    **cuts.RULES,
    **branches.RULES,
    **resizes.RULES,
    **arithmetic.RULES,
}
