"""The rule of each of TensorFlow's operations: which steps it is."""

from converters.building.onnx.tracing import Rule
from converters.building.tensorflow.rules import (
    activations,
    arithmetic,
    convolutions,
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
    **resizes.RULES,
    **arithmetic.RULES,
}
