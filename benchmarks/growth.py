"""How time and memory of a prediction grow: with the image, the batch, the cores, the files and the classes.

    python benchmarks/growth.py [side batch cores files classes] [--quick]

Without names, all five tables. Each row is a process of its own. Times are medians of three calls after a first one.
Memory is the largest resident memory above that of the process before its first call (Linux). The network is an FCN
head on a ResNet-18 at output stride 8 with half its channels and random weights. `--quick` leaves out the largest rows.

* side: square images. From 2048 pixels on also in windows of 1024, as `--window=1024,1024` does.
* files: `predict_files` without the network. The directory is simulated: no disk takes part.
* classes: how much of the time goes by after the network, for enlarging the logits and choosing the largest.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable, Generator, Iterator
from typing import Any

SIDES, BATCHES = (256, 512, 1024, 2048, 4096), (1, 2, 4, 8, 16)
FILES, CLASSES = (10, 1000, 10_000, 100_000, 1_000_000), (2, 21, 150, 1000)
WINDOW = 1024
MB = 1e6
Row = dict[str, float]


def network(num_classes: int = 21) -> Any:
    import tfseg

    return tfseg.FCN(tfseg.ResNet(18, width=1 / 2, output_stride=8), num_classes)


def memory() -> float:
    """The largest resident memory of this process so far, in bytes."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def median(call: Callable[[], Any], rounds: int = 3) -> float:
    """Seconds of a call."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def predicted(images: tuple[int, int, int], num_classes: int = 21, window: int = 0) -> Row:
    """Seconds and bytes of `tfseg.predict`.

    Args:
        images: number, height and width of the images.
        num_classes: number of classes.
        window: side of the window; 0 for whole images.
    """
    import numpy as np

    import tfseg

    model = network(num_classes)
    pixels = np.random.default_rng(0).integers(0, 256, (*images, 3), dtype="uint8")
    options = {"window": (window, window)} if window else {}
    before = memory()
    tfseg.predict(model, pixels, **options)
    used = memory() - before
    return {"seconds": median(lambda: tfseg.predict(model, pixels, **options)), "bytes": used}


def side(number: str, window: str) -> Row:
    row = predicted((1, int(number), int(number)), window=int(window))
    megapixels = int(number) ** 2 / 1e6
    return {"ms per megapixel": row["seconds"] * 1e3 / megapixels, "MB": row["bytes"] / MB}


def batch(number: str) -> Row:
    row = predicted((int(number), 256, 256))
    return {"ms per image": row["seconds"] * 1e3 / int(number), "MB per image": row["bytes"] / MB / int(number)}


def cores(number: str) -> Row:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(number)])  # before TensorFlow starts threads
    return {"ms": predicted((1, 512, 512))["seconds"] * 1e3}


def classes(number: str) -> Row:
    import numpy as np

    import tfseg
    from tfseg.prediction.compiled import compiled_once
    from tfseg.prediction.row_blocks import coarse_model

    row = predicted((1, 512, 512), int(number))
    coarse = coarse_model(network(int(number)))
    assert coarse is not None
    images = tfseg.preprocess(np.zeros((1, 512, 512, 3), "uint8"), "torch")
    scores = compiled_once(coarse.scores, "growth", lambda scores: scores)
    scores(images)
    before = median(lambda: scores(images).numpy())
    return {"ms": row["seconds"] * 1e3, "share after the network": 1 - before / row["seconds"], "MB": row["bytes"] / MB}


def entry(name: str) -> types.SimpleNamespace:
    """A file that is only a name, as `os.scandir` gives it."""
    return types.SimpleNamespace(name=name, is_dir=lambda: False, is_file=lambda: True)


def files(number: str) -> Row:
    from tfseg.prediction import files
    from tfseg.prediction.batches import TaskResult

    model, scandir = network(), os.scandir

    def nobody(*_: object) -> Generator[TaskResult, None, None]:
        """A cluster that does no work."""
        yield from ()

    with tempfile.TemporaryDirectory() as folder:
        photos = pathlib.Path(folder) / "photos"
        photos.mkdir()

        def simulated(place: Any) -> Iterator[Any]:
            names = (f"{index:07}.jpg" for index in range(int(number)))
            return map(entry, names) if str(place) == str(photos) else scandir(place)

        before, begin, processor = memory(), time.perf_counter(), time.process_time()
        os.scandir = simulated  # type: ignore[assignment]
        try:
            outcome = files.predict_files(model, photos, f"{folder}/maps", cluster=nobody, progress=False)
        finally:
            os.scandir = scandir
        seconds, processor = time.perf_counter() - begin, time.process_time() - processor
    assert outcome.predicted == int(number)
    return {"seconds": seconds, "processor seconds": processor, "MB": (memory() - before) / MB}


def rows(table: str, quick: bool) -> list[tuple[str, ...]]:
    """The arguments of each row of a table."""
    cut = -1 if quick else None
    if table == "side":
        whole = [(str(side), "0") for side in SIDES[:cut]]
        return whole + [(str(side), str(WINDOW)) for side in SIDES[:cut] if side > WINDOW]
    if table == "cores":
        return [(str(number),) for number in range(1, len(os.sched_getaffinity(0)) + 1)]
    numbers = {"batch": BATCHES, "files": FILES, "classes": CLASSES}[table]
    return [(str(number),) for number in (numbers[:cut] if table != "classes" else numbers)]


def main(tables: list[str], quick: bool) -> None:
    """Runs and prints the tables."""
    from tfseg.engines import machine

    print(f"{machine.processor()}, {machine.cores()} cores, load {os.getloadavg()[0]:.1f}")
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    for table in tables:
        print(f"\n{table}", flush=True)
        for words in rows(table, quick):
            command = [sys.executable, __file__, "--row", table, *words]
            ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
            row = json.loads(ended.stdout.splitlines()[-1])
            name = words[0] if words[1:] in ((), ("0",)) else f"{words[0]} in windows"
            figures = "  ".join(
                f"{key} {value:.3g}" if value < 10 else f"{key} {value:.0f}" for key, value in row.items()
            )
            print(f"{name:>16}  {figures}", flush=True)
    print(f"\nload at the end {os.getloadavg()[0]:.1f}")


TABLES: dict[str, Callable[..., Row]] = {
    "side": side,
    "batch": batch,
    "cores": cores,
    "files": files,
    "classes": classes,
}

if __name__ == "__main__":
    if sys.argv[1:2] == ["--row"]:
        print(json.dumps(TABLES[sys.argv[2]](*sys.argv[3:])))
    else:
        parser = argparse.ArgumentParser(description=__doc__)
        parser.add_argument("tables", nargs="*", choices=TABLES, default=list(TABLES))
        parser.add_argument("--quick", action="store_true")
        arguments = parser.parse_args()
        main(arguments.tables, arguments.quick)
