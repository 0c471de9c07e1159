"""What `read` returns."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from converters.errors import ConversionError
from converters.reading.files import naming


class Checkpoint(Mapping):
    """The tensors of a file by name, read when asked for: `checkpoint[key]` is a read-only array.

    Where the format allows, the array is a view of the file's memory map, so that it takes no memory of its own.

    Attributes:
        path: what was read: a file, or what a checkpoint in several files is called.
        files: the paths of the files that it is.
        format: "PyTorch zip", "PyTorch legacy stream", "pickle", "safetensors", "Caffe", "kaffe", "Keras HDF5",
            "Keras zip", "ONNX" or "NumPy npz".
        wrapper: keys under which the tensors were found, outermost first, as ("model_state_dict",).
        prefix: what was stripped from every key, as "module.".
        shapes, dtypes: {key: shape}, {key: NumPy dtype}; they load nothing.
        extras: {name: value} of what stood beside the tensors and was left out (epoch, optimizer); None for a value
            that is neither text nor number.
    """

    def __init__(self, path, format, tensors, *, files=(), wrapper=(), prefix="", extras=None):
        self.path, self.format = Path(path), format
        self.files = tuple(map(Path, files or (path,)))
        self.wrapper, self.prefix, self.extras = wrapper, prefix, dict(extras or {})
        for key, tensor in tensors.items():
            with naming(f"tensor {key!r}"):
                tensor.check()
        self._tensors = tensors
        self.shapes = {key: tensor.shape for key, tensor in tensors.items()}
        self.dtypes = {key: tensor.dtype for key, tensor in tensors.items()}

    def __getitem__(self, key) -> np.ndarray:
        tensor = self._tensors[key]
        with naming(self.path), naming(f"tensor {key!r}"):
            try:
                return tensor.read()
            except ConversionError:
                raise
            except ValueError as error:  # NumPy's own limits: 64 axes, sizes beyond an address
                raise ConversionError(f"shape {tensor.shape} cannot be an array; the file is damaged.") from error

    def __iter__(self):
        return iter(self._tensors)

    def __len__(self):
        return len(self._tensors)

    def __contains__(self, key):  # Mapping's own would read the tensor
        return key in self._tensors

    # Two checkpoints are one only if they are the same object: comparing values would read both files.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    @property
    def description(self):
        """Format, number and bytes of the tensors, and what was unwrapped, stripped and left out, in one line."""
        size = sum(int(np.prod(shape)) * self.dtypes[key].itemsize for key, shape in self.shapes.items())
        parts = [f"{self.format}, {len(self)} tensors, {size / 1e6:.1f} MB"]
        if self.wrapper:
            parts.append(f"found under {'/'.join(self.wrapper)!r}")
        if self.prefix:
            parts.append(f"prefix {self.prefix!r} stripped")
        if self.extras:
            parts.append(f"left out: {', '.join(map(repr, self.extras))}")
        return "; ".join(parts)

    def __repr__(self):
        return f"<Checkpoint {self.path.name!r}: {self.description}>"
