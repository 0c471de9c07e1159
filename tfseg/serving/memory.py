"""Memory that answered requests leave behind.

Python keeps a body that its refusal refers to until it looks for cycles. The C library keeps what is free in pieces,
which no large body fits into.
"""

import asyncio
import ctypes
import gc
from collections.abc import Callable

_INTERVAL = 5.0  # seconds
_LARGE = 2**20  # bytes


async def give_back(most_held: Callable[[], int]) -> None:
    """Gives free memory back to the system from time to time while large bodies come, until it is canceled.

    Args:
        most_held: the most bytes that the bodies of requests have held since the last call.
    """
    trim = _trim()
    while True:
        await asyncio.sleep(_INTERVAL)
        if most_held() >= _LARGE:
            gc.collect()  # short, because what was loaded is frozen
            await asyncio.to_thread(trim, 0)


def _trim() -> Callable[[int], int]:
    """The function of glibc; other C libraries have none, and some of them do it by themselves."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # the last is Windows'
        return lambda kept: 0
