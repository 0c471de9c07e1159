"""Bodies that clients have compressed. They are unpacked here, in a thread, because aiohttp does it between answers."""

import zlib

from tfseg.serving.errors import Refused

ACCEPTED = ("gzip", "deflate")
_GZIP = 16 + zlib.MAX_WBITS


def unpacked(content: bytes, encoding: str, max_bytes: int) -> bytes:
    """A body as it was before its client compressed it.

    Args:
        content: body of a request.
        encoding: what its header `Content-Encoding` says; "" if there is none.
        max_bytes: largest number of bytes of the result.
    Raises:
        Refused: the encoding is unknown, the body has another one or is damaged, or the result is larger.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return content
    if encoding not in ACCEPTED:
        raise Refused(
            415, f"The Content-Encoding of a body is {' or '.join(ACCEPTED)} here. Received: {encoding[:100]}"
        )
    reader = zlib.decompressobj(_GZIP if encoding == "gzip" else _deflate(content))
    try:
        result = reader.decompress(content, max_bytes + 1)
    except zlib.error as error:
        raise Refused(400, f"The body cannot be read: it is not {encoding} ({error}).") from error
    if len(result) > max_bytes:
        raise Refused(413, f"A request has at most {max_bytes} bytes here. Received: more")
    if not reader.eof:
        raise Refused(400, f"The body cannot be read: its {encoding} is cut off.")
    if reader.unused_data:
        raise Refused(400, f"The body cannot be read: more follows after the end of its {encoding}.")
    return result


def _deflate(content: bytes) -> int:
    """How zlib is to read "deflate": RFC 9110 has a head of two bytes, which some clients leave out."""
    return zlib.MAX_WBITS if content[:1] and content[0] & 0xF == 8 else -zlib.MAX_WBITS
