"""Whether a place has images: what `tfseg predict` checks before it loads.

The rules are those of `tfseg.images.search` for a model of any channels, which takes `.npy` too. They stand here again
because an import of tfseg loads Keras; a test compares the two.
"""

import glob
import os
import pathlib

SUFFIXES = (
    ".avif", ".bmp", ".gif", ".heic", ".heif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".npy", ".pbm", ".pgm",
    ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp",
)  # fmt: skip


def has_images(place: str) -> bool:
    """Whether a directory holds an image at any depth, or a pattern matches a file.

    Where only a directory of results has images, this says yes and `tfseg.images.search` no.

    Args:
        place: directory, file or pattern.
    """
    path = pathlib.Path(place)
    if not path.is_dir():
        # An existing name is no pattern, even if it has brackets.
        matches = [path] if path.exists() else map(pathlib.Path, glob.iglob(place, recursive=True))
        return any(match.is_file() for match in matches)
    for directory, folders, names in os.walk(path, followlinks=True):
        inside = pathlib.Path(directory)
        folders[:] = [name for name in folders if not name.startswith(".") and not _leads_back(inside / name)]
        if any(_is_image(inside / name) for name in names):
            return True
    return False


def _is_image(path: pathlib.Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _leads_back(directory: pathlib.Path) -> bool:
    """Whether a link leads to a directory above it."""
    return directory.is_symlink() and directory.resolve() in map(pathlib.Path.resolve, directory.parents)
