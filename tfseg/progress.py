"""How far a long run is."""

import datetime
import sys
import time

_BAR = 24  # characters


def track(items, unit="images", *, total=None, stream=None, seconds=10.0, clock=time.monotonic):
    """Yields the items, and tells on stderr how many are done, how fast, and the time left.

    On a terminal one line that redraws itself; in a log file a line at most every `seconds`, and one at the end.

    Args:
        items: a sequence, or any iterable if `total` is given.
        unit: what they are, in the plural.
        total: how many there are.
        stream: where to write.
        seconds: between two lines where the stream is not a terminal.
        clock: seconds that pass.
    """
    stream = stream or sys.stderr
    terminal, total = stream.isatty(), len(items) if total is None else total
    start = shown = clock()
    try:
        for done, item in enumerate(items, 1):
            yield item
            now = clock()
            if done == total or now - shown >= (0.1 if terminal else seconds):
                shown = now
                text = _line(done, total, unit, now - start)
                # To the line's beginning, and the rest of the old line erased.
                stream.write(f"\r{text}\x1b[K" if terminal else f"{text}\n")
                stream.flush()
    finally:
        if terminal and shown != start:
            stream.write("\n")


def _line(done, total, unit, elapsed):
    bar = "#" * (_BAR * done // total)
    rate = done / max(elapsed, 1e-9)
    left = datetime.timedelta(seconds=round((total - done) / rate))
    return f"[{bar:.<{_BAR}}] {done}/{total} {unit}, {rate:.3g}/s, {left} left"
