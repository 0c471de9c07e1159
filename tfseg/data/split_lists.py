"""Lists of names as people have them: the parts of a data set in text files."""

import codecs
import pathlib
from collections.abc import Iterator


def read_lines(path: pathlib.Path) -> list[str]:
    """The lines of a list of names, without empty ones and comments.

    Args:
        path: path of the text file, in UTF-8, or in UTF-16 with its mark. A line that begins with # is a comment.
    Raises:
        ValueError: no such file, or another encoding.
    """
    if not path.is_file():
        raise ValueError(f"There is no list {path}.")
    content = path.read_bytes()
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        lines = [line.strip() for line in content.decode(encoding).splitlines()]
        if any("\0" in line for line in lines):  # UTF-16 without its mark
            raise UnicodeError
    except UnicodeError:
        raise ValueError(f"{path}: expected a text in UTF-8, or in UTF-16 with its mark. Save it as UTF-8.") from None
    return [line for line in lines if line and not line.startswith("#")]


def columns(line: str) -> Iterator[tuple[str, str]]:
    """The ways in which a line may have two columns, likely ones first; names may have spaces.

    Args:
        line: a line without spaces around it.

    Example:
        >>> list(tfseg.data.split_lists.columns("my a.png my b.png"))[1]
        ('my a.png', 'my b.png')
    """
    for separator in ("\t", ";", ",", " "):
        parts = line.split(separator)
        for index in range(1, len(parts)):
            first, second = separator.join(parts[:index]).strip(), separator.join(parts[index:]).strip()
            if first and second:
                yield first, second
