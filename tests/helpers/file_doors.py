"""The doors that refusals name: what opens a network whose file alone does not tell what it computes.

Each door is opened here with the network that was refused, as the refusal says.
"""

import dataclasses
import pathlib
import re
from collections.abc import Callable
from typing import Any

from helpers.census import census_sizes, largest_difference
from helpers.file_differences import worst_difference
from helpers.file_forms import PublicFile

import converters

Opens = Callable[[PublicFile, Any, Any, pathlib.Path], float]
"""Gives the largest difference through a door, from the row, the module, what was refused and a folder to write into."""


@dataclasses.dataclass(frozen=True)
class Door:
    """One way to a network that its file alone does not give.

    Attributes:
        name: what the page calls it.
        says: regular expression of the refusals that name it.
        opens: opens it; None where it leads to another file, which the row does not have.
    """

    name: str
    says: str
    opens: Opens | None = None


def _live(file: PublicFile, module: Any, path: Any, folder: pathlib.Path) -> float:
    """The live module: `converters.convert(module)`."""
    model, receipt = converters.convert(module)
    sizes = census_sizes(receipt)
    return max(largest_difference(model, module, size, seed) for seed, size in enumerate(sizes, 1))


def _weights(file: PublicFile, module: Any, path: Any, folder: pathlib.Path) -> float:
    """The weights of a TorchScript archive, saved alone."""
    import torch

    torch.save(torch.jit.load(str(path)).state_dict(), folder / "weights.pth")
    model, _ = converters.convert(folder / "weights.pth")
    return worst_difference(file, model, module)


def _features(file: PublicFile, module: Any, path: Any, folder: pathlib.Path) -> float:
    """The features before a head that tensors do not tell."""
    model, _ = converters.convert(path, include_top=False)
    return worst_difference(file, model, module.forward_features)


_LIVE = r"converters\.convert\(module\).*ONNX export"
DOORS = (
    Door(
        "the live module, --public=module:callable, its ONNX export or its folder", f"{_LIVE}.*hf://owner/name", _live
    ),
    Door("the live module, --public=module:callable or its ONNX export", _LIVE, _live),
    Door("its weights alone, which torch.jit.load gives", r"torch\.jit\.load and save its weights", _weights),
    Door("the features: include_top=False", r"include_top=False", _features),
    Door("the checkpoint or the ONNX file from which it was made", r"Convert the checkpoint or the \.onnx file"),
    Door("the .caffemodel, PyTorch's weights, or arrays by name", r"Convert the network's \.caffemodel.* mapping"),
    Door("the ONNX file of paddle2onnx, or arrays by name", r"paddle2onnx exports .* to ONNX.* mapping"),
)


def door_of(refusal: str) -> Door:
    """The door that a refusal names.

    Args:
        refusal: its text.
    """
    doors = [door for door in DOORS if re.search(door.says, refusal, re.DOTALL)]
    assert doors, f"names no door: {refusal}"
    return doors[0]
