"""PyTorch tensors as its pickles write them: a storage, an offset, a shape and strides.

Written against the layout that `torch/_utils.py` and `torch/_tensor.py` document in `_rebuild_*` and `__reduce_ex__`.
"""

from dataclasses import dataclass

from converters.errors import ConversionError
from converters.reading.pickle import inert, numpy_arrays
from converters.reading.tensors import Block, Tensor, Unreadable, dtype_named

# Storage classes name their element type in words of C; quantized ones hold plain integers plus a scale kept elsewhere.
_STORAGES = {
    "Double": ("float64", 8),
    "Float": ("float32", 4),
    "Half": ("float16", 2),
    "BFloat16": ("bfloat16", 2),
    "Long": ("int64", 8),
    "Int": ("int32", 4),
    "Short": ("int16", 2),
    "Char": ("int8", 1),
    "Byte": ("uint8", 1),
    "Bool": ("bool", 1),
    "ComplexHalf": ("complex32", 4),
    "ComplexFloat": ("complex64", 8),
    "ComplexDouble": ("complex128", 16),
    "QInt32": ("int32", 4),
    "QInt8": ("int8", 1),
    "QUInt8": ("uint8", 1),
    "QUInt4x2": ("uint8", 1),
    "QUInt2x4": ("uint8", 1),
    # Raw bytes: whoever looks at them brings the element type.
    "Untyped": ("uint8", 1),
    "_Untyped": ("uint8", 1),
    "Typed": ("uint8", 1),
}


@dataclass(eq=False)
class Storage:
    """Raw elements that tensors look at. A legacy file says only at its end where the block lies."""

    dtype: str
    nbytes: int
    byteorder: str = "little"
    block: Block | None = None
    root: "Storage | None" = None  # the storage that this one is a part of, from `start` bytes on
    start: int = 0

    def data(self) -> memoryview:
        block = self.root if self.root is not None else self.block
        return block.data()[self.start : self.start + self.nbytes]


def storage_type(name) -> tuple[str, int]:
    """Element type and bytes an element of the storage class that a pickle names."""
    if isinstance(name, inert.Name) and name.module.partition(".")[0] == "torch":
        found = _STORAGES.get(name.name.removesuffix("Storage"))
        if found and name.name.endswith("Storage"):
            return found
    received = ascii(str(name))[:80] if isinstance(name, inert.Name) else type(name).__name__
    raise ConversionError(f"expected a storage class of PyTorch. Received: {received}.")


def storage_reference(identity):
    """(storage class, key, number of elements, whatever follows) of a persistent id, checked."""
    kind, storage, key, _location, count, *rest = identity
    if kind != "storage" or type(key) is not str or type(count) is not int or not 0 <= count < 2**60:
        raise ValueError("a reference that is no storage")
    return storage, key, count, rest


def _tensor_v2(storage, offset, size, stride, _requires_grad=False, _hooks=None, metadata=None):
    if metadata:  # conjugation and sign that PyTorch would apply later
        return Unreadable("is a lazy view. Save tensor.resolve_conj().resolve_neg() again.")
    return _tensor(storage, storage.dtype, offset, size, stride)


def _tensor_v3(storage, offset, size, stride, _requires_grad, _hooks, dtype, metadata=None):
    if metadata:
        return _tensor_v2(storage, offset, size, stride, metadata=metadata)
    if not isinstance(dtype, inert.Name):
        raise TypeError("a dtype without a name")
    return _tensor(storage, dtype.name, offset, size, stride)


def _tensor(storage, dtype, offset, size, stride):
    if not isinstance(storage, Storage):
        raise TypeError("a tensor without a storage")
    try:
        dtype = dtype_named(dtype)
    except ConversionError as error:
        return Unreadable(str(error))
    return Tensor(storage, dtype, tuple(size), tuple(stride), offset, storage.byteorder)


def _from_type(function, _kind, args, _state):
    return inert.call(function, args)


def _unreadable(what, advice):
    return lambda *_: Unreadable(f"is {what}, which has no plain array. {advice}")


def _size(sizes=()):
    return tuple(sizes)


def _data(data, *_):
    return data


CONSTRUCTORS = {
    **numpy_arrays.CONSTRUCTORS,
    ("torch", "Size"): _size,
    ("torch", "device"): lambda *_: inert.Placeholder("torch.device"),
    ("torch.serialization", "_get_layout"): lambda *_: inert.Placeholder("torch.layout"),
    ("torch.nn.parameter", "Parameter"): _data,
    ("torch.nn.parameter", "Buffer"): _data,
    ("torch._tensor", "_rebuild_from_type_v2"): _from_type,
    **{
        ("torch._utils", name): function
        for name, function in {
            "_rebuild_tensor": _tensor_v2,
            "_rebuild_tensor_v2": _tensor_v2,
            "_rebuild_tensor_v3": _tensor_v3,
            "_rebuild_parameter": _data,
            "_rebuild_parameter_with_state": _data,
            "_rebuild_device_tensor_from_numpy": _data,
            "_rebuild_device_tensor_from_cpu_tensor": _data,
            "_rebuild_xla_tensor": _data,
            "_rebuild_qtensor": _unreadable("a quantized tensor", "Save tensor.dequantize() again."),
            "_rebuild_sparse_tensor": _unreadable("a sparse tensor", "Save tensor.to_dense() again."),
            "_rebuild_nested_tensor": _unreadable("a nested tensor", "Save the tensors in it one by one."),
            "_rebuild_meta_tensor_no_storage": _unreadable(
                "a tensor on the meta device, shape without data", "Load the weights before saving the model."
            ),
            "_rebuild_wrapper_subclass": _unreadable("a tensor of a foreign class", "Save a plain tensor of it."),
        }.items()
    },
}
