"""Runs the web application on a socket until a signal ends it."""

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import AsyncIterator

from aiohttp import web

from tfseg.serving import monitoring
from tfseg.serving.app import Server
from tfseg.serving.front_door import SILENCE, FrontDoor

_LINGERING = 2.0  # seconds that a refused body may go on, until its client has read the refusal.
_STUCK = 30.0  # seconds after which the event loop is taken for lost, and the container may be started again.


def run(server: Server, listening: socket.socket) -> None:
    """Serves until SIGINT or SIGTERM, and then until what has begun is answered; a second signal ends that, too.

    Args:
        server: what answers.
        listening: socket that listens.
    """
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(server, listening))


@contextlib.asynccontextmanager
async def served(server: Server, listening: socket.socket, patience: float) -> AsyncIterator[None]:
    """Inside the block, a server answers; at its end what has begun is answered.

    Args:
        server: what answers.
        listening: socket that listens.
        patience: seconds that the last answers may take.
    """
    runner = web.AppRunner(
        server.app(),
        shutdown_timeout=patience,
        keepalive_timeout=SILENCE,
        lingering_time=_LINGERING,
        auto_decompress=False,  # aiohttp unpacks a body to its end, refused or not, and answers no one meanwhile
        handler_cancellation=True,  # a client that hangs up does not keep others waiting
        access_log=monitoring.REQUESTS,
        access_log_class=monitoring.RequestLog,
    )
    await runner.setup()
    try:
        async with _connections(runner, server, listening):
            yield
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def _connections(runner: web.AppRunner, server: Server, listening: socket.socket) -> AsyncIterator[None]:
    if os.name != "posix":  # elsewhere, what waits for many connections in a thread takes 512 at most
        await web.SockSite(runner, listening, backlog=server.limits.queue).start()
        yield
        return

    def answer(still: float) -> tuple[int, dict[str, str], bytes]:
        status, facts = (503, {"status": "stuck"}) if still > _STUCK else (200, server.health())
        return status, server.headers() | {"Content-Type": "application/json"}, json.dumps(facts).encode()

    assert runner.server
    door = FrontDoor(listening, runner.server, answer, server.note_health_check, server.has_heard)
    door.open()
    try:
        yield
    finally:
        await door.close()


async def _run(server: Server, listening: socket.socket) -> None:
    stop = asyncio.Event()

    def signaled() -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    with contextlib.suppress(NotImplementedError):  # Windows raises KeyboardInterrupt by itself
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, signaled)
    async with served(server, listening, server.limits.timeout):
        await stop.wait()
