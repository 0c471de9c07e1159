"""Photographs a second from JPEG to mask: one process on one core, one on all, and a Ray cluster of two workers.

    python benchmarks/predict_files.py [number of photographs]

Interleaved, three rounds, each run in a process of its own. A rate is taken between the first fifth and the last tenth
of the masks, so that neither the start nor the end counts. Per core, Ray is to lose less than a tenth. Work is handed
out in chunks of 32: with less than some 320 photographs it runs to the end, but the rates tell little.
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


def make(photos, count):
    from PIL import Image

    random = np.random.default_rng(0)
    for index in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (36, 48, 3), dtype=np.uint8))
        size = (480, 360) if index % 3 else (360, 480)
        coarse.resize(size, Image.Resampling.BICUBIC).save(photos / f"{index:05}.jpg", quality=95)


def work(name, photos, out):
    """In a process of its own: predicts them all."""
    if name == "one core":
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before TensorFlow has threads; reading ones too
        os.environ |= ONE_CORE
    import keras

    import tfseg
    from tfseg.prediction.ray import Ray

    keras.utils.set_random_seed(0)
    model = tfseg.FCN(tfseg.ResNet(18, width=1 / 2, output_stride=16), 21)
    cluster = Ray(workers=WORKERS) if name == "Ray" else None
    tfseg.predict_files(model, photos, out, overlays=False, cluster=cluster, progress=False)


def rate(out):
    """Masks a second, by the times at which they were written."""
    times = sorted(path.stat().st_mtime for path in out.glob("*.png"))
    first, last = len(times) // 5, len(times) * 9 // 10
    seconds = times[last] - times[first]
    return (last - first) / seconds if seconds else float("nan")


def main(count):
    rates = {name: [] for name in ("one core", "all cores", "Ray")}
    with tempfile.TemporaryDirectory() as directory:
        photos = pathlib.Path(directory) / "photos"
        photos.mkdir()
        make(photos, count)
        for turn in range(3):
            for name, measured in rates.items():
                out = pathlib.Path(directory) / f"{name} {turn}"
                environment = os.environ | {"PYTHONPATH": str(ROOT)}  # which Ray's workers inherit
                subprocess.run([sys.executable, __file__, name, photos, out], env=environment, check=True)
                measured.append(rate(out))
    for name, measured in rates.items():
        print(f"{name:12}{statistics.median(measured):8.2f} photographs a second")
    shares = [ray / WORKERS / one_core for ray, one_core in zip(rates["Ray"], rates["one core"], strict=True)]
    print(f"Ray with {WORKERS} workers, per core, against one process on one core: {statistics.median(shares):.2f}")


if __name__ == "__main__":
    if len(sys.argv) == 4:
        work(*sys.argv[1:])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 640)
