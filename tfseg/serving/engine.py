"""The artifact of another runtime in an exported folder, which computes in place of the SavedModel."""

import statistics
import time
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfseg.engines.job import EngineError, Run
from tfseg.engines.machine import threads
from tfseg.engines.parity import CheckedRun, check, first_line
from tfseg.engines.table import AUTO, ENGINES, check_engine
from tfseg.exporting.exported_folder import ExportedFolder
from tfseg.prediction.windows import softmax
from tfseg.preprocessing import preprocess
from tfseg.types import Array

BY_LOGITS = {"serving_default": "logits", "logits": "logits", "probabilities": "probabilities", "classes": "classes"}
_SIDE, _ROUNDS = 256, 3


class ServedEngine:
    """Logits by an artifact, and what follows from them.

    Args:
        folder: the exported folder.
        run: the artifact.
        reference: the SavedModel's logits.
        shape: shape of the images; None where any size is possible.
    """

    def __init__(self, folder: ExportedFolder, run: Run, reference: Run, shape: tuple[int | None, ...]) -> None:
        self._preprocessing, self._reference = folder.preprocessing, reference
        sizes = [_filled(shape, side) for side in (64, 83)]
        for size in sizes:
            check(run, reference, _noise(size), "float32")
        self._run = CheckedRun(run, "float32", sizes[0])

    def logits(self, images: Array) -> Array:
        """The logits of a preprocessed batch.

        Args:
            images: float32 `(batch, height, width, channels)`.
        Raises:
            EngineError: the artifact fails, or its logits differ at this size.
        """
        return self._run(images, self._reference, _noise)

    def outputs(self, signature: str, images: Array) -> dict[str, np.ndarray]:
        """What the SavedModel's signature gives.

        Args:
            signature: a name out of `BY_LOGITS`.
            images: input of the signature.
        Raises:
            EngineError: the artifact fails, or its logits differ at this size.
        """
        name = BY_LOGITS[signature]
        prepared = images if name == "logits" else preprocess(images, self._preprocessing or {})
        logits = self.logits(prepared)
        if name == "logits":
            return {name: logits}
        if name == "probabilities":
            return {name: softmax(logits)}
        return {name: logits.argmax(axis=-1).astype("uint8" if logits.shape[-1] <= 256 else "int32")}


def served_engine(
    folder: ExportedFolder, name: str, reference: Run, shape: tuple[int | None, ...]
) -> tuple[str, ServedEngine] | None:
    """The name of an engine and its artifact; None: the SavedModel computes.

    "auto" measures the artifacts that the folder has and this machine can run, and the SavedModel.

    Args:
        folder: the exported folder.
        name: name of an engine, or "auto".
        reference: the SavedModel's logits.
        shape: shape of the images; None where any size is possible.
    Raises:
        ValueError: the engine is unknown or not installed, or the folder lacks its artifact.
    """
    check_engine(name)
    if name == "tensorflow":
        return None
    if name != AUTO:
        engine = ENGINES[name]
        if folder.outputs != "logits" or not (folder.path / engine.artifact).exists():
            formats = {"openvino": "openvino", "onnxruntime": "onnx", "litert": "litert_float32"}
            raise ValueError(
                f"The engine {name!r} runs the artifact {engine.artifact!r}, with logits, and {str(folder.path)!r} has "
                f"none: export with the formats saved_model and {formats[name]} (--formats)"
            )
    engines: dict[str, ServedEngine] = {}
    for engine in ENGINES.values():
        wanted = name in (AUTO, engine.name) and engine.opened and engine.is_installed
        if wanted and folder.outputs == "logits" and (folder.path / engine.artifact).exists():
            try:
                engines[engine.name] = _opened(folder, engine.name, reference, shape)
            except EngineError as error:
                warnings.warn(f"{folder.name} is served by TensorFlow, not {engine.name}: {error}", stacklevel=2)
    if name == AUTO and engines:
        images = _noise(_filled(shape, _SIDE))
        seconds = {"": _median(reference, images)}
        seconds |= {engine: _median(served.logits, images) for engine, served in engines.items()}
        name = min(seconds, key=seconds.__getitem__)
    return (name, engines[name]) if name in engines else None


def _opened(folder: ExportedFolder, name: str, reference: Run, shape: tuple[int | None, ...]) -> ServedEngine:
    engine = ENGINES[name]
    assert engine.opened is not None
    try:
        run = engine.opened(folder.path / engine.artifact, threads())("float32")
    except Exception as error:  # of a damaged file, a runtime raises what it likes
        raise EngineError(f"it does not load {engine.artifact}: {first_line(error)}") from error
    return ServedEngine(folder, run, reference, shape)


def _filled(shape: tuple[int | None, ...], side: int) -> tuple[int, ...]:
    return tuple(given or other for given, other in zip(shape, (1, side, side + 32, 3), strict=True))


def _noise(shape: tuple[int, ...]) -> Array:
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def _median(run: Run, images: Array) -> float:
    times = []
    for _ in range(_ROUNDS + 1):
        begin = time.perf_counter()
        run(images)
        times.append(time.perf_counter() - begin)
    return statistics.median(times[1:])


def inputs_of(inputs: Mapping[str, Any]) -> Array:
    """The images of a request, which is the only input of the signatures of `tfseg.export`.

    Args:
        inputs: input name -> array.
    """
    (images,) = inputs.values()
    return np.asarray(images)
