"""How many requests share a run of the model: as many as make it fastest, which the runs themselves tell."""

import collections
from collections.abc import Hashable

_TRIES = 3  # the first run of a number prepares what later ones find ready; another program may disturb one
_GAIN = 0.97  # a longer run lets each request wait longer: it must be worth it
_KINDS = 64


class Pace:
    """Seconds for an image by the number of requests in a run, for each kind of request.

    On some processors and engines, a run of eight images takes longer than eight runs.

    Args:
        most: requests in a run at most.

    Example:
        >>> from tfseg.serving.pace import Pace
        >>> pace = Pace(8)
        >>> pace.number("512x512", waiting=5)
        1
        >>> for requests, seconds in ((1, 0.2), (2, 0.3), (4, 0.8)):
        ...     for _ in range(3):
        ...         pace.note("512x512", requests, images=requests, seconds=seconds)
        >>> pace.number("512x512", waiting=5)
        2
    """

    def __init__(self, most: int) -> None:
        self._numbers = [number for number in (2**power for power in range(most.bit_length())) if number < most] + [
            most
        ]
        self._seconds: collections.OrderedDict[Hashable, dict[int, list[float]]] = collections.OrderedDict()

    def number(self, kind: Hashable, waiting: int) -> int:
        """How many of the requests that wait share the next run: at first, larger numbers are tried while they gain.

        Args:
            kind: what the requests have in common.
            waiting: requests of that kind.
        """
        known = self._seconds.get(kind, {})
        best, least = 1, float("inf")
        for number in self._numbers:
            if number > waiting:
                break
            times = known.get(number, [])
            if len(times) < _TRIES:
                return number
            if min(times) > _GAIN * least:
                break
            best, least = number, min(times)
        return best

    def note(self, kind: Hashable, number: int, *, images: int, seconds: float) -> None:
        """Remembers a run.

        Args:
            kind: what the requests have in common.
            number: requests in the run.
            images: images in the run.
            seconds: what it took.
        """
        known = self._seconds.setdefault(kind, {})
        self._seconds.move_to_end(kind)
        times = known.setdefault(number, [])
        if len(times) < _TRIES:
            times.append(seconds / max(1, images))
        if len(self._seconds) > _KINDS:
            self._seconds.popitem(last=False)
