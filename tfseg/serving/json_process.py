"""A process that turns JSON into arrays and back. However large a request is, the server answers meanwhile.

Python runs one thread at a time, and reading 16 MB of JSON takes a second. The process has a limit of memory, too. It
is started again when a client hangs up or the memory does not suffice.
"""

import asyncio
import importlib.util
import logging
import os
import pathlib
import pickle
import struct
import sys
from collections.abc import Callable
from typing import Any

from tfseg.serving.errors import Refused

_LOG = logging.getLogger("tfseg.serving")
_MEMORY = 3 * 2**30
_TOO_MUCH = "The JSON takes too much memory: send images as files."
_LENGTH = struct.Struct("<Q")
_ROOT = pathlib.Path(__file__).parents[2]
# The package itself is not run, because it loads Keras.
_CODE = f"""
import importlib.util, sys
sys.path.insert(0, {str(_ROOT)!r})
sys.modules["tfseg"] = importlib.util.module_from_spec(importlib.util.find_spec("tfseg"))
from tfseg.serving.json_process import _serve
_serve(int(sys.argv[1]))
"""


class JsonProcess:
    """Runs the functions of `tfseg.serving.rest` in a process of their own, one at a time.

    Args:
        memory: bytes of memory that the process may take.
    """

    def __init__(self, memory: int = _MEMORY) -> None:
        self._memory = memory
        self._lock = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._said: asyncio.Task[None] | None = None  # kept, or it would end early

    async def start(self) -> None:
        """Starts the process, so that the first client need not wait for it."""
        async with self._lock:
            await self._started()

    async def stop(self) -> None:
        """Ends the process."""
        process, self._process = self._process, None
        if process and process.returncode is None:
            process.kill()
            await process.wait()

    async def run(self, function: str, *arguments: Any) -> Any:
        """The result of a function of `tfseg.serving.rest`.

        Args:
            function: name of the function.
            *arguments: its arguments.
        Raises:
            Refused: the function refuses, or needs too much memory.
        """
        message = pickle.dumps((function, arguments))
        async with self._lock:
            try:
                is_result, value = await self._asked(message)
            except (EOFError, ConnectionError):  # it was ended, perhaps before this message came
                await self.stop()
                try:
                    is_result, value = await self._asked(message)
                except (EOFError, ConnectionError) as error:  # the system or its limit of memory ended it
                    await self.stop()
                    raise Refused(413, _TOO_MUCH) from error
        if is_result:
            return value
        raise value

    async def _asked(self, message: bytes) -> tuple[bool, Any]:
        process = await self._started()
        try:
            return await _ask(process, message)
        except asyncio.CancelledError:  # the client hung up, and needs no result
            await self.stop()
            raise

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-P",
                    "-c",
                    _CODE,
                    str(self._memory),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
                )
            except OSError as error:  # there are as many open files or processes as may be
                raise Refused(503, f"JSON cannot be read now: try again in a moment ({error.strerror}).") from error
            self._said = asyncio.create_task(_log_all(self._process))
        return self._process


async def _log_all(process: asyncio.subprocess.Process) -> None:
    """Logs what a process says; its lines would not have the form of the log."""
    assert process.stderr
    while said := await process.stderr.read(4096):
        _LOG.warning("The process for JSON says: %s", said.decode(errors="replace").strip())


async def _ask(process: asyncio.subprocess.Process, message: bytes) -> tuple[bool, Any]:
    assert process.stdin
    assert process.stdout
    process.stdin.write(_LENGTH.pack(len(message)))
    process.stdin.write(message)
    await process.stdin.drain()
    (length,) = _LENGTH.unpack(await process.stdout.readexactly(_LENGTH.size))
    answer: tuple[bool, Any] = pickle.loads(await process.stdout.readexactly(length))
    return answer


def _serve(memory: int) -> None:
    """Answers the messages that come, until there are no more."""
    import gc
    import signal

    from tfseg.serving import rest

    for number in (signal.SIGINT, signal.SIGTERM):  # they go to the whole group; the server ends this process
        signal.signal(number, signal.SIG_IGN)
    gc.disable()  # looking for cycles among millions of new lists takes longer than making them; there are none
    _limit_memory(memory)
    incoming, outgoing = sys.stdin.buffer, sys.stdout.buffer
    while head := incoming.read(_LENGTH.size):
        name, arguments = pickle.loads(incoming.read(_LENGTH.unpack(head)[0]))
        answer = pickle.dumps(_outcome(getattr(rest, name), arguments), protocol=5)
        outgoing.write(_LENGTH.pack(len(answer)))
        outgoing.write(answer)
        outgoing.flush()
        del arguments, answer
        gc.collect()


def _outcome(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[bool, Any]:
    try:
        return True, function(*arguments)
    except MemoryError:
        return False, Refused(413, _TOO_MUCH)
    except RecursionError:
        return False, Refused(400, "The JSON is nested too deeply.")
    except Exception as error:
        return False, error


def _limit_memory(memory: int) -> None:
    if importlib.util.find_spec("resource"):  # Windows has no such limits
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
