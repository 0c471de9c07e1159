"""Everything that stands beside the tensors of a source and says which network they are."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from converters.identification.statements import smp_config, timm_config, transformers_config
from converters.identification.statements.file_labels import read_labels
from converters.identification.statements.graph_statement import read_graph
from converters.identification.statements.preprocessing import stated_preprocessing
from converters.identification.statements.statement import Statement
from converters.reading import Checkpoint
from converters.reading.hub_folder import has_hub_name

# Names that a family of networks gives its tensors, where a document beside a file of any name may be about others.
_NAMES = {
    "smp": r"(.*\.)?segmentation_head\.0\.weight",
    "transformers": r"(.*\.)?(embedder\.embedder\.convolution|(stages\.0\.)?patch_embeddings(\.0)?\.proj|"
    r"conv_stem\.first_conv\.convolution)\.weight",
    "VainF": r"(.*\.)?classifier\.(classifier\.0|aspp)\.project\.0\.weight",
}
_STRIDE = re.compile(r"_os(8|16)(?![a-z0-9])")  # the end of the names that VainF's main.py gives to its files


def read_statements(checkpoint: Checkpoint) -> list[Statement]:
    """What a checkpoint's configuration and labels say, the configuration first.

    Args:
        checkpoint: the opened file or folder.
    """
    stated = [*read_graph(checkpoint), *_read_documents(checkpoint)]
    return [*stated, *read_labels(checkpoint.labels), *_read_file_name(checkpoint)]


def _read_file_name(checkpoint: Checkpoint) -> Iterator[Statement]:
    """The output stride of a file that has its trainer's name."""
    match = _STRIDE.search(checkpoint.path.name.lower())
    if match and _looks_like(checkpoint, "VainF"):
        yield Statement("the name of the file", match[0], options={"output_stride": int(match[1])})


def _read_documents(checkpoint: Checkpoint) -> Iterator[Statement]:
    config = checkpoint.documents.get("config.json")
    processor = checkpoint.documents.get("preprocessor_config.json")
    named = not checkpoint.path.is_file() or has_hub_name(checkpoint.path.name) or ".index." in checkpoint.path.name
    if isinstance(config, Mapping):
        yield from _read_config(checkpoint, config, named)
    if isinstance(processor, Mapping) and (named or _looks_like(checkpoint, "transformers")):
        preprocessing = transformers_config.read_processor(processor)
        if preprocessing:
            yield Statement("preprocessor_config.json", _listed(preprocessing), preprocessing=preprocessing)


def _read_config(checkpoint: Checkpoint, config: Mapping[str, Any], named: bool) -> Iterator[Statement]:
    """What config.json says; nothing for another's file beside weights that have no name of a hub."""
    origin = "config.json"
    if isinstance(config.get("_model_class"), str):
        if named or _looks_like(checkpoint, "smp"):
            yield smp_config.read_arguments(config["_model_class"], config, origin, binding=True)
    elif isinstance(config.get("model_type"), str):
        if named or _looks_like(checkpoint, "transformers"):
            yield transformers_config.read_config(config, origin)
    elif isinstance(config.get("architecture"), str):
        statement = timm_config.read_config(config, origin)
        if named or (statement.families or re.search("res(net|nex|nes)", config["architecture"])):
            yield statement
    elif named:
        # Arguments of a user's own class, or the preprocessing alone.
        yield from read_labels(_flat(config), "config.json's")
        preprocessing = _stated(config)
        if preprocessing:
            yield Statement(origin, _listed(preprocessing), preprocessing=preprocessing)


def _stated(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    top = config.get("input_range")
    divisor = 255.0 / top[1] if isinstance(top, list) and len(top) == 2 and top[1] in (1, 255) else 255.0
    order = config.get("input_space", "RGB")
    if order not in ("RGB", "BGR"):
        return None
    return stated_preprocessing(config.get("mean"), config.get("std"), divisor=divisor, channel_order=order)


def _looks_like(checkpoint: Checkpoint, library: str) -> bool:
    return any(re.fullmatch(_NAMES[library], key) for key in checkpoint)


def _flat(content: Mapping[str, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """The plain values of a document by dotted names."""
    values: dict[str, Any] = {}
    for key, value in list(content.items())[:1000]:
        if isinstance(value, Mapping) and depth < 5:
            values |= _flat(value, f"{prefix}{key}.", depth + 1)
        elif isinstance(value, list):
            if len(value) <= 16 and all(isinstance(item, str | int | float | bool) for item in value):
                values[f"{prefix}{key}"] = tuple(value)
        elif not isinstance(value, Mapping):
            values[f"{prefix}{key}"] = value
    return values


def _listed(preprocessing: Mapping[str, Any]) -> str:
    numbers = {key: "/".join(f"{value:g}" for value in preprocessing[key]) for key in ("mean", "std")}
    return f"mean {numbers['mean']}, std {numbers['std']}, divisor {preprocessing['divisor']:g}"
