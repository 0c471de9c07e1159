"""The picture formats that are read: those that Pillow decodes itself. No file starts a program."""

import os
import pathlib
import threading
from typing import TYPE_CHECKING, BinaryIO

from tfseg.types import Path

if TYPE_CHECKING:  # Pillow takes time to load, and few need it
    from PIL import Image

# Names that Pillow gives to formats. Not among them are those that start a program (EPS starts Ghostscript), that only
# Windows draws (WMF), and that hold drawings, pages or films.
FORMATS = (
    "PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000", "PPM", "QOI", "SGI", "SUN", "PCX",
)  # fmt: skip
TARGA = (".icb", ".tga", ".vda", ".vst")  # the only format without a mark at its beginning: known by its suffix
RAW = (
    ".3fr", ".arw", ".cr2", ".cr3", ".dng", ".erf", ".iiq", ".kdc", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef",
    ".raf", ".rw2", ".srw", ".x3f",
)  # fmt: skip

# How files begin that people take for pictures.
_OTHERS = {
    b"%!PS": "a PostScript drawing",
    b"\xc5\xd0\xd3\xc6": "a PostScript drawing",
    b"%PDF": "a PDF document",
    b"\xd7\xcd\xc6\x9a": "a Windows metafile",
    b"\x01\x00\x00\x00": "a Windows metafile",
    b"8BPS": "a Photoshop document",
    b"<svg": "an SVG drawing",
    b"<?xml": "an XML document, perhaps an SVG drawing",
    b"<!DOC": "a web page",
    b"<html": "a web page",
    b"\xff\x0a": "a JPEG XL picture",
    b"\x00\x00\x00\x0cJXL ": "a JPEG XL picture",
    b"\x76\x2f\x31\x01": "an OpenEXR picture",
    b"#?RADIANCE": "a Radiance picture",
    b"DDS ": "a DirectDraw surface",
    b"\x00\x00\x01\x00": "a Windows icon",
    b"SIMPLE": "a FITS file",
    b"\x89HDF": "an HDF5 file",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"\x93NUMPY": "a NumPy array",
}
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")  # brands behind `ftyp`
_AVIF = (b"avif", b"avis")

_ORIENTATION = 0x0112  # the tag of EXIF, and of TIFF
_opening = threading.Lock()


def open_picture(path: Path | BinaryIO) -> "Image.Image":
    """A Pillow image of a format that Pillow decodes itself; nothing is decoded yet.

    Pillow's own limit of pixels does not hold here: it belongs to the whole process, and warns.

    Args:
        path: image file: its path, or the file opened in binary mode.
    Raises:
        ValueError: the file has a format that is not read; the message names it.
        OSError: there is no such file, or it is no whole picture.
    """
    from PIL import Image, UnidentifiedImageError

    suffix = pathlib.Path(path).suffix.lower() if isinstance(path, str | os.PathLike) else ""
    if suffix in RAW:
        raise ValueError(
            f"{path} is a raw photograph, in which a reader of TIFF sees only a small preview: develop it, and save it "
            "as JPEG, PNG or TIFF."
        )
    head = _head(path)
    formats = [*_readable(), *(["TGA"] if suffix in TARGA else [])]
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF and _heif_is_installed():
        formats.append("HEIF")
    with _opening:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            picture = Image.open(path, formats=formats)
        except UnidentifiedImageError as error:
            unread = _unread(path, head)
            raise (unread if isinstance(unread, ValueError) else UnidentifiedImageError(str(unread))) from error
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    if picture.format == "TIFF" and orientation_of(picture) >= 5:
        picture.filename = ""  # Pillow 13 maps plain TIFFs of such names into memory, with height and width exchanged
    return picture


def orientation_of(image: "Image.Image") -> int:
    """How a picture says that it was held, 1 to 8; 1: as it is stored. It must not be decoded yet.

    Args:
        image: result of `open_picture`.
    """
    value = image.getexif().get(_ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def stored_size(image: "Image.Image") -> tuple[int, int]:
    """`(width, height)` of a picture as it is stored; of a TIFF that was held in another way, Pillow says the other.

    Args:
        image: result of `open_picture`, not decoded yet.
    """
    width, height = image.size
    return (height, width) if image.format == "TIFF" and orientation_of(image) >= 5 else (width, height)


def as_stored(image: "Image.Image") -> "Image.Image":
    """The picture as it is stored: Pillow turns TIFFs when it decodes them, and other pictures not.

    Args:
        image: result of `open_picture`, not decoded yet.
    """
    orientation = orientation_of(image)
    if image.format != "TIFF" or orientation == 1:
        return image
    from PIL.Image import Transpose

    backwards = {
        2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM, 5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_90, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_270,
    }  # fmt: skip
    picture = image.transpose(backwards[orientation])
    picture.getexif()[_ORIENTATION] = orientation
    return picture


def _head(path: Path | BinaryIO) -> bytes:
    """The first bytes of a file, which is at its beginning afterwards."""
    if isinstance(path, str | os.PathLike):
        with open(path, "rb") as file:
            return file.read(64)
    if not path.seekable():
        return b""  # Pillow reads it whole
    path.seek(0)
    head = path.read(64)
    path.seek(0)
    return head


def _readable() -> list[str]:
    """The formats for which this Pillow has a reader: older ones lack AVIF."""
    from PIL import Image

    if not all(name in Image.OPEN for name in FORMATS):
        Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _heif_is_installed() -> bool:
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _unread(path: Path | BinaryIO, head: bytes) -> Exception:
    """Why a file cannot be opened: ValueError for another format, OSError for a file that is no whole picture."""
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF and not _heif_is_installed():
        return ValueError(f'{path} is a HEIC picture, which needs pillow-heif: pip install "tfseg[heif]"')
    if head[4:8] == b"ftyp" and head[8:12] in _AVIF and "AVIF" not in _readable():
        return ValueError(f"{path} is an AVIF picture, which needs a newer Pillow: pip install --upgrade Pillow")
    if head[4:8] == b"ftyp" and head[8:12] not in _HEIF + _AVIF:
        return ValueError(f"{path} is a film: save its frames as pictures, one file each.")
    kind = next((kind for mark, kind in _OTHERS.items() if head.lstrip().startswith(mark)), None)
    known = ", ".join([*FORMATS, "TGA", "HEIF"])
    if kind:
        return ValueError(f"{path} is {kind}: save it as PNG, TIFF or JPEG. The formats that are read: {known}")
    if head[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
        return OSError(
            f"{path}: a damaged TIFF, or one of a kind that photographs are not, such as many channels. Those are read "
            "as they are stored: channels= (--channels)"
        )
    start = f"one that starts with {head[:8]!r}" if head else "an empty file"
    if head and (text := _as_text(head)):
        start = f"text that starts with {text[:24]!r}"
    return OSError(f"{path}: no whole picture of a format that is read ({known}). Received: {start}")


def _as_text(head: bytes) -> str:
    """The beginning of a text file, its first line; nothing if the bytes are no text."""
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # a letter may be cut at the end
            return ""
        text = head[: error.start].decode("utf-8-sig")
    is_text = all(letter.isprintable() or letter in "\n\r\t" for letter in text)
    return text.strip().splitlines()[0] if is_text and text.strip() else ""
