"""Folders of photographs: found, shared out, planned, and written so that an interrupted run can go on."""

import os
import pathlib
import re
from typing import NamedTuple


class Job(NamedTuple):
    """One photograph and the files to write for it; None where there is nothing to write."""

    image: pathlib.Path
    mask: pathlib.Path | None
    overlay: pathlib.Path | None


def share(items, shard):
    """Every n-th item from the i-th on: the shards are disjoint, and together everything.

    Args:
        items: sorted alike in all shards.
        shard: `(i, n)`, i from 0.
    Raises:
        ValueError: a shard that is none.
    """
    index, count = shard
    if not 0 <= index < count:
        raise ValueError(f"A shard is (i, n) with 0 <= i < n: of 4 shards the last is (3, 4). Received: {shard}")
    return items[index::count]


def plan(images, output, *, overlays=True, overwrite=False):
    """What is left to do: `<stem>.png` and `<stem>_overlay.jpg` of each image that has not both of them yet.

    Args:
        images: paths.
        output: directory of the results.
        overlays: whether there are overlays, or masks alone.
        overwrite: whether results that exist are made anew.
    Returns: list of `Job`.
    Raises:
        ValueError: two images of one stem, or images in the output directory.
    """
    output = pathlib.Path(output)
    check(images, output)
    # One listing: on a network's disk a million questions, one a file, take hours.
    kept = set(os.listdir(output)) if output.is_dir() and not overwrite else ()

    def wanted(name):
        return None if name in kept else output / name

    jobs = [
        Job(image, wanted(f"{image.stem}.png"), wanted(f"{image.stem}_overlay.jpg") if overlays else None)
        for image in images
    ]
    return [job for job in jobs if job.mask or job.overlay]


def check(images, output):
    """Raises ValueError if two images have one stem, or one of them lies in the output directory."""
    stems, inside = {}, {}
    for image in images:
        if (first := stems.setdefault(image.stem, image)) is not image:
            raise ValueError(f"{first} and {image} would both become {output / image.stem}.png: predict them apart.")
        if image.parent not in inside:
            inside[image.parent] = image.parent.resolve() == output.resolve()
        if inside[image.parent]:
            raise ValueError(f"{image} lies in the output directory, where masks might replace it: choose another one.")


def sweep(jobs):
    """Removes what killed processes left beside the files of jobs that nobody works on."""
    files = [path for job in jobs for path in (job.mask, job.overlay) if path]
    names = {(path.parent, path.name) for path in files}
    for directory in {path.parent for path in files}:
        for entry in os.scandir(directory):
            half = _HALF.fullmatch(entry.name)
            if half and (directory, half[1]) in names:
                pathlib.Path(entry.path).unlink(missing_ok=True)


_HALF = re.compile(r"\.\d+-(.+)")
