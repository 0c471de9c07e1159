"""The page of public files: what opens from the file alone is exact, and what is refused says what it is."""

import gc

import keras
import pytest
from helpers.file_census import measured, read_page
from helpers.paths import ROOT
from helpers.public_files import FILES

PAGE = "docs/public_files.md"
QUICK = {"ResNet-18 in/MoCo v2", "ResNet-18 in/robustness"}


def _label(file):
    return f"{file.package}/{file.name}"


def test_the_page_holds_each_file_once():
    labels = [_label(file) for file in FILES]
    assert len(labels) == len(set(labels))
    page = read_page(ROOT / PAGE)
    assert {f"{package}/{name}" for package, name in page} == set(labels)
    assert all(float(row.result) <= 1e-5 for row in page.values() if row.opened)
    assert all(row.result.startswith("refused: ") for row in page.values() if not row.opened)


@pytest.mark.quick_variants(1)
@pytest.mark.filterwarnings("ignore")  # the packages' own
@pytest.mark.parametrize(
    "file",
    [pytest.param(file, marks=() if _label(file) in QUICK else pytest.mark.full, id=_label(file)) for file in FILES],
)
def test_public_files_open_exactly_or_are_refused_by_name(file):
    row = measured(file)
    page = read_page(ROOT / PAGE)[file.package, file.name]
    assert row.opened == page.opened
    assert row.opened or row.result.split(". Convolutional")[0] == page.result.split(". Convolutional")[0]
    keras.backend.clear_session()
    gc.collect()
