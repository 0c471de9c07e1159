"""Whatever weights come from - a file, several, a mapping of arrays, a live torch module - as one mapping of arrays."""

import functools
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from converters.downloads.fetch import fetch
from converters.downloads.hub import fetch_folder, is_hub_address
from converters.downloads.published import digest, find
from converters.errors import ConversionError
from converters.identification.counted_layers import renumbered
from converters.identification.keras_kernels import mend_kernels
from converters.identification.onnx_names import NamedGraph, name_tensors
from converters.reading import Checkpoint, read
from converters.reading.hub_folder import index_of
from converters.reading.pytorch.module_tree import ModuleTree, live_tree
from converters.types import Arrays, Path, Shape, Shapes, Weights

if TYPE_CHECKING:
    from tfseg.progress import Progress


class Source(Mapping[str, np.ndarray]):
    """Key -> array, with shapes known beforehand, and a name for messages.

    Attributes:
        name: name that messages have for it.
        shapes: key -> shape.
        dtypes: key -> NumPy dtype.
        checkpoints: the files that it was read from, as `converters.read` gives them.
        graph: what an ONNX file computes, with the keys of its layers; None for other sources.
        notes: sentences for the receipt.
        module: the live torch module that the arrays are from; None for everything else.
        refusal: why an ONNX graph is no network of a family, where its weights have no names; None for other sources.

    A source may be a view of another one, with keys of its own: `name_in_file` has the others.
    """

    def __init__(
        self,
        arrays: Arrays,
        name: str,
        shapes: Shapes,
        dtypes: Mapping[str, np.dtype],
        checkpoints: Sequence[Checkpoint] = (),
        *,
        graph: NamedGraph | None = None,
        notes: Sequence[str] = (),
        module: Any = None,
        names_in_file: Mapping[str, str] | None = None,
        refusal: ConversionError | None = None,
    ) -> None:
        self._arrays = arrays
        self._names_in_file = names_in_file
        self.name = name
        self.shapes = shapes
        self.dtypes = dtypes
        self.checkpoints = tuple(checkpoints)
        self.graph, self.notes = graph, tuple(notes)
        self.module = module
        self.refusal = refusal
        self._digests: dict[tuple[Path, str], str] = {}

    @functools.cached_property
    def modules(self) -> ModuleTree:
        """The modules of a torch network, live or pickled; empty where the source tells nothing of them."""
        if self.module is not None:
            return live_tree(self.module)
        trees = [checkpoint.modules for checkpoint in self.checkpoints]
        return trees[0] if len(trees) == 1 else {}

    @functools.cached_property
    def others(self) -> "tuple[Source, ...]":
        """The further sets of tensors in the file, in the order in which they are tried."""
        if len(self.checkpoints) != 1:
            return ()
        (checkpoint,) = self.checkpoints
        return tuple(
            Source(other, self.name, other.shapes, other.dtypes, [other], notes=self.notes)
            for other in checkpoint.others
        )

    def name_in_file(self, key: str) -> str:
        """The key that a tensor has in its file.

        Args:
            key: key of the tensor here.
        """
        if self._names_in_file is not None:
            return self._names_in_file[key]
        return self.checkpoints[0].prefix + key if len(self.checkpoints) == 1 else key

    def digest(self, path: Path, algorithm: str) -> str:
        """The hash of one of the files, computed once.

        Args:
            path: path of the file.
            algorithm: name of a hash in `hashlib`.
        """
        if (path, algorithm) not in self._digests:
            self._digests[path, algorithm] = digest(path, algorithm)
        return self._digests[path, algorithm]

    def __getitem__(self, key: str) -> np.ndarray:
        return self._arrays[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


def open_source(source: Weights, *, progress: "Progress | None" = None) -> Source:
    """A `Source` for a path, a URL, a published name, a list of those, a mapping of arrays or a torch module.

    Args:
        source: any of these; a path is that of a file or of a hub's folder. A `Source` is returned as it is.
        progress: called with the bytes done and in all (or None) while something is downloaded.
    Raises:
        ConversionError: anything else, a file that cannot be read, or files of which two hold the same key.
    """
    if isinstance(source, Source):
        return source
    if isinstance(source, list | tuple) and len(source) == 1:
        return open_source(source[0], progress=progress)
    if isinstance(source, str | os.PathLike):  # of one part of a checkpoint, the whole is meant
        return _open_file(index_of(os.fspath(source)) or source, progress)
    if isinstance(source, list | tuple):
        return _merge([_open_file(path, progress) for path in source])
    if hasattr(source, "state_dict"):
        state = source.state_dict()
        arrays = {key: _array(value) for key, value in state.items() if hasattr(value, "detach")}
        return _from_arrays(arrays, f"the torch module {type(source).__name__}", source)
    if isinstance(source, Mapping):
        arrays = {str(key): _array(value) for key, value in source.items()}
        return _from_arrays(arrays, f"a mapping of {len(arrays)} arrays")
    raise ConversionError(
        "Weights come from a path, a URL, a published name, a list of those, a mapping of arrays or a torch module. "
        f"Received: {type(source).__name__}"
    )


def fetched(source: Path, progress: "Progress | None" = None) -> Path:
    """The file of a URL, which is fetched and cached; anything else as it is.

    Args:
        source: path, URL or published name.
        progress: function of bytes so far and of all bytes; None: nothing is shown.
    Raises:
        ConversionError: a file that cannot be fetched.
    """
    return _local_path(source, progress) if os.fspath(source).startswith(("http://", "https://")) else source


def _local_path(source: Path, progress: "Progress | None") -> pathlib.Path:
    """The file for a path, a URL or a published name; the last two are fetched and cached."""
    text = os.fspath(source)
    path = pathlib.Path(text)
    if is_hub_address(text):
        return fetch_folder(text, progress=progress)
    if path.exists() or not ("://" in text or find(text)):
        return path
    return fetch(text, progress=progress)


def _open_file(source: Path, progress: "Progress | None") -> Source:
    checkpoint = read(_local_path(source, progress))
    graph, notes, refusal = None, tuple[str, ...](), None
    try:
        checkpoint, graph, notes = name_tensors(checkpoint)
    except ConversionError as error:  # a graph that no family has may still be built as it is
        if checkpoint.graph is None:
            raise
        refusal = error
    kernels = mend_kernels(checkpoint)
    opened = Source(
        kernels.arrays,
        checkpoint.path.name,
        kernels.shapes,
        checkpoint.dtypes,
        [checkpoint],
        graph=graph,
        notes=(*notes, *kernels.notes),
        refusal=refusal,
    )
    names = renumbered(checkpoint)
    return opened if all(key == name for key, name in names.items()) else _renamed(opened, names)


def _renamed(source: Source, names: Mapping[str, str]) -> Source:
    """A source under other keys.

    Args:
        source: the source.
        names: new key -> its key.
    """
    return Source(
        _RenamedArrays(source, names),
        source.name,
        {key: source.shapes[name] for key, name in names.items()},
        {key: source.dtypes[name] for key, name in names.items()},
        source.checkpoints,
        notes=(*source.notes, "layers that Keras counted are numbered from 1 here"),
        names_in_file=names,
    )


def _from_arrays(arrays: Arrays, name: str, module: Any = None) -> Source:
    shapes = {key: array.shape for key, array in arrays.items()}
    return Source(arrays, name, shapes, {key: array.dtype for key, array in arrays.items()}, module=module)


def _merge(sources: Sequence[Source]) -> Source:
    if not sources:
        raise ConversionError("An empty list of files holds no weights: pass at least one.")
    if len(sources) == 1:
        return sources[0]
    owners: dict[str, Source] = {}
    for source in sources:
        for key in source:
            if key in owners:
                raise ConversionError(
                    f"Two of the files hold the tensor {key!r}: {owners[key].name} and {source.name}. "
                    "Files given together must each hold a part of the network."
                )
            owners[key] = source
    shapes: dict[str, Shape] = {key: owner.shapes[key] for key, owner in owners.items()}
    return Source(
        _MergedArrays(owners),
        " + ".join(source.name for source in sources),
        shapes,
        {key: owner.dtypes[key] for key, owner in owners.items()},
        [checkpoint for source in sources for checkpoint in source.checkpoints],
    )


class _RenamedArrays(Mapping[str, np.ndarray]):
    def __init__(self, source: Source, names: Mapping[str, str]) -> None:
        self._source, self._names = source, names

    def __getitem__(self, key: str) -> np.ndarray:
        return self._source[self._names[key]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class _MergedArrays(Mapping[str, np.ndarray]):
    def __init__(self, owners: Mapping[str, Source]) -> None:
        self._owners = owners

    def __getitem__(self, key: str) -> np.ndarray:
        return self._owners[key][key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._owners)

    def __len__(self) -> int:
        return len(self._owners)


def _array(value: Any) -> np.ndarray:
    """A NumPy array; a torch tensor is not copied if NumPy knows its type."""
    if not hasattr(value, "detach"):
        return np.asarray(value)
    import torch

    if value.is_quantized:
        raise ConversionError(
            "The torch module is quantized: its weights are no plain arrays. Convert the module from before the "
            "quantization. Received: a tensor of the type " + str(value.dtype)
        )
    if value.is_meta:
        raise ConversionError(
            "The torch module holds no numbers: its tensors are on the device meta, which has none. Build it on the "
            "CPU and load its weights, then convert it. Received: a tensor on the device meta"
        )
    if value.layout != torch.strided:
        raise ConversionError(
            "The torch module holds a sparse tensor, which is no plain array. Make it a dense one, tensor.to_dense(), "
            f"then convert the module. Received: a tensor of the layout {value.layout}"
        )
    tensor = value.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        import ml_dtypes

        return tensor.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()
