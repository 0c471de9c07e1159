"""What training changes: `requires_grad=False` and BatchNorms that keep their statistics, on the model's variables."""

from collections.abc import Collection
from typing import Any

import keras

from converters.building.builder import Builder


def trained_names(module: Any) -> frozenset[str]:
    """The names of the parameters that training changes.

    A module in which no parameter requires a gradient was made ready for inference, which says nothing of training: all
    of its parameters are trained.

    Args:
        module: live torch module.
    """
    parameters = dict(module.named_parameters(remove_duplicate=False))
    return frozenset(name for name, value in parameters.items() if value.requires_grad) or frozenset(parameters)


def carry_trainable(builder: Builder, model: keras.Model, frozen: Collection[str]) -> list[str]:
    """Freezes the variables that the source's training leaves alone.

    Args:
        builder: what built the model; it froze the layers none of whose tensors are trained.
        model: the model, changed in place.
        frozen: names of the modules whose BatchNorm keeps its statistics in training.
    Returns: sentences for the receipt.
    """
    notes, singly, whole = [], 0, 0
    for name, steps in builder.layers.items():
        layer = model.get_layer(name)
        rows = [row for row in builder.origins if row.layer is layer]
        still = [row.variable for row in rows if not builder.is_trained(row.tensor)]
        if isinstance(layer, keras.layers.BatchNormalization):
            still = [name for name in still if name in ("gamma", "beta")]
            if any(step.module in frozen for step in steps):
                layer.trainable = False  # Keras's BatchNorm then keeps its statistics, and its factors too
                whole += any(row.variable in ("gamma", "beta") and row.variable not in still for row in rows)
                continue
        elif len(still) == len(rows):
            continue
        for variable in layer.weights:
            if variable.name in still:
                variable.trainable = False
                singly += 1
    if singly:
        notes.append(
            f"{singly} variables have requires_grad=False in layers that train otherwise: they are frozen one by one, "
            "which a saved file does not keep"
        )
    if whole:
        notes.append(
            f"the source trains the scale and offset of {whole} BatchNorms that keep their statistics; Keras's keep all"
        )
    return notes
