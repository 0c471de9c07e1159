"""What a reference computes on images: each layer's result and the outputs, from arrays or from a torch module."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from converters.families import Family, FamilyNetwork
from converters.proof.module_arguments import arguments

Images = np.ndarray | list[np.ndarray] | dict[str, np.ndarray]
"""An array for a network of one input; a list or a dictionary of arrays for one of several."""

_MAP = 4  # axes of a map


@dataclasses.dataclass(frozen=True)
class Reference:
    """The results of a reference network.

    Attributes:
        layers: Keras layer -> the name that the reference has for it, and its result.
        outputs: name and array of each output.
        complete: whether every output belongs to one of the model. A module may have a head that the model lacks.
    """

    layers: Mapping[str, tuple[str, np.ndarray]]
    outputs: list[tuple[str, np.ndarray]]
    complete: bool


def read_arrays(arrays: Mapping[str, Any]) -> Reference:
    """The results that a dictionary holds by layer name; "output" is the model's first output.

    Args:
        arrays: layer name -> array, in either channel order.
    """
    layers = {name: (name, np.asarray(value)) for name, value in arrays.items() if name != "output"}
    outputs = [("output", np.asarray(arrays["output"]))] if "output" in arrays else []
    return Reference(layers, outputs, complete=True)


def run_torch(module: Any, images: Images, family: Family, network: FamilyNetwork) -> Reference:
    """The results of every module with weights, and of the whole module, in evaluation mode.

    If a layer is called several times, the first call counts.

    Args:
        module: a live torch module.
        images: `(batch, height, width, channels)`, preprocessed.
        family: family of the module.
        network: network of that family that the module is.
    """
    layers: dict[str, tuple[str, np.ndarray]] = {}
    hooks = []

    def keep(layer: str, name: str, output: Any) -> None:
        if layer not in layers:
            layers[layer] = name, _array(output)  # copied at once: a ReLU in place would change the tensor later

    for name, part in module.named_modules():
        if layer := network.table.module(name):
            hooks.append(
                part.register_forward_hook(
                    lambda _part, _inputs, output, name=name, layer=layer: keep(layer, name, output)
                )
            )
    try:
        result = evaluated(module, images)
    finally:
        for hook in hooks:
            hook.remove()
    if not isinstance(result, Mapping):
        results = list(result) if isinstance(result, list | tuple) else [result]
        result = {f"output {index}": value for index, value in list(enumerate(results))[family.outputs]}
    return Reference(layers, [(name, _array(value)) for name, value in result.items()], complete=False)


def evaluated(module: Any, images: Images) -> Any:
    """The module's own result in evaluation mode. It is left in the mode in which it was.

    Args:
        module: a live torch module.
        images: `(batch, height, width, channels)`, preprocessed; for several inputs a list or a dictionary of them.
    """
    import torch

    parts = list(module.modules())
    flags = [part.training for part in parts]
    parameter = next(iter(module.parameters()), torch.zeros(()))

    def tensor(array: np.ndarray) -> Any:
        array = array.transpose(0, 3, 1, 2) if array.ndim == _MAP else array
        return torch.from_numpy(np.ascontiguousarray(array)).to(parameter.device, parameter.dtype)

    if isinstance(images, Mapping):
        given: Any = {name: tensor(array) for name, array in images.items()}
    else:
        given = [tensor(array) for array in images] if isinstance(images, list) else tensor(images)
    args, kwargs = arguments(module, given)
    try:
        with torch.no_grad():
            return module.eval()(*args, **kwargs)
    finally:
        for part, flag in zip(parts, flags, strict=True):
            part.training = flag


def _array(tensor: Any) -> np.ndarray:
    return tensor.detach().cpu().float().numpy().copy()
