"""What a torch module computes, beside the layers of the model that was built from it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from converters.errors import ConversionError
from converters.proof.references import Images, Reference, evaluated
from converters.weights.built_record import BuiltRecord

_MAP = (0, 2, 3, 1)  # where Keras has the axes of a map


def run_built(module: Any, images: Images, record: BuiltRecord) -> Reference:
    """The results of every module that a layer of a built model is, and of the whole module, in evaluation mode.

    Args:
        module: a live torch module.
        images: `(batch, height, width, channels)`, preprocessed; for several inputs a list or a dictionary of them.
        record: what the model remembers of its source.
    Raises:
        ConversionError: a module without the modules that the model was built from.
    """
    parts = dict(module.named_modules(remove_duplicate=False))
    lacking = [row.module for row in record.modules.values() if row.module not in parts]
    if lacking:
        raise ConversionError(
            f"The model was built from {record.network}, whose module {lacking[0]!r} the torch module "
            f"{type(module).__name__} lacks: pass the module from which it was built."
        )
    layers: dict[str, tuple[str, np.ndarray]] = {}

    def keep(layer: str, output: Any) -> None:
        row = record.modules[layer]
        if layer not in layers and hasattr(output, "detach") and output.ndim == len(row.axes):
            # Copied at once: a ReLU in place would change the tensor later.
            array = output.detach().cpu().float().numpy().copy()
            layers[layer] = row.module, array.transpose(row.axes)

    hooks = [
        parts[row.module].register_forward_hook(lambda _part, _inputs, output, layer=layer: keep(layer, output))
        for layer, row in record.modules.items()
    ]
    try:
        result = evaluated(module, images)
    finally:
        for hook in hooks:
            hook.remove()
    return Reference(layers, [(name, array) for name, array in _named("output", result)], complete=True)


def _named(name: str, result: Any) -> list[tuple[str, np.ndarray]]:
    """Every tensor of a result, in the order in which a built model gives them."""
    if hasattr(result, "detach"):
        array = result.detach().cpu().float().numpy().copy()
        return [(name, array.transpose(_MAP) if array.ndim == len(_MAP) else array)]
    if isinstance(result, Mapping) or hasattr(result, "keys"):
        return [row for key in result for row in _named(str(key), result[key])]
    if isinstance(result, list | tuple):
        return [row for index, part in enumerate(result) for row in _named(f"{name} {index}", part)]
    return []
