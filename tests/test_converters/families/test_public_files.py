"""The page of public files: what opens from the file alone is exact, and what is refused says what it is."""

import gc

import keras
import pytest
from helpers.file_census import measured
from helpers.file_doors import DOORS
from helpers.file_page import read_page, survey_counts, survey_sentence
from helpers.paths import ROOT
from helpers.public_files import FILES
from helpers.survey import SURVEY, rows_of

PAGE = ROOT / "docs/public_files.md"
QUICK = {"ResNet-18 in/MoCo v2", "ResNet-18 in/robustness"}


def _label(file):
    return f"{file.package}/{file.name}"


def test_the_page_holds_each_file_once():
    labels = [_label(file) for file in FILES]
    assert len(labels) == len(set(labels))
    page = read_page(PAGE)
    assert {f"{package}/{name}" for package, name in page} == set(labels)
    assert all(float(row.difference) <= 1e-5 for row in page.values() if row.opened)


def test_what_is_refused_names_what_it_is_and_a_door_that_opens():
    opens = {door.name: door.opens is not None for door in DOORS}
    for (package, name), row in read_page(PAGE).items():
        if not row.opened:
            assert row.refusal, f"{package}/{name}"
            assert bool(row.difference) == opens[row.door]
            assert not row.difference or float(row.difference) <= 1e-5


def test_the_page_counts_the_survey():
    text, page = PAGE.read_text(encoding="utf-8"), read_page(PAGE)
    lines = [line.split(" | ") for line in text.partition("## Files that are refused")[0].splitlines()]
    opened = {number for cells in lines if len(cells) == 5 for number in cells[2].split(", ") if number.isdigit()}
    counts = survey_counts(page)
    assert len(SURVEY) == 150
    assert counts["opened"] == len(opened) >= 110
    assert (counts["missing"], counts["opened"] + counts["refused"]) == (0, 150)
    assert survey_sentence(page) in text
    assert all(rows_of(*label.split("/", 1)) for label in SURVEY)


@pytest.mark.quick_variants(1)
@pytest.mark.filterwarnings("ignore")  # the packages' own
@pytest.mark.parametrize(
    "file",
    [pytest.param(file, marks=() if _label(file) in QUICK else pytest.mark.full, id=_label(file)) for file in FILES],
)
def test_public_files_open_exactly_or_are_refused_by_name(file):
    row, page = measured(file), read_page(PAGE)[file.package, file.name]
    assert (row.opened, row.refusal, row.door) == (page.opened, page.refusal, page.door)
    keras.backend.clear_session()
    gc.collect()
