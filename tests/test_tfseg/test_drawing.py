"""Masks keep their classes and show colors; overlays show the photograph, the colors and a legend that fits."""

import numpy as np
import pytest
from PIL import Image

from tfseg import specs
from tfseg.drawing import overlay, write_mask

COLORS = specs.COLORS["camvid"]
NAMES = specs.CLASSES["camvid"]


def stripes(height, width, count):
    return np.tile(np.arange(width) * count // width, (height, 1)).astype("uint8")


def photograph(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


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


def test_overlay_blends_the_photograph_with_the_colors():
    image, classes = photograph(30, 240), stripes(30, 240, 11)
    colors = np.asarray(COLORS)[classes]
    for alpha, expected in ((0, image), (1, colors), (0.25, 0.75 * image + 0.25 * colors)):
        for form in (image, Image.fromarray(image)):
            seen = np.asarray(overlay(form, classes, COLORS, NAMES, alpha=alpha))[:30, :240]
            np.testing.assert_allclose(seen, expected, atol=1)


@pytest.mark.parametrize("count", [1, 3, 11])
def test_legend_shows_the_classes_that_occur_and_no_others(count):
    picture = np.asarray(overlay(photograph(100, 240), stripes(100, 240, count), COLORS, NAMES))
    legend = {tuple(color) for color in picture[100:].reshape(-1, 3)}
    assert [color in legend for color in COLORS] == [index < count for index in range(len(COLORS))]


def test_legend_begins_with_the_most_frequent_class():
    classes = np.zeros((100, 240), "uint8")
    classes[:80] = 4
    legend = np.asarray(overlay(photograph(100, 240), classes, COLORS, NAMES))[100:]
    rows = [np.flatnonzero((legend == COLORS[index]).all(-1).any(1))[0] for index in (4, 0)]
    assert rows[0] < rows[1]


def test_legend_shows_names_and_shares():
    image, classes = photograph(100, 240), stripes(100, 240, 3)
    pictures = [
        np.asarray(overlay(image, classes, COLORS, names)).tobytes()
        for names in (NAMES, ["a", "b", "c"], None, ["class 0", "class 1"])
    ]
    assert len({*pictures[:3]}) == 3
    assert pictures[2] == pictures[3]  # a class without a name is named by its number
    fewer = classes.copy()
    fewer[:50, 0] = 1
    assert np.asarray(overlay(image, fewer, COLORS, NAMES)).tobytes() != pictures[0]


@pytest.mark.parametrize(
    ("height", "width"), [(180, 240), (240, 180), (360, 480), (400, 40), (40, 1200), (3000, 4000)], ids=str
)
def test_legend_fits_pictures_of_any_size(height, width):
    picture = np.asarray(overlay(np.zeros((height, width, 3), "uint8"), stripes(height, width, 11), COLORS, NAMES))
    legend = picture[height:]
    border = 5
    assert picture.shape[1] == width or width < 180
    assert legend.shape[0] < max(height, 260)
    for edge in (legend[:border], legend[-border:], legend[:, :border], legend[:, -border:]):
        assert (edge == 255).all(), "something is written over the edge"
    ink = (legend < 255).any(-1)
    assert ink[:, -picture.shape[1] // 2 :].any() or width < 300, "half of the width is left empty"


def test_voc_colors_repeat_after_256_classes():
    picture = np.asarray(overlay(photograph(10, 20), np.full((10, 20), 257), alpha=1))
    assert (picture[:10, :20] == specs.VOC_PALETTE[1]).all()


def test_overlay_refuses_classes_of_another_size():
    with pytest.raises(ValueError, match=r"one height and width. Received: image \(10, 20\), classes \(20, 10\)"):
        overlay(photograph(10, 20), np.zeros((20, 10), int))
