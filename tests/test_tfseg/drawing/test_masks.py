"""Masks keep their classes and show colors."""

import numpy as np
import pytest
from PIL import Image

from tfseg import specs
from tfseg.drawing import write_mask

COLORS = specs.COLORS["camvid"]


def test_mask_shows_the_given_colors_and_vocs_for_further_classes(tmp_path):
    classes = np.array([[0, 3, 10], [11, 20, 255]], "uint8")
    write_mask(tmp_path / "mask.png", classes, COLORS)
    with Image.open(tmp_path / "mask.png") as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(image, classes)
        shown = np.asarray(image.convert("RGB"))
    expected = [[COLORS[0], COLORS[3], COLORS[10]], [specs.VOC_PALETTE[index] for index in (11, 20, 255)]]
    np.testing.assert_array_equal(shown, expected)


def test_mask_without_colors_has_the_voc_palette(tmp_path):
    write_mask(tmp_path / "mask.png", np.arange(256, dtype="uint8")[None])
    with Image.open(tmp_path / "mask.png") as image:
        np.testing.assert_array_equal(np.reshape(image.getpalette(), (256, 3)), specs.VOC_PALETTE)


@pytest.mark.parametrize("dtype", ["int32", "uint16", "int64"])
def test_wider_integers_become_16_bit_gray(tmp_path, dtype):
    classes = np.array([[0, 7], [300, 65535]], dtype)
    write_mask(tmp_path / "mask.png", classes)
    with Image.open(tmp_path / "mask.png") as image:
        assert image.mode == "I;16"
        np.testing.assert_array_equal(image, classes)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (np.zeros((2, 2)), "integers from 0. Received: float64"),
        (np.zeros((1, 2, 2), int), r"Received: int64 of shape \(1, 2, 2\)"),
        (np.zeros((0, 2), int), r"Received: int64 of shape \(0, 2\)$"),
        (np.array([[-1]]), "least -1"),
        (np.array([[65536]]), "up to 65535. Received: 65536"),
    ],
)
def test_write_mask_refuses(tmp_path, classes, message):
    with pytest.raises(ValueError, match=message):
        write_mask(tmp_path / "mask.png", classes)
    assert not list(tmp_path.iterdir())
