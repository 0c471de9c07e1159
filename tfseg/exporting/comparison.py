"""Compares artifacts with the model that they come from; each artifact runs in a fresh process, in its own runtime."""

import itertools
import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
from keras import ops

from tfseg.exporting.formats import Format, Runtime
from tfseg.exporting.job import ExportJob, resize
from tfseg.prediction.sizes import sizes_like
from tfseg.prediction.windows import softmax
from tfseg.types import Array, Size

SIZES = ((64, 96), (65, 83), (97, 128))  # height and width of the images, where the network takes any size
_BATCH_SIZE = 2
TIMEOUT = 1800  # seconds: a process that has not answered by then hangs
_SCRIPT = pathlib.Path(__file__).with_name("reopening.py")


class ArtifactComparison:
    """The logits of a model for a few images of several sizes, and how much the logits of artifacts differ from them.

    Args:
        job: model. If it has photographs, they are the images; otherwise the images are random, with a fixed seed.
        folder: existing directory for the files that are exchanged with other processes.
    Attributes:
        sizes: height and width of the images, in pixels.
    Raises:
        ValueError: the logits do not have the size of the image.
    """

    def __init__(self, job: ExportJob, folder: pathlib.Path) -> None:
        self._job, self._folder = job, folder
        batch_size, height, width, _ = job.shape
        self.sizes: list[Size] = sizes_like(job.model, SIZES, (height, width))
        examples: dict[str, Any] = {}
        self._logits: list[Array] = []
        for index, size in enumerate(self.sizes):
            pixels = _images(job, batch_size or _BATCH_SIZE, size)
            images = job.preprocess(pixels)
            logits = _logits(job, images)
            if logits.shape[:3] != images.shape[:3]:
                raise ValueError(
                    "A segmentation model gives every pixel logits. Received: "
                    f"{job.model.name!r}, {images.shape} to {logits.shape}. Enlarge smaller ones: "
                    "tfseg.layers.ResizeLike()([model.output, model.input]) is the output of a model that has them. "
                    "Or give a size at which it has them: size=(height, width), --size=height,width."
                )
            examples |= {f"pixels_{index}": pixels, f"images_{index}": images}
            self._logits.append(logits)
        np.savez(folder / "examples.npz", **examples)

    def compare(self, artifact: pathlib.Path, format: Format) -> dict[str, Any]:
        """The entry for one artifact in export.json.

        Args:
            artifact: path of the artifact.
            format: format of the artifact.
        Raises:
            ValueError: the runtime does not run the artifact, or it differs from the model by more than the tolerance.
        """
        results = self._run(artifact, format.runtime)
        version = str(results.pop("version"))
        differences, equal_classes = [], []
        for name, value in results.items():
            kind, _, index = name.rpartition("_")
            logits = self._logits[int(index)]
            shape = logits.shape[:3] if kind.startswith("classes") else logits.shape
            if value.shape != shape:
                raise ValueError(f"{artifact.name}: {kind} of shape {shape} expected. Received: {value.shape}")
            if not kind.startswith("classes"):
                # A probability changes by at most as much as the logits do, in whose size the rounding is.
                expected = logits if kind == "logits" else softmax(logits)
                differences.append(np.abs(value - expected).max() / (np.abs(logits).max() or 1))
                value = value.argmax(axis=-1)
            equal_classes.append((value == logits.argmax(axis=-1)).ravel())
        difference, equal_pixels = float(max(differences, default=0)), float(np.concatenate(equal_classes).mean())
        _check(artifact.name, difference, equal_pixels, format)
        files = [file for file in (artifact, *artifact.rglob("*")) if file.is_file()]
        return {
            "runtime": f"{format.runtime.name} {version}",
            "sizes": [list(size) for size in self.sizes],
            "max_relative_difference": difference if differences else None,  # classes have none
            "equal_pixels": equal_pixels,
            "bytes": sum(file.stat().st_size for file in files),
        }

    def _run(self, artifact: pathlib.Path, runtime: Runtime) -> dict[str, Array]:
        """What a fresh process computes from the examples."""
        examples, results = self._folder / "examples.npz", self._folder / "results.npz"
        if runtime.function == "keras":
            (self._folder / "architecture.json").write_text(self._job.model.to_json())
        output = "logits" if runtime.function in ("tensorflow", "keras") else self._job.outputs
        script = [str(_SCRIPT), runtime.function, str(artifact), str(examples), str(results), output]
        try:
            process = subprocess.run(
                [sys.executable, "-P", "-W", "ignore", *script],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT,
            )
        except subprocess.TimeoutExpired as error:
            raise ValueError(
                f"{artifact.name} was written, but {runtime.name} has not run it within {error.timeout:.0f} s. Nothing "
                "was exported."
            ) from error
        if process.returncode:
            lines = process.stderr.strip().splitlines() or [f"exit status {process.returncode}"]
            why = lines[-1]
            if process.returncode < 0:  # its last line then is a log's
                why = f"its process was ended by signal {-process.returncode}, as where memory runs out"
            raise ValueError(
                f"{artifact.name} was written, but {runtime.name} does not run it: {why}. Nothing was exported."
            )
        with np.load(results) as arrays:
            return dict(arrays)


def _logits(job: ExportJob, images: Any) -> Array:
    """The logits of the model for a batch.

    Raises:
        ValueError: a model that does not take images of this size.
    """
    try:
        return ops.convert_to_numpy(job.network(images, training=False)).astype("float32")
    except Exception as error:  # TensorFlow's, on maps that do not fit
        height, width = images.shape[1:3]
        raise ValueError(
            f"The model {job.model.name!r} does not take images of {height}x{width} pixels, with which artifacts are "
            f"compared: {str(error).strip()[:200]}. Give a size that it takes: size= (--size)."
        ) from error


def _check(name: str, difference: float, equal_pixels: float, format: Format) -> None:
    tolerance = format.tolerance
    if not (difference <= tolerance.difference and equal_pixels >= tolerance.equal_pixels):  # NaN fails, too
        raise ValueError(
            f"{name} does not compute what the model computes: logits differ by {difference:.1e} of the largest "
            f"(at most {tolerance.difference:.0e} expected), {equal_pixels:.2%} of the pixels have the same class "
            f"(at least {tolerance.equal_pixels:.2%} expected). Nothing was exported."
        )


def _images(job: ExportJob, batch_size: int, size: Size) -> Array:
    """uint8 `(batch, height, width, 3)`: photographs, or patches of color with noise; or float32 of other channels."""
    if job.has_photographs:
        photographs = itertools.islice(itertools.cycle(job.photographs()), batch_size)
        return np.stack([resize(photograph, size) for photograph in photographs])
    height, width = size
    random = np.random.default_rng(0)
    patches = random.integers(0, 224, (batch_size, -(-height // 8), -(-width // 8), job.shape[-1]))
    patches = patches.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width]
    pixels = patches + random.integers(0, 32, patches.shape)
    if not job.is_stored:
        return pixels.astype("uint8")
    mean, std = (np.asarray(job.preprocessing[key]) for key in ("mean", "std"))
    return (mean + std * (pixels / 64 - 2)).astype("float32")  # as far from the mean as the data is
