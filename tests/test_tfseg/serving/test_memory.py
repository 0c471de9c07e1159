"""What answered requests leave behind goes back to the system."""

import asyncio
import os
import platform
import subprocess
import sys
import time

import pytest
from helpers.paths import ROOT

from tfseg.serving import memory

# The C library is told to keep what is freed, as it does by itself after the first large bodies.
KEEPING = {"MALLOC_TRIM_THRESHOLD_": str(2**30), "MALLOC_MMAP_THRESHOLD_": str(2**25)}
LEFT_BEHIND = """
import asyncio, gc, importlib.util, pathlib, sys
gc.disable()  # by itself it comes seldom to what has lived for a while
sys.modules["tfseg"] = importlib.util.module_from_spec(importlib.util.find_spec("tfseg"))  # without Keras
from tfseg.serving import memory

def resident():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20

class Refusal:
    def __init__(self):
        self.body, self.cycle = b"x" * 2**20, self

async def main():
    memory._INTERVAL = 0.01
    refusals = [Refusal() for _ in range(64)]
    refusals, last = None, refusals[-1]
    before = resident()
    task = asyncio.create_task(memory.give_back(lambda: 2**26))
    await asyncio.sleep(1)
    task.cancel()
    print(before - resident())

asyncio.run(main())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not glibc")
def test_the_memory_of_bodies_goes_back():
    variables = os.environ | KEEPING | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", LEFT_BEHIND], env=variables, capture_output=True, text=True, check=True, timeout=60
    )
    assert int(result.stdout) >= 55  # of 63 MB


def test_small_bodies_cost_no_time(monkeypatch):
    calls, looks, held = [], [], iter([100, 2**20, 0, 2**21, 5])
    monkeypatch.setattr(memory, "_INTERVAL", 0.0)
    monkeypatch.setattr(memory, "_trim", lambda: calls.append)

    def most_held():
        looks.append(next(held, 0))
        return looks[-1]

    async def looked():
        task = asyncio.create_task(memory.give_back(most_held))
        end = time.monotonic() + 10
        while len(looks) < 8 and time.monotonic() < end:
            await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(looked())
    assert len(looks) >= 8
    assert calls == [0, 0]
