"""Reading of the states of a run: models with their optimizers."""

import re
import warnings
from collections.abc import Iterable

import keras

from tfseg.types import Path


def load_state(path: Path, frozen: Iterable[str] = ()) -> keras.Model:
    """A saved model with its optimizer.

    A file does not say which variables of a layer are not trained. Keras builds the optimizer for all of them, and then
    leaves out its state, which is that of fewer.

    Args:
        path: path of the `.keras` file.
        frozen: regular expressions of complete variable paths that are not trained.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
        model = keras.saving.load_model(path)
    before = len(model.trainable_variables)
    freeze(model, frozen)
    if len(model.trainable_variables) != before and model.optimizer is not None:
        optimizer = type(model.optimizer).from_config(model.optimizer.get_config())
        optimizer.build(model.trainable_variables)
        model.optimizer = optimizer
        model.load_weights(path)
    return model


def freeze(model: keras.Model, patterns: Iterable[str]) -> None:
    """Sets, in place, which variables of a model are not trained.

    Args:
        model: a Keras model.
        patterns: regular expressions of complete variable paths.
    """
    patterns = tuple(patterns)
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, keras.Model):
            continue
        variables = [
            variable for variable in layer.weights if any(re.fullmatch(pattern, variable.path) for pattern in patterns)
        ]
        for variable in variables:
            variable.trainable = False
        if variables and len(variables) == len(layer.weights):  # a BatchNorm then keeps its moving averages, too
            layer.trainable = False
