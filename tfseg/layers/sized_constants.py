"""Constants, and repeated tensors, whose size is known only when an image comes."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfseg.layers.formulas import Formula, number, plain_formula
from tfseg.layers.measures import as_inputs, known_measure, measure, plain_measures
from tfseg.types import Tensor


@keras.saving.register_keras_serializable("tfseg")
class Filled(keras.layers.Layer):
    """One number in a shape whose sizes are numbers, or those of the inputs.

    Args:
        dims: size of each axis: a number or a measure (see `tfseg.layers.measures`).
        value: the number, or an expression of the sizes (see `tfseg.layers.formulas`).
        kind: type of the result, such as "float32" or "bool".
        kwargs: options of every Keras layer, such as `name` and `dtype`.

    Example:
        >>> tuple(tfseg.layers.Filled([[0, 0], [0, 1], 4], 0, "bool")(np.zeros((2, 5, 6, 3))).shape)
        (2, 5, 4)
    """

    def __init__(self, dims: Sequence[Any], value: Formula = 0.0, kind: str = "float32", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims, self.value, self.kind = plain_measures(dims), plain_formula(value), kind

    def call(self, inputs: Any) -> Tensor:
        """The constant."""
        inputs = as_inputs(inputs)
        shape = [measure(dim, inputs) for dim in self.dims]
        if isinstance(self.value, list):
            return ops.broadcast_to(number(self.value, inputs, self.kind), shape)
        return ops.full(shape, self.value, dtype=self.kind)

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
        start: the first: a number, or an expression of the sizes (see `tfseg.layers.formulas`).
        step: distance between them, in the same way.
        kind: type of the result, such as "float32" or "int32".
        kwargs: options of every Keras layer, such as `name` and `dtype`.

    Example:
        >>> np.array(tfseg.layers.Counted([0, 1])(np.zeros((1, 4, 5, 3)))).tolist()
        [0, 1, 2, 3]
    """

    def __init__(self, number: Any, start: Formula = 0, step: Formula = 1, kind: str = "int32", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        (self.number,) = plain_measures([number])
        self.start, self.step, self.kind = plain_formula(start), plain_formula(step), kind

    def call(self, inputs: Any) -> Tensor:
        """The numbers `(number,)`."""
        inputs = as_inputs(inputs)
        places = ops.arange(measure(self.number, inputs), dtype=self.kind)
        if (self.start, self.step) == (0, 1):
            return places
        return places * number(self.step, inputs, self.kind) + number(self.start, inputs, self.kind)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Shape and type of the numbers."""
        return keras.KerasTensor([known_measure(self.number, as_inputs(inputs))], dtype=self.kind)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        options = {"number": self.number, "start": self.start, "step": self.step, "kind": self.kind}
        return super().get_config() | options


@keras.saving.register_keras_serializable("tfseg")
class Spaced(keras.layers.Layer):
    """Numbers at equal distances from `start` to `end`, as many as an input's size says: torch's `linspace`.

    Args:
        number: how many: a number or a measure (see `tfseg.layers.measures`).
        start: the first: a number, or an expression of the sizes (see `tfseg.layers.formulas`).
        end: the last, in the same way.
        kind: type of the result, such as "float32".
        kwargs: options of every Keras layer, such as `name` and `dtype`.

    Example:
        >>> np.array(tfseg.layers.Spaced([0, 2], -1, 1)(np.zeros((1, 4, 5, 3)))).tolist()
        [-1.0, -0.5, 0.0, 0.5, 1.0]
    """

    def __init__(self, number: Any, start: Formula, end: Formula, kind: str = "float32", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        (self.number,) = plain_measures([number])
        self.start, self.end, self.kind = plain_formula(start), plain_formula(end), kind

    def call(self, inputs: Any) -> Tensor:
        """The numbers `(number,)`; the second half is counted from the end, as torch counts it."""
        inputs = as_inputs(inputs)
        size = measure(self.number, inputs)
        start, end = (number(part, inputs, self.kind) for part in (self.start, self.end))
        places = ops.arange(size, dtype="int32")
        last = max(size - 1, 1) if isinstance(size, int) else ops.maximum(size - 1, 1)
        step = (end - start) / ops.cast(last, self.kind)
        before, after = (ops.cast(part, self.kind) for part in (places, size - 1 - places))
        return ops.where(places < ops.maximum(size // 2, 1), start + step * before, end - step * after)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Shape and type of the numbers."""
        return keras.KerasTensor([known_measure(self.number, as_inputs(inputs))], dtype=self.kind)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        options = {"number": self.number, "start": self.start, "end": self.end, "kind": self.kind}
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
    """A tensor with entries of an axis taken from another one: `x[start:stop:step] = part`.

    Call on `[x, part]`.

    Args:
        axis: the axis.
        start: the first entry; a negative number counts from the end.
        stop: the entry after the last; None: the end.
        step: distance between the entries.
        kwargs: options of every Keras layer, such as `name` and `dtype`.

    Example:
        >>> np.array(tfseg.layers.Replaced(0, -2)([np.zeros(4), np.ones(2)])).tolist()
        [0.0, 0.0, 1.0, 1.0]
    """

    def __init__(self, axis: int, start: int = 0, stop: int | None = None, step: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis, self.start, self.stop, self.step = axis, start, stop, step

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """The tensor with the part in it."""
        x, part = inputs
        if self.step != 1 or (self.stop is not None and (self.start < 0) != (self.stop < 0)):
            return self._spread(x, part)
        before, after = [slice(None)] * len(x.shape), [slice(None)] * len(x.shape)
        before[self.axis] = slice(0, self.start)
        pieces = [x[tuple(before)], part] if self.start else [part]  # exporters dislike empty tensors
        if self.stop is not None:
            after[self.axis] = slice(self.stop, None)
            pieces.append(x[tuple(after)])
        return ops.concatenate(pieces, axis=self.axis)

    def _spread(self, x: Tensor, part: Tensor) -> Tensor:
        """The same, where entries lie between those of the part, or where a small tensor has none: `x[5:-5]` of 8."""
        axis = self.axis % len(x.shape)
        size = ops.shape(x)[axis]
        start = ops.maximum(self.start + size, 0) if self.start < 0 else self.start
        stop = size if self.stop is None else self.stop + size if self.stop < 0 else self.stop
        places = ops.arange(size, dtype="int32")
        taken = (places >= start) & (places < stop) & ((places - start) % self.step == 0)
        first = x[(*(slice(None),) * axis, slice(0, 1))]  # never used: an empty part has nothing to take
        places = ops.where(taken, (places - start) // self.step, 0)
        spread = ops.take(ops.concatenate([part, first], axis=axis), places, axis=axis)
        return ops.where(ops.reshape(taken, [-1] + [1] * (len(x.shape) - 1 - axis)), spread, x)

    def compute_output_spec(self, inputs: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
        """Shape and type of the tensor."""
        return keras.KerasTensor(inputs[0].shape, dtype=inputs[0].dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"axis": self.axis, "start": self.start, "stop": self.stop, "step": self.step}
