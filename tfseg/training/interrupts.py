"""Ctrl-C between two steps, not within one."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def interrupted_afterwards() -> Iterator[None]:
    """Ctrl-C within this context has its effect at its end, so that no state is half old and half new.

    Raises:
        KeyboardInterrupt: at the end, if there was one.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    received: list[tuple[Any, Any]] = []
    signal.signal(signal.SIGINT, lambda *arguments: received.append(arguments))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if received:
        handler(*received[0])
