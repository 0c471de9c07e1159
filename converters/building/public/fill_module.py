"""The tensors of a file put into a module that its package built: each tensor used, each parameter filled."""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from converters.building.public.mismatches import Mismatches, compare_shapes
from converters.errors import ConversionError
from converters.types import Arrays

_COUNTER = "num_batches_tracked"
_UNREAD = "a counter of training batches that nothing reads"


class FilledModule(NamedTuple):
    """A module with the weights of a file.

    Attributes:
        module: the module.
        keys: key of its state dictionary -> key of the file's tensor.
        ignored: key of the file -> why no tensor of the module has it.
    """

    module: Any
    keys: dict[str, str]
    ignored: dict[str, str]


def mismatches_of(module: Any, arrays: Arrays, shapes: Mapping[str, tuple[int, ...]]) -> Mismatches:
    """What keeps a file from filling a module.

    Args:
        module: torch module.
        arrays: key -> tensor of the file.
        shapes: key -> shape of it.
    """
    state = module.state_dict()
    return compare_shapes(
        {key: tuple(shapes[key]) for key in arrays},
        {key: tuple(value.shape) for key, value in state.items() if hasattr(value, "shape")},
        shared_tensors(state),
    )


def fill(module: Any, arrays: Arrays, *, allow_nonfinite: bool) -> FilledModule:
    """Fills a module with tensors of the same names and shapes.

    Args:
        module: torch module, which is changed.
        arrays: key -> tensor of the file; without mismatches.
        allow_nonfinite: accept NaN and infinite weights.
    Raises:
        ConversionError: weights that are not finite; two tensors of the file that are one in the module; other numbers
            than the module takes.
    """
    import torch

    state, first, keys = module.state_dict(), dict[str, str](), dict[str, str]()
    same = shared_tensors(state)
    with torch.no_grad():
        for key in arrays:
            if key not in state:
                continue
            value = as_tensor(key, arrays[key], allow_nonfinite=allow_nonfinite)
            if value.is_floating_point() != state[key].is_floating_point():
                raise ConversionError(
                    f"its tensor {key} is {value.dtype}, and that of the module {state[key].dtype}. They are not of "
                    "one network."
                )
            owner = same.get(key, key)
            if owner in first and not torch.equal(value.to(state[key].dtype), state[key]):
                raise ConversionError(
                    f"holds other numbers for {first[owner]} and {key}, which are one tensor in the module. Another "
                    "version of its package may keep them apart."
                )
            first.setdefault(owner, key)
            state[key].copy_(value)
            keys[key] = key
    for key in state:  # a tensor that has several names, of which the file has one
        if (owner := same.get(key, key)) in first:
            keys.setdefault(key, first[owner])
    counter = "a counter of training batches that the module does not have"
    return FilledModule(module, keys, {key: counter for key in arrays if key not in state})


def fill_converted(
    module: Any, converted: Mapping[str, Any], arrays: Arrays, *, package: str, allow_nonfinite: bool
) -> FilledModule:
    """Fills a module with the tensors of a file under the names that its package's own loader gives them.

    The loader may rename and may leave out what no network needs. It must not compute: every tensor of the module is
    one of the file's.

    Args:
        module: torch module, which is changed.
        converted: state dictionary that the loader made.
        arrays: key -> tensor of the file.
        package: name of the package.
        allow_nonfinite: accept NaN and infinite weights.
    Raises:
        ConversionError: a tensor that the loader made up or changed; one of the file that it did not use.
    """
    tensors = {key: as_tensor(key, arrays[key], allow_nonfinite=allow_nonfinite) for key in arrays}
    marks: dict[str, list[str]] = {}
    for key, value in tensors.items():
        marks.setdefault(_mark(value), []).append(key)
    names = {key: marks.get(_mark(value), []) for key, value in converted.items() if not key.endswith(_COUNTER)}
    if made := [key for key, owners in names.items() if not owners]:
        raise ConversionError(
            f"{package} gives {len(made)} tensors numbers that are no tensor of the file: {', '.join(made[:3])}. "
            "Nothing is returned."
        )
    used = {key for owners in names.values() for key in owners}
    if unused := [key for key in tensors if key not in used and not key.endswith(_COUNTER)]:
        raise ConversionError(
            f"{package} does not use {len(unused)} tensors of the file: {', '.join(unused[:3])}. Remove them if the "
            "network does not need them."
        )
    import torch

    state = module.state_dict()
    with torch.no_grad():
        for key, value in converted.items():
            state[key].copy_(value)
    counters = {key: _UNREAD for key in tensors if key not in used}
    return FilledModule(module, {key: _own_name(key, owners) for key, owners in names.items()}, counters)


def shared_tensors(state: Mapping[str, Any]) -> dict[str, str]:
    """Key -> an earlier key that is the same tensor.

    Args:
        state: state dictionary of a module.
    """
    first: dict[tuple[Any, ...], str] = {}
    same = {}
    for key, value in state.items():
        if not hasattr(value, "data_ptr") or value.numel() == 0:
            continue
        identity = (value.data_ptr(), tuple(value.shape), tuple(value.stride()), str(value.dtype))
        if identity in first:
            same[key] = first[identity]
        first.setdefault(identity, key)
    return same


def as_tensor(key: str, array: np.ndarray, *, allow_nonfinite: bool) -> Any:
    """A tensor of a file as torch has it; half precision becomes single precision.

    Args:
        key: its name, for messages.
        array: the tensor.
        allow_nonfinite: accept NaN and infinite numbers.
    Raises:
        ConversionError: numbers that are not finite, or of a type that torch does not have.
    """
    import torch

    if array.dtype.kind not in "biuf":  # bfloat16 of ml_dtypes is no type of NumPy
        array = array.astype("float32")
    if array.dtype == np.float16:
        array = array.astype("float32")
    if array.dtype.kind == "f" and not allow_nonfinite and not np.isfinite(array).all():
        raise ConversionError(
            f"holds weights that cannot be used: {key} is not finite. Fetch the file again; to import NaN and infinite "
            "weights anyway, pass allow_nonfinite=True (--allow_nonfinite)."
        )
    return torch.from_numpy(np.array(array))


def _mark(tensor: Any) -> str:
    """A text that is the same for equal tensors alone."""
    array = tensor.detach().cpu().contiguous().numpy()
    array = array.astype("float32") if array.dtype.kind == "f" else array.astype("int64")
    return f"{array.shape} {array.dtype} {hashlib.sha256(array.tobytes()).hexdigest()}"


def _own_name(key: str, owners: list[str]) -> str:
    """The key of the file among those with equal numbers: the one whose name ends most like this one."""

    def alike(owner: str) -> int:
        parts = list(zip(reversed(key.split(".")), reversed(owner.split(".")), strict=False))
        return next((number for number, (left, right) in enumerate(parts) if left != right), len(parts))

    return max(owners, key=alike)
