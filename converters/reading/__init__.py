"""Reading checkpoints without the frameworks that wrote them, and without running anything that is in them.

`read(path)` recognizes a file by its content, never by its suffix:

* PyTorch zip (torch.save since 1.6): memory-mapped; each tensor is checked against its CRC-32 when first read.
* PyTorch legacy stream (before 1.6) and plain pickles of arrays: no checksums in the format.
* safetensors: memory-mapped; structure checked in full, no checksums in the format.
* Caffe .caffemodel, in both forms: memory-mapped; no checksums in the format. Also .caffemodel.h5, through h5py.
* Keras .h5, .weights.h5 and .keras: memory-mapped unless compressed; for a .keras the CRC-32 is checked.
* NumPy .npz: memory-mapped; CRC-32 as above. Also .npy, where caffe-tensorflow (kaffe) wrote its layers into it.
* ONNX models, their data within or beside them: memory-mapped; no checksums in the format.
* TensorFlow 1 checkpoints, in both forms: memory-mapped; their checksums are checked when first read. Also the
  constants of a frozen graph, under the names of their variables.
* Folders of a model hub, and checkpoints in several files with an index: see `hub_folder`.

The tensors may lie under wrapper keys and have a common prefix (`unwrapping.WRAPPERS`, `unwrapping.PREFIXES`): both
are removed, and the result says which. A file that is damaged, hostile or of another kind raises one ConversionError.
"""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from converters.errors import ConversionError
from converters.reading import hdf5, hub_folder, limits, safetensors, strangers
from converters.reading.caffe import caffemodel, caffemodel_h5
from converters.reading.checkpoint import Checkpoint
from converters.reading.files import map_file, naming
from converters.reading.hub_folder import HubFiles
from converters.reading.keras import legacy_h5, v3
from converters.reading.labels import labels
from converters.reading.numpy import kaffe, npz
from converters.reading.onnx import model_file
from converters.reading.onnx.model_file import OnnxGraph
from converters.reading.pytorch import legacy_stream, module_tree, zip_file
from converters.reading.tensorflow import checkpoint, frozen_graph, graph_file, paths
from converters.reading.tensorflow.frozen_graph import GraphNode
from converters.reading.unwrapping import other_sets, strip, unwrap
from converters.reading.zip_archive import Archive
from converters.types import Path

__all__ = ["Checkpoint", "read"]

# First a pickle of protocol 2 or later, then one of protocol 0 or 1, as old attacks are written.
_PICKLE = re.compile(rb"\x80[\x02-\x05]|\(*[ci][A-Za-z_][\w.]*\n\w[\w.]*\n|\(+(S['\"]|[dl]p\d)|[}\]](q|r|\(|\.)")


class _Content(NamedTuple):
    """What a file holds: its format, the object that was saved, and what only some formats have (see `Checkpoint`)."""

    format: str
    saved: object
    files: tuple[Path, ...] = ()
    graph: OnnxGraph | None = None
    nodes: Mapping[str, GraphNode] = {}
    header: Mapping[str, str] = {}
    keras_config: Mapping[str, Any] | None = None


def read(path: Path, *, max_expansion: float | None = None, trusted: bool = False) -> Checkpoint:
    """The tensors of a checkpoint file as a read-only mapping, key -> array, each read when asked for.

    Args:
        path: a file of one of these formats, or a folder of a hub. It must stay as it is while the checkpoint is used.
        max_expansion: bytes of memory that the file may cost for each of its own, beside 64 MiB; 8 by default.
        trusted: whether the file's author is trusted. HDF5 is then read in this process: 0.2 s less.
    Returns: a `Checkpoint`, whose arrays are in the file's own layout, names and types.
    Raises: ConversionError naming the file, what is wrong with it and what to do.

    Example:
        >>> checkpoint = converters.read("street.pth")
        >>> checkpoint["backbone.conv1.weight"].shape
        (32, 3, 7, 7)
    """
    path = os.fspath(path)
    with limits.allowing(max_expansion, trusted), naming(path):
        return _read(path)


def _read(path: str) -> Checkpoint:
    parts = paths.find(path)
    hub = None if parts else hub_folder.find(path)
    files: tuple[Path, ...] = parts.files if parts else hub.files if hub else (path,)
    with limits.budget(sum(os.path.getsize(file) for file in files if os.path.isfile(file))):
        if parts:
            content = _Content(checkpoint.FORMAT, checkpoint.load(parts))
        elif hub:
            content = _load_hub(hub)
        else:
            content = _load(path, map_file(path))
            files = (path, *content.files)
        wrapper, tensors, extras = unwrap(content.saved)
        prefix, tensors = strip(tensors)
        return Checkpoint(
            path,
            content.format,
            tensors,
            files=files,
            wrapper=wrapper,
            prefix=prefix,
            extras=extras,
            graph=content.graph,
            nodes=content.nodes,
            header=content.header,
            keras_config=content.keras_config,
            labels=labels(content.saved),
            documents=hub_folder.documents(path),
            modules=module_tree.read_tree(_unwrapped(content.saved, wrapper)),
            others=lambda: _other_sets(path, content, files, wrapper),
        )


def _other_sets(path: str, content: _Content, files: tuple[Path, ...], chosen: tuple[str, ...]) -> Iterator[Checkpoint]:
    """Each further set of tensors that can be read."""
    for wrapper, tensors in other_sets(content.saved, chosen):
        prefix, tensors = strip(tensors)
        try:
            yield Checkpoint(
                path,
                content.format,
                tensors,
                files=files,
                wrapper=wrapper,
                prefix=prefix,
                labels=labels(content.saved),
                documents=hub_folder.documents(path),
                modules=module_tree.read_tree(_unwrapped(content.saved, wrapper)),
            )
        except ConversionError:  # tensors of a kind that is no weight; the file has others
            continue


def _unwrapped(saved: Any, wrapper: tuple[str, ...]) -> Any:
    for key in wrapper:
        saved = saved[key]
    return saved


def _load_hub(hub: HubFiles) -> _Content:
    """The file of a folder, or all files that an index names as if they were one."""
    contents: dict[str, _Content] = {}
    for path in hub.files:
        with naming(os.path.basename(path)):
            contents[path] = _load(path, map_file(path))
    first = contents[hub.files[0]]
    if not hub.tensors:
        return first
    tensors = hub_folder.merge({path: unwrap(content.saved)[1] for path, content in contents.items()}, hub)
    return _Content(first.format, tensors, header=first.header)


def _load(path: str, data: memoryview) -> _Content:
    head = bytes(data[:512])
    if graph_file.is_graph(head):
        nodes = frozen_graph.read_nodes(data)
        if constants := frozen_graph.load(nodes):
            return _Content(frozen_graph.FORMAT, constants, nodes=nodes)
    strangers.refuse_foreign(head)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _load_zip(Archive(path, data))
    if safetensors.recognizes(head):
        saved = safetensors.load(data)
        return _Content("safetensors", saved, header=_texts(saved.get("__metadata__")))
    if _PICKLE.match(head):
        content = _Content(*legacy_stream.load(data))
        strangers.refuse_paddle(content.saved)
        return content
    if kaffe.recognizes(head):
        return _Content("kaffe", kaffe.load(data))
    if model_file.recognizes(head):
        graph = model_file.load(path, data)
        return _Content("ONNX", graph.tensors, graph.files, graph)
    if caffemodel.recognizes(head):
        return _Content("Caffe", caffemodel.load(data))
    if head.startswith(hdf5.MAGIC):
        file = hdf5.open_file(data, path)
        if legacy_h5.recognizes(file):
            tensors = legacy_h5.load(file, data)
            return _Content("Keras HDF5", tensors, keras_config=legacy_h5.load_config(file))
        if v3.recognizes(file):
            return _Content("Keras HDF5", v3.load(file, data))
        if blobs := caffemodel_h5.load(file, data):
            return _Content("Caffe", blobs)
    strangers.refuse_stranger(path, data)


def _texts(header: object) -> dict[str, str]:
    entries = header.items() if isinstance(header, dict) else ()
    return {key: value for key, value in entries if isinstance(value, str)}


def _load_zip(archive: Archive) -> _Content:
    names = archive.names
    root = zip_file.find_root(names)
    if root is not None:
        return _Content("PyTorch zip", zip_file.load(archive, root))
    if npz.recognizes(names):
        return _Content("NumPy npz", npz.load(archive))
    if "config.json" in names:
        config = v3.load_config(archive)
        written_by = {"tfseg": "model"} if v3.is_tfseg_model(config) else {}
        return _Content("Keras zip", v3.load_archive(archive, config), header=written_by, keras_config=config)
    strangers.refuse_archive(names)
    raise ConversionError(
        "is a zip archive that holds neither a PyTorch checkpoint (data.pkl) nor NumPy arrays (.npy). If a checkpoint "
        f"is in it, unpack it and give that file. Received: {', '.join(map(ascii, names[:5])) or 'no members'}."
    )
