"""Constants, and repeated tensors, whose size is known only when an image comes."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfseg.layers.measures import as_inputs, known_measure, measure, plain_measures
from tfseg.types import Tensor


@keras.saving.register_keras_serializable("tfseg")
class Filled(keras.layers.Layer):
    """One number in a shape whose sizes are numbers, or those of the inputs.

    Args:
        dims: size of each axis: a number or a measure (see `tfseg.layers.measures`).
        value: the number.
        kind: type of the result, such as "float32" or "bool".
        kwargs: options of every Keras layer, such as `name` and `dtype`.

    Example:
        >>> tuple(tfseg.layers.Filled([[0, 0], [0, 1], 4], 0, "bool")(np.zeros((2, 5, 6, 3))).shape)
        (2, 5, 4)
    """

    def __init__(self, dims: Sequence[Any], value: float = 0.0, kind: str = "float32", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims, self.value, self.kind = plain_measures(dims), value, kind

    def call(self, inputs: Any) -> Tensor:
        """The constant."""
        inputs = as_inputs(inputs)
        return ops.full([measure(dim, inputs) for dim in self.dims], self.value, dtype=self.kind)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Shape and type of the constant; an unknown size stays unknown."""
        inputs = as_inputs(inputs)
        return keras.KerasTensor([known_measure(dim, inputs) for dim in self.dims], dtype=self.kind)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"dims": self.dims, "value": self.value, "kind": self.kind}


@keras.saving.register_keras_serializable("tfseg")
class Counted(keras.layers.Layer):
    """The numbers `start`, `start + step`, ... as many as an input's size says.

    Args:
        number: how many: a number or a measure (see `tfseg.layers.measures`).
        start: the first.
        step: distance between them.
        kind: type of the result, such as "float32" or "int32".
        kwargs: options of every Keras layer, such as `name` and `dtype`.

    Example:
        >>> np.array(tfseg.layers.Counted([0, 1])(np.zeros((1, 4, 5, 3)))).tolist()
        [0, 1, 2, 3]
    """

    def __init__(self, number: Any, start: float = 0, step: float = 1, kind: str = "int32", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        (self.number,) = plain_measures([number])
        self.start, self.step, self.kind = start, step, kind

    def call(self, inputs: Any) -> Tensor:
        """The numbers `(number,)`."""
        places = ops.arange(measure(self.number, as_inputs(inputs)), dtype=self.kind)
        return places if (self.start, self.step) == (0, 1) else places * self.step + self.start

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Shape and type of the numbers."""
        return keras.KerasTensor([known_measure(self.number, as_inputs(inputs))], dtype=self.kind)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        options = {"number": self.number, "start": self.start, "step": self.step, "kind": self.kind}
        return super().get_config() | options


@keras.saving.register_keras_serializable("tfseg")
class Repeated(keras.layers.Layer):
    """A tensor whose axes of one entry are repeated.

    Call on the tensor, or on a list of it and the tensors whose sizes are used.

    Args:
        dims: size of each axis in the result: a number or a measure (see `tfseg.layers.measures`).
        kwargs: options of every Keras layer, such as `name` and `dtype`.

    Example:
        >>> token, tokens = np.zeros((2, 1, 8)), np.zeros((2, 30, 8))
        >>> tuple(tfseg.layers.Repeated([[0, 0], [1, 1], 8])([token, tokens]).shape)
        (2, 30, 8)
    """

    def __init__(self, dims: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = plain_measures(dims)

    def call(self, inputs: Any) -> Tensor:
        """The repeated tensor."""
        inputs = as_inputs(inputs)
        return ops.broadcast_to(inputs[0], [measure(dim, inputs) for dim in self.dims])

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Shape and type of the result; an unknown size stays unknown."""
        inputs = as_inputs(inputs)
        return keras.KerasTensor([known_measure(dim, inputs) for dim in self.dims], dtype=inputs[0].dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"dims": self.dims}


@keras.saving.register_keras_serializable("tfseg")
class Replaced(keras.layers.Layer):
    """A tensor with the entries `start` to `stop` of an axis taken from another one: `x[start:stop] = part`.

    Call on `[x, part]`.

    Args:
        axis: the axis.
        start: the first entry; a negative number counts from the end.
        stop: the entry after the last; None: the end.
        kwargs: options of every Keras layer, such as `name` and `dtype`.

    Example:
        >>> np.array(tfseg.layers.Replaced(0, -2)([np.zeros(4), np.ones(2)])).tolist()
        [0.0, 0.0, 1.0, 1.0]
    """

    def __init__(self, axis: int, start: int = 0, stop: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis, self.start, self.stop = axis, start, stop

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """The tensor with the part in it."""
        x, part = inputs
        before, after = [slice(None)] * len(x.shape), [slice(None)] * len(x.shape)
        before[self.axis] = slice(0, self.start)
        pieces = [x[tuple(before)], part]
        if self.stop is not None:
            after[self.axis] = slice(self.stop, None)
            pieces.append(x[tuple(after)])
        return ops.concatenate(pieces, axis=self.axis)

    def compute_output_spec(self, inputs: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
        """Shape and type of the tensor."""
        return keras.KerasTensor(inputs[0].shape, dtype=inputs[0].dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"axis": self.axis, "start": self.start, "stop": self.stop}
