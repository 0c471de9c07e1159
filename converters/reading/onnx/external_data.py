"""The files beside an ONNX model that hold its data.

Reference: https://github.com/onnx/onnx/blob/main/docs/ExternalData.md
"""

import pathlib
import re
from collections.abc import Mapping

from converters.errors import ConversionError
from converters.reading import limits
from converters.reading.files import map_file, naming
from converters.reading.tensors import Block
from converters.types import Path


class ExternalData:
    """Data of a model in other files, each mapped once. Only files in the model's own directory are read.

    Args:
        path: where the model lies.
    """

    def __init__(self, path: Path) -> None:
        self._directory = pathlib.Path(path).parent
        self._maps: dict[pathlib.Path, memoryview] = {}
        self._budget = limits.current()

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that were read so far."""
        return tuple(self._maps)

    def block(self, place: Mapping[str, str], nbytes: int) -> Block:
        """The bytes at a place.

        Args:
            place: entries `location`, `offset` and `length` of a tensor, as texts.
            nbytes: bytes that the tensor needs; the length, where no entry says it.
        Raises: ConversionError for a file outside the model's directory, a missing and a short one.
        """
        offset, length = _number(place, "offset", 0), _number(place, "length", nbytes)
        location = place.get("location", "")
        data = self._map(location)
        if offset + length > len(data):
            raise ConversionError(
                f"lies at bytes {offset} to {offset + length} of {location!r}. Received: a file of "
                f"{len(data)} bytes. It is truncated, or belongs to another model; copy it again."
            )
        return Block.of(data[offset : offset + length])

    def _map(self, location: str) -> memoryview:
        path = self._directory / location
        inside = location and not re.match(r"[/\\]|\w:", location) and ".." not in re.split(r"[/\\]", location)
        try:
            inside = inside and path.resolve().is_relative_to(self._directory.resolve())
            exists = inside and path.exists()
        except (OSError, ValueError) as error:  # too long for a name, or with a zero byte
            raise ConversionError(f"has its data in {location[:80]!r}, which is no name of a file.") from error
        if not inside:
            raise ConversionError(
                f"has its data in {location!r}, outside the model's directory, from which nothing is read. Put that "
                "file beside the model and save the model again (onnx.save_model with save_as_external_data=True)."
            )
        if not exists:
            raise ConversionError(f"has its data in {location!r}, which is not there: put that file beside the model.")
        if path not in self._maps:
            with naming(location):
                self._maps[path] = map_file(path)
            self._budget.grow(len(self._maps[path]))
        return self._maps[path]


def _number(place: Mapping[str, str], key: str, default: int) -> int:
    text = place.get(key, str(default))
    if not re.fullmatch(r"\d{1,19}", text, re.ASCII):
        raise ConversionError(f"has the {key} {text[:40]!r} in its file; the model is damaged.")
    return int(text)
