"""Axes moved around by what the size of the image says."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfseg.layers.measures import as_inputs, measure, plain_measures
from tfseg.types import Tensor


@keras.saving.register_keras_serializable("tfseg")
class Rolled(keras.layers.Layer):
    """A tensor whose entries are moved along axes; what leaves at one end comes in at the other.

    Call on the tensor, or on a list of it and the tensors whose sizes are used. The shifted windows of Swin are moved
    only where an axis has more than one window.

    Args:
        axes: the axes.
        shifts: for each axis, by how many entries: a number or a measure (see `tfseg.layers.measures`).
        kwargs: options of every Keras layer, such as `name` and `dtype`.

    Example:
        >>> np.array(tfseg.layers.Rolled([1], [1])(np.array([[1, 2, 3]]))).tolist()
        [[3, 1, 2]]
    """

    def __init__(self, axes: Sequence[int], shifts: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axes, self.shifts = list(axes), plain_measures(shifts)

    def call(self, inputs: Any) -> Tensor:
        """The moved tensor."""
        x, *_ = inputs = as_inputs(inputs)
        for axis, shift in zip(self.axes, self.shifts, strict=True):
            size = ops.shape(x)[axis]
            places = (ops.arange(size, dtype="int32") - measure(shift, inputs)) % size
            x = ops.take(x, places, axis=axis)
        return x

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Shape and type of the tensor."""
        x, *_ = as_inputs(inputs)
        return keras.KerasTensor(x.shape, dtype=x.dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"axes": self.axes, "shifts": self.shifts}
