"""Folders of a model hub: the weights in one file or several, and `config.json` and its like beside them.

The names are those of huggingface_hub, transformers and timm. `FILES` is the documented order: where several of these
lie in a folder, the first one counts. A folder with none of them may hold one other file of weights. In a cache of
huggingface_hub the files are links into another folder, which is no reason to refuse them.

Reference: https://github.com/huggingface/transformers: modeling_utils.py; https://github.com/huggingface/huggingface_hub
"""

import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from converters.errors import ConversionError
from converters.reading import limits
from converters.reading.files import naming
from converters.types import Path

FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "pytorch_model.pth",
    "model.pth",
)
DOCUMENTS = ("config.json", "preprocessor_config.json")

_INDEX = re.compile(r".+\.(safetensors|bin)\.index\.json")
_SHARD = re.compile(r"(.+)-\d{5}-of-\d{5}\.(safetensors|bin)")
_WEIGHTS = re.compile(r".+\.(safetensors|bin|pth|pt|ckpt|pth\.tar)")
# What trainers put beside the weights.
_NO_WEIGHTS = re.compile(r"(optimizer|scheduler|scaler|training_args|rng_state.*|random_states.*|.*\.index)\..+")
# Weights of a hub that another program reads.
_OTHERS = re.compile(r"(flax_model\.msgpack|tf_model\.h5|.+\.(onnx|gguf|tflite|mlmodel|pb|h5|msgpack|keras))")
_MOST_BYTES = 32 << 20  # of a document; 21,841 names of classes take one or two mebibytes


class HubFiles(NamedTuple):
    """The files of weights that belong together.

    Attributes:
        files: paths of the files.
        tensors: key -> path of the file that holds it, as an index says; empty without an index.
    """

    files: tuple[str, ...]
    tensors: Mapping[str, str] = {}


def find(path: str) -> HubFiles | None:
    """The files of weights that a folder or an index means, or None for a path that is neither.

    Args:
        path: path of a folder, or of an index (`model.safetensors.index.json`).
    Raises: ConversionError for a folder without weights, or with several of other names. Also for an index that is
        damaged, or names a file that is missing or outside its folder.
    """
    if os.path.isfile(path):
        return _indexed(path) if _INDEX.fullmatch(os.path.basename(path)) else None
    if not os.path.isdir(path) or os.path.exists(os.path.join(path, "saved_model.pb")):
        return None
    names = sorted(os.listdir(path))
    name = next((name for name in FILES if name in names), None) or _only_weights(path, names)
    if name is None:
        return None
    chosen = os.path.join(path, name)
    with naming(name):
        return _indexed(chosen) if _INDEX.fullmatch(name) else HubFiles((chosen,))


def index_of(path: str) -> str | None:
    """The index beside a file that is one part of several; None for another file.

    Args:
        path: path of a file.
    """
    folder, name = os.path.split(path)
    part = _SHARD.fullmatch(name)
    index = part and os.path.join(folder, f"{part[1]}.{part[2]}.index.json")
    return index if index and os.path.isfile(index) else None


def has_hub_name(name: str) -> bool:
    """Whether a file of weights has a name that a hub gives, so that the documents beside it are about it.

    Args:
        name: name of the file, without its folder.
    """
    return name in FILES or bool(_SHARD.fullmatch(name))


def is_weights(name: str) -> bool:
    """Whether a file beside others has a name of weights.

    Args:
        name: name of the file, without its folder.
    """
    return bool(_weights([name]))


def indexed_names(path: Path) -> list[str]:
    """The names of the files that an index names.

    Args:
        path: path of the index.
    Raises: ConversionError for a damaged index, and for a file outside its folder.
    """
    return sorted(set(_index(path).values()))


def documents(path: str) -> dict[str, Any]:
    """`{name: content}` of the `DOCUMENTS` in a folder, or beside a file of weights.

    Beside a file of another name than a hub's, they are read only if the folder has no second file of weights. There
    they may be about anything, so that damaged ones are left out.

    Args:
        path: path of a folder, of an index, or of a file of weights.
    Raises: ConversionError for a damaged document.
    """
    folder, name = (path, "") if os.path.isdir(path) else os.path.split(path)
    is_hub = not name or has_hub_name(name) or bool(_INDEX.fullmatch(name))
    contents = {}
    for document in DOCUMENTS:
        place = os.path.join(folder, document)
        if not os.path.isfile(place) or not (is_hub or (_WEIGHTS.fullmatch(name) and _is_alone(folder))):
            continue
        try:
            with naming(place):
                contents[document] = _parse(place)
        except ConversionError:
            if is_hub:
                raise
    return contents


def _is_alone(folder: str) -> bool:
    return len(_weights(os.listdir(folder or "."))) == 1


def _weights(names: list[str]) -> list[str]:
    return [name for name in names if _WEIGHTS.fullmatch(name) and not _NO_WEIGHTS.fullmatch(name)]


def _only_weights(folder: str, names: list[str]) -> str | None:
    """The name of the only file of weights in a folder; None for a folder that is of no hub.

    Raises: ConversionError for several, and for a folder of a hub without any.
    """
    weights = _weights(names)
    if len(weights) > 1:
        raise ConversionError(
            f"holds {len(weights)} files of weights, and none that is named as a hub names them. Expected one of "
            f"{', '.join(FILES[:4])}, or a single file. Received: {', '.join(weights[:6])}. Give the file you mean; "
            "give several as a list if they hold one network together."
        )
    if weights:
        return weights[0]
    snapshots = os.path.join(folder, "snapshots")
    if os.path.isdir(snapshots):
        listed = ", ".join(os.path.join(snapshots, name) for name in sorted(os.listdir(snapshots))[:4])
        raise ConversionError(f"is the cache of a hub. Give one of its snapshots: {listed or 'there is none yet'}.")
    others = [name for name in names if _OTHERS.fullmatch(name)]
    if "config.json" in names or "model_index.json" in names:
        parts = [name for name in names if os.path.isdir(os.path.join(folder, name))]
        received = f"Received: {', '.join(others or names)}. " if others or names else ""
        inside = f" Several models may lie in its folders ({', '.join(parts[:6])}): give one." if parts else ""
        raise ConversionError(
            f"is a folder of a hub without weights. Expected one of {', '.join(FILES[:4])}. {received}"
            f"Download the weights too: snapshot_download without allow_patterns, or `git lfs pull`.{inside}"
        )
    return None


def _indexed(path: str) -> HubFiles:
    """The files that an index names.

    Raises: ConversionError for a damaged index, and for a file that is missing or outside the folder.
    """
    with naming(os.path.basename(path)):
        tensors = _index(path)
        names = sorted(set(tensors.values()))
        folder = os.path.dirname(path)
        places = {name: os.path.join(folder, *name.split("/")) for name in names}
        missing = [name for name, place in places.items() if not os.path.exists(place)]
        if missing:
            raise ConversionError(
                f"names files that are missing: {', '.join(missing[:6])}. Put them beside the index: all "
                f"{len(names)} are needed."
            )
    return HubFiles(tuple(places.values()), {key: places[name] for key, name in tensors.items()})


def _index(path: Path) -> dict[str, str]:
    """Key -> name of the file that holds it."""
    tensors = _parse(path).get("weight_map")
    if not isinstance(tensors, dict) or not tensors or not all(isinstance(name, str) for name in tensors.values()):
        raise ConversionError(
            "is not the index of a checkpoint in several files. Expected weight_map, which names the file of every "
            f"tensor. Received: {ascii(tensors)[:80]}. Download it again."
        )
    for name in sorted(set(tensors.values())):
        if os.path.isabs(name) or "\\" in name or ".." in name.split("/") or "\0" in name or not name:
            raise ConversionError(
                f"names a file outside its folder, which is not read. Expected files beside the index. Received: "
                f"{ascii(name)[:80]}. The index is damaged or hostile."
            )
    return tensors


def merge(parts: Mapping[str, Mapping[str, Any]], hub: HubFiles) -> dict[str, Any]:
    """The tensors of all files as one dictionary.

    Args:
        parts: path of a file -> `{key: tensor}`.
        hub: the files, with the index.
    Raises: ConversionError for a key in two files, and for one that the index names and no file holds.
    """
    merged: dict[str, Any] = {}
    owners: dict[str, str] = {}
    for path, tensors in parts.items():
        for key, tensor in tensors.items():
            if key in owners:
                raise ConversionError(
                    f"two of its files hold the tensor {key!r}: {os.path.basename(owners[key])} and "
                    f"{os.path.basename(path)}. They are not of one checkpoint: download them again."
                )
            merged[key], owners[key] = tensor, path
    absent = [key for key in hub.tensors if key not in merged]
    if absent:
        raise ConversionError(
            f"its index names {len(absent)} tensors that none of its files holds: {', '.join(absent[:4])}. The index "
            "and the files are not of one checkpoint: download them again."
        )
    return merged


def _parse(path: Path) -> dict[str, Any]:
    """The content of a JSON file, which is a dictionary."""
    with open(path, "rb") as file:
        text = file.read(min(os.path.getsize(path), _MOST_BYTES) + 1)
    if len(text) > _MOST_BYTES:
        raise ConversionError(f"has more than {_MOST_BYTES >> 20} MiB, which no description of a network has.")
    try:
        content = limits.parse_json(text)
    except ConversionError:
        raise
    except (ValueError, RecursionError) as error:
        raise ConversionError(f"is not valid JSON ({error}). The file is damaged; download it again.") from error
    if not isinstance(content, dict):
        raise ConversionError(f"is not a JSON object. Received: {type(content).__name__}. Download it again.")
    return content
