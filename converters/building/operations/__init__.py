"""What builds each operation, by its name."""

from converters.building.builder import Handler
from converters.building.operations import (
    activations,
    arithmetic,
    caffe_steps,
    comparisons,
    convolutions,
    normalizations,
    onnx_steps,
    orderings,
    parts,
    poolings,
    poolings_1d,
    products,
    rearrangements,
    reductions,
    resizes,
    shapes,
    sized_constants,
    sized_numbers,
)
from converters.building.operations.sized_numbers import with_sized_numbers

_RULES: dict[str, Handler] = {
    **sized_numbers.HANDLERS,
    **sized_constants.HANDLERS,
    **products.HANDLERS,
    **onnx_steps.HANDLERS,
    **caffe_steps.HANDLERS,
    **convolutions.HANDLERS,
    **normalizations.HANDLERS,
    **activations.HANDLERS,
    **poolings.HANDLERS,
    **poolings_1d.HANDLERS,
    **shapes.HANDLERS,
    **parts.HANDLERS,
    **resizes.HANDLERS,
    **arithmetic.HANDLERS,
    **comparisons.HANDLERS,
    **rearrangements.HANDLERS,
    **reductions.HANDLERS,
    **orderings.HANDLERS,
}

HANDLERS: dict[str, Handler] = {op: with_sized_numbers(op, handler) for op, handler in _RULES.items()}
