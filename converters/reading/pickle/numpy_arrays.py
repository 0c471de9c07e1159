"""NumPy arrays, scalars and dtypes as pickles write them, built from their bytes."""

import math
import re
from typing import Any

import numpy as np

from converters.reading.pickle.inert import Constructors, Name, Placeholder
from converters.reading.tensors import MAX_AXES, AnyTensor, Block, ByteSource, Tensor, Unreadable, dtype_named
from converters.types import Shape

_OBJECTS = Unreadable(
    "is a NumPy array of Python objects. Expected numbers. Save each array of numbers under a key of its own."
)


class _PickledDtype:
    """A dtype under construction: NumPy calls it by a name, then BUILD sets its byte order."""

    def __init__(self, name: object, *_: object) -> None:
        if isinstance(name, Name) and name.module == "ml_dtypes":
            self.dtype = dtype_named(name.name)
        elif isinstance(name, str) and re.fullmatch(r"[<>=|]?[?bBhHiIlLqQefdgFDGSUVOmM]\d{0,9}", name):
            self.dtype = np.dtype(name)
        else:
            raise TypeError("a NumPy dtype that is not a plain one")

    def build(self, state: Any) -> None:
        """Takes the byte order of the elements, or that they are records."""
        if len(state) > 1 and state[1] == ">":
            self.dtype = self.dtype.newbyteorder(">")
        if len(state) > 3 and state[3] is not None:  # a record: its fields are never weights
            self.dtype = np.dtype("O")


class PickledArray:
    """An array under construction: an empty one first, then BUILD gives it shape, dtype and bytes.

    Args:
        tensor: the array, for one that is complete from the start.
    """

    def __init__(self, tensor: AnyTensor | None = None) -> None:
        self.tensor: AnyTensor = tensor or Unreadable("is an array that the pickle never fills; the file is damaged.")

    def build(self, state: Any) -> None:
        """Fills the array.

        Args:
            state: version, shape, dtype, whether in Fortran's order, and the bytes.
        """
        _version, shape, dtype, fortran, content = state
        self.tensor = _tensor(content, dtype, shape, fortran)


def _tensor(content: Any, pickled_dtype: object, shape: object, fortran: object) -> AnyTensor:
    if not isinstance(pickled_dtype, _PickledDtype) or not isinstance(shape, tuple) or len(shape) > MAX_AXES:
        raise TypeError("an array without dtype or shape")
    dtype = pickled_dtype.dtype
    if dtype.hasobject:
        return _OBJECTS
    if dtype.kind not in "biufc" and dtype.type.__module__ != "ml_dtypes":
        return Unreadable(f"is an array of {dtype}. Expected numbers; leave texts and dates out of the weights.")
    if isinstance(content, str):  # Python 2 wrote text where there were bytes
        content = content.encode("latin-1")
    return numpy_tensor(Block.of(content), dtype, shape, bool(fortran))


def numpy_tensor(block: ByteSource, dtype: np.dtype, shape: Shape, fortran: bool) -> Tensor:
    """The tensor that NumPy's own description of an array means.

    Args:
        block: bytes of the array.
        dtype: type of the elements, with its byte order.
        shape: sizes of the axes.
        fortran: whether the first axis varies fastest.
    """
    strides = None
    if fortran:
        strides = tuple(math.prod(shape[:axis]) for axis in range(len(shape)))
    byteorder = "big" if dtype.str.startswith(">") else "little"
    return Tensor(block, dtype.newbyteorder("="), shape, strides, 0, byteorder)


def _scalar(dtype: _PickledDtype, content: bytes | str = b"") -> Any:
    if dtype.dtype.hasobject:
        return Placeholder("numpy.object_")
    if isinstance(content, str):
        content = content.encode("latin-1")
    return np.frombuffer(content, dtype.dtype, 1)[0]


def _from_buffer(buffer: Any, dtype: object, shape: object, order: object) -> PickledArray:
    return PickledArray(_tensor(buffer, dtype, shape, order == "F"))


# NumPy 2 renamed numpy.core to numpy._core; there are files of both.
CONSTRUCTORS: Constructors = {
    ("numpy", "dtype"): _PickledDtype,
    **{
        (f"numpy.{core}.{module}", name): function
        for core in ("core", "_core")
        for module, name, function in (
            ("multiarray", "_reconstruct", lambda *_: PickledArray()),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
}
