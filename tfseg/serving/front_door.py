"""Where connections come in: `/health` is answered in a thread of its own, however much the event loop has to do."""

import asyncio
import contextlib
import logging
import re
import selectors
import socket
import threading
import time
import weakref
from collections.abc import Callable
from email.utils import formatdate

_LOG = logging.getLogger("tfseg.serving")
# One whole request, and nothing after it.
_PROBE = re.compile(rb"(GET) (/health) (HTTP/1\.[01])\r\n(?:[\w!#$%&'*+.^`|~-]+:[\t\x20-\x7e]*\r\n)*\r\n")
_OTHERWISE = re.compile(rb"\n(?:origin|content-length|transfer-encoding|expect|upgrade):", re.IGNORECASE)
_LONGEST = 8192  # no health check has a longer head
_ACCEPTED_AT_ONCE = 64
_BEAT = 1.0
SILENCE = 75.0  # seconds until a connection that says nothing, or no whole request, is closed

Answer = Callable[[float], tuple[int, dict[str, str], bytes]]


class FrontDoor:
    """Accepts connections in a thread, answers plain `GET /health` there, and hands all others to the event loop.

    An event loop answers in turn: two hundred requests that come at once are 0.2 s of work before the next answer.
    Connections that say nothing stay here, where they cost less.

    Args:
        listening: socket that listens.
        protocols: makes the protocol of a connection, such as `aiohttp.web.AppRunner.server`.
        answer: makes the answer to a health check, its status, headers and body, of the seconds that the event loop has
            not moved.
        log: is told of each health check that was answered: address of the client; method, path and version; status;
            bytes of the body; seconds.
        heard: says of a connection that was handed over whether the head of a request has come.
    """

    def __init__(
        self,
        listening: socket.socket,
        protocols: Callable[[], asyncio.Protocol],
        answer: Answer,
        log: Callable[[str, tuple[str, ...], int, int, float], None],
        heard: Callable[[asyncio.BaseTransport], bool],
    ) -> None:
        self._listening, self._protocols, self._answer, self._log = listening, protocols, answer, log
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._selector = selectors.DefaultSelector()
        self._stopped, self._stop = socket.socketpair()
        self._handed: set[asyncio.Task[None]] = set()
        self._beaten = time.monotonic()
        self._thread = threading.Thread(target=self._serve, name="front door", daemon=True)

    def open(self) -> None:
        """Begins to accept connections."""
        self._listening.setblocking(False)
        for ours in (self._listening, self._stopped):
            self._selector.register(ours, selectors.EVENT_READ)
        self._beat()
        self._thread.start()

    async def close(self) -> None:
        """Accepts no more connections. Those that were handed over are with their protocols when this returns."""
        self._stop.send(b"x")
        await asyncio.to_thread(self._thread.join)
        self._next_beat.cancel()
        await asyncio.gather(*self._handed)

    def _beat(self) -> None:
        self._beaten = time.monotonic()
        self._next_beat = self._loop.call_later(_BEAT, self._beat)

    def _serve(self) -> None:
        swept = time.monotonic()
        while True:
            for key, _ in self._selector.select(SILENCE / 15):
                if key.fileobj is self._stopped:
                    self._leave()
                    return
                assert isinstance(key.fileobj, socket.socket)
                try:
                    if key.fileobj is self._listening:
                        self._accept()
                    else:
                        self._greet(key.fileobj)
                except Exception:  # of one connection; the others go on
                    _LOG.exception("A connection failed.")
            if time.monotonic() - swept > SILENCE / 15:
                swept = time.monotonic()
                self._close_silent(swept - SILENCE)

    def _close_silent(self, since: float) -> None:
        for key in list(self._selector.get_map().values()):
            if key.data is not None and key.data < since:
                assert isinstance(key.fileobj, socket.socket)
                self._selector.unregister(key.fileobj)
                key.fileobj.close()

    def _leave(self) -> None:
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._stop.close()
        self._selector.close()

    def _accept(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                connection, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:  # there are as many open files as may be; the connection waits
                time.sleep(0.05)
                return
            connection.setblocking(False)
            self._selector.register(connection, selectors.EVENT_READ, data=time.monotonic())

    def _greet(self, connection: socket.socket) -> None:
        """Answers or hands over a connection that has said something."""
        start = time.monotonic()
        try:
            head = connection.recv(_LONGEST, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            head = b""
        self._selector.unregister(connection)
        if not head:
            connection.close()
        elif (probe := _PROBE.fullmatch(head)) and not _OTHERWISE.search(head):
            with connection, contextlib.suppress(OSError):  # the client hung up
                remote = connection.getpeername()[0]
                connection.recv(len(head))
                status, headers, body = self._answer(max(0.0, start - self._beaten - _BEAT))
                connection.send(_response(status, headers, body))
                asked = tuple(part.decode() for part in probe.groups())
                self._log(remote, asked, status, len(body), time.monotonic() - start)
        else:
            self._loop.call_soon_threadsafe(self._hand_over, connection)

    def _hand_over(self, connection: socket.socket) -> None:
        task = self._loop.create_task(self._connect(connection))
        self._handed.add(task)
        task.add_done_callback(self._handed.discard)

    async def _connect(self, connection: socket.socket) -> None:
        try:
            transport, _ = await self._loop.connect_accepted_socket(self._protocols, connection)
        except OSError:  # the client hung up
            connection.close()
        else:
            self._loop.call_later(SILENCE, self._close_unheard, weakref.ref(transport))

    def _close_unheard(self, connection: "weakref.ref[asyncio.Transport]") -> None:
        """Closes a connection whose first request has no end; between requests, aiohttp does it."""
        if (transport := connection()) is not None and not self._heard(transport):
            transport.abort()


def _response(status: int, headers: dict[str, str], body: bytes) -> bytes:
    reason = "OK" if status == 200 else "Service Unavailable"
    fields = headers | {"Content-Length": str(len(body)), "Date": formatdate(usegmt=True), "Connection": "close"}
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
