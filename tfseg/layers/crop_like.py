"""A window that is as large as another map."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfseg.types import Tensor


@keras.saving.register_keras_serializable("tfseg")
class CropLike(keras.layers.Layer):
    """The window of the first input that has the second's height and width and begins `offset` pixels in.

    If the first input ends earlier, the window ends with it.

    Call on `[x, reference]`, both `(batch, height, width, channels)`.

    Args:
        offset: number of rows left out at the top, and of columns left out at the left.
        kwargs: options of every Keras layer, such as `name` and `dtype`.

    Example:
        >>> x, image = np.zeros((1, 40, 48, 2)), np.zeros((1, 33, 41, 3))
        >>> tuple(tfseg.layers.CropLike(offset=4)([x, image]).shape)
        (1, 33, 41, 2)
    """

    def __init__(self, offset: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.offset = offset

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """The window `(batch, reference's height, reference's width, channels)`."""
        x, reference = inputs
        height, width = ops.shape(reference)[1:3]
        return x[:, self.offset : self.offset + height, self.offset : self.offset + width, :]

    def compute_output_spec(self, inputs: Sequence[keras.KerasTensor]) -> keras.KerasTensor:
        """Shape and type of the window; an unknown size of the reference stays unknown."""
        x, reference = inputs
        sizes = [
            wanted if None in (available, wanted) else min(available - self.offset, wanted)
            for available, wanted in zip(x.shape[1:3], reference.shape[1:3], strict=True)
        ]
        return keras.KerasTensor((x.shape[0], *sizes, x.shape[3]), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The arguments, for saving."""
        return super().get_config() | {"offset": self.offset}
