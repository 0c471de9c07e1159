"""Folders of images: shared between runs, and planned so that an interrupted run can continue.

What is said of every image is text and numbers: objects for a million images would take a minute and a gigabyte.
"""

import functools
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar, overload

from tfseg.georeference import TIFF_SUFFIXES, has_place
from tfseg.image_search import stem_and_suffix

Item = TypeVar("Item")


class PlanError(ValueError):
    """Images that cannot be predicted into the output directory; the message says why."""


class ImageTask(NamedTuple):
    """One image and the files to write for it; None stands for a file that is there already or not wanted."""

    image: pathlib.Path
    mask: pathlib.Path | None
    overlay: pathlib.Path | None
    probabilities: pathlib.Path | None = None

    @property
    def results(self) -> list[pathlib.Path]:
        """The files to write."""
        return [path for path in self[1:] if path]


def share(items: Sequence[Item], shard: tuple[int, int]) -> Sequence[Item]:
    """Every n-th item from the i-th on. The shards are disjoint, and together they have all items.

    Args:
        items: items in an order that is the same in all shards.
        shard: `(i, n)`, i from 0.
    Raises:
        ValueError: an invalid shard.
    """
    index, count = shard
    if not 0 <= index < count:
        raise ValueError(f"A shard is (i, n) with 0 <= i < n: of 4 shards the last is (3, 4). Received: {shard}")
    return items[index::count]


# What is written for an image, in one number: the sum of these.
_MASK, _OVERLAY, _PROBABILITIES, _AS_TIFF = 1, 2, 4, 8


class Tasks(Sequence[ImageTask]):
    """The tasks of a run in order, each made when it is asked for.

    Args:
        wanted: path of an image -> what is written for it.
        folders: path of an image -> its folder below the place that was searched.
        output: directory of the results.
    """

    def __init__(self, wanted: Mapping[str, int], folders: Mapping[str, str], output: pathlib.Path) -> None:
        self._wanted, self._folders, self._output = wanted, folders, output
        self._images = list(wanted)

    def __len__(self) -> int:
        return len(self._images)

    @overload
    def __getitem__(self, index: int) -> ImageTask: ...

    @overload
    def __getitem__(self, index: slice) -> list[ImageTask]: ...

    def __getitem__(self, index: int | slice) -> ImageTask | list[ImageTask]:
        if isinstance(index, slice):
            return list(map(self.of, self._images[index]))
        return self.of(self._images[index])

    def of(self, image: str) -> ImageTask:
        """The task of an image.

        Args:
            image: path of an image that has one.
        """
        wanted = self._wanted[image]
        directory = result_directory(self._output, self._folders[image])
        mask, overlay, probabilities = (
            pathlib.Path(directory, name) if name else None for name in _names(os.path.basename(image), wanted)
        )
        return ImageTask(pathlib.Path(image), mask, overlay, probabilities)

    def directories(self) -> set[str]:
        """The directories of the results."""
        return {result_directory(self._output, folder) for folder in set(map(self._folders.__getitem__, self._images))}

    def results(self) -> Iterator[str]:
        """Yields the paths of all files to write, relative to the directory of the results."""
        for image, wanted in self._wanted.items():
            folder = self._folders[image]
            prefix = "" if folder == os.curdir else folder + os.sep
            start = prefix + stem_and_suffix(image.rpartition(os.sep)[2])[0]
            for ending in _endings(wanted):
                if ending:
                    yield start + ending


def result_directory(output: pathlib.Path, folder: str) -> str:
    """The directory of the results of a folder.

    Args:
        output: directory of all results.
        folder: folder of images below the place that was searched.
    """
    return str(output / folder)


def _names(image: str, wanted: int) -> list[str | None]:
    """The names of mask, overlay and probabilities; None where it is not wanted."""
    stem, _ = stem_and_suffix(image)
    return [ending and stem + ending for ending in _endings(wanted)]


@functools.cache  # a handful, for millions of names
def _endings(wanted: int) -> tuple[str | None, str | None, str | None]:
    """What follows the stem of an image: `.png`, `_overlay.jpg`, `_probabilities.npy`.

    The mask of a GeoTIFF is `<stem>.tif`, which says where on Earth its pixels lie.
    """
    return (
        (".tif" if wanted & _AS_TIFF else ".png") if wanted & _MASK else None,
        "_overlay.jpg" if wanted & _OVERLAY else None,
        "_probabilities.npy" if wanted & _PROBABILITIES else None,
    )


def plan(
    images: Iterable[str],
    folders: Mapping[str, str],
    output: pathlib.Path,
    *,
    overlays: bool = True,
    probabilities: bool = False,
    needed: Callable[[pathlib.Path, pathlib.Path], bool] = lambda image, result: False,
) -> Tasks:
    """What is left to do: the files that do not exist yet, and those that are needed anyhow.

    Args:
        images: paths of the images.
        folders: path of each image -> its folder below the place that was searched; its results lie in the same folder
            of `output`.
        output: directory of the results.
        overlays: whether overlays are wanted.
        probabilities: whether the probabilities of all classes are wanted.
        needed: function from an image and a file that exists for it: whether the file is made again.
    """
    everything = _MASK + _OVERLAY * overlays + _PROBABILITIES * probabilities
    listed: dict[str, tuple[str, set[str]]] = {}  # folder -> directory of its results, and what is there
    wanted: dict[str, int] = {}
    for image in images:
        folder = folders[image]
        if folder not in listed:
            # Listed once: on a network drive, asking for a million files one by one takes hours.
            directory = result_directory(output, folder)
            listed[folder] = directory, set(os.listdir(directory)) if os.path.isdir(directory) else set()
        what = everything
        if image.lower().endswith(TIFF_SUFFIXES) and has_place(pathlib.Path(image)):
            what += _AS_TIFF
        directory, existing = listed[folder]
        if existing:
            what = _missing(image, what, directory, existing, needed)
        if what & everything:
            wanted[image] = what
    return Tasks(wanted, folders, output)


def _missing(
    image: str,
    wanted: int,
    directory: str,
    existing: set[str],
    needed: Callable[[pathlib.Path, pathlib.Path], bool],
) -> int:
    """What is wanted, without the files that exist and are not needed again."""
    for kind, name in zip((_MASK, _OVERLAY, _PROBABILITIES), _names(os.path.basename(image), wanted), strict=True):
        if name in existing and not needed(pathlib.Path(image), pathlib.Path(directory, name)):
            wanted -= kind
    return wanted


def check_images(images: Mapping[str, str], output: pathlib.Path) -> None:
    """Refuses images whose results would replace each other, or an image.

    Args:
        images: paths of the images -> their folders, see `plan`.
        output: directory of the results.
    Raises:
        PlanError: two images of one folder have the same stem, or an image lies in a directory of the results.
    """
    stems: dict[str, set[str]] = {}
    resolved = {pathlib.Path(result_directory(output, folder)).resolve() for folder in set(images.values())}
    is_output: dict[str, bool] = {}  # directory of images -> whether results are written there
    for image, folder in images.items():
        directory, _, name = image.rpartition(os.sep)
        stem, _ = stem_and_suffix(name)
        known = stems.setdefault(folder, set())
        if stem in known:
            first = next(path for path in images if images[path] == folder and pathlib.Path(path).stem == stem)
            result = os.path.join(result_directory(output, folder), f"{stem}.png")
            raise PlanError(
                f"{first} and {image} would both become {result}: predict them into two directories, or name the "
                "directory above them, whose folders the results then have"
            )
        known.add(stem)
        if directory not in is_output:
            is_output[directory] = pathlib.Path(image).parent.resolve() in resolved
        if is_output[directory]:
            raise PlanError(f"{image} lies in the output directory, where masks might replace it: choose another one")
