"""Networks of no family that something says how to build: hub folders, published files, whole Keras models."""

from collections.abc import Callable
from typing import Any

from converters.building.assemble import BuiltProgram
from converters.building.keras.build import build_from_keras, is_keras_model
from converters.building.public.hub.from_folder import build_from_hub, hub_network
from converters.building.public.published_files import published_network
from converters.identification.sources import Source


def described_builder(
    source: Source, *, example: Any = None, allow_nonfinite: bool = False
) -> Callable[[], BuiltProgram] | None:
    """What builds the network of a source that says which one it is; None where nothing does.

    Args:
        source: the opened source.
        example: an image that the network takes.
        allow_nonfinite: accept NaN and infinite weights.
    Raises:
        ConversionError: the network's code lies beside the weights.
    """
    if is_keras_model(source):
        return lambda: build_from_keras(source, allow_nonfinite=allow_nonfinite)
    network = hub_network(source) or published_network(source)
    if network is not None:
        return lambda: build_from_hub(source, network, example=example, allow_nonfinite=allow_nonfinite)
    return None
