"""A mark: the map that decoders read."""

import keras

from tfseg.types import Tensor


@keras.saving.register_keras_serializable("tfseg")
class LastMap(keras.layers.Layer):
    """The input itself, marked as the last map of its stride for `tfseg.last_maps` and so for decoders.

    Most networks need no mark. HRNet makes its maps of all strides side by side. The backbone of SegFormer ends each
    stride with a normalization that belongs to the map, and not to the next stride. Both have marks.

    Args:
        kwargs: options of every Keras layer, such as `name` and `dtype`.

    Example:
        >>> tuple(tfseg.layers.LastMap()(np.zeros((1, 4, 5, 6))).shape)
        (1, 4, 5, 6)
    """

    def call(self, inputs: Tensor) -> Tensor:
        """The input."""
        return inputs

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Shape and type of the input."""
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)
