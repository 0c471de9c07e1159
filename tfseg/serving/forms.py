"""The file in a form, `multipart/form-data`: its time is that of a search, however many parts there are.

Reference: RFC 7578; RFC 2046, section 5.1
"""

import re
from collections.abc import Iterator

from tfseg.serving.errors import Refused
from tfseg.serving.headers import parameters

_MOST_PARTS = 100
_MOST_HEAD = 16 * 2**10  # bytes of the lines before the content of a part
_FOLDED = re.compile(rb"\r?\n[ \t]")


def file_of(body: bytes, content_type: str) -> bytes:
    """The only file in a form; its other fields do not count.

    Args:
        body: the form.
        content_type: the header that says what parts the fields.
    Raises:
        Refused: the form is damaged, or has another number of files.
    """
    files = [content for head, content in _parts(body, _boundary(content_type)) if _has_file(head)]
    if len(files) != 1:
        raise Refused(400, f"A form has one file, as in curl --form image=@photo.jpg. Received: {len(files)}")
    return files[0]


def _boundary(content_type: str) -> bytes:
    for name, value in parameters(content_type.encode("utf-8", "surrogateescape")):
        if name == b"boundary" and value:
            return b"--" + value
    raise _unread("its header Content-Type has no boundary")


def _parts(body: bytes, boundary: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The head and the content of each part."""
    at = 0 if body.startswith(boundary) else body.find(b"\r\n" + boundary) + 2
    if at == 1:
        raise _unread("its boundary is nowhere in it")
    for _ in range(_MOST_PARTS):
        at += len(boundary)
        if body.startswith(b"--", at):
            return
        line_end = body.find(b"\r\n", at, at + _MOST_HEAD)  # spaces may stand before it
        head_end = body.find(b"\r\n\r\n", line_end, line_end + _MOST_HEAD)
        end = body.find(b"\r\n" + boundary, head_end + 2)
        if -1 in (line_end, head_end, end):
            raise _unread("a part of it is not whole")
        yield body[line_end + 2 : head_end], body[head_end + 4 : end]
        at = end + 2
    raise _unread(f"it has more than {_MOST_PARTS} parts")


def _has_file(head: bytes) -> bool:
    for line in _FOLDED.sub(b" ", head).splitlines():
        field, _, value = line.partition(b":")
        if field.strip().lower() == b"content-disposition":  # `filename*` is a name in other letters
            return any(name.partition(b"*")[0] == b"filename" and named for name, named in parameters(value))
    return False


def _unread(reason: str) -> Refused:
    return Refused(400, f"The form cannot be read: {reason}")
