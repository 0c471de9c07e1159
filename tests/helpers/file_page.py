"""The page of public files: two tables, the counts, and the count of the survey."""

import collections
import dataclasses
import pathlib
import re
from collections.abc import Mapping

from helpers.public_files import FILES
from helpers.survey import SURVEY, rows_of

Key = tuple[str, str]
"""Package and name of a file."""

_HEAD = """# Public files

Each file holds a public network with random weights, alone or as its trainers and users wrap it. `tfseg convert` opens it
with no code of its package. The difference is the largest one at two sizes of images, by the largest value of the output,
in float32. This page is generated: `PYTHONPATH=tests python -m helpers.file_census docs/public_files.md`.

"""
_SURVEY = """## The survey

{total} files that people have were tried before most families were here. The column "survey" has their numbers: a file of
this page may answer two. Wrappings are those of the survey, around a ResNet-18.

"""
_OPENED = ("file", "package", "survey", "opens as", "largest difference")
_REFUSED = ("file", "package", "survey", "what it is", "the door that the refusal names", "difference through it")
_REFUSED_TEXT = """
## Files that are refused

A file whose tensors do not tell what its network computes is refused. The refusal says what it is, and which door opens
it. The network was brought through that door, and compared. A file of a format without names leads to another file.

"""


@dataclasses.dataclass(frozen=True)
class FileRow:
    """What became of one file.

    Attributes:
        opened: family and network; empty where it is refused.
        difference: the largest relative one, from the file alone or through the door; empty where no door was tried.
        refusal: what the refusal says that the file is; empty where it opens.
        door: name of the door that the refusal names; empty where it opens.
    """

    opened: str
    difference: str
    refusal: str = ""
    door: str = ""


def refused_as(text: str) -> str:
    """What a refusal says that a file is: its first sentence with a statement.

    Args:
        text: the refusal.
    """
    said = " ".join(text.partition(" is ")[2].split()).replace("|", "/")
    return re.split(r"\. |\.$", said.removeprefix("of no family known here. "))[0]


def read_page(path: pathlib.Path) -> dict[Key, FileRow]:
    """The rows of a page that was written before; none of a page that does not exist.

    Args:
        path: path of the page.
    """
    rows: dict[Key, FileRow] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if not cells or cells[0] in ("file", "---"):
            continue
        name, package, _, *values = cells
        rows[package, name] = FileRow(*values) if len(values) == 2 else FileRow("", values[2], *values[:2])
    return rows


def survey_counts(rows: Mapping[Key, FileRow]) -> collections.Counter[str]:
    """How many rows of the survey are "opened", "refused" and, where their file has no row here, "missing".

    Args:
        rows: rows of the page.
    """
    kinds = {f"{package}/{name}": "opened" if row.opened else "refused" for (package, name), row in rows.items()}
    return collections.Counter(kinds.get(label, "missing") for label in SURVEY)


def survey_sentence(rows: Mapping[Key, FileRow]) -> str:
    """The count of the survey, in words.

    Args:
        rows: rows of the page.
    """
    counts = survey_counts(rows)
    rest = f"{counts['missing']} have no row" if counts["missing"] else "none opens as something else"
    return (
        f"{counts['opened']} of the {len(SURVEY)} files of the survey open exactly from the file alone, "
        f"{counts['refused']} are refused by name, and {rest}."
    )


def write_page(path: pathlib.Path, rows: Mapping[Key, FileRow]) -> None:
    """Writes the page: the counts, what opens, and what is refused.

    Args:
        path: path of the page.
        rows: its rows; those that are not in the census any more are left out.
    """
    known = {key: row for file in FILES if (row := rows.get(key := (file.package, file.name)))}
    opened = [_line(key, row.opened, row.difference) for key, row in known.items() if row.opened]
    refused = [_line(key, row.refusal, row.door, row.difference) for key, row in known.items() if not row.opened]
    counts = (
        f"{len(known)} of {len(FILES)} files are tried: {len(opened)} open exactly, {len(refused)} are refused.\n\n"
    )
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f"{_HEAD}{counts}{_SURVEY.format(total=len(SURVEY))}{survey_sentence(rows)}\n\n## Files that open\n\n"
        f"{_table(_OPENED, opened)}{_REFUSED_TEXT}{_table(_REFUSED, refused)}",
        encoding="utf-8",
    )


def _line(key: Key, *values: str) -> str:
    package, name = key
    return f"| {' | '.join((name, package, ', '.join(map(str, rows_of(package, name))), *values))} |\n"


def _table(columns: tuple[str, ...], lines: list[str]) -> str:
    return f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n{''.join(lines)}"
