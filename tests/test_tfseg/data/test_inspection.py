"""Inspection: faults, sizes, class frequencies, and the contact sheet."""

import re

import numpy as np
import pytest
from helpers.data_sets import mask, pairs, save

from tfseg import data


@pytest.fixture
def faulty(tmp_path):
    """Four pairs: a good one, one with a mask of another size, an unreadable photograph, an unknown id."""
    dataset = data.folder(pairs(tmp_path, 4, ids=(0, 1, 255)), num_classes=3, classes=("a", "b", "c"))
    save(tmp_path / "masks" / "p1.png", mask(size=(5, 5)))
    (tmp_path / "images" / "p2.png").write_bytes(b"\x89PNG\r\n\x1a\n no more")
    save(tmp_path / "masks" / "p3.png", mask(ids=(0, 9)))
    return dataset


def test_inspection_counts_pixels_and_lists_faults(faulty):
    inspection = data.inspect_dataset(faulty)
    assert [pair.image.name for pair, _ in inspection.faults] == ["p1.png", "p2.png", "p3.png"]
    assert inspection.sizes == {(24, 32): 1}
    expected = np.bincount(np.minimum(mask(ids=(0, 1, 255)), 3).ravel(), minlength=4)
    np.testing.assert_array_equal(inspection.pixel_counts, expected)
    np.testing.assert_array_equal(inspection.image_counts, [1, 1, 0, 1])
    # The names of version 0.1.
    assert inspection.pixels is inspection.pixel_counts
    assert inspection.images is inspection.image_counts


def test_report_names_faults_and_absent_classes(faulty):
    report = str(data.inspect_dataset(faulty))
    assert "1 of 4 pairs can be used, 3 classes" in report
    assert re.search(r"^c +0.000% +0  never occurs$", report, re.MULTILINE)
    assert "Received: 9" in report


def test_inspection_reports_progress(tmp_path):
    calls = []
    dataset = data.folder(pairs(tmp_path, 2), num_classes=3)
    data.inspect_dataset(dataset, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(0, 2), (1, 2), (2, 2)]
