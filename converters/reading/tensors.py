"""A tensor that has not been read yet: where its bytes lie, and how to look at them."""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from converters.errors import ConversionError

# An expanded tensor (stride 0) repeats few bytes over many elements. That is how PyTorch saves it, and also how a few
# bytes could ask for terabytes.
_MAX_REPEATED = 2**28
MAX_AXES = 64  # NumPy's own limit


@dataclass(frozen=True)
class Block:
    """`nbytes` bytes, handed out by `data()`, which may check them first."""

    nbytes: int
    data: Callable[[], memoryview]

    @classmethod
    def of(cls, data) -> "Block":
        view = memoryview(data)
        return cls(view.nbytes, lambda: view)


@dataclass(frozen=True)
class Tensor:
    """A strided view of a block. `strides` and `offset` count elements; no strides means C order."""

    block: Block
    dtype: np.dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None = None
    offset: int = 0
    byteorder: str = "little"

    def check(self):
        """Raise ConversionError unless every element lies within the block. Reads no data."""
        given = (*self.shape, *(self.strides or ()), self.offset)
        if len(self.shape) > MAX_AXES or not all(type(number) is int and 0 <= number < 2**63 for number in given):
            raise ConversionError(
                f"expected at most {MAX_AXES} sizes, with strides and an offset, as whole numbers not below zero. "
                "Received: others. The file is damaged."
            )
        strides = _c_order(self.shape) if self.strides is None else self.strides
        if len(strides) != len(self.shape):
            raise ConversionError(f"has {len(self.shape)} sizes and {len(strides)} strides; the file is damaged.")
        size = math.prod(self.shape)
        if size == 0:
            return
        last = self.offset + sum((n - 1) * stride for n, stride in zip(self.shape, strides, strict=True))
        needed = (last + 1) * self.dtype.itemsize
        if needed > self.block.nbytes:
            raise ConversionError(
                f"needs {needed} bytes of its storage. Received: a storage of {self.block.nbytes} bytes. "
                "The file is truncated or damaged; download it again."
            )
        if size > max(_MAX_REPEATED, self.block.nbytes):
            raise ConversionError(
                "repeats its storage into far more elements; save a slice of it that does not repeat."
            )

    def read(self) -> np.ndarray:
        """The elements, read-only: a view of the file where its bytes can be used as they lie."""
        self.check()
        if 0 in self.shape:
            array = np.empty(self.shape, self.dtype)
        else:
            data, itemsize = self.block.data(), self.dtype.itemsize
            if self.byteorder != sys.byteorder:
                data = _swap(data, self.dtype)
            strides = None if self.strides is None else [stride * itemsize for stride in self.strides]
            # At an odd address, as formats without alignment have it, NumPy computes all the same.
            array = np.ndarray(self.shape, self.dtype, data, self.offset * itemsize, strides)
        array.flags.writeable = False
        return array


@dataclass(frozen=True)
class Unreadable:
    """A tensor that the file has and nobody can hand out as an array: quantized, sparse, without data."""

    reason: str

    def check(self):
        raise ConversionError(self.reason)


def _c_order(shape):
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _swap(data, dtype):
    unit = dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize
    whole = len(data) // unit * unit
    return np.frombuffer(data[:whole], f"u{unit}").byteswap().data.cast("B")
