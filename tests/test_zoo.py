"""The page of published files says what the families' records and its own facts say."""

import pathlib

import pytest
from helpers import zoo_page
from helpers.zoo_facts import FILES

from converters.families import FAMILIES

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "zoo.md"


def test_facts_are_of_known_networks():
    assert len(FILES) == len({(file.family, file.name) for file in FILES})
    for file in FILES:
        record = FAMILIES[file.family]
        assert record.network(file.network) is not None, file.name
        assert file.source.startswith("https://github.com/")
        assert f"| `{file.name}` | `{file.family}` | `{file.network}`" in PAGE.read_text(encoding="utf-8"), file.name


@pytest.mark.full
def test_page_is_as_generated():
    assert PAGE.read_text(encoding="utf-8") == zoo_page.page()
