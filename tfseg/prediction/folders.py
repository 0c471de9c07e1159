"""Folders of images: shared between runs, and planned so that an interrupted run can continue."""

import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

from tfseg.types import Path

Item = TypeVar("Item")


class ImageTask(NamedTuple):
    """One image and the files to write for it; None stands for a file that is there already or not wanted."""

    image: pathlib.Path
    mask: pathlib.Path | None
    overlay: pathlib.Path | None


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


def plan(
    images: Iterable[pathlib.Path], output: Path, *, overlays: bool = True, overwrite: bool = False
) -> list[ImageTask]:
    """What is left to do: `<stem>.png` and `<stem>_overlay.jpg` of each image that does not have both of them yet.

    Args:
        images: paths of the images.
        output: directory of the results.
        overlays: whether to draw overlays, or to write masks alone.
        overwrite: whether to replace results that exist.
    Raises:
        ValueError: two images have the same stem, or images lie in the output directory.
    """
    output, images = pathlib.Path(output), list(images)
    check_images(images, output)
    # The directory is listed once: on a network drive, asking for a million files one by one takes hours.
    existing = set(os.listdir(output)) if output.is_dir() and not overwrite else set()

    def missing(name: str) -> pathlib.Path | None:
        return None if name in existing else output / name

    tasks = [
        ImageTask(image, missing(f"{image.stem}.png"), missing(f"{image.stem}_overlay.jpg") if overlays else None)
        for image in images
    ]
    return [task for task in tasks if task.mask or task.overlay]


def check_images(images: Iterable[pathlib.Path], output: pathlib.Path) -> None:
    """Raises ValueError if two images have the same stem, or if an image lies in the output directory.

    Args:
        images: paths of the images.
        output: directory of the results.
    """
    stems: dict[str, pathlib.Path] = {}
    is_output: dict[pathlib.Path, bool] = {}  # directory of images -> whether it is the output directory
    for image in images:
        if (first := stems.setdefault(image.stem, image)) is not image:
            raise ValueError(
                f"{first} and {image} would both become {output / image.stem}.png: predict them into two directories."
            )
        if image.parent not in is_output:
            is_output[image.parent] = image.parent.resolve() == output.resolve()
        if is_output[image.parent]:
            raise ValueError(f"{image} lies in the output directory, where masks might replace it: choose another one.")
