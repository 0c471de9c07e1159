"""Which images a command line chooses, and whether their results exist: what `tfseg predict` knows before it loads.

The rules are those of `tfseg.predict_files`. They stand here again because an import of tfseg loads Keras; a test
compares the two.
"""

import glob
import os
import pathlib
from collections.abc import Iterable, Sequence

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


class PlanError(ValueError):
    """Images that cannot be predicted into the output directory; the message says why."""


def images_at(place: str) -> list[pathlib.Path]:
    """Paths of the images in a directory, or of the files that a pattern matches; empty if there are none.

    Args:
        place: directory, file or pattern.
    """
    path = pathlib.Path(place)
    if path.is_dir():
        matches = [file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")]
    elif path.exists():  # an existing name is no pattern, even if it has brackets
        matches = [path]
    else:
        matches = [pathlib.Path(match) for match in glob.glob(place, recursive=True)]
    return [file for file in matches if file.is_file()]


def check_images(images: Iterable[pathlib.Path], output: pathlib.Path) -> None:
    """Refuses images whose results would replace each other, or an image.

    Args:
        images: paths of the images.
        output: directory of the results.
    Raises:
        PlanError: two images have the same stem, or an image lies in the output directory.
    """
    stems: dict[str, pathlib.Path] = {}
    resolved = output.resolve()
    is_output: dict[pathlib.Path, bool] = {}  # directory of images -> whether it is the output directory
    for image in images:
        if (first := stems.setdefault(image.stem, image)) is not image:
            raise PlanError(
                f"{first} and {image} would both become {output / image.stem}.png: predict them into two directories"
            )
        if image.parent not in is_output:
            is_output[image.parent] = image.parent.resolve() == resolved
        if is_output[image.parent]:
            raise PlanError(f"{image} lies in the output directory, where masks might replace it: choose another one")


def all_done(images: Sequence[pathlib.Path], output: pathlib.Path, *, overlays: bool) -> bool:
    """Whether every image has its results.

    Args:
        images: paths of the images.
        output: directory of the results.
        overlays: whether overlays are wanted, or masks alone.
    """
    existing = set(os.listdir(output)) if output.is_dir() else set()
    return all(
        f"{image.stem}.png" in existing and (not overlays or f"{image.stem}_overlay.jpg" in existing)
        for image in images
    )


def remove_failures(output: pathlib.Path, shard: tuple[int, int]) -> None:
    """Removes the list of failures of an earlier run, now that all results exist.

    Args:
        output: directory of the results.
        shard: index of the share of the images, and number of shares.
    """
    name = "failures.json" if shard[1] == 1 else f"failures-{shard[0]}-of-{shard[1]}.json"
    (output / name).unlink(missing_ok=True)
