"""Masks as people have them: every form is read pixel by pixel, or refused where it is truly ambiguous."""

import numpy as np
import pytest
from helpers.data_sets import photograph, save
from PIL import Image

from tfseg import data
from tfseg.data.loader import load

PICTURES = 12
COLORS = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0]], "uint8")
PALETTE = {tuple(color): index for index, color in enumerate(COLORS.tolist())}


def truth(index, classes):
    return np.random.default_rng(index).integers(0, classes, (9, 12)).astype("uint8")


def gray(values):
    return lambda ids, path: Image.fromarray(np.asarray(values)[ids]).save(path)


def indexed_in_another_order(ids, path):
    image = Image.fromarray((2 - ids).astype("uint8"), "P")
    image.putpalette(COLORS[::-1].tobytes())
    image.save(path)


def few_bits(bits, *, indexed=False):
    """Writes a PNG of two or four bits per pixel by hand: Pillow writes none in gray."""
    import struct
    import zlib

    def write(ids, path):
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


def pgm(white, *, plain=False):
    """Writes a PGM whose file says which value is white: Pillow stretches its values to that."""

    def write(ids, path):
        head = f"{'P2' if plain else 'P5'}\n{ids.shape[1]} {ids.shape[0]}\n{white}\n".encode()
        raw = ids.astype("u1" if white < 256 else ">u2").tobytes()
        path.write_bytes(head + (" ".join(map(str, ids.ravel())).encode() if plain else raw))

    return write


def tiff(mode, **options):
    return lambda ids, path: Image.fromarray(ids.astype(mode)).save(path, **options)


def big_endian(ids, path):
    Image.frombytes("I;16B", ids.shape[::-1], ids.astype(">u2").tobytes()).save(path)


# name -> (classes, how a mask is written, its suffix, options of `folder`)
FORMS = {
    "0 and 255": (2, gray(np.array([0, 255], "uint8")), ".png", {"mask_values": (0, 255)}),
    "255 and 0": (2, gray(np.array([255, 0], "uint8")), ".png", {"mask_values": (255, 0)}),
    "0 and 255 in RGB": (2, gray(np.array([[0] * 3, [255] * 3], "uint8")), ".png", {"mask_values": (0, 255)}),
    "0 and 255 by colors": (2, gray(np.array([0, 255], "uint8")), ".png", {"palette": {(0, 0, 0): 0, (255,) * 3: 1}}),
    "one bit": (2, gray(np.array([False, True])), ".png", {}),
    "one bit, as values": (2, gray(np.array([False, True])), ".png", {"mask_values": (0, 255)}),
    "one bit, by colors": (2, gray(np.array([False, True])), ".png", {"palette": {(0, 0, 0): 0, (255,) * 3: 1}}),
    "indexed, in another order": (3, indexed_in_another_order, ".png", {"palette": PALETTE}),
    "colors": (3, gray(COLORS), ".png", {"palette": PALETTE}),
    "colors in TIFF": (3, gray(COLORS), ".tif", {"palette": PALETTE}),
    "from 1": (3, gray(np.array([1, 2, 3], "uint8")), ".png", {"reduce_zero_label": True}),
    "with gaps": (3, gray(np.array([4, 9, 40], "uint8")), ".png", {"mask_values": (4, 9, 40)}),
    "a dictionary": (3, gray(np.array([4, 9, 40], "uint8")), ".png", {"mask_values": {4: 0, 9: 1, 40: 2, 41: 2}}),
    "16 bits": (3, gray(np.array([0, 1000, 60000], "uint16")), ".png", {"mask_values": (0, 1000, 60000)}),
    "16 bits, big-endian": (3, big_endian, ".tif", {}),
    "32 bits, below 0": (3, gray(np.array([-1, 0, 70000], "int32")), ".tif", {"mask_values": (-1, 0, 70000)}),
    "floating-point numbers": (3, gray(np.array([0, 1, 2], "float32")), ".tif", {}),
    "two bits": (3, few_bits(2), ".png", {}),
    "four bits": (3, few_bits(4), ".png", {}),
    "four bits, indexed, with transparency": (3, few_bits(4, indexed=True), ".png", {}),
    "two bits, by colors": (3, few_bits(2, indexed=True), ".png", {"palette": PALETTE}),
    "PGM, white is 2": (3, pgm(2), ".pgm", {}),
    "PGM, white is 1000": (3, pgm(1000), ".pgm", {}),
    "PGM in digits": (3, pgm(15, plain=True), ".pgm", {}),
    "LZW": (3, tiff("uint8", compression="tiff_lzw"), ".tif", {}),
    "16 bits, packed": (3, tiff("uint16", compression="packbits"), ".TIFF", {}),
    "one bit, as a fax": (2, tiff("bool", compression="group4"), ".tif", {}),
    "TIFF on its side": (3, tiff("uint8", tiffinfo={274: 6}), ".tif", {}),
    "16 bits on its side": (3, tiff("uint16", tiffinfo={274: 8}, compression="tiff_lzw"), ".tif", {}),
    "colors with alpha": (
        3,
        gray(np.dstack([COLORS[None], [[[0], [255], [9]]]])[0].astype("uint8")),
        ".png",
        {"palette": PALETTE},
    ),
    "an array": (3, lambda ids, path: np.save(path, ids.astype("int64")), ".npy", {}),
    "an array of 0 and 255": (2, lambda ids, path: np.save(path, 255 * (ids > 0)), ".npy", {"mask_values": (0, 255)}),
    "gray with alpha": (3, gray(np.array([[0, 255], [1, 0], [2, 99]], "uint8")), ".png", {}),
    "300 classes": (300, lambda ids, path: Image.fromarray(ids.astype("uint16") + 97).save(path), ".png", {}),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_are_read_right(tmp_path, form):
    classes, write, suffix, options = FORMS[form]
    drawn = min(classes, 200)
    for index in range(PICTURES):
        save(tmp_path / "images" / f"p{index}.png", photograph(index, (9, 12)))
        (tmp_path / "masks").mkdir(exist_ok=True)
        write(truth(index, drawn), tmp_path / "masks" / f"p{index}{suffix}")
    dataset = data.folder(tmp_path, num_classes=classes, **options)
    assert len(dataset.pairs) == PICTURES
    for pair in dataset.pairs:
        expected = truth(int(pair.image.stem[1:]), drawn).astype(int) + (97 if classes == 300 else 0)
        mask = load(pair, dataset.labels, dataset.photographs)[1]
        assert mask.dtype == ("uint16" if classes == 300 else "uint8")
        np.testing.assert_array_equal(mask, expected)
    assert not data.inspect_dataset(dataset).spoils


@pytest.mark.parametrize("as_", ["gray", "indexed"])
def test_masks_of_0_and_255_alone_are_refused(tmp_path, as_):
    for index in range(3):
        ids = truth(index, 2) * np.uint8(255)
        save(tmp_path / "images" / f"p{index}.png", photograph(index, (9, 12)))
        save(tmp_path / "masks" / f"p{index}.png", ids, "P" if as_ == "indexed" else "L", [0] * 768)
    with pytest.raises(ValueError, match=r"0 and 255 alone.*--mask_values=0,255 --num_classes=2.*--void=255"):
        data.folder(tmp_path, num_classes=2)
    # Whoever says that 255 is ignored is believed; the inspection says what that means.
    inspection = data.inspect_dataset(data.folder(tmp_path, num_classes=2, void=(255,)))
    assert inspection.spoils
    assert "class 0 is the only one that occurs, beside void" in str(inspection)


def test_void_is_above_all_classes_where_these_need_255(tmp_path):
    """Classes 255 and 256 are no void; ignored pixels have an id of their own, in the loss and in the scores too."""
    ids = np.array([[0, 255, 256, 299, 65535]], "uint16")
    mask = data.read_mask(save(tmp_path / "m.png", ids), data.Labels(300))
    np.testing.assert_array_equal(mask, ids)
    assert data.Labels(300).void_id == 65535
    deep = data.read_mask(save(tmp_path / "m.tif", np.array([[0, 70000, 7]], "int32")), data.Labels(70001, void=(7,)))
    np.testing.assert_array_equal(deep, [[0, 70000, 2**31 - 1]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask_values": (0, 255), "palette": PALETTE}, "say the same thing in three ways.*palette and mask_values"),
        ({"mask_values": (0, 1, 255)}, r"one raw value for each class, so 2 of them.*Received: 3 \(0, 1, 255\)"),
        ({"mask_values": (1, 1)}, "one of them twice"),
        ({"mask_values": {0: 0, 1: 2}}, r"Classes are 0 to 1.*stand for the classes 2"),
        ({"mask_values": (0, 255), "void": (255,)}, "class or ignored .void., not both. Received: 255"),
        ({"classes": ("a", "b", "c")}, r"names of 2 classes, because of num_classes=2. Received: 3 \(a, b, c\)"),
    ],
)
def test_contradictions_are_refused(tmp_path, options, message):
    save(tmp_path / "images" / "a.png", photograph())
    save(tmp_path / "masks" / "a.png", np.zeros((24, 32), "uint8"))
    with pytest.raises(ValueError, match=message):
        data.folder(tmp_path, num_classes=2, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 3.0}, "num_classes is a whole number. Received: 3.0"),
        ({"num_classes": 3, "void": "255"}, "whole numbers, such as void=.255,.. Received: 2, 5, 5"),
        ({"num_classes": 3, "ids": {"a": 1}}, "whole numbers.*Received: 255, a, 1"),
        ({"num_classes": 3, "palette": {"red": 1}}, r"\(128, 0, 0\): 1.*Received: red"),
        ({"num_classes": 3, "palette": {(0, 0, 256): 1}}, "from 0 to 255"),
    ],
)
def test_labels_of_other_types_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        data.Labels(**options)


def test_one_class_is_refused_with_the_way():
    with pytest.raises(ValueError, match=r"nothing to learn.*num_classes=2. Received: num_classes=1"):
        data.Labels(1)


@pytest.mark.parametrize(
    ("values", "classes", "way"),
    [
        ([0, 127, 254], 3, r"mask_values=\(0, 127, 254\) \(--mask_values=0,127,254\)"),
        ([0, 1, 2, 3], 3, r"num_classes=4; if the classes count from 1, reduce_zero_label=True"),
        (range(0, 200, 3), 2, "saved as JPEG, or resized with smooth edges"),
        ([0, 1, 77, 99], 2, "name the value of each class"),
    ],
)
def test_unexpected_values_name_the_way(tmp_path, values, classes, way):
    path = save(tmp_path / "m.png", np.array([list(values)], "uint8"))
    with pytest.raises(ValueError, match=way):
        data.read_mask(path, data.Labels(classes))


def test_a_mask_in_the_transparency_is_refused(tmp_path):
    path = save(
        tmp_path / "m.png", np.dstack([np.zeros((4, 6, 3), "uint8"), np.arange(24, dtype="uint8").reshape(4, 6)])
    )
    with pytest.raises(ValueError, match=r"m.png: all pixels have one color.*getchannel\('A'\)"):
        data.read_mask(path, data.Labels(2))


@pytest.mark.parametrize(("value", "message"), [(np.nan, r"Received: NaN.*nan_to_num"), (1e20, "whole numbers")])
def test_numbers_that_are_no_classes_are_refused(tmp_path, value, message):
    path = save(tmp_path / "m.tif", np.array([[0, value]], "float32"))
    with pytest.raises(ValueError, match=message):
        data.read_mask(path, data.Labels(2))


def test_probabilities_are_no_mask(tmp_path):
    path = save(tmp_path / "m.tif", np.array([[0.1, 0.9]], "float32"))
    with pytest.raises(ValueError, match=r"whole numbers.*such as 0\.1.*Are these probabilities"):
        data.read_mask(path, data.Labels(2))


def test_a_palette_does_not_read_numbers_of_16_bits(tmp_path):
    path = save(tmp_path / "m.png", np.array([[0, 300]], "uint16"))
    with pytest.raises(ValueError, match=r"a palette needs .* colors of 8 bits.*mask_values"):
        data.read_mask(path, data.Labels(3, palette=PALETTE))
