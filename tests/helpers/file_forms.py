"""A public file of the census: the network that it holds, and the form in which it is saved."""

import dataclasses
import pathlib
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from helpers.references import randomized_state

State = dict[str, Any]
Save = Callable[[Any, Any, pathlib.Path], pathlib.Path | State]
"""Writes a file into a folder, from the module and what is saved of it; returns what is opened: a path, or arrays."""


def _torch_file(module: Any, content: Any, folder: pathlib.Path) -> pathlib.Path:
    import torch

    torch.save(content, folder / "net.pth")
    return folder / "net.pth"


def named(name: str) -> Save:
    """Writes a PyTorch file of that name, or with ".pkl" a pickle.

    Args:
        name: name of the file.
    """

    def save(module: Any, content: Any, folder: pathlib.Path) -> pathlib.Path:
        if name.endswith(".pkl"):
            (folder / name).write_bytes(pickle.dumps(content, protocol=2))
            return folder / name
        return _torch_file(module, content, folder).rename(folder / name)

    return save


def archive(name: str) -> Save:
    """Writes a NumPy archive of that name.

    Args:
        name: name of the file.
    """

    def save(module: Any, content: Any, folder: pathlib.Path) -> pathlib.Path:
        np.savez(folder / name, **content)
        return folder / name

    return save


@dataclasses.dataclass(frozen=True)
class PublicFile:
    """One row of the census.

    Attributes:
        package: who publishes such files.
        name: what people call it.
        make: gives the torch module in evaluation mode, and what is saved of it.
        save: writes the file.
        options: what the person who opens it says, as arguments of `converters.convert`.
        sizes: height and width of the images.
        channels: channels of the images.
        after: what the module does with its scores, `(batch, classes, height, width)`, where the model gives them.
    """

    package: str
    name: str
    make: Callable[[], tuple[Any, Any]]
    save: Save = _torch_file
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    sizes: tuple[tuple[int, int], ...] = ((128, 160), (193, 135))
    channels: int = 3
    after: Callable[[Any], Any] | None = None


def openmmlab(state: State) -> Any:
    """What mmengine's and mmcv's runners save.

    Args:
        state: tensors of the network.
    """
    return {"meta": {"epoch": 3, "mmseg_version": "0.30.0"}, "state_dict": dict(state)}


def twin(
    package: str, name: str, build: Callable[[], Any], form: Callable[[State], Any] = dict, **fields: Any
) -> PublicFile:
    """A file of a project that no package index has: a network in torch under its names.

    Args:
        package: who publishes such files.
        name: what people call it.
        build: gives the torch module.
        form: function of its tensors that gives what is saved.
        fields: further fields of the row.
    """

    def make() -> tuple[Any, Any]:
        module = randomized_state(build()).requires_grad_(False)
        return module, form(module.state_dict())

    return PublicFile(package, name, make, **fields)
