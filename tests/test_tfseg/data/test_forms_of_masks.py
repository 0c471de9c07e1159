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


def two_bit(ids, path):
    """A gray PNG of two bits per pixel, written by hand: Pillow writes none."""
    import struct
    import zlib

    height, width = ids.shape
    padded = np.pad(ids, ((0, 0), (0, -width % 4))).reshape(height, -1, 4)
    packed = (padded << np.array([6, 4, 2, 0], "uint8")).sum(-1).astype("uint8")
    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 2, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    body = b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


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
    "two bits": (3, two_bit, ".png", {}),
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


def test_probabilities_are_no_mask(tmp_path):
    path = save(tmp_path / "m.tif", np.array([[0.1, 0.9]], "float32"))
    with pytest.raises(ValueError, match=r"whole numbers.*such as 0\.1.*Are these probabilities"):
        data.read_mask(path, data.Labels(2))


def test_a_palette_does_not_read_numbers_of_16_bits(tmp_path):
    path = save(tmp_path / "m.png", np.array([[0, 300]], "uint16"))
    with pytest.raises(ValueError, match=r"a palette needs .* colors of 8 bits.*mask_values"):
        data.read_mask(path, data.Labels(3, palette=PALETTE))
