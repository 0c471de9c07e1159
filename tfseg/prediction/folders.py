"""Folders of images: shared between runs, and planned so that an interrupted run can continue."""

import os
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from tfseg.georeference import has_place

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


def all_results(
    image: pathlib.Path,
    folder: pathlib.PurePath,
    output: pathlib.Path,
    *,
    overlays: bool = True,
    probabilities: bool = False,
) -> ImageTask:
    """An image and all files that are wanted for it: `<stem>.png`, `<stem>_overlay.jpg`, `<stem>_probabilities.npy`.

    The mask of a GeoTIFF is `<stem>.tif`, which says where on Earth its pixels lie.

    Args:
        image: path of the image.
        folder: folder of the image below the place that was searched; its results lie in the same folder of `output`.
        output: directory of the results.
        overlays: whether to draw overlays.
        probabilities: whether to write the probabilities of all classes.
    """
    directory, stem = output / folder, image.stem
    return ImageTask(
        image,
        directory / f"{stem}{'.tif' if has_place(image) else '.png'}",
        directory / f"{stem}_overlay.jpg" if overlays else None,
        directory / f"{stem}_probabilities.npy" if probabilities else None,
    )


def plan(
    tasks: Iterable[ImageTask], needed: Callable[[pathlib.Path, pathlib.Path], bool] = lambda image, result: False
) -> list[ImageTask]:
    """What is left to do: the files that do not exist yet, and those that are needed anyhow.

    Args:
        tasks: images, and all files that are wanted for them.
        needed: function from an image and a file that exists for it: whether the file is made again.
    """
    listed: dict[str, set[str]] = {}  # by names, because pathlib computes the hash of each path again

    def missing(image: pathlib.Path, result: pathlib.Path | None) -> pathlib.Path | None:
        if result is None:
            return None
        directory, name = os.path.dirname(result) or os.curdir, os.path.basename(result)
        if directory not in listed:
            # Listed once: on a network drive, asking for a million files one by one takes hours.
            listed[directory] = set(os.listdir(directory)) if os.path.isdir(directory) else set()
        return result if name not in listed[directory] or needed(image, result) else None

    planned = [ImageTask(task.image, *(missing(task.image, result) for result in task[1:])) for task in tasks]
    return [task for task in planned if task.results]


def check_images(images: Mapping[pathlib.Path, pathlib.PurePath], output: pathlib.Path) -> None:
    """Refuses images whose results would replace each other, or an image.

    Args:
        images: paths of the images -> their folders, see `all_results`.
        output: directory of the results.
    Raises:
        PlanError: two images of one folder have the same stem, or an image lies in a directory of the results.
    """
    firsts: dict[tuple[pathlib.PurePath, str], pathlib.Path] = {}
    directories = {output / folder for folder in set(images.values())}
    resolved = {directory.resolve() for directory in directories}
    is_output: dict[pathlib.Path, bool] = {}  # directory of images -> whether results are written there
    for image, folder in images.items():
        if (first := firsts.setdefault((folder, image.stem), image)) is not image:
            raise PlanError(
                f"{first} and {image} would both become {output / folder / image.stem}.png: predict them into two "
                "directories, or name the directory above them, whose folders the results then have"
            )
        if image.parent not in is_output:
            is_output[image.parent] = image.parent.resolve() in resolved
        if is_output[image.parent]:
            raise PlanError(f"{image} lies in the output directory, where masks might replace it: choose another one")
