"""The values of Keras variables as NumPy arrays on the same memory: a large model is never held twice."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras


def view(variable: "keras.Variable") -> np.ndarray:
    """A variable's values, read-only, without a copy where the backend and the type allow.

    Args:
        variable: any variable.

    Example:
        >>> variable = keras.Variable([1.0, 2.0])
        >>> tfseg.variable_views.view(variable).tolist()
        [1.0, 2.0]
    """
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow" and variable.dtype != "bfloat16":
        tensor = variable.value.read_value()
        return np.from_dlpack(tensor if hasattr(tensor, "__dlpack__") else _Dlpack(tensor))
    if backend == "numpy":
        array = np.asarray(variable.value).view()
        array.flags.writeable = False
        return array
    return keras.ops.convert_to_numpy(variable)


class _Dlpack:
    """What `np.from_dlpack` asks of a tensor in main memory: TensorFlow 2.16 has it as a function alone."""

    def __init__(self, tensor: Any) -> None:
        self._tensor = tensor

    def __dlpack__(self, **_options: Any) -> Any:
        import tensorflow as tf

        return tf.experimental.dlpack.to_dlpack(self._tensor)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0
