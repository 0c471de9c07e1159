"""PyTorch tensors as its pickles write them: a storage, an offset, a shape and strides.

The layout is the one that `torch/_utils.py` and `torch/_tensor.py` document in `_rebuild_*` and `__reduce_ex__`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from converters.errors import ConversionError
from converters.reading.pickle import inert, numpy_arrays
from converters.reading.tensors import AnyTensor, ByteSource, Tensor, Unreadable, dtype_named

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
    # Raw bytes: the tensors that look at them have the element type.
    "Untyped": ("uint8", 1),
    "_Untyped": ("uint8", 1),
    "Typed": ("uint8", 1),
}


@dataclass(eq=False)
class Storage:
    """Raw elements that tensors look at.

    Attributes:
        dtype: name of the element type.
        nbytes: bytes of the elements.
        byteorder: "little" or "big".
        block: where the bytes lie. A legacy file states it only at its end.
        root: storage that this one is a part of, from `start` bytes on; None for a whole one.
        start: bytes of `root` before the first element.
    """

    dtype: str
    nbytes: int
    byteorder: str = "little"
    block: ByteSource | None = None
    root: "Storage | None" = None
    start: int = 0

    def data(self) -> memoryview:
        """The bytes of the elements.

        Raises: ConversionError for a storage whose place the file never states, and for changed bytes.
        """
        block = self.root if self.root is not None else self.block
        if block is None:
            raise ConversionError("has a storage without data; the file is damaged.")
        return block.data()[self.start : self.start + self.nbytes]


def storage_type(name: object) -> tuple[str, int]:
    """The element type of a storage class, and the bytes of an element.

    Args:
        name: name of the class in the pickle.
    Raises: ConversionError for a class that is not a storage of PyTorch.
    """
    if isinstance(name, inert.Name) and name.module.partition(".")[0] == "torch":
        storage = _STORAGES.get(name.name.removesuffix("Storage"))
        if storage and name.name.endswith("Storage"):
            return storage
    received = ascii(str(name))[:80] if isinstance(name, inert.Name) else type(name).__name__
    raise ConversionError(f"expected a storage class of PyTorch. Received: {received}.")


def storage_reference(identity: Any) -> tuple[object, str, int, list[Any]]:
    """Storage class, key, number of elements and further items of a persistent id, checked.

    Args:
        identity: persistent id in a pickle.
    Raises: ValueError for an id that does not refer to a storage.
    """
    kind, storage, key, _location, count, *rest = identity
    if kind != "storage" or type(key) is not str or type(count) is not int or not 0 <= count < 2**60:
        raise ValueError("a reference that is no storage")
    return storage, key, count, rest


def _tensor_v2(
    storage: Any,
    offset: int,
    size: Any,
    stride: Any,
    _requires_grad: object = False,
    _hooks: object = None,
    metadata: object = None,
) -> AnyTensor:
    if metadata:  # conjugation and sign that PyTorch would apply later
        return Unreadable("is a lazy view. Save tensor.resolve_conj().resolve_neg() again.")
    return _tensor(storage, storage.dtype, offset, size, stride)


def _tensor_v3(
    storage: Any,
    offset: int,
    size: Any,
    stride: Any,
    _requires_grad: object,
    _hooks: object,
    dtype: object,
    metadata: object = None,
) -> AnyTensor:
    if metadata:
        return _tensor_v2(storage, offset, size, stride, metadata=metadata)
    if not isinstance(dtype, inert.Name):
        raise TypeError("a dtype without a name")
    return _tensor(storage, dtype.name, offset, size, stride)


def _tensor(storage: object, dtype_name: str, offset: int, size: Any, stride: Any) -> AnyTensor:
    if not isinstance(storage, Storage):
        raise TypeError("a tensor without a storage")
    try:
        dtype = dtype_named(dtype_name)
    except ConversionError as error:
        return Unreadable(str(error))
    return Tensor(storage, dtype, tuple(size), tuple(stride), offset, storage.byteorder)


def _from_type(function: object, _kind: object, args: tuple[Any, ...], _state: object) -> Any:
    return inert.call(function, args)


def _unreadable(what: str, advice: str) -> Callable[..., Unreadable]:
    return lambda *_: Unreadable(f"is {what}, which has no plain array. {advice}")


def _size(sizes: Any = ()) -> tuple[Any, ...]:
    return tuple(sizes)


def _data(data: Any, *_: object) -> Any:
    return data


# Functions of `torch._utils`.
_REBUILD: dict[str, Callable[..., Any]] = {
    "_rebuild_tensor": _tensor_v2,
    "_rebuild_tensor_v2": _tensor_v2,
    "_rebuild_tensor_v3": _tensor_v3,
    "_rebuild_parameter": _data,
    "_rebuild_parameter_with_state": _data,
    "_rebuild_device_tensor_from_numpy": _data,
    "_rebuild_device_tensor_from_cpu_tensor": _data,
    "_rebuild_xla_tensor": _data,
    "_rebuild_qtensor": _unreadable(
        "a quantized tensor", "Save the network's weights before quantization, as float32, or tensor.dequantize()."
    ),
    "_rebuild_sparse_tensor": _unreadable("a sparse tensor", "Save tensor.to_dense() again."),
    "_rebuild_nested_tensor": _unreadable("a nested tensor", "Save the tensors in it one by one."),
    "_rebuild_meta_tensor_no_storage": _unreadable(
        "a tensor on the meta device, shape without data", "Load the weights before saving the model."
    ),
    "_rebuild_wrapper_subclass": _unreadable("a tensor of a foreign class", "Save a plain tensor of it."),
}

CONSTRUCTORS: inert.Constructors = {
    **numpy_arrays.CONSTRUCTORS,
    ("torch", "Size"): _size,
    ("torch", "device"): lambda *_: inert.Placeholder("torch.device"),
    ("torch.serialization", "_get_layout"): lambda *_: inert.Placeholder("torch.layout"),
    ("torch.nn.parameter", "Parameter"): _data,
    ("torch.nn.parameter", "Buffer"): _data,
    ("torch._tensor", "_rebuild_from_type_v2"): _from_type,
    **{("torch._utils", name): function for name, function in _REBUILD.items()},
}
