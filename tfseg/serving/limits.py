"""What a request may cost."""

from typing import NamedTuple


class Limits(NamedTuple):
    """The defaults let a large photograph through, and 200 clients wait for their turn."""

    max_bytes: int = 16 * 2**20  # of a request
    max_pixels: int = 4_000_000  # of a picture
    timeout: float = 300.0  # seconds from the request's head to its answer
    queue: int = 256  # requests at once; those beyond are told to come again
