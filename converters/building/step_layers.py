"""Which layers and operations of a Keras model compute which step of the program."""

from collections.abc import Iterable
from typing import Any

import keras


class StepLayers:
    """The account of calls: each call of a layer or operation belongs to the step that made it.

    Attributes:
        names: name of a step -> names of the layers and operations that compute it, in order.
    """

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {}
        self._claimed: set[int] = set()

    def claim(self, step: str, tensors: Iterable[keras.KerasTensor]) -> None:
        """Gives a step all calls behind these tensors that no earlier step has.

        Args:
            step: name of the step.
            tensors: results of the step.
        """
        calls: list[Any] = []
        waiting = list(tensors)
        while waiting:
            operation, number, _ = waiting.pop()._keras_history
            call = operation._inbound_nodes[number]
            if id(call) in self._claimed or not call.input_tensors:
                continue
            self._claimed.add(id(call))
            calls.append(operation)
            waiting += call.input_tensors
        self.names[step] = [operation.name for operation in reversed(calls)]
