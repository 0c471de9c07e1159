"""A network that takes photographs as they are and gives what is asked for: preprocessing and argmax are inside."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import keras

from tfseg.preprocessing import preprocess
from tfseg.types import Tensor

Outputs = Literal["logits", "classes", "probabilities"]
OUTPUTS: tuple[Outputs, ...] = get_args(Outputs)


class _Prepared(keras.layers.Layer):
    """Images as the network takes them; see `tfseg.preprocess`."""

    def __init__(self, preprocessing: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.preprocessing = dict(preprocessing)

    def call(self, images: Tensor) -> Tensor:
        return preprocess(images, self.preprocessing)

    def compute_output_spec(self, images: keras.KerasTensor) -> keras.KerasTensor:
        return keras.KerasTensor(images.shape, "float32")


class _Classes(keras.layers.Layer):
    """The class with the largest logit, in the smallest type that holds all classes."""

    def call(self, logits: Tensor) -> Tensor:
        import tensorflow as tf

        # Keras's own argmax looks at the bits of numbers, for which other runtimes have no operation.
        return tf.cast(tf.argmax(logits, axis=-1, output_type=tf.int32), _type_of_classes(logits.shape[-1]))

    def compute_output_spec(self, logits: keras.KerasTensor) -> keras.KerasTensor:
        return keras.KerasTensor(logits.shape[:-1], _type_of_classes(logits.shape[-1]))


def photograph_network(
    network: keras.Model,
    preprocessing: Mapping[str, Any],
    outputs: Outputs,
    shape: tuple[int | None, ...],
    *,
    is_stored: bool = False,
) -> keras.Model:
    """The network with its preprocessing before it, and after it the classes or the probabilities.

    Args:
        network: model whose only output are the logits.
        preprocessing: dictionary as in `tfseg.specs.PREPROCESSING`.
        outputs: "classes" or "probabilities".
        shape: `(batch, height, width, channels)` of the images.
        is_stored: whether the images are of any channels, float32 as their files store them, and no uint8 photographs.
    """
    batch, *rest = shape
    images = keras.Input(rest, batch_size=batch, dtype="float32" if is_stored else "uint8", name="images")
    logits = network(_Prepared(preprocessing, name="prepared", dtype="float32")(images))
    last = _Classes(name="classes") if outputs == "classes" else keras.layers.Softmax(name="probabilities")
    return keras.Model(images, last(logits), name=network.name)


def _type_of_classes(count: int) -> str:
    return "uint8" if count <= 256 else "int32"
