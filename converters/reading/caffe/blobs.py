"""What the blobs of Caffe's layers are: `conv1_1.weight`, `conv1_1.bias`, `bn1.mean`, by the layer's type."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from converters.errors import ConversionError
from converters.reading.tensors import Tensor

# Parts in the order in which a layer has them. Blobs of other types go by their index.
PARTS = {
    "Convolution": ("weight", "bias"),
    "ConvolutionDepthwise": ("weight", "bias"),
    "DepthwiseConvolution": ("weight", "bias"),
    "Deconvolution": ("weight", "bias"),
    "InnerProduct": ("weight", "bias"),
    "BatchNorm": ("mean", "variance", "factor"),
    "Scale": ("gamma", "beta"),
    "Bias": ("beta",),
    "BN": ("gamma", "beta", "mean", "variance"),
    "PReLU": ("slope",),
}
# Types with all of their blobs: with fewer or more, their order is unknown, but for these forms of forks.
_COMPLETE = {"BatchNorm", "BN"}
_NVIDIA = ("mean", "variance", "factor", "gamma", "beta")  # a BatchNorm that scales, of NVIDIA's Caffe
_FOLDED = ("gamma", "beta")  # SegNet's BN, whose statistics are in its factors
_AXES = dict.fromkeys(("Convolution", "Deconvolution", "ConvolutionDepthwise", "DepthwiseConvolution"), 4)
_AXES["InnerProduct"] = 2  # axes of `weight`; every other part has one


@dataclasses.dataclass(frozen=True)
class Averaged(Tensor):
    """A running sum, read as the mean; for a factor of 0, Caffe takes a mean of 0.

    Attributes:
        factor: one number, which the sum is divided by; None means 1.
    """

    factor: Tensor | None = None

    def read(self) -> np.ndarray:
        """The sum divided by its factor, read-only.

        Raises: ConversionError for an element outside the block.
        """
        (factor,) = self.factor.read() if self.factor else (1,)
        if factor == 1:
            return super().read()
        scaled = super().read() * np.float32(0 if factor == 0 else 1 / factor)
        scaled.flags.writeable = False
        return scaled


def name_blobs(layer: str, kind: str, blobs: Sequence[Tensor], *, transposed: bool = False) -> dict[str, Tensor]:
    """The tensors of a layer's blobs by "layer.part".

    Args:
        layer: name of the layer.
        kind: type of the layer.
        blobs: tensors in the shapes that the file gives them.
        transposed: whether the weight of a fully connected layer lies by input and output.
    Raises: ConversionError for shapes that such a layer cannot have, and for a BatchNorm of NVIDIA's Caffe.
    """
    names = parts_of(kind, blobs)
    if kind not in PARTS:
        return {f"{layer}.{name}": tensor for name, tensor in zip(names, blobs, strict=True)}
    if kind in _COMPLETE and len(blobs) != len(names):
        raise ConversionError(
            f"the layer {layer!r} ({kind}) has {len(blobs)} blobs. Expected {len(names)}: {', '.join(names)}. NVIDIA's "
            "Caffe writes 4 or 5, whose order its files do not tell: save the network with BVLC's Caffe."
        )
    if len(blobs) > len(names):
        raise ConversionError(
            f"the layer {layer!r} ({kind}) has {len(blobs)} blobs. Expected at most {len(names)}: {', '.join(names)}."
        )
    parts = {
        part: _with_axes(tensor, _AXES.get(kind, 1) if part == "weight" else 1, f"{part} of the layer {layer!r}")
        for part, tensor in zip(names, blobs, strict=False)
    }
    if transposed and "weight" in parts:
        parts["weight"] = _transpose(parts["weight"])
    if factor := parts.pop("factor", None):
        if factor.shape != (1,):
            raise ConversionError(f"the factor of the layer {layer!r} is one number. Received: shape {factor.shape}.")
        parts |= {
            part: Averaged(tensor.block, tensor.dtype, tensor.shape, factor=factor)
            for part, tensor in parts.items()
            if part in ("mean", "variance")
        }
    return {f"{layer}.{part}": tensor for part, tensor in parts.items()}


def parts_of(kind: str, blobs: Sequence[Tensor]) -> tuple[str, ...]:
    """The parts that a layer's blobs are, in their order: of an unknown type, their numbers.

    A file may leave the last ones out, as a bias, or hold too many.

    Args:
        kind: type of the layer.
        blobs: tensors in the shapes that the file gives them.
    """
    if kind not in PARTS:
        return tuple(map(str, range(len(blobs))))
    return _form(kind, blobs) or PARTS[kind]


def _form(kind: str, blobs: Sequence[Tensor]) -> tuple[str, ...] | None:
    """The parts of a normalization as forks of Caffe write them, told by the number and the shapes of its blobs."""
    if kind == "BN" and len(blobs) == len(_FOLDED):
        return _FOLDED
    if kind == "BatchNorm" and len(blobs) == len(_NVIDIA):
        counts = [math.prod(blob.shape) for blob in blobs]
        return _NVIDIA if counts == [counts[0], counts[0], 1, counts[0], counts[0]] else None
    return None


def _with_axes(tensor: Tensor, axes: int, subject: str) -> Tensor:
    """The tensor without the axes of size 1 that old files, and forks, add to make the shape four numbers."""
    shape = tensor.shape
    while len(shape) > axes and shape[0] == 1:
        shape = shape[1:]
    if axes == 1 and math.prod(shape) == max(shape, default=1):
        shape = (math.prod(shape),)
    if len(shape) != axes:
        raise ConversionError(f"the {subject} needs {axes} axes. Received: shape {list(shape)}. The file is damaged.")
    return Tensor(tensor.block, tensor.dtype, shape)


def _transpose(tensor: Tensor) -> Tensor:
    inputs, outputs = tensor.shape
    return Tensor(tensor.block, tensor.dtype, (outputs, inputs), strides=(1, outputs))
