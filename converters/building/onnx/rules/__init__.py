"""The rule of each of ONNX's operators: which steps it is."""

from converters.building.onnx.rules import (
    activations,
    arithmetic,
    convolutions,
    normalizations,
    poolings,
    replacements,
    resizes,
    selections,
    shapes,
)
from converters.building.onnx.tracing import Rule

RULES: dict[str, Rule] = {
    **convolutions.RULES,
    **normalizations.RULES,
    **activations.RULES,
    **poolings.RULES,
    **shapes.RULES,
    **resizes.RULES,
    **arithmetic.RULES,
    **selections.RULES,
    **replacements.RULES,
}
