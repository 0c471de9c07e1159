"""Image files and pixels: found, read, and prepared as a network wants them."""

import glob
import pathlib
import threading

import numpy as np

from tfseg import specs

PICTURES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


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


MAX_PIXELS = 178_956_970  # where Pillow, too, takes a picture for a decompression bomb


_KEYS = {"channel_order", "divisor", "mean", "std"}


def preprocess(pixels, preprocessing):
    """What a network takes: float32, its own channel order, divided, minus mean, by deviation.

    Args:
        pixels: `(..., height, width, 3)`, RGB, 0..255; for a network that sees depth too, "BGRD", the natural logarithm
            of the depth is the fourth channel.
        preprocessing: name or dictionary as in `tfseg.specs.PREPROCESSING`.
    Raises:
        ValueError: an unknown name, a dictionary that lacks something, or pixels of another number of channels.
    """
    if isinstance(preprocessing, str):
        if preprocessing not in specs.PREPROCESSING:
            raise ValueError(
                f"Preprocessing is a dictionary or one of {', '.join(specs.PREPROCESSING)}. Received: {preprocessing!r}"
            )
        preprocessing = specs.PREPROCESSING[preprocessing]
    if not _KEYS.issubset(preprocessing) or preprocessing["channel_order"] not in ("RGB", "BGR", "BGRD"):
        raise ValueError(
            "Preprocessing has channel_order (RGB, BGR or BGRD), divisor, mean and std, as in "
            f"tfseg.specs.PREPROCESSING. Received: {preprocessing}"
        )
    x, order = np.asarray(pixels, "float32"), preprocessing["channel_order"]
    if x.shape[-1] != len(order):
        raise ValueError(f"Pixels for {order} have {len(order)} channels. Received: {x.shape[-1]}")
    if order != "RGB":
        x = x[..., ["RGBD".index(channel) for channel in order]]
    mean, std = (np.asarray(preprocessing[key], "float32") for key in ("mean", "std"))
    return (x / np.float32(preprocessing["divisor"]) - mean) / std


def read_image(path, *, max_pixels=MAX_PIXELS):
    """A picture file as uint8 `(height, width, 3)`, RGB, turned as its EXIF orientation says.

    Grey, palette and CMYK pictures become RGB; of 16 bits a channel the upper 8 are taken; transparency is dropped, and
    the colours behind it show. Of several frames or pages the first is read.

    Args:
        path: of the file, or an open binary file.
        max_pixels: a picture of more is refused before it is decoded: a file of a few kilobytes may claim gigabytes.
    Raises:
        ValueError: too many pixels; or pixels of 32 bits, whose white Pillow cannot know.
        OSError: no file, or not a whole picture.
    """
    from PIL import ImageOps

    with _open(path) as image:
        if image.width * image.height > max_pixels:
            raise ValueError(
                f"A picture of {image.width}x{image.height} pixels is beyond max_pixels, {max_pixels}: raise that if "
                f"it is no decompression bomb. Received: {path}"
            )
        return np.asarray(_rgb(ImageOps.exif_transpose(image), path))


def picture_size(path):
    """`(width, height)` of a picture file as it is stored, without decoding it."""
    with _open(path) as image:
        return image.size


_opening = threading.Lock()


def _open(path):
    """Pillow's image without Pillow's limit, which is one for the whole process and warns below ours."""
    from PIL import Image

    with _opening:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(path)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _rgb(image, source):
    """A PIL image in RGB; Pillow alone would clip deeper channels to white."""
    if image.mode in ("I", "F"):
        raise ValueError(f"A photograph has 8 or 16 bits a channel: scale it. Received: {source} of mode {image.mode}")
    if image.mode.startswith("I;16"):
        from PIL import Image

        image = Image.fromarray((np.asarray(image) >> 8).astype("uint8"))
    return image.convert("RGB")
