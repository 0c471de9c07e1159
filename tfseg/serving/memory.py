"""Memory that answered requests leave behind: the C library keeps it in pieces, which no large body fits into."""

import asyncio
import ctypes
from collections.abc import Callable

_INTERVAL = 5.0  # seconds
_LARGE = 2**20  # bytes


async def give_back(most_held: Callable[[], int]) -> None:
    """Gives free memory back to the system from time to time while large bodies come, until it is canceled.

    Args:
        most_held: the most bytes that the bodies of requests have held since the last call.
    """
    trim = _trim()
    while trim:
        await asyncio.sleep(_INTERVAL)
        if most_held() >= _LARGE:
            await asyncio.to_thread(trim, 0)


def _trim() -> Callable[[int], int] | None:
    """The function of glibc; other C libraries have none, and some of them do it by themselves."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # the last is Windows'
        return None
