"""Axes that are cut, padded or read in another order, by numbers or by what the size of the image says."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfseg.layers.measures import Measure, as_inputs, known_measure, measure, plain_measures
from tfseg.types import Tensor

BORDERS = ("constant", "reflect", "replicate", "circular")


@keras.saving.register_keras_serializable("tfseg")
class BorderPadding(keras.layers.Layer):
    """Numbers around a tensor, in all of torch's ways. A negative number of pixels cuts.

    Call on the tensor, or on a list of it and the tensors whose sizes are used.

    Args:
        padding: for each axis after the batch, how many pixels come before and after it: a number or a measure (see
            `tfseg.layers.measures`) each.
        border: "constant", "reflect" (without the outermost pixel), "replicate" or "circular".
        value: number of a constant border.
        kwargs: options of every Keras layer, such as `name` and `dtype`.
    Raises:
        ValueError: another border.
    Reference: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.pad.html

    Example:
        >>> x = np.array([1.0, 2, 3]).reshape(1, 3, 1)
        >>> np.array(tfseg.layers.BorderPadding([[2, 1], [0, 0]], "circular")(x)).ravel().tolist()
        [2.0, 3.0, 1.0, 2.0, 3.0, 1.0]
    """

    def __init__(
        self, padding: Sequence[Sequence[Any]], border: str = "constant", value: float = 0.0, **kwargs: Any
    ) -> None:
        if border not in BORDERS:
            raise ValueError(f"border must be one of {', '.join(map(repr, BORDERS))}. Received: {border!r}")
        super().__init__(**kwargs)
        self.padding = [plain_measures(sides) for sides in padding]
        self.border, self.value = border, float(value)

    def call(self, inputs: Any) -> Tensor:
        """The padded tensor."""
        x, *_ = inputs = as_inputs(inputs)
        for axis, sides in enumerate(self.padding, 1):
            if sides != [0, 0]:
                before, after = (measure(side, inputs) for side in sides)
                x = self._along(x, axis, before, after)
        return x

    def _along(self, x: Tensor, axis: int, before: Any, after: Any) -> Tensor:
        pixels = ops.shape(x)[axis]
        places = ops.arange(pixels + before + after, dtype="int32") - before
        if self.border == "circular":
            places = places % pixels
        elif self.border == "reflect":
            places = pixels - 1 - ops.abs(pixels - 1 - ops.abs(places))
        outside = ops.logical_or(places < 0, places >= pixels)
        x = ops.take(x, ops.clip(places, 0, pixels - 1), axis)
        if self.border != "constant":
            return x
        shape = [-1 if index == axis else 1 for index in range(len(x.shape))]
        return ops.where(ops.reshape(outside, shape), ops.cast(self.value, x.dtype), x)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Shape and type of the padded tensor; an unknown size stays unknown."""
        x, *_ = inputs = as_inputs(inputs)
        shape = [x.shape[0]]
        for size, sides in zip(x.shape[1:], self.padding, strict=True):
            parts = [size, *(known_measure(side, inputs) for side in sides)]
            shape.append(None if None in parts else sum(parts))
        return keras.KerasTensor(shape, dtype=x.dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"padding": self.padding, "border": self.border, "value": self.value}


@keras.saving.register_keras_serializable("tfseg")
class AxisSlice(keras.layers.Layer):
    """A part of an axis: `x[start:stop:step]`, with bounds that the size of the image may say.

    Call on the tensor, or on a list of it and the tensors whose sizes are used.

    Args:
        axis: the axis, not the batch.
        start: first entry: a number or a measure (see `tfseg.layers.measures`). A negative one counts from the end.
        stop: entry after the last; None: the end.
        step: distance between entries.
        kwargs: options of every Keras layer, such as `name` and `dtype`.

    Example:
        >>> tuple(tfseg.layers.AxisSlice(1, 1, [0, 1, 1, 0, 2])(np.zeros((1, 8, 5, 3))).shape)
        (1, 3, 5, 3)
    """

    def __init__(self, axis: int, start: Any = 0, stop: Any = None, step: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis, self.step = axis, step
        (self.start,) = plain_measures([start])
        self.stop: Measure | None = None if stop is None else plain_measures([stop])[0]

    def call(self, inputs: Any) -> Tensor:
        """The part."""
        x, *_ = inputs = as_inputs(inputs)
        stop = None if self.stop is None else measure(self.stop, inputs)
        window = [slice(None)] * len(x.shape)
        window[self.axis] = slice(measure(self.start, inputs), stop, self.step)
        return x[tuple(window)]

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Shape and type of the part; an unknown size stays unknown."""
        x, *_ = inputs = as_inputs(inputs)
        shape, size = list(x.shape), x.shape[self.axis]
        start = known_measure(self.start, inputs)
        stop = size if self.stop is None else known_measure(self.stop, inputs)
        known = None not in (size, start, stop)
        shape[self.axis] = len(range(size)[start : stop : self.step]) if known else None
        return keras.KerasTensor(shape, dtype=x.dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {
            "axis": self.axis,
            "start": self.start,
            "stop": self.stop,
            "step": self.step,
        }
