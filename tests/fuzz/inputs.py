"""Damaged files: which mutation each format's files get. An input is its format and a number, so that it comes again."""

import pathlib
import random
import shutil

from fuzz import mutations

_INSIDE = (
    (".pkl", mutations.mutate_pickle),
    (".json", mutations.mutate_json),
    (".npy", mutations.mutate_npy),
    ("byteorder", mutations.mutate_text),
    ("version", mutations.mutate_text),
    (".pt", mutations.mutate_bytes),
)


def _zip(data, rng):
    return mutations.mutate_zip(data, rng, _INSIDE)


def _table(data, rng):
    from converters.reading.tensorflow.table import Table

    entries = [(key, bytes(value)) for key, value in Table(memoryview(data)).items()]
    return mutations.mutate_table(data, rng, entries)


def _kaffe(data, rng):
    start = data.index(b"\n") + 1
    if rng.random() < 0.3:
        return mutations.mutate_npy(data, rng)
    return data[:start] + mutations.mutate_pickle(data[start:], rng)


def _hdf5(data, rng):
    """Mostly the structure, which lies before the numbers and between them: where there are names and small numbers."""
    return mutations.mutate_bytes(data, rng)


# Format -> names of files, as patterns, and their mutations. Of several, one is chosen for an input.
MUTATIONS = {
    "pth_zip": {"*.pth": _zip},
    "pth_module": {"*.pth": _zip},
    "pth_legacy": {"*.pth": mutations.mutate_legacy},
    "plain_pickle": {"*.pkl": mutations.mutate_pickle},
    "old_pickle": {"*.pkl": mutations.mutate_pickle},
    "safetensors": {"*.safetensors": mutations.mutate_safetensors},
    "npz": {"*.npz": _zip},
    "kaffe": {"*.npy": _kaffe},
    "onnx": {"*.onnx": mutations.mutate_message},
    "onnx_operators": {"*.onnx": mutations.mutate_message},
    "onnx_external": {"*.onnx": mutations.mutate_message},
    "caffemodel": {"*.caffemodel": mutations.mutate_message},
    "prototxt": {"*.prototxt": mutations.mutate_text},
    "caffemodel_h5": {"*.h5": _hdf5},
    "keras_zip": {"*.keras": _zip},
    "keras_h5": {"*.h5": _hdf5},
    "weights_h5": {"*.h5": _hdf5},
    "tf_v2": {"*.index": _table, "*.data-*": mutations.mutate_bytes},
    "tf_v1": {"*.ckpt": _table},
    "hub": {"*.json": mutations.mutate_json, "*.safetensors": mutations.mutate_safetensors},
    "sharded": {"*.json": mutations.mutate_json, "*.safetensors": mutations.mutate_safetensors},
    "exported": {"*.pt2": _zip},
    "family": {"*.safetensors": mutations.mutate_safetensors},
    "frozen_graph": {"*.pb": mutations.mutate_message},
}
HDF5 = ("caffemodel_h5", "keras_h5", "weights_h5")
"""Formats that a child process reads: a quarter of a second each."""


class Seeds:
    """The honest files of a format.

    root: folder that `write_seeds` filled.
    """

    def __init__(self, root, name):
        self.name, self.folder = name, pathlib.Path(root) / name
        self.files = {file.name: file.read_bytes() for file in self.folder.iterdir() if file.name != "path.txt"}
        self.main = (self.folder / "path.txt").read_text()

    def honest(self):
        """The path of the undamaged file."""
        return self.folder / self.main

    def write(self, number, folder):
        """Writes the input of a number into an emptied folder; returns the path that is read."""
        rng = random.Random(f"{self.name}/{number}")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        mutable = [
            (name, mutation)
            for pattern, mutation in MUTATIONS[self.name].items()
            for name in sorted(self.files)
            if pathlib.PurePath(name).match(pattern)
        ]
        chosen, mutation = rng.choice(mutable)
        for name, data in self.files.items():
            (folder / name).write_bytes(mutation(data, rng) if name == chosen else data)
        return folder / self.main
