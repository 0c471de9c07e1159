"""Pooling to any size, by torch's windows."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfseg.layers.measures import as_inputs, known_measure, measure, plain_measures
from tfseg.types import Tensor

MODES = ("average", "max")


@keras.saving.register_keras_serializable("tfseg")
class AdaptivePooling(keras.layers.Layer):
    """The averages or the maxima of a map in `rows` x `columns` windows, which may be more than it has pixels.

    Output pixel i of n covers the input pixels floor(i h / n) to ceil((i + 1) h / n) - 1. Call on the map
    `(batch, height, width, channels)`, or on a list of it and the tensors whose sizes are used.

    Args:
        sizes: rows and columns of the result: a number or a measure (see `tfseg.layers.measures`) each.
        mode: "average" or "max".
        kwargs: options of every Keras layer, such as `name` and `dtype`.
    Raises:
        ValueError: another mode.
    Reference: https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool2d.html

    Example:
        >>> tuple(tfseg.layers.AdaptivePooling((2, 7), "max")(np.zeros((1, 11, 5, 3))).shape)
        (1, 2, 7, 3)
    """

    def __init__(self, sizes: Sequence[Any], mode: str = "average", **kwargs: Any) -> None:
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(map(repr, MODES))}. Received: {mode!r}")
        super().__init__(**kwargs)
        self.sizes, self.mode = plain_measures(sizes), mode

    def call(self, inputs: Any) -> Tensor:
        """The averages or maxima `(batch, rows, columns, channels)`."""
        x, *_ = inputs = as_inputs(inputs)
        for axis, size in enumerate(self.sizes, 1):
            outputs = measure(size, inputs)
            start, stop = _windows(ops.shape(x)[axis], outputs)
            x = self._maxima(x, axis, start, stop) if self.mode == "max" else self._averages(x, axis, start, stop)
        return x

    def _averages(self, x: Tensor, axis: int, start: Tensor, stop: Tensor) -> Tensor:
        pixel = ops.arange(ops.shape(x)[axis], dtype="int32")[None]
        inside = ops.logical_and(pixel >= start[:, None], pixel < stop[:, None])
        weights = ops.cast(inside, self.compute_dtype) / ops.cast(stop - start, self.compute_dtype)[:, None]
        return ops.einsum("op,bpwc->bowc" if axis == 1 else "op,bhpc->bhoc", weights, x)

    def _maxima(self, x: Tensor, axis: int, start: Tensor, stop: Tensor) -> Tensor:
        places = start[:, None] + ops.arange(ops.max(stop - start), dtype="int32")[None]
        places = ops.minimum(places, stop[:, None] - 1)  # a window that is shorter counts its last pixel again
        return ops.max(ops.take(x, places, axis), axis=axis + 1)

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Shape and type of the result; an unknown size stays unknown."""
        x, *_ = inputs = as_inputs(inputs)
        sides = (known_measure(size, inputs) for size in self.sizes)
        return keras.KerasTensor((x.shape[0], *sides, x.shape[3]), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"sizes": self.sizes, "mode": self.mode}


def _windows(pixels: Any, outputs: Any) -> tuple[Tensor, Tensor]:
    """First pixel of each window, and the pixel after its last."""
    output = ops.arange(outputs, dtype="int32")
    return output * pixels // outputs, ((output + 1) * pixels + outputs - 1) // outputs
