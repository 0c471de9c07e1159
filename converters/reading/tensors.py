"""A tensor that has not been read yet: where its bytes lie, and how to look at them."""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, Protocol, Self

import numpy as np

from converters.errors import ConversionError
from converters.types import Shape

# An expanded tensor (stride 0) repeats few bytes over many elements. PyTorch saves it like that. But in the same way a
# few bytes could ask for terabytes.
_MAX_REPEATED = 2**28
MAX_AXES = 64  # NumPy's own limit

# Element types by the names that NumPy and PyTorch share.
_NUMPY = {
    *("bool", "float16", "float32", "float64", "complex64", "complex128"),
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
}
# NumPy has no such types itself: ml_dtypes registers them, imported only for a file that has one.
_ML_DTYPES = {"bfloat16", *(f"float8_{kind}" for kind in ("e4m3fn", "e4m3fnuz", "e5m2", "e5m2fnuz", "e8m0fnu"))}


def dtype_named(name: str) -> np.dtype:
    """The NumPy dtype with this name.

    Args:
        name: name of an element type, such as "float32" or "bfloat16".
    Raises: ConversionError if there is none.
    """
    if name in _NUMPY:
        return np.dtype(name)
    if name in _ML_DTYPES:
        try:
            import ml_dtypes

            return np.dtype(getattr(ml_dtypes, name))
        except (ImportError, AttributeError):
            raise ConversionError(
                f"holds {name} tensors, which need a newer ml_dtypes package: pip install -U ml_dtypes"
            ) from None
    raise ConversionError(
        f"element type {name} cannot be read. Expected one of {', '.join(sorted(_NUMPY | _ML_DTYPES))}. "
        "Convert the tensor to float32 and save the file again."
    )


class ByteSource(Protocol):
    """Bytes that a tensor looks at: `data()` returns them, and may check them first."""

    @property
    def nbytes(self) -> int:
        """How many bytes there are."""

    def data(self) -> memoryview:
        """The bytes.

        Raises: ConversionError if their checksum shows that they changed.
        """


@dataclass(frozen=True)
class Block:
    """`nbytes` bytes, which `data()` returns."""

    nbytes: int
    data: Callable[[], memoryview]

    @classmethod
    def of(cls, data: memoryview | bytes | bytearray) -> Self:
        """A block of bytes that are there already; it does not copy them."""
        view = memoryview(data)
        return cls(view.nbytes, lambda: view)


@dataclass(frozen=True)
class Tensor:
    """A strided view of bytes, read when asked for.

    Attributes:
        block: bytes that the tensor looks at.
        dtype: type of the elements.
        shape: sizes of the axes.
        strides: distances of neighbors along the axes, in elements; None means C order.
        offset: elements of the block before the first one.
        byteorder: "little" or "big", the order of the bytes of a number.
    """

    block: ByteSource
    dtype: np.dtype
    shape: Shape
    strides: Shape | None = None
    offset: int = 0
    byteorder: str = "little"

    def check(self) -> Self:
        """The tensor itself, after a check that every element lies within the block. Reads no data.

        Raises: ConversionError if one does not.
        """
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
            return self
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
        return self

    def read(self) -> np.ndarray:
        """The elements, read-only: a view of the file where its bytes can be used as they lie.

        Raises: ConversionError for an element outside the block.
        """
        self.check()
        if 0 in self.shape:
            array: np.ndarray = np.empty(self.shape, self.dtype)
        else:
            data, itemsize = self.block.data(), self.dtype.itemsize
            if self.byteorder != sys.byteorder:
                data = _swap(data, self.dtype)
            strides = None if self.strides is None else [stride * itemsize for stride in self.strides]
            # Formats without alignment have odd addresses; NumPy computes there anyway.
            array = np.ndarray(self.shape, self.dtype, data, self.offset * itemsize, strides)
        array.flags.writeable = False
        return array


@dataclass(frozen=True)
class Unreadable:
    """A tensor in the file that cannot become an array: quantized, sparse, without data.

    Attributes:
        reason: what the tensor is, and what to do.
    """

    reason: str

    def check(self) -> NoReturn:
        """Never returns.

        Raises: ConversionError with the reason.
        """
        raise ConversionError(self.reason)


AnyTensor = Tensor | Unreadable
"""A tensor in a file, whether it can be read or not."""


def _c_order(shape: Shape) -> Shape:
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _swap(data: memoryview, dtype: np.dtype) -> memoryview:
    """The bytes with those of every number in reverse order."""
    unit = dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize
    whole = len(data) // unit * unit
    return np.frombuffer(data[:whole], f"u{unit}").byteswap().data.cast("B")
