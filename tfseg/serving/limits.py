"""What a request may cost."""

from typing import NamedTuple


class Limits(NamedTuple):
    """Limits of a server. The defaults accept a phone's photograph, and let 200 clients wait for their turn.

    Attributes:
        max_bytes: largest request, in bytes.
        max_pixels: largest image, in pixels; also the pixels that the model sees at once.
        max_elements: numbers, lists and objects in the JSON of a request.
        held_bytes: bytes of all requests together that have come and are not answered yet.
        timeout: seconds from the head of a request to its answer.
        body_timeout: seconds in which the body of a request must come.
        queue: requests at once whose bodies have come; further ones are asked to try again later.
        batch: requests for images of one size that the model sees at once at most; it sees as many as make it fastest.
    """

    max_bytes: int = 16 * 2**20
    max_pixels: int = 16_000_000
    max_elements: int = 8_000_000
    held_bytes: int = 256 * 2**20
    timeout: float = 300.0
    body_timeout: float = 30.0
    queue: int = 256
    batch: int = 8
