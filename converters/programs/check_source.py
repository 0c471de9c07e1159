"""What a source says that it computes, held against the network that is built for it: the one door of `convert`."""

import keras

from converters.identification.fits import Fit
from converters.identification.sources import Source
from converters.programs.check_keras import check_keras
from converters.programs.check_onnx import check_onnx


def check_source(source: Source, model: keras.Model, fit: Fit, *, asked: bool = True) -> list[str]:
    """Refuses a source whose own description contradicts the network that is built; one without a description passes.

    Args:
        source: source of the weights.
        model: model that its weights are to go into.
        fit: network whose names the weights have.
        asked: whether the user chose how the model strides. Then a source also passes if it describes the usual form of
            the identified network.
    Returns: sentences for the receipt: what was compared, and what could not be.
    Raises:
        ConversionError: naming the first layers that differ.
    """
    return [*check_onnx(source, model, fit, asked=asked), *check_keras(source, model, fit, asked=asked)]
