"""Files that tfseg itself wrote: a safetensors file in Keras layout whose header says which network to build."""

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from converters.errors import ConversionError
from converters.identification.sources import Source
from converters.reading import limits
from tfseg import specs

_LEAST = 50_000  # numbers that every network here has at its full width, and more
BY_PATH = "tfseg/paths"
"""The "family" of files whose tensors are named by variable path, in Keras layout."""

_NETWORK, _OPTIONS, _OUTPUT, _METADATA, _ORIGIN = (
    "tfseg_network",
    "tfseg_options",
    "tfseg_output",
    "tfseg_metadata",
    "tfseg_origin",
)


class OwnNetwork(NamedTuple):
    """The network that a file of tfseg holds.

    Attributes:
        name: name of the network.
        options: options of `tfseg.build`.
        features: layer whose result is the model's, for a segmenter without its head; "" for the whole network.
        metadata: `preprocessing`, `classes` and `colors`, as `tfseg.set_metadata` takes them.
        origin: the file that it was converted from, and the family.
    """

    name: str
    options: Mapping[str, Any]
    features: str
    metadata: Mapping[str, Any]
    origin: str

    def header(self) -> dict[str, str]:
        """The texts for the header of a safetensors file."""
        return {
            _NETWORK: self.name,
            _OPTIONS: json.dumps(self.options),
            _OUTPUT: self.features,
            _METADATA: json.dumps(self.metadata),
            _ORIGIN: self.origin,
        }


def is_own_model(source: Source) -> bool:
    """Whether a source is a `.keras` file of tfseg.

    Args:
        source: the opened source.
    """
    return any(checkpoint.header.get("tfseg") == "model" for checkpoint in source.checkpoints)


def refuse_own_model(source: Source) -> None:
    """Refuses a `.keras` file of tfseg, which needs no conversion; only another network can take its weights.

    Args:
        source: the opened source.
    Raises:
        ConversionError: such a file.
    """
    if is_own_model(source):
        raise ConversionError(
            f"{source.name} is a model of tfseg already. Load it with tfseg.load({source.name!r}), or give it to "
            "`tfseg predict`, `train`, `evaluate` or `export` as it is. To put its weights into another network, name "
            "that network: network=... (--network=...)."
        )


def own_network(source: Source) -> OwnNetwork | None:
    """What the header of a file says of the network; None for files without such a header.

    Args:
        source: the opened source.
    Raises:
        ConversionError: a header that is damaged or hostile.
    """
    headers = [checkpoint.header for checkpoint in source.checkpoints]
    if len(headers) != 1 or _NETWORK not in headers[0]:
        return None
    (header,) = headers
    try:
        options, metadata = (
            limits.parse_json(header.get(key, "{}").encode(errors="replace")) for key in (_OPTIONS, _METADATA)
        )
    except (ValueError, RecursionError):
        options = metadata = None
    name = header[_NETWORK]
    if not (name in specs.network_names() and isinstance(options, dict) and isinstance(metadata, dict)):
        raise ConversionError(
            f"{source.name}: its header does not describe a network that this version of tfseg builds. "
            f"Received: {_NETWORK}={name[:80]!r}, {_OPTIONS}={header.get(_OPTIONS, '')[:200]!r}. Convert the original "
            "file again."
        )
    _check_sizes(source, options)
    facts = {key: metadata[key] for key in ("preprocessing", "classes", "colors") if key in metadata}
    options = {key: _frozen(value) for key, value in options.items()}
    return OwnNetwork(name, options, header.get(_OUTPUT, ""), facts, header.get(_ORIGIN, ""))


def _check_sizes(source: Source, options: Mapping[str, Any]) -> None:
    """Refuses sizes that no network with the file's numbers has, before a network is built that fills the memory.

    Raises:
        ConversionError: naming the option.
    """
    held = sum(math.prod(shape) for shape in source.shapes.values())
    width, classes = options.get("width", 0), options.get("num_classes", 0)
    counts = list(classes.values()) if isinstance(classes, dict) else [classes]
    wrong = [
        *([f"width={width!r}"] if type(width) not in (int, float) or _LEAST * width * abs(width) > held else []),
        *(
            f"num_classes={count!r}"
            for count in counts
            if count is not None and (type(count) is not int or count > held)
        ),
    ]
    if wrong:
        raise ConversionError(
            f"{source.name}: its header states {wrong[0][:80]}. Received: tensors of {held} numbers in all, which no "
            "such network has. The file is damaged or hostile: convert the original file again."
        )


def _frozen(value: Any) -> Any:
    """Tuples in place of JSON's lists, as `tfseg.build` takes them."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
