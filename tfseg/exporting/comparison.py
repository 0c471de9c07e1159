"""Artifacts beside the model that they come from, each run in a fresh process by its own runtime."""

import itertools
import pathlib
import subprocess
import sys

import numpy as np
from keras import ops

from tfseg.exporting.job import resized

SIZES = ((64, 96), (65, 83), (97, 128))  # height and width, where the network takes any
_BATCH = 2
_PATIENCE = 1800  # seconds: what has not answered by then hangs
_SCRIPT = pathlib.Path(__file__).with_name("reopening.py")


class Comparison:
    """The model's answers to seeded pictures of several sizes, and how far an artifact's lie from them.

    Args:
        job: with the model, and photographs to look at in place of seeded pictures.
        folder: for what goes to the other processes and comes back; exists.
    Raises:
        ValueError: logits that are not of the image's size.
    """

    def __init__(self, job, folder):
        self._job, self._folder = job, folder
        fixed = job.shape[1:3]
        sizes = (tuple(own or side for own, side in zip(fixed, size, strict=True)) for size in SIZES)
        self.sizes = list(dict.fromkeys(sizes))
        batch = job.shape[0] or _BATCH
        examples, self._logits = {}, []
        for index, size in enumerate(self.sizes):
            pixels = _pictures(job, (batch, *size, 3))
            images = job.prepared(pixels)
            logits = ops.convert_to_numpy(job.network(images, training=False)).astype("float32")
            if logits.shape[:3] != images.shape[:3]:
                raise ValueError(
                    "A segmentation model gives every pixel logits. Received: "
                    f"{job.model.name!r}, {images.shape} to {logits.shape}"
                )
            examples |= {f"pixels_{index}": pixels, f"images_{index}": images}
            self._logits.append(logits)
        np.savez(folder / "examples.npz", **examples)

    def of(self, artifact, form):
        """What export.json tells of one artifact.

        Raises:
            ValueError: the runtime does not run it, or it lies beyond the bounds of its format.
        """
        results = self._run(artifact, form.runtime)
        version = str(results.pop("version"))
        differences, same = [], []
        for name, value in results.items():
            kind, _, index = name.rpartition("_")
            wanted = self._logits[int(index)]
            expected = wanted.shape if kind == "logits" else wanted.shape[:3]
            if value.shape != expected:
                raise ValueError(f"{artifact.name}: {kind} of shape {expected} expected. Received: {value.shape}")
            if kind == "logits":
                differences.append(np.abs(value - wanted).max() / (np.abs(wanted).max() or 1))
                value = value.argmax(axis=-1)
            same.append((value == wanted.argmax(axis=-1)).ravel())
        difference, equal = float(np.max(differences)), float(np.concatenate(same).mean())
        bound = form.bound
        if not (difference <= bound.difference and equal >= bound.equal_pixels):  # NaN fails too
            raise ValueError(
                f"{artifact.name} does not compute what the model computes: logits differ by {difference:.1e} of the "
                f"largest (at most {bound.difference:.0e} expected), {equal:.2%} of the pixels have the same class (at "
                f"least {bound.equal_pixels:.2%} expected). Nothing was exported."
            )
        files = [one for one in (artifact, *artifact.rglob("*")) if one.is_file()]
        return {
            "runtime": f"{form.runtime.name} {version}",
            "sizes": [list(size) for size in self.sizes],
            "max_relative_difference": difference,
            "equal_pixels": equal,
            "bytes": sum(one.stat().st_size for one in files),
        }

    def _run(self, artifact, runtime):
        examples, results = self._folder / "examples.npz", self._folder / "results.npz"
        if runtime.function == "keras":
            (self._folder / "architecture.json").write_text(self._job.model.to_json())
        command = [sys.executable, "-P", "-W", "ignore", _SCRIPT, runtime.function, artifact, examples, results]
        try:
            process = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_PATIENCE,
            )
        except subprocess.TimeoutExpired as error:
            raise ValueError(
                f"{artifact.name} was written, but {runtime.name} has not run it within {error.timeout:.0f} s. Nothing "
                "was exported."
            ) from error
        if process.returncode:
            lines = process.stderr.strip().splitlines() or [f"exit status {process.returncode}"]
            raise ValueError(
                f"{artifact.name} was written, but {runtime.name} does not run it: {lines[-1]}. Nothing was exported."
            )
        with np.load(results) as found:
            return dict(found)


def _pictures(job, shape):
    """uint8 `(batch, height, width, 3)`: photographs, or patches of colour under noise."""
    batch, *size, _ = shape
    if job.has_photographs:
        found = list(itertools.islice(itertools.cycle(job.photographs()), batch))
        return np.stack([resized(pixels, size) for pixels in found])
    random = np.random.default_rng(0)
    patches = random.integers(0, 224, (batch, *(-(-side // 8) for side in size), 3))
    patches = patches.repeat(8, axis=1).repeat(8, axis=2)[:, : size[0], : size[1]]
    return (patches + random.integers(0, 32, patches.shape)).astype("uint8")
