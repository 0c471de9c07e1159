"""NumPy arrays, scalars and dtypes as pickles write them, built from their bytes."""

import math
import re

import numpy as np

from converters.reading.pickle.inert import Name, Placeholder
from converters.reading.tensors import MAX_AXES, Block, Tensor, Unreadable, dtype_named

_OBJECTS = Unreadable(
    "is a NumPy array of Python objects. Expected numbers. Save each array of numbers under a key of its own."
)


class _Dtype:
    """A dtype under construction: NumPy calls it by a name, then BUILD sets its byte order."""

    def __init__(self, name, *_):
        if isinstance(name, Name) and name.module == "ml_dtypes":
            self.dtype = dtype_named(name.name)
        elif isinstance(name, str) and re.fullmatch(r"[<>=|]?[?bBhHiIlLqQefdgFDGSUVOmM]\d{0,9}", name):
            self.dtype = np.dtype(name)
        else:
            raise TypeError("a NumPy dtype that is not a plain one")

    def build(self, state):
        if len(state) > 1 and state[1] == ">":
            self.dtype = self.dtype.newbyteorder(">")
        if len(state) > 3 and state[3] is not None:  # a record: its fields are never weights
            self.dtype = np.dtype("O")


class Array:
    """An array under construction: an empty one first, then BUILD gives it shape, dtype and bytes."""

    def __init__(self, tensor=None):
        self.tensor = tensor or Unreadable("is an array that the pickle never fills; the file is damaged.")

    def build(self, state):
        _version, shape, dtype, fortran, content = state
        self.tensor = _tensor(content, dtype, shape, fortran)


def _tensor(content, dtype, shape, fortran):
    if not isinstance(dtype, _Dtype) or not isinstance(shape, tuple) or len(shape) > MAX_AXES:
        raise TypeError("an array without dtype or shape")
    dtype = dtype.dtype
    if dtype.hasobject:
        return _OBJECTS
    if dtype.kind not in "biufc" and dtype.type.__module__ != "ml_dtypes":
        return Unreadable(f"is an array of {dtype}. Expected numbers; leave texts and dates out of the weights.")
    if isinstance(content, str):  # Python 2 wrote text where there were bytes
        content = content.encode("latin-1")
    return numpy_tensor(Block.of(content), dtype, shape, fortran)


def numpy_tensor(block, dtype, shape, fortran) -> Tensor:
    """The tensor that NumPy's own description of an array means."""
    strides = None
    if fortran:
        strides = tuple(math.prod(shape[:axis]) for axis in range(len(shape)))
    byteorder = "big" if dtype.str.startswith(">") else "little"
    return Tensor(block, dtype.newbyteorder("="), shape, strides, 0, byteorder)


def _scalar(dtype, content=b""):
    if dtype.dtype.hasobject:
        return Placeholder("numpy.object_")
    if isinstance(content, str):
        content = content.encode("latin-1")
    return np.frombuffer(content, dtype.dtype, 1)[0]


def _from_buffer(buffer, dtype, shape, order):
    return Array(_tensor(buffer, dtype, shape, order == "F"))


# NumPy 2 renamed numpy.core to numpy._core; files of both are about.
CONSTRUCTORS = {
    ("numpy", "dtype"): _Dtype,
    **{
        (f"numpy.{core}.{module}", name): function
        for core in ("core", "_core")
        for module, name, function in (
            ("multiarray", "_reconstruct", lambda *_: Array()),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
}
