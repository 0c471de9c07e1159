"""Images of any number of channels, as their files store them: `.npy`, GeoTIFF, pictures without loss."""

import io
import math
import os
import pathlib
import warnings
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from tfseg.deep_photographs import stored_mode
from tfseg.georeference import is_tiff, no_data_value, orientation, tiff_tags
from tfseg.images import IMAGE_SUFFIXES, MAX_PIXELS
from tfseg.missing_data import NoData, missing_values
from tfseg.picture_formats import open_picture
from tfseg.types import Array, Path

if TYPE_CHECKING:  # Pillow takes time to load, and few need it
    from PIL import Image

ARRAY_SUFFIX = ".npy"
SUFFIXES = tuple(sorted((*IMAGE_SUFFIXES, ARRAY_SUFFIX)))
INSTALL = 'pip install "tfseg[geotiff]"'
_LOSSLESS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "RGBX": 4, "CMYK": 4, "I;16": 1, "I;16B": 1, "I;16L": 1, "F": 1}
_FLOATS = ("F", "F;32F", "F;32BF", "F;32NF")
EXACT = 1 << 24  # whole numbers up to here are exact in 32-bit floats
# Colors that readers of TIFF convert, and where a TIFF says that it has them.
_OTHER_COLORS = {5: "CMYK", 6: "YCbCr", 8: "CIELab", 9: "ICCLab", 10: "ITULab"}
_PHOTOMETRIC, _COMPRESSION, _JPEG = 262, 259, 7
_MASK_PAGE, _SUBFILE_TYPE = 4, 254


class Stored(NamedTuple):
    """What a file holds.

    Attributes:
        values: numbers `(height, width, channels)`.
        no_data: the value that the file says is none; None: it says nothing.
        missing: pixels `(height, width)` that a mask in the file leaves out; None: it has no mask.
    """

    values: Array
    no_data: float | None = None
    missing: Array | None = None


def read_channels(
    path: Path | BinaryIO,
    channels: int | None = None,
    *,
    no_data: NoData = None,
    max_pixels: int = MAX_PIXELS,
    turn: bool = True,
) -> Array:
    """An image as its file stores it, `(height, width, channels)`: nothing is scaled, and no channel is left out.

    A file is an array of NumPy, a TIFF, or a picture that Pillow decodes without loss. TIFFs that Pillow cannot read so
    need rasterio. A pixel has no data where all of its channels have the value for it. Where only some have it, they
    are missing too, but for 0 and the largest value of the type, which are brightnesses as well.

    Args:
        path: path of the file, or the file opened in binary mode.
        channels: expected number of channels; None: any.
        no_data: the value of pixels without data, which may be NaN; None: what a GeoTIFF says; "none": there are none.
        max_pixels: largest number of pixels. A larger image is refused before it is decoded.
        turn: whether to turn a picture as its EXIF orientation says; TIFFs and arrays stay as they are stored.
    Returns: numbers of the file's type; float32 with NaN where there is no data.
    Raises:
        ValueError: another number of channels, no numbers, NaN that do not stand for missing data, or a file that needs
            rasterio while that is not installed.
        OSError: there is no such file, or it is damaged.

    Example:
        >>> from tfseg.stored_channels import read_channels
        >>> np.save("field.npy", np.zeros((2, 3, 5), "uint16"))
        >>> read_channels("field.npy", 5).shape
        (2, 3, 5)
    """
    head = _head(path)
    if head.startswith(b"\x93NUMPY"):
        stored = Stored(_read_array(path, max_pixels))
    elif is_tiff(head):
        stored = _read_tiff(path, channels, max_pixels)
    else:
        stored = Stored(_read_picture(path, max_pixels, turn))
    if stored.values.dtype.kind not in "uifb":
        raise ValueError(
            f"{path}: expected real numbers. Received: {stored.values.dtype}. Save their amplitude, for example"
        )
    _check_shape(stored.values.shape, channels, path)
    return _without_missing(stored, no_data, path)


def channels_size(path: Path | BinaryIO) -> tuple[int, int]:
    """`(width, height)` of an image of any number of channels; nothing is decoded.

    Args:
        path: path of the file, or the file opened in binary mode.
    Raises:
        ValueError, OSError: the file is none, or damaged.
    """
    head = _head(path)
    if head.startswith(b"\x93NUMPY"):
        shape = _array_header(path)[0]
        return (shape[1], shape[0]) if len(shape) > 1 else (1, 1)
    if is_tiff(head):
        tags = tiff_tags(path)
        return int(tags.get(256, 0)), int(tags.get(257, 0))
    with open_picture(path) as picture:
        return picture.size


def _head(path: Path | BinaryIO) -> bytes:
    if isinstance(path, str | os.PathLike):
        with open(path, "rb") as file:
            return file.read(8)
    path.seek(0)
    head = path.read(8)
    path.seek(0)
    return head


def _check_pixels(width: int, height: int, max_pixels: int, path: object) -> None:
    if width * height > max_pixels:
        raise ValueError(
            f"An image of {width}x{height} pixels exceeds max_pixels, {max_pixels}: raise that if it is no "
            f"decompression bomb. Received: {path}"
        )


def _array_header(path: Path | BinaryIO) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of an array in a file, of which nothing but the head is read."""
    with open(path, "rb") if isinstance(path, str | os.PathLike) else io.BytesIO(_all(path)) as file:
        try:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version[0] == 1 else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
        except Exception as error:  # NumPy parses the head as Python, and a damaged one raises nearly anything
            raise ValueError(f"{path}: the head of a .npy file is damaged ({error})") from error
        position = file.tell()
        left = file.seek(0, 2) - position
    if dtype.hasobject or dtype.kind not in "uifb":
        kind = "Python objects, which are never loaded" if dtype.hasobject else f"values of the type {dtype}"
        raise ValueError(f"{path}: expected an array of numbers. Received: {kind}. Save array.astype('float32')")
    if min(shape, default=0) < 0:
        raise ValueError(f"{path}: the head of a .npy file is damaged (it has the shape {shape})")
    if left < math.prod(shape) * dtype.itemsize:
        raise OSError(f"{path}: the file ends before the array that it announces, {shape} of {dtype}")
    return shape, dtype


def _all(file: BinaryIO) -> bytes:
    file.seek(0)
    content = file.read()
    file.seek(0)
    return content


def _read_array(path: Path | BinaryIO, max_pixels: int) -> Array:
    shape, _ = _array_header(path)
    if len(shape) not in (2, 3) or 0 in shape:
        raise ValueError(
            f"{path}: an image is one array (height, width, channels). Received: {shape}"
            + (". Save each image of a batch in a file of its own" if len(shape) == 4 else "")
        )
    _check_pixels(shape[1], shape[0], max_pixels, path)
    array = np.load(path, allow_pickle=False)
    array = array[..., None] if array.ndim == 2 else array
    return np.ascontiguousarray(array, array.dtype.newbyteorder("="))


def _read_tiff(path: Path | BinaryIO, channels: int | None, max_pixels: int) -> Stored:
    tags = tiff_tags(path)
    if (color := _OTHER_COLORS.get(tags.get(_PHOTOMETRIC, 0))) and tags.get(_COMPRESSION) != _JPEG:
        raise ValueError(f"{path}: {color} would be converted to RGB when it is read: save it in RGB, or as .npy")
    try:
        import rasterio
    except ImportError:
        return _read_tiff_with_pillow(path, max_pixels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        # One driver alone: others would open files, and addresses, that a file names.
        source = io.BytesIO(_all(path)) if not isinstance(path, str | os.PathLike) else os.path.abspath(path)
        with rasterio.open(source, driver="GTiff") as file:
            _check_pixels(file.width, file.height, max_pixels, path)
            if rasterio.enums.ColorInterp.palette in file.colorinterp:
                raise ValueError(f"{path}: its channel holds places in a palette, not brightnesses: save it in RGB")
            _check_shape((file.height, file.width, file.count), channels, path)  # before a file of thousands is decoded
            values = np.ascontiguousarray(np.moveaxis(file.read(), 0, -1))
            per_dataset = rasterio.enums.MaskFlags.per_dataset
            masked = [per_dataset in flags and len(flags) == 1 for flags in file.mask_flag_enums]
            return Stored(values, file.nodata, file.read_masks(1) == 0 if all(masked) else None)


def _read_tiff_with_pillow(path: Path | BinaryIO, max_pixels: int) -> Stored:
    """A TIFF of few channels, which needs no rasterio: the same values that rasterio reads."""
    needs = ValueError(f"{path}: a TIFF of this kind needs rasterio to be read as it is stored: {INSTALL}")
    tags = tiff_tags(path)
    try:
        picture = open_picture(path)
    except OSError as error:
        raise needs from error
    with picture:
        _check_pixels(*picture.size, max_pixels, path)
        plain = stored_mode(picture) in (picture.mode, *(_FLOATS if picture.mode == "F" else ()))
        if picture.mode not in _LOSSLESS or not plain or orientation(tags) != 1 or _has_mask_page(picture):
            raise needs
        return Stored(_channels_of(picture), no_data_value(tags))


def _has_mask_page(picture: "Image.Image") -> bool:
    for index in range(1, getattr(picture, "n_frames", 1)):
        picture.seek(index)
        if int(getattr(picture, "tag_v2", {}).get(_SUBFILE_TYPE, 0)) & _MASK_PAGE:
            return True
    picture.seek(0)
    return False


def _read_picture(path: Path | BinaryIO, max_pixels: int, turn: bool) -> Array:
    from PIL import ImageOps

    with open_picture(path) as picture:
        _check_pixels(*picture.size, max_pixels, path)
        stored, mode = stored_mode(picture), picture.mode
        if picture.format == "PNG" and ";16" in stored and mode != "I;16":
            import tensorflow as tf  # Pillow drops the lower 8 bits of colors

            return tf.io.decode_png(_content(path), dtype=tf.uint16).numpy()
        stretched = picture.format == "PPM" and [tile[0] for tile in getattr(picture, "tile", [])] != ["raw"]
        if stretched or mode not in _LOSSLESS or stored not in ("", mode, "I;16B"):
            raise ValueError(
                f"{path}: expected channels that can be read as they are stored. Received: {picture.format} of mode "
                f"{mode} ({stored}). Save the image as .npy, (height, width, channels), or as TIFF"
            )
        return _channels_of(ImageOps.exif_transpose(picture) if turn else picture)


def _content(path: Path | BinaryIO) -> bytes:
    return pathlib.Path(path).read_bytes() if isinstance(path, str | os.PathLike) else _all(path)


def _channels_of(picture: "Image.Image") -> Array:
    values = np.asarray(picture)
    values = values[..., None] if values.ndim == 2 else values
    return np.ascontiguousarray(values, values.dtype.newbyteorder("="))


def _check_shape(shape: tuple[int, ...], channels: int | None, path: object) -> None:
    if channels is None or shape[-1] == channels:
        return
    said = f"{path}: expected {channels} channels. Received: {shape[-1]} (height, width, channels = "
    said += f"{', '.join(map(str, shape))}). "
    if shape[0] == channels:
        raise ValueError(said + "The channels seem to come first: save np.moveaxis(array, 0, -1)")
    raise ValueError(said + "Say how many the files have: channels= (--channels)")


def _without_missing(stored: Stored, no_data: NoData, path: object) -> Array:
    """The values, in float32 with NaN for missing ones where there are any."""
    values = stored.values.astype("uint8") if stored.values.dtype.kind == "b" else stored.values
    missing = missing_values(values, no_data, stored.no_data, stored.missing)
    kept = values if missing is None else np.where(missing, values.dtype.type(0), values)
    if values.dtype.kind == "f":
        strange = int((~np.isfinite(kept)).sum())
        if strange:
            raise ValueError(
                f"{path}: expected finite numbers. Received: {strange} that are NaN or infinite. If NaN stands for "
                "missing data: no_data=float('nan') (--no_data=nan)"
            )
        if values.dtype.itemsize > 4 and float(np.abs(kept).max()) > float(np.finfo("float32").max):
            raise ValueError(f"{path}: expected numbers that 32-bit floats hold. Received: {np.abs(kept).max():g}")
    elif values.dtype.itemsize > 2 and max(abs(int(kept.min())), abs(int(kept.max()))) > EXACT:
        raise ValueError(f"{path}: whole numbers above {EXACT} are not exact in 32-bit floats: scale them first")
    if missing is not None and missing.any():
        return np.where(missing, np.float32("nan"), kept.astype("float32"))
    return values if values.dtype.itemsize <= 2 and values.dtype.kind != "f" else values.astype("float32")
