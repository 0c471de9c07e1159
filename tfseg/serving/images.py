"""Pictures that strangers send: looked at before they are decoded."""

import io

from tfseg.images import read_image
from tfseg.serving.errors import Refused

# Of Pillow's formats those that photographs come in: some of the others start programs.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")


def count_pixels(data, most):
    """Height times width, from the head of the file alone: nothing is decoded.

    Args:
        data: bytes of a picture file.
        most: pixels that are allowed.
    Raises:
        Refused: no picture, or one of more pixels.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Refused(413, f"A picture has at most {most} pixels here: shrink it. {error}") from error
    except Exception as error:  # a broken file raises nearly anything
        start = f", starting with {data[:8]!r}" if data else ""
        raise Refused(415, f"A picture is one of {', '.join(FORMATS)}. Received: {len(data)} bytes{start}") from error
    if width * height > most:
        raise Refused(413, f"A picture has at most {most} pixels here: shrink it. Received: {width} x {height}")
    return width * height


def decode(data, most):
    """uint8 `(height, width, 3)`, RGB, as `tfseg.read_image` reads files of at most so many pixels.

    Raises:
        Refused: not a whole picture, or one that `tfseg.read_image` refuses.
    """
    try:
        return read_image(_Upload(data), max_pixels=most)
    except Exception as error:
        raise Refused(400, f"The picture cannot be read: {str(error) or type(error).__name__}") from error


class _Upload(io.BytesIO):
    """Bytes whose name in an error message is not an address in memory."""

    def __str__(self):
        return "a picture"

    __repr__ = __str__
