"""What `read` returns."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any

import numpy as np

from converters.errors import ConversionError
from converters.reading.files import naming
from converters.reading.onnx.model_file import OnnxGraph
from converters.reading.pytorch.module_tree import ModuleTree
from converters.reading.tensorflow.frozen_graph import GraphNode
from converters.reading.tensors import AnyTensor, Tensor
from converters.types import Path, Shape


class Checkpoint(Mapping[str, np.ndarray]):
    """The tensors of a file by name, read when asked for: `checkpoint[key]` is a read-only array.

    Where the format allows, the array is a view of the file's memory map, so that it takes no memory of its own.

    Attributes:
        path: the file that was read, or the name of a checkpoint that consists of several files.
        files: the paths of all files that it consists of.
        format: "PyTorch zip", "PyTorch legacy stream", "pickle", "safetensors", "Caffe", "kaffe", "Keras HDF5",
            "Keras zip", "ONNX", "TensorFlow checkpoint", "TensorFlow frozen graph" or "NumPy npz".
        wrapper: keys under which the tensors were found, outermost first, as ("model_state_dict",).
        prefix: text that was stripped from every key, as "module.".
        shapes, dtypes: {key: shape}, {key: NumPy dtype}; they load nothing.
        extras: {name: value} of what stood beside the tensors and was left out (epoch, optimizer). The value is None
            if it is neither text nor number.
        graph: the operations of an ONNX model, parsed once; None for every other format.
        nodes: {name: node} of a frozen TensorFlow graph; empty for every other file.
        keras_config: the configuration of a whole Keras model, as plain data; None for every other file.
        header: {name: text} in the header of a safetensors file; {"tfseg": "model"} for a `.keras` file of tfseg.
        labels: {"args.arch": value} of the plain values that stood beside the tensors, at any depth.
        documents: {"config.json": content} of what a model hub puts beside the weights.
        others: the further sets of tensors in the file, each a `Checkpoint`, in the order in which they are tried.
        modules: {name: module} of a pickled torch network, see `ModuleRecord`; empty for every other file.

    Example:
        >>> checkpoint = converters.read("street.pth")
        >>> checkpoint.format
        'PyTorch zip'
        >>> checkpoint["backbone.conv1.weight"].shape == checkpoint.shapes["backbone.conv1.weight"]
        True
    """

    def __init__(
        self,
        path: Path,
        format: str,
        tensors: Mapping[str, AnyTensor],
        *,
        files: Iterable[Path] = (),
        wrapper: tuple[str, ...] = (),
        prefix: str = "",
        extras: Mapping[str, Any] | None = None,
        graph: OnnxGraph | None = None,
        nodes: Mapping[str, GraphNode] | None = None,
        header: Mapping[str, str] | None = None,
        keras_config: Mapping[str, Any] | None = None,
        labels: Mapping[str, Any] | None = None,
        documents: Mapping[str, Any] | None = None,
        modules: ModuleTree | None = None,
        others: "Callable[[], Iterable[Checkpoint]]" = tuple,
    ) -> None:
        self.path, self.format = FilePath(path), format
        self.files = tuple(map(FilePath, files)) or (self.path,)
        self.wrapper, self.prefix, self.extras = wrapper, prefix, dict(extras or {})
        self.graph, self.nodes = graph, dict(nodes or {})
        self.keras_config = keras_config
        self.header = dict(header or {})
        self.labels, self.documents = dict(labels or {}), dict(documents or {})
        self.modules = modules or {}
        self._find_others = others
        self._tensors: dict[str, Tensor] = {}
        for key, tensor in tensors.items():
            with naming(f"tensor {key!r}"):
                self._tensors[key] = tensor.check()
        self.shapes: dict[str, Shape] = {key: tensor.shape for key, tensor in self._tensors.items()}
        self.dtypes: dict[str, np.dtype] = {key: tensor.dtype for key, tensor in self._tensors.items()}

    def __getitem__(self, key: str) -> np.ndarray:
        tensor = self._tensors[key]
        with naming(self.path), naming(f"tensor {key!r}"):
            try:
                return tensor.read()
            except ConversionError:
                raise
            except ValueError as error:  # NumPy's own limits: 64 axes, sizes beyond an address
                raise ConversionError(f"shape {tensor.shape} cannot be an array; the file is damaged.") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __contains__(self, key: object) -> bool:  # Mapping's own method would read the tensor
        return key in self._tensors

    # A checkpoint equals itself alone: to compare values, both files would be read.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    @functools.cached_property
    def others(self) -> "tuple[Checkpoint, ...]":
        """The further sets of tensors in the file, looked for when asked for."""
        return tuple(self._find_others())

    @property
    def description(self) -> str:
        """One line: format, number and bytes of the tensors, and what was unwrapped, stripped and left out."""
        size = sum(int(np.prod(shape)) * self.dtypes[key].itemsize for key, shape in self.shapes.items())
        parts = [f"{self.format}, {len(self)} tensors, {size / 1e6:.1f} MB"]
        if self.wrapper:
            parts.append(f"found under {'/'.join(self.wrapper)!r}")
        if self.prefix:
            parts.append(f"prefix {self.prefix!r} stripped")
        if self.extras:
            parts.append(f"left out: {', '.join(map(repr, self.extras))}")
        return "; ".join(parts)

    def __repr__(self) -> str:
        return f"<Checkpoint {self.path.name!r}: {self.description}>"
