"""What builds each operation, by its name."""

from converters.building.builder import Handler
from converters.building.operations import (
    activations,
    arithmetic,
    convolutions,
    normalizations,
    poolings,
    resizes,
    shapes,
)

HANDLERS: dict[str, Handler] = {
    **convolutions.HANDLERS,
    **normalizations.HANDLERS,
    **activations.HANDLERS,
    **poolings.HANDLERS,
    **shapes.HANDLERS,
    **resizes.HANDLERS,
    **arithmetic.HANDLERS,
}
