"""Image files: how they are found and read."""

import functools
import glob
import os
import pathlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from tfseg.deep_photographs import DarkPhotographWarning, dark_message, is_dark, is_deep, with_bits
from tfseg.picture_formats import as_stored, open_picture
from tfseg.types import Path

if TYPE_CHECKING:  # Pillow takes time to load, and few need it
    from PIL import Image

IMAGE_SUFFIXES = (
    ".avif", ".bmp", ".gif", ".heic", ".heif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png",
    ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp",
)  # fmt: skip
MAX_PIXELS = 178_956_970  # the number of pixels from which Pillow, too, suspects a decompression bomb


class FoundImages(NamedTuple):
    """What `search` finds.

    Attributes:
        folders: the path of each image, sorted -> its folder, relative to the place where it was found.
        left_out: sorted paths of the files in directories that are no images by their suffix, and of directories that
            were not entered.
    """

    folders: dict[pathlib.Path, pathlib.PurePath]
    left_out: list[pathlib.Path]


def find_images(where: Path | Iterable[Path]) -> list[pathlib.Path]:
    """Sorted paths of the images in a directory, at any depth, or of all files that a pattern matches.

    Args:
        where: directory, file, or pattern; or several of them. `**` in a pattern stands for directories of any depth,
            and `~` at its beginning for the home directory.
    Raises:
        ValueError: there are no images, or one of several places has none.
    """
    return list(search(where).folders)


def search(
    where: Path | Iterable[Path],
    *,
    without: Iterable[pathlib.Path] = (),
    marker: str = "",
    suffixes: Sequence[str] = IMAGE_SUFFIXES,
) -> FoundImages:
    """The images in directories, at any depth, and those that patterns match; and the files that are left out.

    Args:
        where: directory, file, or pattern; or several of them, see `find_images`.
        without: directories that are not searched when a directory above them is.
        marker: how the name of a file begins; a directory that holds such a file is not searched when a directory above
            it is.
        suffixes: suffixes of images, in lower case.
    Raises:
        ValueError: there are no images, or one of several places has none.
    """
    places = [where] if isinstance(where, str | os.PathLike) else list(where)
    if not places:
        raise ValueError("No images: expected a directory, a file or a pattern. Received: an empty list")
    closed = {directory.resolve() for directory in without}
    folders: dict[pathlib.Path, pathlib.PurePath] = {}
    left_out: set[pathlib.Path] = set()
    for place in map(os.path.expanduser, places):
        images, others = _search_place(place, closed, marker, suffixes)
        if not images:
            raise ValueError(
                f"No images: {place!r} is neither a directory with images ({', '.join(suffixes)}) nor a "
                f"pattern that matches files.{_first_others(others)}"
            )
        for image, folder in images.items():
            folders.setdefault(image, folder)  # the first place decides about an image that several have
        left_out.update(others)
    return FoundImages(dict(sorted(folders.items(), key=lambda item: item[0])), sorted(left_out - folders.keys()))


def _first_others(others: list[pathlib.Path]) -> str:
    names = ", ".join(path.name for path in sorted(others)[:3])
    return f" It has {len(others)} files of other kinds: {names}{', ...' if len(others) > 3 else ''}" if others else ""


def _search_place(
    place: str, closed: set[pathlib.Path], marker: str, suffixes: Sequence[str]
) -> tuple[dict[pathlib.Path, pathlib.PurePath], list[pathlib.Path]]:
    """The images of one place, each with its folder relative to the place, and what is left out."""
    path = pathlib.Path(place)
    if path.is_dir():
        images: dict[pathlib.Path, pathlib.PurePath] = {}
        others = []
        relative = functools.cache(lambda directory: directory.relative_to(path))  # one object for all its files
        for file, taken in _files_below(path, closed, marker):
            if taken and file.suffix.lower() in suffixes:
                images[file] = relative(file.parent)
            else:
                others.append(file)
        return images, others
    if path.exists():  # an existing name is no pattern, even if it has brackets
        return ({path: pathlib.PurePath()} if path.is_file() else {}), []
    root = _fixed_part(path)
    matches = [pathlib.Path(match) for match in glob.glob(place, recursive=True)]
    entered = _without(closed, root)
    return {match: match.parent.relative_to(root) for match in matches if match.is_file() and entered(match)}, []


def _without(closed: set[pathlib.Path], root: pathlib.Path) -> Callable[[pathlib.Path], bool]:
    """Whether a file below `root` is outside the closed directories; those around `root` do not count."""
    around = {root.resolve(), *root.resolve().parents}

    @functools.cache
    def entered(directory: pathlib.Path) -> bool:
        resolved = directory.resolve()
        return closed.isdisjoint({resolved, *resolved.parents} - around)

    return lambda file: entered(file.parent)


def _files_below(
    directory: pathlib.Path, closed: set[pathlib.Path], marker: str, above: tuple[pathlib.Path, ...] = ()
) -> Iterator[tuple[pathlib.Path, bool]]:
    """The files of a directory at any depth, and whether each may be taken; a directory that is not entered may not."""
    resolved = directory.resolve()
    if above and resolved in closed:
        return
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except PermissionError:
        if not above:
            raise
        yield directory, False
        return
    marked = marker and any(entry.name.startswith(marker) for entry in entries)
    if above and (marked or directory.name.startswith(".") or resolved in above):  # a link may lead back
        yield directory, False
        return
    for entry in entries:
        path = directory / entry.name
        if entry.is_dir():
            yield from _files_below(path, closed, marker, (*above, resolved))
        else:
            yield path, entry.is_file() and not entry.name.startswith(".")


def _fixed_part(pattern: pathlib.Path) -> pathlib.Path:
    """The directories at the beginning of a pattern that stand for themselves."""
    parts = pattern.parts[:-1]
    count = next((index for index, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return pathlib.Path(*parts[:count])


def read_image(
    path: Path | BinaryIO, *, max_pixels: int = MAX_PIXELS, turn: bool = True, bits: int | None = None
) -> np.ndarray:
    """An image file as uint8 `(height, width, 3)`, RGB, turned as its EXIF orientation says.

    Gray, palette and CMYK images become RGB. For images of 16 bits per channel, only the upper 8 bits are used, or the
    upper 8 of `bits`; a picture that seems to have fewer bits than 16 is read with a `DarkPhotographWarning`.
    Transparency is dropped: the colors of transparent pixels show. If a file has several frames or pages, the first is
    read.

    Args:
        path: image file: its path, or the file opened in binary mode.
        max_pixels: largest number of pixels. A larger image is refused before it is decoded, because a file of a few
            kilobytes may claim gigabytes.
        turn: whether to turn the image as its EXIF orientation says.
        bits: number of bits per channel that an image of 16 bits uses, 8 to 16; None: all.
    Raises:
        ValueError: the image has too many pixels, values of more than `bits`, or pixels of 32 bits, of which Pillow
            does not know the white; or the file has another format than those that Pillow decodes itself, or is a raw
            photograph.
        OSError: there is no such file, or it is not a whole image.

    Example:
        >>> tfseg.read_image("street.png").shape
        (360, 480, 3)
    """
    from PIL import Image, ImageOps

    with open_picture(path) as image:
        if image.width * image.height > max_pixels:
            raise ValueError(
                f"An image of {image.width}x{image.height} pixels exceeds max_pixels, {max_pixels}: raise that if "
                f"it is no decompression bomb. Received: {path}"
            )
        if image.format == "PPM" and image.mode == "I":  # gray of 16 bits, which Pillow opens as 32
            image = Image.fromarray(np.asarray(image).astype("uint16"))
        deep = is_deep(image)
        image = with_bits(image, path, bits) if deep and bits is not None else as_stored(image)
        pixels = np.asarray(to_rgb(ImageOps.exif_transpose(image) if turn else image, path))
    if deep and bits is None and is_dark(pixels):
        warnings.warn(dark_message(pixels), DarkPhotographWarning, stacklevel=2)
    return pixels


def image_size(path: Path | BinaryIO) -> tuple[int, int]:
    """`(width, height)` of an image file as it is stored; nothing is decoded.

    Args:
        path: image file: its path, or the file opened in binary mode.
    """
    with open_picture(path) as image:
        return image.size


def to_rgb(image: "Image.Image", source: object) -> "Image.Image":
    """A Pillow image in RGB. Pillow alone clips channels of more than 8 bits to white.

    Args:
        image: image of any mode.
        source: where the image comes from, for the error message.
    Raises:
        ValueError: the image has pixels of 32 bits.
    """
    if image.mode in ("I", "F"):
        raise ValueError(
            f"A photograph has 8 or 16 bits per channel: scale it, or read it as it is stored: channels=1 "
            f"(--channels=1). Received: {source} of mode {image.mode}"
        )
    if image.mode.startswith("I;16"):
        from PIL import Image

        image = Image.fromarray((np.asarray(image) >> 8).astype("uint8"))
    return image.convert("RGB")
