"""The program of a network: its steps in order, in one vocabulary, whichever front-end it came from.

The vocabulary is torch's: operations and arguments have the names that ATen gives them, and maps are `(batch, channels,
height, width)`. Integers that depend on the size of the image are known at several sizes.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from converters.types import Shape


@dataclasses.dataclass(frozen=True)
class Ref:
    """The result of a step, an input of the network or one of its tensors, by name."""

    name: str


class Sizes(NamedTuple):
    """An integer that depends on the image: its value at each of the traced sizes.

    Attributes:
        values: one integer for each traced size.
    """

    values: tuple[int, ...]


class SizedFloat(NamedTuple):
    """A number that depends on the image and is no integer: its value at each of the traced sizes.

    Attributes:
        values: one number for each traced size.
    """

    values: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class GraphStep:
    """One operation.

    Attributes:
        name: name of its result.
        op: name of the operation, such as "conv2d".
        arguments: name of an argument -> `Ref`, number, text, None, or a list of those.
        module: name of the module that it came from, such as "layer1.0.conv1"; "" for the network itself.
        line: file and line of the source, where they are known.
        compute: function of the arguments, as arrays, that gives the result: for steps on parameters alone.
        kind: full name of the module's class, where it is known.
    """

    name: str
    op: str
    arguments: Mapping[str, Any]
    module: str
    line: str = ""
    compute: Callable[..., Any] | None = None
    kind: str = ""


@dataclasses.dataclass(frozen=True)
class ProgramGraph:
    """What a network computes.

    Attributes:
        name: name of the network.
        inputs: names of the images.
        steps: operations in order.
        outputs: the result: a `Ref`, or a list or dictionary of those.
        tensors: name -> parameter, buffer or constant.
        keys: name -> key of the tensor in the source's state dictionary.
        shapes: name of a result -> its shape at each traced size; absent for results that are no tensors.
        parameters: names of the tensors that training changes.
    """

    name: str
    inputs: Sequence[str]
    steps: Sequence[GraphStep]
    outputs: Any
    tensors: Mapping[str, np.ndarray]
    keys: Mapping[str, str]
    shapes: Mapping[str, tuple[Shape, ...]]
    parameters: frozenset[str] = frozenset()
