"""`tfseg.prediction.windows`: every pixel is covered once, windows are blended, memory is bounded."""

import numpy as np
import pytest

from tfseg.prediction import windows


def images(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def bordered(window):
    """The values of a window, other ones near its border, as a network computes that sees less there."""
    values = window.copy()
    values[:, :2] += 1
    values[:, :, :3] -= 2
    return values


def by_hand(see, pixels, window, overlap, taper):
    """The weighted mean of all windows, in memory at once."""
    height, width = pixels.shape[1:3]
    window = [min(pair) for pair in zip(window, (height, width), strict=True)]
    total, seen = 0.0 * pixels, np.zeros((height, width, 1))
    down, across = (windows.window_weights(side, overlap, taper) for side in window)
    weights = down[:, None, None] * across[:, None]
    for top in windows.places(height, window[0], overlap):
        for left in windows.places(width, window[1], overlap):
            part = np.s_[top : top + window[0], left : left + window[1]]
            total[:, *part] += weights * see(pixels[:, *part])
            seen[part] += weights
    return total / seen


@pytest.mark.parametrize("taper", [False, True], ids=["equal", "tapered"])
@pytest.mark.parametrize(
    ("size", "window", "overlap"),
    [
        ((33, 40), (12, 10), 1 / 3),
        ((33, 40), (12, 10), 0.9),
        ((33, 40), (12, 10), 0),
        ((33, 5), (8, 8), 0.5),
        ((5, 33), (8, 8), 0.6),
        ((20, 30), (20, 30), 0.5),
        ((20, 30), (99, 99), 0.5),
        ((21, 31), (20, 30), 0.5),
        ((1, 1), (4, 4), 0.5),
        ((7, 9), (1, 1), 0),
    ],
    ids=str,
)
def test_blocks_are_the_mean_of_the_windows_and_cover_every_pixel_once(size, window, overlap, taper):
    pixels = images(2, *size, 3)
    result, count = np.full_like(pixels, np.nan), np.zeros(size, int)
    for rows, columns, values in windows.slide(bordered, pixels, window, overlap, taper=taper):
        result[:, rows, columns] = values
        count[rows, columns] += 1
    assert (count == 1).all()
    np.testing.assert_allclose(result, by_hand(bordered, pixels, window, overlap, taper), rtol=1e-5, atol=1e-5)


def test_tapered_windows_leave_no_seam():
    """Two windows differ by one: with equal weights the mean jumps by halves, with tapered weights it slopes."""
    calls = []

    def see(part):
        calls.append(1)
        return part * 0 + len(calls) % 2

    jumps = {}
    for taper in (False, True):
        calls.clear()
        row = np.concatenate(
            [values for *_, values in windows.slide(see, images(1, 1, 70, 1), (1, 30), 1 / 3, taper=taper)], axis=2
        )
        jumps[taper] = np.abs(np.diff(row.ravel())).max()
    assert jumps[False] == 0.5
    assert jumps[True] < 0.1


def test_a_wide_image_is_seen_window_by_window():
    """A block of 20,000 columns is never larger than a window."""
    seen = []

    def see(part):
        seen.append(part.shape)
        return np.broadcast_to(part[..., :1], (*part.shape[:3], 21))

    wide = np.broadcast_to(np.float32(1), (1, 96, 20_000, 3))
    largest = max(values.size for *_, values in windows.slide(see, wide, (64, 64), 0.25))
    assert set(seen) == {(1, 64, 64, 3)}
    assert largest <= 64 * 64 * 21


@pytest.mark.parametrize(("length", "window", "overlap"), [(33, 12, 1 / 3), (24, 24, 0.5), (100, 7, 0), (13, 12, 0.9)])
def test_windows_cover_every_pixel(length, window, overlap):
    starts = windows.places(length, window, overlap)
    covered = np.zeros(length, int)
    for start in starts:
        covered[start : start + window] += 1
    assert covered.min() >= 1
    assert starts[0] == 0
    assert starts[-1] == length - window


def test_one_view_is_the_function_itself():
    assert windows.views(bordered) is bordered
    assert windows.views(bordered, [1]) is bordered


def test_several_views_are_averaged_at_the_size_of_the_image():
    pixels = images(2, 9, 14, 4)

    def softmax(logits):
        return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)

    mirrored = windows.views(bordered, flip=True)(pixels)
    expected = (softmax(bordered(pixels)) + softmax(bordered(pixels[:, :, ::-1]))[:, :, ::-1]) / 2
    np.testing.assert_allclose(mirrored, expected, rtol=1e-5)
    for scales in ((0.5,), (0.01,), (0.5, 1.0, 1.7)):
        probabilities = windows.views(bordered, scales)(pixels)
        assert probabilities.shape == pixels.shape
        np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: windows.slide(bordered, images(1, 4, 4, 3), (2, 2), 1), "overlap is at least 0 and below 1. Received"),
        (lambda: windows.slide(bordered, images(1, 4, 4, 3), (2, 2), -0.1), r"below 1. Received: -0.1"),
        (lambda: windows.slide(bordered, images(1, 4, 4, 3), (0, 2), 0), r"\(height, width\) in pixels. Received: \(0"),
        (lambda: windows.slide(bordered, images(1, 4, 4, 3), (2,), 0), r"A window is \(height, width\)"),
        (lambda: windows.views(bordered, ()), r"scales are numbers above 0, .* Received: \(\)"),
        (lambda: windows.views(bordered, (1.0, 0.0)), r"Received: \(1.0, 0.0\)"),
    ],
)
def test_invalid_windows_and_scales_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
