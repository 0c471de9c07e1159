"""Who may come in: what requests hold is counted before it takes memory, and slow clients hold no place."""

import asyncio
import collections
import concurrent.futures
import contextlib
from collections.abc import AsyncIterator

from aiohttp import web
from aiohttp.http_exceptions import TransferEncodingError

from tfseg.serving import encodings, forms
from tfseg.serving.errors import Refused
from tfseg.serving.headers import media_type
from tfseg.serving.limits import Limits

_TRY_AGAIN = "try again in a moment."


class Admission:
    """Counts the requests that wait for their answer, and the bytes of all bodies that have come.

    Args:
        limits: what requests may cost.
    Attributes:
        places: requests whose body has come, but whose answer has not been sent.
        held: bytes of the bodies of all requests.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.places = self.held = self._most_held = 0
        # One, because each thread keeps the memory of the largest body that it has unpacked.
        self._unpacking = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="unpacking")

    @contextlib.asynccontextmanager
    async def admitted(self, request: web.Request) -> AsyncIterator[bytes]:
        """The body of a request, or the file in its form. It holds its bytes and a place until the block ends.

        Args:
            request: request whose head has come.
        Raises:
            Refused: the body is too large, too slow or damaged, or too many requests wait.
        """
        self._check_size(request.content_length or 0)
        self._check_places()
        body = _Body(self)
        try:
            async with asyncio.timeout(self.limits.timeout):
                content = await self._received(request, body)
                self._check_places()
                self.places += 1
                try:
                    yield content
                finally:
                    self.places -= 1
        except TimeoutError as error:
            raise Refused(504, f"The request took longer than {self.limits.timeout:g} s.") from error
        finally:
            self.held -= body.size

    def hold(self, size: int) -> None:
        """Counts bytes that have come.

        Args:
            size: their number.
        """
        self.held += size
        self._most_held = max(self._most_held, self.held)

    def most_held(self) -> int:
        """The largest value of `held` since the last call."""
        most, self._most_held = self._most_held, self.held
        return most

    async def _received(self, request: web.Request, body: "_Body") -> bytes:
        content_type = request.headers.get("Content-Type", "")
        encoding = ", ".join(request.headers.getall("Content-Encoding", []))
        try:
            async with asyncio.timeout(self.limits.body_timeout):
                content = await _whole(request, body)
        except TimeoutError as error:
            raise Refused(408, f"The body took longer than {self.limits.body_timeout:g} s.") from error
        except (web.RequestPayloadError, TransferEncodingError) as error:
            raise Refused(400, f"The body cannot be read: {_reason(error)}") from error
        if encoding:
            unpack = self._unpacking.submit(encodings.unpacked, content, encoding, self.limits.max_bytes)
            content = await asyncio.wrap_future(unpack)
            body.count(max(0, len(content) - body.size))
        return forms.file_of(content, content_type) if media_type(content_type).startswith("multipart/") else content

    def _check_size(self, size: int) -> None:
        if size > self.limits.max_bytes:
            raise Refused(413, f"A request has at most {self.limits.max_bytes} bytes here. Received: {size}")

    def _check_places(self) -> None:
        if self.places >= self.limits.queue:
            raise Refused(503, f"{self.places} requests are waiting already: {_TRY_AGAIN}")


class _Body:
    """The part of a body that has come, which its request holds."""

    def __init__(self, admission: Admission) -> None:
        self._admission, self.size = admission, 0

    def count(self, size: int) -> None:
        limits = self._admission.limits
        if self.size + size > limits.max_bytes:
            raise Refused(413, f"A request has at most {limits.max_bytes} bytes here. Received: more")
        if self._admission.held + size > limits.held_bytes:
            raise Refused(503, f"{self._admission.held} bytes of requests are waiting already: {_TRY_AGAIN}")
        self.size += size
        self._admission.hold(size)


async def _whole(request: web.Request, body: _Body) -> bytes:
    parts = []
    async for part in request.content.iter_any():
        body.count(len(part))
        parts.append(part)
    return b"".join(parts)


def _reason(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[-1].strip()


class Stock:
    """An amount that requests take from and give back; those for whom it does not suffice wait in their order.

    Args:
        amount: the whole amount.
    """

    def __init__(self, amount: int) -> None:
        self._free = amount
        self._waiting: collections.deque[tuple[int, asyncio.Future[None]]] = collections.deque()

    @contextlib.asynccontextmanager
    async def taken(self, amount: int) -> AsyncIterator[None]:
        """Inside the block, the amount is taken.

        Args:
            amount: not more than the whole amount.
        """
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((amount, turn))
        self._serve()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._free += amount
            self._serve()

    def _serve(self) -> None:
        while self._waiting:
            amount, turn = self._waiting[0]
            if turn.cancelled():
                self._waiting.popleft()
            elif amount <= self._free:
                self._waiting.popleft()
                self._free -= amount
                turn.set_result(None)
            else:
                return
