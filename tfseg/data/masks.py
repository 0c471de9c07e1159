"""Masks from files: pixel values become class ids."""

import pathlib
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from tfseg.data.labels import VOID, Labels, class_ids, first_few
from tfseg.deep_photographs import stored_mode
from tfseg.picture_formats import as_stored, open_picture
from tfseg.stored_channels import ARRAY_SUFFIX, read_channels
from tfseg.types import Array, Path

if TYPE_CHECKING:  # Pillow takes time to load, and few need it
    from PIL import Image

_NUMBERS = ("L", "P", "I", "F", "I;16", "I;16B", "I;16L", "LA", "PA")
# Pillow stretches gray pictures of few bits to 0..255; the raw value is what the file holds.
_FEW_BITS = {"L;2": 85, "L;4": 17}


@runtime_checkable
class MaskSource(Protocol):
    """A mask that is no image file, such as one drawn from polygons; `str(source)` names it in messages.

    Example:
        >>> class Blank:
        ...     def read(self):
        ...         return np.zeros((2, 3), "uint8")
        >>> isinstance(Blank(), tfseg.data.MaskSource)
        True
        >>> tfseg.data.read_mask(Blank(), tfseg.data.Labels(2)).shape
        (2, 3)
    """

    def read(self) -> Array:
        """Raw values, integers `(height, width)`."""


def read_mask(path: Path | MaskSource, labels: Labels) -> Array:
    """A mask as class ids, and `labels.void_id` for ignored pixels: `(height, width)` of `labels.dtype`.

    Args:
        path: a picture whose pixel values are the raw values: gray of 1 to 32 bits, or of floating-point numbers that
            are whole; an indexed picture; colors that are all gray. With `labels.palette`, the colors of any picture.
            Or a `.npy` file with an array of whole numbers; a `.mat` file of SBD, for which scipy must be installed; or
            an object with a method `read()`, such as COCO's masks, which are drawn.
        labels: `Labels` of the data set.
    Returns: uint8 for at most 255 classes, else uint16 or int32.
    Raises:
        ValueError: a colored picture without a palette, a color outside it, or a value that is neither class nor void.
        OSError: no such file, or an incomplete image.
    Example:
        >>> mask = tfseg.data.read_mask("street_classes.png", tfseg.data.Labels(11))
        >>> mask.shape, mask.dtype
        ((360, 480), dtype('uint8'))
    """
    if isinstance(path, MaskSource):
        return class_ids(path.read(), labels, path)
    path = pathlib.Path(path)
    if path.suffix.lower() == ".mat":
        return class_ids(_read_matlab(path), labels, path)
    if path.suffix.lower() == ARRAY_SUFFIX and labels.palette is not None:
        raise ValueError(f"{path}: a palette needs a picture with colors. Received: an array. See mask_values=")
    if path.suffix.lower() == ARRAY_SUFFIX:
        return class_ids(_read_array(path), labels, path)
    return class_ids(*_read_picture(path, labels), path)


def raw_values(path: pathlib.Path, white: int = 1) -> Array | None:
    """The values that a picture stores, integers `(height, width)`; None for a picture in colors.

    Args:
        path: path of the picture.
        white: the value of white pixels in a picture of one bit.
    Raises:
        ValueError: floating-point numbers that are not whole.
        OSError: no such file, or an incomplete image.
    """
    if path.suffix.lower() == ARRAY_SUFFIX:
        return _read_array(path)
    with open_picture(path) as image:
        return _values(image, path, white)


def _values(image: "Image.Image", path: pathlib.Path, white: int) -> Array | None:
    stored, scale = stored_mode(image), _scale(image)
    image = as_stored(image)
    if image.mode in ("RGBA", "LA", "PA"):
        _check_not_in_alpha(image, path)
    if image.mode == "1":
        return np.where(np.asarray(image), white, 0).astype("uint8")
    if image.mode not in _NUMBERS:
        channels = np.asarray(image.convert("RGB"))
        gray = channels[..., 0]
        return gray if (channels == gray[..., None]).all() else None
    values = np.asarray(image if image.mode not in ("LA", "PA") else image.getchannel(0))
    if image.mode == "F":
        return _whole(values, path)
    return np.rint(values / scale).astype("int64") if scale != 1 else values // _FEW_BITS.get(stored, 1)


def _scale(image: "Image.Image") -> float:
    """By what Pillow multiplies the values of a PGM, whose file says which value is white."""
    tiles: list[Any] = getattr(image, "tile", []) if image.format == "PPM" else []
    arguments = tiles[0][3] if tiles else ()
    white = arguments[-1] if isinstance(arguments, tuple) and len(arguments) == 2 else None
    return (65535 if image.mode == "I" else 255) / white if isinstance(white, int) and image.mode in ("L", "I") else 1


def _check_not_in_alpha(image: "Image.Image", path: pathlib.Path) -> None:
    """Refuses a picture of one color whose transparency differs: the mask seems to be in its transparency."""
    *colors, alpha = (band.getextrema() for band in image.split())
    if alpha[0] != alpha[1] and all(low == high for low, high in colors):
        raise ValueError(
            f"{path}: all pixels have one color, and they differ in their transparency. If that is the mask, save it "
            "alone: Image.open(path).getchannel('A').save(path)."
        )


def _whole(values: Array, path: pathlib.Path) -> Array:
    if not np.issubdtype(values.dtype, np.floating):
        return values
    whole = np.rint(values.astype("float64"))
    if np.isnan(values).any():
        raise ValueError(
            f"{path}: a mask holds whole numbers, one per pixel. Received: NaN. If it stands for ignored pixels, store "
            "another number in their place: np.nan_to_num(mask, nan=255)."
        )
    if not np.array_equal(values, whole) or np.abs(whole).max(initial=0) >= 2**31:
        raise ValueError(
            f"{path}: a mask holds whole numbers, one per pixel. Received: floating-point numbers such as "
            f"{first_few(values[values != whole][:3])}. Are these probabilities? Store the most probable class."
        )
    return whole.astype("int64")


def _read_picture(path: pathlib.Path, labels: Labels) -> tuple[Array, Labels]:
    """Raw values, and the labels for which they are: colors are already class ids."""
    with open_picture(path) as image:
        if labels.palette is not None:
            # Colors are class ids already; the only id beside them is that of ignored pixels.
            return _class_of_color(path, image, labels), Labels(labels.num_classes, void=(*labels.void, labels.void_id))
        white = VOID if labels.ids is not None and VOID in labels.ids and 1 not in labels.ids else 1
        values = _values(image, path, white)
        if values is None:
            raise ValueError(
                f"{path}: a mask holds one number per pixel, as a gray or palette image. Received: an image of mode "
                f"{image.mode}. If its colors stand for classes, pass palette={{(128, 0, 0): 1, ...}} "
                "(--palette). If it is a drawing for people, find the masks from which it was made."
            )
    return values, labels


def _class_of_color(path: pathlib.Path, image: "Image.Image", labels: Labels) -> Array:
    assert labels.palette is not None
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        raise ValueError(
            f"{path}: a palette needs a picture with colors of 8 bits. Received: numbers of 16 bits or more (mode "
            f"{image.mode}). Name the value of each class instead: mask_values= (--mask_values)."
        )
    rgb = np.asarray(as_stored(image).convert("RGB")).astype("int32")
    codes = (rgb[..., 0] << 16) | (rgb[..., 1] << 8) | rgb[..., 2]
    unique_codes, inverse = np.unique(codes, return_inverse=True)
    class_of_code = {(red << 16) | (green << 8) | blue: value for (red, green, blue), value in labels.palette.items()}
    unexpected = [code for code in unique_codes.tolist() if code not in class_of_code]
    if unexpected:
        colors = [(code >> 16, code >> 8 & 255, code & 255) for code in unexpected]
        raise ValueError(
            f"{path}: {len(unexpected)} colors are not in the palette of {len(class_of_code)}. Received: "
            f"{first_few(colors)}. {_way_out(image, colors)}"
        )
    return np.array([class_of_code[code] for code in unique_codes.tolist()], "int64")[inverse.reshape(codes.shape)]


def _way_out(image: "Image.Image", colors: list[tuple[int, int, int]]) -> str:
    if image.format in ("JPEG", "WEBP") or len(colors) > 64:
        return "JPEG compression and smooth resizing add colors to a mask: find the PNG."
    if image.mode in ("L", "1") or all(len(set(color)) == 1 for color in colors):
        return "If the gray values are the classes, leave the palette out; else name these colors in it."
    return "Name these colors in the palette, as a class or as void."


def _read_array(path: pathlib.Path) -> Array:
    """Raw values of a file of NumPy."""
    values = read_channels(path, no_data="none")
    if values.shape[-1] != 1:
        raise ValueError(
            f"{path}: a mask is one array (height, width) of whole numbers. Received: {values.shape}. Of one-hot masks "
            "or probabilities, save np.argmax(array, axis=-1)."
        )
    return _whole(values[..., 0], path)


def _read_matlab(path: pathlib.Path) -> Array:
    """Raw values of a file of SBD: a structure `GTcls` with the field `Segmentation`."""
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise ValueError(f'{path}: reading .mat files needs scipy: pip install "tfseg[sbd]".') from error
    saved = loadmat(path, squeeze_me=True, struct_as_record=False)
    try:
        return np.asarray(saved["GTcls"].Segmentation)
    except (KeyError, AttributeError) as error:
        raise ValueError(
            f"{path}: expected SBD's structure GTcls.Segmentation. Received: {first_few(sorted(saved))}."
        ) from error
