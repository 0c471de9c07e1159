"""A server under load: right answers beside silent, slow, malformed and hostile requests.

    python benchmarks/serving_load.py [--minutes=10] [--exported=FOLDER] [--throughput [--earlier=CHECKOUT]]

`tfseg serve` runs in a process of its own, by default with the sample network. For the given time, clients send: rounds
of 200 photographs at once, whose masks are compared with those of the model alone; over a hundred kinds of malformed
requests; bombs that promise much; and 2000 connections that say nothing. Meanwhile `/health` is asked ten times per
second. Printed are lost and wrong answers, statuses, the times of `/health`, and memory at the start and the end.

`--throughput` prints the photographs per second of 32 clients instead, in turns: with and without shared runs, on the
engine that is fastest, and with an earlier checkout of this repository.
"""

import argparse
import asyncio
import base64
import collections
import concurrent.futures
import contextlib
import gzip
import http.client
import io
import json
import multiprocessing
import os
import pathlib
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator

import aiohttp
import numpy as np
from PIL import Image

ROOT = pathlib.Path(__file__).parents[1]
REST = 10  # seconds, until the last answers have come
CLIENTS, SILENT, SIZES = 200, 2000, ((90, 120), (120, 90), (96, 96))


def export_sample(folder: pathlib.Path, **options) -> pathlib.Path:
    """The exported sample network, with options of `tfseg.export`."""
    sys.path.insert(0, str(ROOT))
    import converters
    import tfseg

    model, _ = converters.convert(ROOT / "examples" / "fcn_resnet18_w50_os8_camvid.pth")
    tfseg.set_metadata(model, classes=json.loads((ROOT / "examples" / "card.json").read_text())["classes"])
    tfseg.export(model, folder / "street", **options)
    return folder / "street"


@contextlib.contextmanager
def served(exported: pathlib.Path, *flags: str, checkout: pathlib.Path = ROOT) -> Iterator[tuple[str, int]]:
    """The address and the process number of a server by the code of a checkout."""
    words = [sys.executable, "-m", "tfseg_cli.serve", str(exported), "--port=0", *flags]
    words += ["--log_level=error"] if checkout == ROOT else []  # of which earlier ones know nothing
    variables = os.environ | {"PYTHONPATH": str(checkout)}
    process = subprocess.Popen(words, cwd=checkout, env=variables, stdout=subprocess.PIPE, text=True)
    try:
        yield next(line.split()[-1] for line in process.stdout if "http://" in line), process.pid
    finally:
        process.terminate()
        process.wait()


def png(image: np.ndarray) -> bytes:
    """The file of an image."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def photographs(count: int, sizes=SIZES) -> list[np.ndarray]:
    """Parts of the sample photograph."""
    with Image.open(ROOT / "examples" / "street.png") as street:
        whole = np.asarray(street.convert("RGB"))
    chosen = random.Random(0)
    parts = []
    for index in range(count):
        height, width = sizes[index % len(sizes)]
        top, left = chosen.randrange(whole.shape[0] - height + 1), chosen.randrange(whole.shape[1] - width + 1)
        parts.append(whole[top : top + height, left : left + width])
    return parts


def answers_of(exported: pathlib.Path, images: list[np.ndarray]) -> list[np.ndarray]:
    """The classes of the model alone."""
    from tfseg.serving.exported import ExportedModel

    model = ExportedModel(exported)
    return [model.segment(image) for image in images]


def png_bomb(width: int, height: int) -> bytes:
    """A PNG of few bytes that says it is large."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000)))


def hostile() -> list[tuple[str, bytes, dict[str, str]]]:
    """Path, body and headers of requests that no honest client sends; none may be answered with 500."""
    good, predict = png(photographs(1)[0]), "/v1/models/served:predict"
    as_json = {"Content-Type": "application/json"}
    kinds: list[tuple[str, bytes, dict[str, str]]] = []
    for at in (0, 1, 8, 20, 40, 100, 1000, -1):
        kinds += [("/segment", good[:at], {}), ("/segment", good[:at] + b"\xff" + good[at + 1 :], {})]
    frames = [Image.new("P", (500, 400), index) for index in range(200)]
    gif = io.BytesIO()
    frames[0].save(gif, "GIF", save_all=True, append_images=frames[1:])
    for body in (
        b"", b"\x00" * 1000, b"%PDF-1.7", b"<svg/>", b"%!PS", b"II*\x00" + b"\xff" * 100, b"RIFF\xff\xff\xff\xffWEBP",
        b"GIF89a" + b"\xff" * 50, b"BM" + b"\xff" * 60, b"\xff\xd8\xff\xe0" + b"\x00" * 90, png_bomb(60_000, 60_000),
        png_bomb(4000, 3999), png_bomb(0, 0), png_bomb(2**31 - 1, 1), gif.getvalue(), bytes(16 * 2**20),
        bytes(17 * 2**20),
    ):  # fmt: skip
        kinds.append(("/segment", body, {}))
        kinds.append((predict, json.dumps({"instances": [{"b64": base64.b64encode(body).decode()}]}).encode(), {}))
    for encoding in ("gzip", "deflate", "br", "zstd", "nothing"):
        for body in (good, b"no such thing" * 9, gzip.compress(bytes(200_000_000)), zlib.compress(bytes(10_000_000))):
            kinds.append(("/segment", body, {"Content-Encoding": encoding}))
    for query in ("?output=", "?output=exe", "?class=nobody", "?class=-1", "?output=npy&class=0", "?" + "x" * 4000):
        kinds.append(("/segment" + query, good, {}))
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x", "multipart/mixed; boundary=y", "text/x"):
        for body in (
            b"",
            b"--x--\r\n",
            b"--x\r\n\r\n--x--",
            b'--x\r\nContent-Disposition: form-data; filename="a"\r\n',
        ):
            kinds.append(("/segment", body, {"Content-Type": kind}))
    for text in (
        "", "{", "[]", "null", "1e999", '{"inputs": NaN}', '{"inputs": 1}', '{"inputs": []}', '{"inputs": [[]]}',
        '{"inputs": {}}', '{"inputs": "x"}', '{"instances": [1, [2]]}', '{"instances": [{"a": 1}]}', "[" * 1_000_000,
        '{"a":' * 1_000_000, '{"inputs": [' + "[]," * 5_000_000 + "[]]}", '{"inputs": [' + "0," * 7_900_000 + "0]}",
        '{"inputs": [' + "[0,0,0]," * 1_900_000 + "[0,0,0]]}", '{"inputs": ' + "9" * 1_000_000 + "}",
        '{"inputs": "' + "\\u0041" * 2_000_000 + '"}', '{"signature_name": "classes", "inputs": [[[[1, 2, 999]]]]}',
        '{"instances": [{"b64": "?"}]}', '{"instances": [{"b64": "' + "A" * 15_000_000 + '"}]}',
        '{"signature_name": 5}',
        '{"signature_name": "classes", "inputs": [[[[1, 2, 3]]]]}', '{"inputs": [[[[1e308, -1e308, 1e39]]]]}',
    ):  # fmt: skip
        kinds += [(predict, text.encode(), {}), ("/segment", text.encode(), as_json)]
    kinds += [(path, good, {}) for path in ("/nothing", "/v1/models/x:predict", "/" + "a" * 7000, "/%00", "//")]
    kinds += [("/segment", good, {"Host": "evil.example"}), ("/segment", good, {"Origin": "https://evil.example"})]
    return kinds


def memory(process: int) -> float:
    """Resident memory of a process and its children, in megabytes."""
    pages = 0
    children = pathlib.Path(f"/proc/{process}/task/{process}/children").read_text().split()
    for number in (process, *children):
        pages += int(pathlib.Path(f"/proc/{number}/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def watch(address: str, end: float) -> list[float]:
    """Seconds of the answers to `/health`, each by a connection of its own, until a time of `time.time`."""
    host, port = address.removeprefix("http://").split(":")
    times = []
    while time.time() < end:
        start = time.monotonic()
        with contextlib.closing(http.client.HTTPConnection(host, int(port), timeout=60)) as connection:
            connection.request("GET", "/health")
            assert connection.getresponse().status == 200
        times.append(time.monotonic() - start)
        time.sleep(0.1)
    return sorted(times)


class Load:
    """What clients of all kinds send to one server, and what they get."""

    def __init__(self, address: str, process: int, exported: pathlib.Path) -> None:
        self.address, self.process = address, process
        self.images = photographs(CLIENTS)
        self.expected = answers_of(exported, self.images)
        self.statuses: collections.Counter[str] = collections.Counter()
        self.lost = self.wrong = self.right = 0
        self.end = 0.0

    async def rounds(self, session: aiohttp.ClientSession) -> None:
        """Photographs, all clients at once, until the time is over."""
        bodies = [png(image) for image in self.images]

        async def ask(index: int) -> None:
            while True:
                try:
                    async with session.post(f"{self.address}/segment?output=npy", data=bodies[index]) as response:
                        content = await response.read()
                except (aiohttp.ClientError, TimeoutError):
                    self.lost += 1
                    return
                self.statuses[f"photographs {response.status}"] += 1
                if response.status != 503:
                    break
                await asyncio.sleep(1)
            if response.status == 200 and np.array_equal(np.load(io.BytesIO(content)), self.expected[index]):
                self.right += 1
            else:
                self.wrong += 1

        while time.monotonic() < self.end:
            await asyncio.gather(*map(ask, range(CLIENTS)))

    async def attack(self, session: aiohttp.ClientSession) -> None:
        """Hostile requests, one after the other; each once at least."""
        kinds = hostile()
        turns = 0
        while time.monotonic() < self.end or not turns:
            turns += 1
            for path, body, headers in kinds:
                with contextlib.suppress(aiohttp.ClientError):  # a server may hang up on too large a body
                    async with session.post(self.address + path, data=body, headers=headers) as response:
                        await response.read()
                        self.statuses[f"hostile {response.status}"] += 1
                if time.monotonic() > self.end and turns > 1:
                    return

    async def weigh(self) -> list[float]:
        """The memory of the server at each minute until the end."""
        weights = [memory(self.process)]
        while (rest := self.end - time.monotonic()) > 0:
            await asyncio.sleep(min(60, rest))
            weights.append(memory(self.process))
        return weights

    async def run(self, minutes: float) -> None:
        """All of it."""
        host, port = self.address.removeprefix("http://").split(":")
        timeout = aiohttp.ClientTimeout(total=300)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            self.end = time.monotonic() + 60
            await asyncio.gather(self.rounds(session), self.attack(session))  # the first of each kind fills caches
            await asyncio.sleep(REST)
            at_rest = [memory(self.process)]
            # In a process of its own, because this one is busy.
            context = multiprocessing.get_context("spawn")
            with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
                await asyncio.wrap_future(pool.submit(time.time))  # it has started
                self.end = time.monotonic() + 60 * minutes
                watched = pool.submit(watch, self.address, time.time() + 60 * minutes)
                silent = [await asyncio.open_connection(host, int(port)) for _ in range(SILENT)]
                for _, writer in silent[: SILENT // 2]:
                    writer.write(b"POST /segment HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nslow")
                weights, *_ = await asyncio.gather(self.weigh(), self.rounds(session), self.attack(session))
                times = await asyncio.wrap_future(watched)
            for _, writer in silent:
                writer.close()
            await asyncio.sleep(REST)
            at_rest.append(memory(self.process))
        print(f"{len(hostile())} hostile kinds, {SILENT} silent connections, {minutes:g} minutes")
        print(f"photographs: {self.right} right, {self.wrong} wrong, {self.lost} lost")
        print("statuses:", ", ".join(f"{name}: {count}" for name, count in sorted(self.statuses.items())))
        print(
            f"/health: {len(times)} answers, median {times[len(times) // 2]:.3f} s, "
            f"99 % {times[int(0.99 * len(times))]:.3f} s, longest {times[-1]:.3f} s"
        )
        print(f"memory at each minute, in MB: {', '.join(f'{weight:.0f}' for weight in weights)}")
        print(f"memory at rest, before and after, in MB: {at_rest[0]:.0f}, {at_rest[1]:.0f}")


async def throughput(address: str, clients: int, seconds: float) -> float:
    """Photographs per second that clients get, each with one request at a time."""
    bodies = [png(image) for image in photographs(clients, sizes=((360, 480),))]
    done, end = 0, time.monotonic() + seconds

    async def client(session: aiohttp.ClientSession, body: bytes) -> None:
        nonlocal done
        while time.monotonic() < end:
            async with session.post(f"{address}/segment", data=body) as response:
                await response.read()
                assert response.status == 200
            done += time.monotonic() < end

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(client(session, body) for body in bodies))
    return done / seconds


def main() -> None:
    """Runs the load, or the measurement of throughput."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--exported", type=pathlib.Path)
    parser.add_argument("--throughput", action="store_true")
    parser.add_argument("--earlier", type=pathlib.Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        formats = ("saved_model", "openvino", "onnx") if args.throughput else ("saved_model",)
        exported = args.exported or export_sample(pathlib.Path(folder), formats=formats)
        if not args.throughput:
            with served(exported, "--name=served") as (address, process):
                asyncio.run(Load(address, process, exported).run(args.minutes))
            return
        flags = {"--batch=1": ["--batch=1"], "--batch=8": ["--batch=8"], "--engine=auto": ["--engine=auto"]}
        rates: dict[str, list[float]] = {name: [] for name in flags}
        with contextlib.ExitStack() as stack:
            addresses = {name: stack.enter_context(served(exported, *words))[0] for name, words in flags.items()}
            if args.earlier:
                addresses["earlier"], _ = stack.enter_context(served(exported, checkout=args.earlier))
                rates["earlier"] = []
            for turn in range(4):
                for name, address in addresses.items():
                    rate = asyncio.run(throughput(address, 32, 10))
                    if turn:  # the first turn warms up
                        rates[name].append(rate)
        for name, values in rates.items():
            print(f"{name}: {statistics.median(values):.1f} photographs per second, 32 clients")


if __name__ == "__main__":
    main()
