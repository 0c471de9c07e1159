"""Folders of photographs: found, predicted, and written so that an interrupted run can go on."""

import contextlib
import glob
import os
import pathlib
from typing import NamedTuple

from tfseg import drawing
from tfseg.inference import check_segmenter, predict, preprocessing_of, read_image
from tfseg.layers import metadata

PICTURES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


class Job(NamedTuple):
    """One photograph and the files to write for it; None where there is nothing to write."""

    image: pathlib.Path
    mask: pathlib.Path | None
    overlay: pathlib.Path | None


def find_images(where):
    """Sorted paths: the pictures in a directory, or all files that a pattern matches (`**`: directories, any depth).

    Raises:
        ValueError: there are none.
    """
    path = pathlib.Path(where)
    if path.is_dir():
        found = [file for file in path.iterdir() if file.suffix.lower() in PICTURES and not file.name.startswith(".")]
    else:  # a name that exists is itself, whatever brackets it has
        found = map(pathlib.Path, [where] if path.exists() else glob.glob(str(where), recursive=True))
    images = sorted({file for file in found if file.is_file()})  # a set: `**/**` finds files twice
    if not images:
        raise ValueError(
            f"No images: {str(where)!r} is neither a directory with pictures ({', '.join(PICTURES)}) nor a pattern "
            "that matches files."
        )
    return images


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
    stems = {}
    for image in images:
        if (first := stems.setdefault(image.stem, image)) is not image:
            raise ValueError(f"{first} and {image} would both become {output / image.stem}.png: predict them apart.")
        if image.parent.resolve() == output.resolve():
            raise ValueError(f"{image} lies in the output directory, where masks might replace it: choose another one.")

    def wanted(path):
        return path if overwrite or not path.exists() else None

    jobs = [
        Job(image, wanted(output / f"{stem}.png"), wanted(output / f"{stem}_overlay.jpg") if overlays else None)
        for stem, image in stems.items()
    ]
    return [job for job in jobs if job.mask or job.overlay]


def predict_jobs(model, jobs, *, preprocessing=None):
    """Writes masks and overlays, with the class names and colours that the model carries.

    Args:
        model, preprocessing: as in `tfseg.predict`.
        jobs: of `plan`.
    Returns: list of `(path, reason)`: the images that could not be read or predicted. The others are done.
    Raises:
        ValueError: what is wrong with the model.
    """
    check_segmenter(model)
    preprocessing = preprocessing or preprocessing_of(model)
    facts = metadata(model)
    failed = []
    for job in jobs:
        try:
            pixels = read_image(job.image)
            classes = predict(model, pixels, preprocessing=preprocessing)
        except Exception as error:  # a broken file raises nearly anything, and must not end a long run
            failed.append((job.image, (str(error) or type(error).__name__).splitlines()[0]))
            continue
        if job.overlay:
            with replacing(job.overlay) as half:
                drawing.overlay(pixels, classes, facts["colors"], facts["classes"]).save(half, quality=92)
        if job.mask:
            with replacing(job.mask) as half:
                drawing.write_mask(half, classes, facts["colors"])
    return failed


@contextlib.contextmanager
def replacing(path):
    """A path beside `path`, of the same ending: its file takes the place if the block ends well, else it vanishes."""
    half = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield half
        os.replace(half, path)
    finally:
        half.unlink(missing_ok=True)
