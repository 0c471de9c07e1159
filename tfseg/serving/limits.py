"""What a request may cost."""

from typing import NamedTuple


class Limits(NamedTuple):
    """Limits of a server. The defaults accept a large photograph, and let 200 clients wait for their turn.

    Attributes:
        max_bytes: largest request, in bytes.
        max_pixels: largest image, in pixels.
        timeout: seconds from the head of a request to its answer.
        queue: requests at once; further ones are asked to try again later.
    """

    max_bytes: int = 16 * 2**20
    max_pixels: int = 4_000_000
    timeout: float = 300.0
    queue: int = 256
