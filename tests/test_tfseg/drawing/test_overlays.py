"""Overlays show the photograph, the colors, outlines, void, and a legend that fits."""

import numpy as np
import pytest
from PIL import Image

from tfseg import specs
from tfseg.drawing import overlay

COLORS = specs.COLORS["camvid"]
NAMES = specs.CLASSES["camvid"]


def stripes(height, width, count):
    return np.tile(np.arange(width) * count // width, (height, 1)).astype("uint8")


def photograph(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_overlay_blends_the_photograph_with_the_colors():
    image, classes = photograph(30, 240), stripes(30, 240, 11)
    colors = np.asarray(COLORS)[classes]
    for alpha, expected in ((0, image), (1, colors), (0.25, 0.75 * image + 0.25 * colors)):
        for form in (image, Image.fromarray(image)):
            seen = np.asarray(overlay(form, classes, COLORS, NAMES, alpha, outlines=False))[:30, :240]
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
    assert legend.shape[0] < max(height, 270)
    for edge in (legend[:border], legend[-border:], legend[:, :border], legend[:, -border:]):
        assert (edge == 255).all(), "something is written over the edge"
    ink = (legend < 255).any(-1)
    assert ink[:, -picture.shape[1] // 2 :].any() or width < 300, "half of the width is left empty"


def test_a_region_of_one_pixel_is_seen_by_its_outline():
    image, classes = np.full((60, 80, 3), 90, "uint8"), np.zeros((60, 80), "uint8")
    classes[30, 40] = 5
    seen = np.asarray(overlay(image, classes, COLORS, alpha=0.1))[:60, :80]
    np.testing.assert_array_equal(seen[30, 40], COLORS[5])  # its own color, undiluted
    np.testing.assert_array_equal(seen[30, 41], COLORS[0])  # and that of what is around it
    np.testing.assert_allclose(seen[10, 10], 0.9 * 90 + 0.1 * np.array(COLORS[0]), atol=1)


def test_outlines_are_thicker_in_large_pictures():
    for side, thickness in ((100, 1), (1700, 4)):
        classes = stripes(side, side, 2)
        seen = np.asarray(overlay(np.zeros((side, side, 3), "uint8"), classes, COLORS, alpha=0))[side // 2, :side]
        assert (seen != 0).any(-1).sum() == 2 * thickness


def test_void_is_hatched_and_last_in_the_legend():
    image, classes = np.full((120, 160, 3), 90, "uint8"), np.zeros((120, 160), "uint8")
    classes[:80] = 255
    picture = np.asarray(overlay(image, classes, [(0, 0, 0)], ["nothing"], void=255))
    shades = {tuple(color) for color in picture[:70, :160].reshape(-1, 3)}
    assert len(shades) == 2  # dark and light stripes: neither black as class 0, nor a color
    assert min(max(shade) - min(shade) for shade in shades) == 0
    assert max(map(max, shades)) - min(map(max, shades)) > 60
    rows = [np.flatnonzero(row < 60).size for row in picture[120:, 12:30].max(-1)]  # swatches, from above
    assert max(rows[: len(rows) // 2]) > max(rows[len(rows) // 2 :])  # black first, though void has more pixels


def test_the_photograph_stands_to_the_left():
    image, classes = photograph(40, 240), stripes(40, 240, 3)
    alone = np.asarray(overlay(image, classes, COLORS, NAMES))
    both = np.asarray(overlay(image, classes, COLORS, NAMES, side_by_side=True))
    np.testing.assert_array_equal(both[:40, :240], image)
    np.testing.assert_array_equal(both[:40, -240:], alone[:40, :240])


def test_a_legend_of_many_classes_counts_the_rest():
    classes = np.arange(120 * 160).reshape(120, 160) % 150
    names = [f"a rather long name of class {index}" for index in range(150)]
    picture = np.asarray(overlay(photograph(120, 160), classes, names=names))
    assert picture.shape[0] < 120 + 13 * 20
    assert picture.shape[1] <= 180
    legend = picture[120:]
    assert (legend[:, -5:] == 255).all()


@pytest.mark.parametrize("alpha", [-0.1, 1.5])
def test_overlay_refuses_a_weight_that_is_none(alpha):
    with pytest.raises(ValueError, match=f"from 0 to 1. Received: {alpha}"):
        overlay(photograph(10, 20), np.zeros((10, 20), int), alpha=alpha)


def test_voc_colors_repeat_after_256_classes():
    picture = np.asarray(overlay(photograph(10, 20), np.full((10, 20), 257), alpha=1))
    assert (picture[:10, :20] == specs.VOC_PALETTE[1]).all()


def test_overlay_refuses_classes_of_another_size():
    with pytest.raises(ValueError, match=r"one height and width. Received: image \(10, 20\), classes \(20, 10\)"):
        overlay(photograph(10, 20), np.zeros((20, 10), int))
