"""Masks as people have them: how each form is written, and what `folder` and the commands are told to read it."""

import dataclasses
import pathlib
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

Writer = Callable[[np.ndarray, pathlib.Path], Any]

COLORS = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0]], "uint8")
PALETTE = {tuple(color): index for index, color in enumerate(COLORS.tolist())}


@dataclasses.dataclass(frozen=True)
class MaskForm:
    """A form of masks.

    Attributes:
        classes: number of classes.
        write: writes ids from 0 on, `(height, width)`, to a path.
        suffix: suffix of the files.
        options: options of `tfseg.data.folder`.
        first: class of the id 0.
    """

    classes: int
    write: Writer
    suffix: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    first: int = 0

    def save(self, ids: np.ndarray, path: pathlib.Path) -> None:
        """Writes a mask.

        Args:
            ids: `(height, width)`, ids from 0 on.
            path: path of the file without its suffix.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self.write(ids, path.with_name(path.name + self.suffix))

    def flags(self, folder: pathlib.Path) -> list[str]:
        """What the commands are told to read such masks.

        Args:
            folder: where a file with the palette is written, if there is one.
        """
        words = [f"--num_classes={self.classes}"]
        if values := self.options.get("mask_values"):
            if isinstance(values, dict):  # a flag gives each class one value: the first one
                values = [
                    min(value for value, index in values.items() if index == known) for known in range(self.classes)
                ]
            words.append(f"--mask_values={','.join(map(str, values))}")
        if palette := self.options.get("palette"):
            lines = [f"{' '.join(map(str, color))} class{index}" for color, index in palette.items()]
            (folder / "colors.txt").write_text("\n".join(lines))
            words.append(f"--palette={folder / 'colors.txt'}")
        if self.options.get("reduce_zero_label"):
            words.append("--reduce_zero_label")
        return words


def gray(values: np.ndarray) -> Writer:
    """The value, or the color, of each class."""
    return lambda ids, path: Image.fromarray(np.asarray(values)[ids]).save(path)


def indexed_in_another_order(ids: np.ndarray, path: pathlib.Path) -> None:
    """Writes an indexed PNG whose first color is that of the last class."""
    image = Image.fromarray((2 - ids).astype("uint8"), "P")
    image.putpalette(COLORS[::-1].tobytes())
    image.save(path)


def few_bits(bits: int, *, indexed: bool = False) -> Writer:
    """Writes a PNG of two or four bits per pixel by hand: Pillow writes none in gray."""

    def write(ids: np.ndarray, path: pathlib.Path) -> None:
        (height, width), per_byte = ids.shape, 8 // bits
        padded = np.pad(ids, ((0, 0), (0, -width % per_byte))).reshape(height, -1, per_byte)
        packed = (padded << np.arange(8 - bits, -1, -bits, dtype="uint8")).sum(-1).astype("uint8")
        rows = b"".join(b"\0" + row.tobytes() for row in packed)
        chunks = (
            (b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 3 if indexed else 0, 0, 0, 0)),
            *([(b"PLTE", COLORS.tobytes()), (b"tRNS", b"\0\xff\xff")] if indexed else []),
            (b"IDAT", zlib.compress(rows)),
            (b"IEND", b""),
        )
        body = b"".join(
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
            for kind, content in chunks
        )
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)

    return write


def pgm(white: int, *, plain: bool = False) -> Writer:
    """Writes a PGM whose file says which value is white: Pillow stretches its values to that."""

    def write(ids: np.ndarray, path: pathlib.Path) -> None:
        head = f"{'P2' if plain else 'P5'}\n{ids.shape[1]} {ids.shape[0]}\n{white}\n".encode()
        raw = ids.astype("u1" if white < 256 else ">u2").tobytes()
        path.write_bytes(head + (" ".join(map(str, ids.ravel())).encode() if plain else raw))

    return write


def tiff(mode: str, **options: Any) -> Writer:
    """A TIFF of a type of numbers."""
    return lambda ids, path: Image.fromarray(ids.astype(mode)).save(path, **options)


def big_endian(ids: np.ndarray, path: pathlib.Path) -> None:
    """Writes a TIFF of 16 bits, the larger byte first."""
    Image.frombytes("I;16B", ids.shape[::-1], ids.astype(">u2").tobytes()).save(path)


FORMS: dict[str, MaskForm] = {
    "0 and 255": MaskForm(2, gray(np.array([0, 255], "uint8")), ".png", {"mask_values": (0, 255)}),
    "255 and 0": MaskForm(2, gray(np.array([255, 0], "uint8")), ".png", {"mask_values": (255, 0)}),
    "0 and 255 in RGB": MaskForm(2, gray(np.array([[0] * 3, [255] * 3], "uint8")), ".png", {"mask_values": (0, 255)}),
    "0 and 255 by colors": MaskForm(
        2, gray(np.array([0, 255], "uint8")), ".png", {"palette": {(0, 0, 0): 0, (255,) * 3: 1}}
    ),
    "one bit": MaskForm(2, gray(np.array([False, True])), ".png"),
    "one bit, as values": MaskForm(2, gray(np.array([False, True])), ".png", {"mask_values": (0, 255)}),
    "one bit, by colors": MaskForm(
        2, gray(np.array([False, True])), ".png", {"palette": {(0, 0, 0): 0, (255,) * 3: 1}}
    ),
    "indexed, in another order": MaskForm(3, indexed_in_another_order, ".png", {"palette": PALETTE}),
    "colors": MaskForm(3, gray(COLORS), ".png", {"palette": PALETTE}),
    "colors in TIFF": MaskForm(3, gray(COLORS), ".tif", {"palette": PALETTE}),
    "from 1": MaskForm(3, gray(np.array([1, 2, 3], "uint8")), ".png", {"reduce_zero_label": True}),
    "with gaps": MaskForm(3, gray(np.array([4, 9, 40], "uint8")), ".png", {"mask_values": (4, 9, 40)}),
    "a dictionary": MaskForm(
        3, gray(np.array([4, 9, 40], "uint8")), ".png", {"mask_values": {4: 0, 9: 1, 40: 2, 41: 2}}
    ),
    "16 bits": MaskForm(3, gray(np.array([0, 1000, 60000], "uint16")), ".png", {"mask_values": (0, 1000, 60000)}),
    "16 bits, big-endian": MaskForm(3, big_endian, ".tif"),
    "32 bits, below 0": MaskForm(3, gray(np.array([-1, 0, 70000], "int32")), ".tif", {"mask_values": (-1, 0, 70000)}),
    "floating-point numbers": MaskForm(3, gray(np.array([0, 1, 2], "float32")), ".tif"),
    "two bits": MaskForm(3, few_bits(2), ".png"),
    "four bits": MaskForm(3, few_bits(4), ".png"),
    "four bits, indexed, with transparency": MaskForm(3, few_bits(4, indexed=True), ".png"),
    "two bits, by colors": MaskForm(3, few_bits(2, indexed=True), ".png", {"palette": PALETTE}),
    "PGM, white is 2": MaskForm(3, pgm(2), ".pgm"),
    "PGM, white is 1000": MaskForm(3, pgm(1000), ".pgm"),
    "PGM in digits": MaskForm(3, pgm(15, plain=True), ".pgm"),
    "LZW": MaskForm(3, tiff("uint8", compression="tiff_lzw"), ".tif"),
    "16 bits, packed": MaskForm(3, tiff("uint16", compression="packbits"), ".TIFF"),
    "one bit, as a fax": MaskForm(2, tiff("bool", compression="group4"), ".tif"),
    "TIFF on its side": MaskForm(3, tiff("uint8", tiffinfo={274: 6}), ".tif"),
    "16 bits on its side": MaskForm(3, tiff("uint16", tiffinfo={274: 8}, compression="tiff_lzw"), ".tif"),
    "colors with alpha": MaskForm(
        3,
        gray(np.dstack([COLORS[None], [[[0], [255], [9]]]])[0].astype("uint8")),
        ".png",
        {"palette": PALETTE},
    ),
    "an array": MaskForm(3, lambda ids, path: np.save(path, ids.astype("int64")), ".npy"),
    "an array of 0 and 255": MaskForm(
        2, lambda ids, path: np.save(path, 255 * (ids > 0)), ".npy", {"mask_values": (0, 255)}
    ),
    "gray with alpha": MaskForm(3, gray(np.array([[0, 255], [1, 0], [2, 99]], "uint8")), ".png"),
    "300 classes": MaskForm(
        300, lambda ids, path: Image.fromarray(ids.astype("uint16") + 97).save(path), ".png", first=97
    ),
}
