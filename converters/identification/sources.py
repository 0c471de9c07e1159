"""Whatever weights come from - a file, several, a mapping of arrays, a live torch module - as one mapping of arrays."""

import os
import pathlib
from collections.abc import Mapping

import numpy as np

from converters.downloads.fetch import fetch
from converters.downloads.published import digest, find
from converters.errors import ConversionError
from converters.identification.onnx_names import name_tensors
from converters.reading import read


class Source(Mapping):
    """Key -> array, with shapes known beforehand, and a name for messages.

    Attributes:
        name: what messages call it.
        shapes, dtypes: by key.
        checkpoints: the files that it was read from, as `converters.read` gives them.
        facts: key -> what the file says of the layer that the tensor is of, as Keras calls it: `strides`; from ONNX.
        notes: for the receipt, in words.
    """

    def __init__(self, arrays, name, shapes, dtypes, checkpoints=(), *, facts=None, notes=()):
        self._arrays = arrays
        self.name = name
        self.shapes = shapes
        self.dtypes = dtypes
        self.checkpoints = tuple(checkpoints)
        self.facts, self.notes = facts or {}, tuple(notes)
        self._digests = {}

    def digest(self, path, algorithm):
        """The hash of one of the files, computed once."""
        if (path, algorithm) not in self._digests:
            self._digests[path, algorithm] = digest(path, algorithm)
        return self._digests[path, algorithm]

    def __getitem__(self, key):
        return self._arrays[key]

    def __iter__(self):
        return iter(self._arrays)

    def __len__(self):
        return len(self._arrays)


def open_source(source, *, progress=None):
    """A `Source` of a path, a URL, a published name, a list of those, a mapping of arrays or a torch module.

    Args:
        source: any of these; a `Source` is returned as it is.
        progress: called with the bytes done and in all (or None) while something is downloaded.
    Raises:
        ConversionError: anything else, a file that cannot be read, or files of which two hold the same key.
    """
    if isinstance(source, Source):
        return source
    if isinstance(source, str | os.PathLike):
        return _file(source, progress)
    if isinstance(source, list | tuple):
        return _merged([_file(one, progress) for one in source])
    if hasattr(source, "state_dict"):
        return _module(source)
    if isinstance(source, Mapping):
        arrays = {str(key): _array(value) for key, value in source.items()}
        return Source(arrays, f"a mapping of {len(arrays)} arrays", *_facts(arrays))
    raise ConversionError(
        "Weights come from a path, a URL, a published name, a list of those, a mapping of arrays or a torch module. "
        f"Received: {type(source).__name__}"
    )


def _local_path(source, progress):
    """The file behind a path, a URL or a published name; the last two are fetched and cached."""
    text = os.fspath(source)
    path = pathlib.Path(text)
    if path.exists() or not ("://" in text or find(text)):
        return path
    return fetch(text, progress=progress)


def _file(source, progress):
    path = _local_path(source, progress)
    checkpoint, told = read(path), {}
    if checkpoint.format == "ONNX":
        checkpoint, *both = name_tensors(checkpoint)
        told = dict(zip(("facts", "notes"), both, strict=True))
    return Source(checkpoint, checkpoint.path.name, checkpoint.shapes, checkpoint.dtypes, [checkpoint], **told)


def _merged(sources):
    if not sources:
        raise ConversionError("An empty list of files holds no weights: pass at least one.")
    if len(sources) == 1:
        return sources[0]
    owners = {}
    for source in sources:
        for key in source:
            if key in owners:
                raise ConversionError(
                    f"Two of the files hold the tensor {key!r}: {owners[key].name} and {source.name}. "
                    "Files given together must each hold a part of the network."
                )
            owners[key] = source
    arrays = _Merged(owners)
    facts = [{key: getattr(owner, what)[key] for key, owner in owners.items()} for what in ("shapes", "dtypes")]
    name = " + ".join(source.name for source in sources)
    return Source(arrays, name, *facts, [checkpoint for source in sources for checkpoint in source.checkpoints])


class _Merged(Mapping):
    def __init__(self, owners):
        self._owners = owners

    def __getitem__(self, key):
        return self._owners[key][key]

    def __iter__(self):
        return iter(self._owners)

    def __len__(self):
        return len(self._owners)


def _module(module):
    state = module.state_dict()
    arrays = {key: _array(value) for key, value in state.items() if hasattr(value, "detach")}
    return Source(arrays, f"the torch module {type(module).__name__}", *_facts(arrays))


def _array(value):
    """A numpy array, of a torch tensor without a copy where numpy knows its type."""
    if not hasattr(value, "detach"):
        return np.asarray(value)
    import torch

    tensor = value.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        import ml_dtypes

        return tensor.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def _facts(arrays):
    return {key: array.shape for key, array in arrays.items()}, {key: array.dtype for key, array in arrays.items()}
