"""Photographs per second from JPEG to mask: a process on one core, one on all cores, a Ray cluster of two workers.

    python benchmarks/predict_files.py [number of photographs]

Three interleaved rounds, each run in a separate process. A rate is measured between the first fifth and the last tenth
of the masks, so that neither the start nor the end counts. Per core, Ray should lose less than a tenth. Ray's chunks
have 32 photographs: with fewer than about 320 photographs the rates say little.
"""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).parents[1]
ONE_CORE = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
WORKERS = 2


def write_photographs(photos: pathlib.Path, count: int) -> None:
    from PIL import Image

    random = np.random.default_rng(0)
    for index in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (36, 48, 3), dtype=np.uint8))
        size = (480, 360) if index % 3 else (360, 480)
        coarse.resize(size, Image.Resampling.BICUBIC).save(photos / f"{index:05}.jpg", quality=95)


def predict_all(name: str, photos: str, out: str) -> None:
    """Predicts all photographs, in this process."""
    if name == "one core":
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before TensorFlow and the readers start threads
        os.environ |= ONE_CORE
    import keras

    import tfseg
    from tfseg.prediction.ray import Ray

    keras.utils.set_random_seed(0)
    model = tfseg.FCN(tfseg.ResNet(18, width=1 / 2, output_stride=16), 21)
    cluster = Ray(workers=WORKERS) if name == "Ray" else None
    tfseg.predict_files(model, photos, out, overlays=False, cluster=cluster, progress=False)


def rate(out: pathlib.Path) -> float:
    """Masks per second, by the times at which they were written."""
    times = sorted(path.stat().st_mtime for path in out.glob("*.png"))
    first, last = len(times) // 5, len(times) * 9 // 10
    seconds = times[last] - times[first]
    return (last - first) / seconds if seconds else float("nan")


def main(count: int) -> None:
    """Runs and prints all rounds."""
    rates: dict[str, list[float]] = {name: [] for name in ("one core", "all cores", "Ray")}
    with tempfile.TemporaryDirectory() as directory:
        photos = pathlib.Path(directory) / "photos"
        photos.mkdir()
        write_photographs(photos, count)
        for turn in range(3):
            for name, measured in rates.items():
                out = pathlib.Path(directory) / f"{name} {turn}"
                environment = os.environ | {"PYTHONPATH": str(ROOT)}  # Ray's workers inherit it
                subprocess.run([sys.executable, __file__, name, photos, out], env=environment, check=True)
                measured.append(rate(out))
    for name, measured in rates.items():
        print(f"{name:12}{statistics.median(measured):8.2f} photographs per second")
    shares = [ray / WORKERS / one_core for ray, one_core in zip(rates["Ray"], rates["one core"], strict=True)]
    print(f"Ray with {WORKERS} workers, per core, relative to one process on one core: {statistics.median(shares):.2f}")


if __name__ == "__main__":
    if len(sys.argv) == 4:
        predict_all(*sys.argv[1:])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 640)
