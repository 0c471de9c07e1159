"""Steps that ONNX graphs have and torch's programs lack: other resizes, TensorFlow's poolings, changes of type."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from converters.building.builder import Builder, Handler
from converters.building.laid import Laid
from converters.building.operations.shapes import map_like
from tfseg.layers.resample import Resample


def average_pool_same(b: Builder, input: Laid, kernel_size: Sequence[int], stride: Sequence[int]) -> Laid:
    """The average of each window by TensorFlow's padding "same", which does not count."""
    x = input.as_map().tensor
    return b.laid(b.layer(keras.layers.AveragePooling2D, x, pool_size=kernel_size, strides=stride, padding="same"))


def resample(b: Builder, input: Laid, output_size: Any, scales: Any, **options: Any) -> Laid:
    """A map at another size, by any of ONNX's rules."""
    x = input.as_map().tensor
    if scales:
        return b.laid(b.layer(Resample, x, scales=scales, **options))
    shapes = b.shapes()
    sides = [tuple(shape[axis] for shape in shapes) for axis in (2, 3)]
    reference = map_like(b, sides)
    if reference is not None:
        return b.laid(b.layer(Resample, [x, reference.as_map().tensor], **options))
    factors = {
        tuple(new / old for new, old in zip(after[2:], before[2:], strict=True))
        for after, before in zip(shapes, input.shapes, strict=True)
    }
    if len(factors) != 1:
        raise b.refusal("makes a size that no map of the network has")
    return b.laid(b.layer(Resample, x, scales=factors.pop(), **options))


def cast_float(b: Builder, input: Laid, integers: bool = False) -> Laid:
    """Truth values and integers as numbers."""
    tensor = ops.cast(input.tensor, "int32" if integers else keras.config.floatx())
    return Laid(tensor, input.axes, input.shapes, input.mixed)


HANDLERS: dict[str, Handler] = {
    "average_pool_same": average_pool_same,
    "resample": resample,
    "cast_float": cast_float,
}
