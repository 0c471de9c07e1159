"""Which results that exist are made again: those that were made from another image, model, or settings."""

import pathlib
from collections.abc import Mapping
from typing import Any

from tfseg.prediction.fingerprint import ImageMark, content_mark, image_mark
from tfseg.prediction.records import Origin, Record, Records
from tfseg.stored_channels import channels_size


class Provenance:
    """Compares what results were made from with what they would be made from now.

    Args:
        records: records of the directory of the results.
        model: mark of the model.
        settings: settings that change results. `pixels` among them changes those of larger images only.
    """

    def __init__(self, records: Records, model: str, settings: Mapping[str, Any]) -> None:
        self.records, self.model, self.settings = records, model, settings
        self.renewed: set[pathlib.Path] = set()  # images of which a result was made from something else
        self.unverified: list[pathlib.Path] = []  # results that are kept, made from something unknown
        self._marks: dict[pathlib.Path, ImageMark | None] = {}

    def is_outdated(self, image: pathlib.Path, result: pathlib.Path) -> bool:
        """Whether a result that exists has to be made again.

        A file that no run has written, or that was changed afterwards, is never replaced, and listed in `unverified`.

        Args:
            image: path of the image.
            result: path of the file that exists for it.
        """
        record = self.records[result]
        if record is None:
            if self.records.was_started(result):
                return True  # by a run that was killed: its model may have been another one
            self.unverified.append(result)
            return False
        if not record.finished and content_mark(result) != record.content:
            return True
        if self._is_current(record, image):
            return False
        if content_mark(result) != record.content:
            self.unverified.append(result)
            return False
        self.renewed.add(image)
        return True

    def _is_current(self, record: Record, image: pathlib.Path) -> bool:
        mark = self._mark(image)
        if mark is None or record.origin[:2] != Origin(mark, self.model, {})[:2]:
            return False
        former, current = dict(record.origin.settings), dict(self.settings)
        pixels = former.pop("pixels", None), current.pop("pixels", None)
        return former == current and (pixels[0] == pixels[1] or _count_pixels(image) <= min(map(_or_none, pixels)))

    def _mark(self, image: pathlib.Path) -> ImageMark | None:
        """The mark of an image; None if it cannot be read, which its prediction will say."""
        if image not in self._marks:
            try:
                self._marks = {image: image_mark(image)}  # the next results are those of the next image
            except OSError:
                self._marks = {image: None}
        return self._marks[image]


def _or_none(pixels: Any) -> float:
    return pixels if isinstance(pixels, int) else -1


def _count_pixels(image: pathlib.Path) -> float:
    try:
        width, height = channels_size(image)
    except Exception:  # a broken file raises nearly anything; its prediction will say why
        return float("inf")
    return width * height
