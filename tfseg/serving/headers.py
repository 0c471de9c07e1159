"""Parameters of header fields, read in linear time. The standard library takes quadratic time, and fails on some.

Reference: RFC 9110, section 5.6.6
"""

import re
from collections.abc import Iterator

# Possessive, so that no text is read twice.
_PARAMETER = re.compile(rb';\s*+([!#$%&\'*+.^_`|~\w-]++)\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)"|([^;\s"]*+))', re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)


def media_type(field: str) -> str:
    """The type that a header `Content-Type` says, in small letters; "" if there is none.

    Args:
        field: value of the header, or "".
    """
    return field.partition(";")[0].strip().lower()


def parameters(field: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names, in small letters, and values of the parameters of a header field.

    Args:
        field: value of the header.
    """
    for match in _PARAMETER.finditer(field):
        quoted = match[2]
        yield match[1].lower(), match[3] if quoted is None else _ESCAPED.sub(rb"\1", quoted)
