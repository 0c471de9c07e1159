"""The process that reads JSON: its answers, its limits, and what happens when it ends."""

import asyncio
import json
import pathlib
import signal

import numpy as np
import pytest

pytest.importorskip("aiohttp")

from tfseg.serving.errors import Refused
from tfseg.serving.json_process import JsonProcess

TYPES = {"serving_default": {"images": "float32"}}
BODY = json.dumps({"inputs": [[1.5, 2.5], [3.5, 4.5]]}).encode()


def in_a_process(test, **options):
    """Runs a coroutine function with a process that reads JSON."""

    async def run():
        process = JsonProcess(**options)
        try:
            await test(process)
        finally:
            await process.stop()

    asyncio.run(run())


def test_it_loads_neither_keras_nor_tensorflow_and_gives_arrays():
    async def test(process):
        signature, inputs, by_rows = await process.run("read_request", BODY, TYPES, 100)
        assert (signature, by_rows) == ("serving_default", False)
        np.testing.assert_array_equal(inputs["images"], np.float32([[1.5, 2.5], [3.5, 4.5]]))
        maps = pathlib.Path(f"/proc/{process._process.pid}/maps").read_text()
        assert "_multiarray_umath" in maps  # numpy
        assert "tensorflow" not in maps
        assert await process.run("write_answer", [inputs], True) == b'{"predictions":[[1.5,2.5],[3.5,4.5]]}'

    in_a_process(test)


def test_it_is_started_again_after_its_end():
    async def test(process):
        await process.start()
        first = process._process
        first.kill()
        await first.wait()
        assert (await process.run("read_request", BODY, TYPES, 100)).signature == "serving_default"
        assert process._process is not first

    in_a_process(test)


def test_a_request_is_answered_though_the_process_ended_just_now():
    async def test(process):
        await process.start()
        for _ in range(2):
            process._process.kill()  # the server does not know it yet
            assert (await process.run("read_request", BODY, TYPES, 100)).signature == "serving_default"

    in_a_process(test)


def test_signals_to_all_processes_do_not_end_it():
    async def test(process):
        assert (await process.run("read_request", BODY, TYPES, 100)).signature == "serving_default"
        first = process._process
        for number in (signal.SIGTERM, signal.SIGINT):
            first.send_signal(number)
            assert (await process.run("read_request", BODY, TYPES, 100)).signature == "serving_default"
        assert process._process is first

    in_a_process(test)


def test_what_it_says_is_logged(caplog):
    async def test(process):
        process._memory = "no number"  # it ends with a message
        with pytest.raises(Refused):
            await process.run("read_request", BODY, TYPES, 100)
        await process._said

    in_a_process(test)
    assert "The process for JSON says: Traceback" in caplog.text


def test_what_takes_too_much_memory_is_refused():
    async def test(process):
        body = b'{"inputs": [' + b"[]," * 8_000_000 + b"[]]}"
        with pytest.raises(Refused, match="too much memory: send images as files") as caught:
            await process.run("read_request", body, TYPES, 10**9)
        assert caught.value.status == 413
        assert (await process.run("read_request", BODY, TYPES, 100)).signature == "serving_default"

    in_a_process(test, memory=400 * 2**20)


def test_what_a_client_asked_ends_when_it_hangs_up():
    async def test(process):
        await process.start()
        first = process._process
        body = b'{"inputs": [' + b"[1,2,3]," * 1_000_000 + b"[1,2,3]]}"
        asked = asyncio.create_task(process.run("read_request", body, TYPES, 10**9))
        await asyncio.sleep(0.05)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert first.returncode is not None
        assert (await process.run("read_request", BODY, TYPES, 100)).signature == "serving_default"

    in_a_process(test)


def test_without_free_descriptors_the_client_tries_again(monkeypatch):
    async def start(*_, **__):
        raise OSError(24, "Too many open files")

    async def test(process):
        with pytest.raises(Refused, match="try again in a moment") as refusal:
            await process.run("read_request", BODY, TYPES, 100)
        assert refusal.value.status == 503

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
    in_a_process(test)
