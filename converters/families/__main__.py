"""Prints the table of docs/families.md from the families' records: `python -m converters.families`."""

from converters.families import FAMILIES, Family
from tfseg import specs

_SUFFIXES = {
    "pickle": ".pkl",
    "PyTorch zip": ".pth",
    "PyTorch legacy stream": ".pth",
    "Caffe": ".caffemodel",
    "safetensors": ".safetensors",
    "Keras HDF5": ".h5",
    "Keras zip": ".keras",
    "ONNX": ".onnx",
    "kaffe": ".npy",
    "NumPy npz": ".npz",
    "TensorFlow checkpoint": ".ckpt",
    "TensorFlow frozen graph": ".pb",
}
_HEAD = ("family", "networks", "files", "source, license", "input", "proven against, largest relative difference")


def table() -> str:
    """The table, one line for each family, in the documented order."""
    rows = [_HEAD, ["---"] * len(_HEAD), *map(_row, FAMILIES.values())]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(family: Family) -> tuple[str, ...]:
    source = f"[{family.source.removesuffix('/').rpartition('/')[2]}]({family.source}), {family.license}"
    suffixes = dict.fromkeys(_SUFFIXES[format] for format in family.formats)
    files = f"[{', '.join(suffixes)}]({family.files})"
    return f"`{family.name}`", family.covers, files, source, _input(family.preprocessing), family.proof


def _input(preprocessing: str) -> str:
    facts = specs.PREPROCESSING[preprocessing]
    scaled = f", 0..{255 / facts['divisor']:g}" + ("" if set(facts["mean"]) == {0.0} else ", minus mean")
    return facts["channel_order"] + scaled + ("" if set(facts["std"]) == {1.0} else ", by deviation")


if __name__ == "__main__":
    print(table(), end="")
