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
)

HANDLERS: dict[str, Handler] = {
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
