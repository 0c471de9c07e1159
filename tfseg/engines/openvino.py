"""OpenVINO: for Intel's processors, and bfloat16 on those that multiply matrices in it."""

import pathlib
import sys
import tempfile
import time
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from tfseg.engines.job import AtPrecision, EngineError, EngineJob, Run
from tfseg.engines.openvino_rewrites import convolve_before_doubling, filter_rows, multiply_large_kernels
from tfseg.types import Array

if TYPE_CHECKING:
    import openvino

_HINTS = {"float32": "f32", "bfloat16": "bf16"}
_CAPABILITIES = {"float32": "FP32", "bfloat16": "BF16"}
# Shapes of batches that have a network of their own.
_MOST_SHAPES = {"float32": 2, "bfloat16": 4}
_MOST_REMEMBERED = 1000  # shapes that came before
# A shape gets one after it has computed so many times as long as compiling takes.
_PATIENCE = 10
# Of the largest logit: half of what an engine may differ.
_ROUNDING = 5e-6


def load(job: EngineJob) -> AtPrecision:
    """The network as OpenVINO's graph.

    Args:
        job: network.
    Reference: https://docs.openvino.ai/2025/openvino-workflow/running-inference/optimize-inference/precision-control.html
    """
    from tfseg.exporting import openvino as writer  # its package imports what runs engines

    with tempfile.TemporaryDirectory(prefix="tfseg-engine-") as directory:
        path = pathlib.Path(directory) / "openvino"
        writer.write(job, path)
        # No one else writes to these files, so that they can be mapped instead of read.
        return _opened(path, job.threads, mapped=sys.platform != "win32")  # there, mapped files cannot be removed


def opened(path: pathlib.Path, threads: int | None) -> AtPrecision:
    """The network of a directory with `model.xml`, which is not needed any more.

    Args:
        path: path of the directory.
        threads: threads to use; None: as many as it likes.
    """
    return _opened(path, threads, mapped=False)  # a mapped network would change with its file


def _opened(path: pathlib.Path, threads: int | None, *, mapped: bool) -> AtPrecision:
    import openvino

    core, graph, weights = openvino.Core(), path / "model.xml", path / "model.bin"
    if mapped:
        model = core.read_model(graph)
    else:
        model = core.read_model(model=graph.read_bytes(), weights=weights.read_bytes())
    options: dict[str, Any] = {} if threads is None else {"INFERENCE_NUM_THREADS": threads}

    def at(dtype: str) -> Run:
        if _CAPABILITIES[dtype] not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise EngineError(f"this processor does not compute in {dtype}")
        network = model.clone()
        if dtype == "float32":  # in bfloat16, OpenVINO's convolutions are as fast
            multiply_large_kernels(network)
        # Without the hint, OpenVINO takes bfloat16 by itself where the processor has it.
        return _Network(core, network, options | {"INFERENCE_PRECISION_HINT": _HINTS[dtype]}, dtype)

    return at


class _Network:
    """A graph that computes batches of any shape; shapes that come often have a quicker one of their own.

    Args:
        core: OpenVINO's runtime.
        model: graph; it is not changed.
        settings: settings for compiling it.
        dtype: "float32" or "bfloat16".
    """

    def __init__(self, core: "openvino.Core", model: "openvino.Model", settings: dict[str, Any], dtype: str) -> None:
        self._core, self._model, self._settings, self._dtype = core, model, settings, dtype
        self._lock = Lock()  # all calls share one request
        self._of_shape: dict[tuple[int, ...], Any] = {}
        self._seconds: dict[tuple[int, ...], float] = {}
        self._any: Any = None
        self._needed = 0.0  # seconds that a shape must have computed
        # Where all images have one size, the first batch gets a network at once: others may have as many images.
        self._awaits_first = all(side.is_static for side in list(model.input().partial_shape)[1:])

    def __call__(self, batch: Array) -> Array:
        """The logits of a preprocessed batch."""
        with self._lock:
            if batch.shape in self._of_shape:
                return self._of_shape[batch.shape](batch)[0]
            # In bfloat16, places in a map of any size would be rounded to three digits, and a resize would be off by
            # pixels. For one shape they are constants, computed in float32.
            if self._dtype == "bfloat16":
                return self._kept(batch.shape, self._quickest(batch.shape))(batch)[0]
            if self._any is None:
                begin = time.perf_counter()
                self._any = self._core.compile_model(self._model, "CPU", self._settings)
                self._needed = max(self._needed, _PATIENCE * (time.perf_counter() - begin))
            begin = time.perf_counter()
            logits: Array = self._any(batch)[0]
            spent = self._seconds.get(batch.shape, 0.0) + time.perf_counter() - begin
            if len(self._seconds) == _MOST_REMEMBERED:
                self._seconds.clear()
            self._seconds[batch.shape] = spent
            if spent > self._needed or self._awaits_first:
                begin = time.perf_counter()
                network, self._awaits_first = self._checked(batch, logits), False
                if network is None:
                    self._seconds[batch.shape] = 0.0  # it is tried again after as many calls
                else:
                    self._kept(batch.shape, network)
                    self._needed = _PATIENCE * (time.perf_counter() - begin)
            return logits

    def _compiled(self, shape: tuple[int, ...]) -> Any:
        network = self._model.clone()
        network.reshape(list(shape))
        return self._core.compile_model(network, "CPU", self._settings)

    def _shorter(self, shape: tuple[int, ...]) -> "openvino.Model | None":
        """The graph of a shape with fewer multiplications; None: it has no such convolutions."""
        network = self._model.clone()
        network.reshape(list(shape))
        changed = convolve_before_doubling(network)
        changed += filter_rows(network) if self._dtype == "float32" else 0  # below, it would round too much
        return network if changed else None

    def _quickest(self, shape: tuple[int, ...]) -> Any:
        try:
            shorter = self._shorter(shape)
            if shorter is not None:
                return self._core.compile_model(shorter, "CPU", self._settings)
        except Exception:  # runtimes raise what they like, for lack of memory, too
            pass
        return self._compiled(shape)

    def _checked(self, batch: Array, logits: Array) -> Any:
        """The network of a shape, with fewer multiplications if that hardly rounds; None: it is not compiled."""
        try:
            shorter = self._shorter(batch.shape)
            # On noise, too: a photograph may be of one color, where nothing rounds.
            noise = np.random.default_rng(0).normal(0, np.abs(batch).max() or 1, batch.shape).astype("float32")
            pairs = [(batch, logits), (noise, self._any(noise)[0])] if shorter is not None else []
            if not self._of_shape:
                self._any = None  # its memory is free for the next network; another shape compiles it again, once
            if shorter is not None:
                network = self._core.compile_model(shorter, "CPU", self._settings)
                if all(_agree(network(images)[0], expected) for images, expected in pairs):
                    return network
            return self._compiled(batch.shape)
        except Exception:  # as above; the network of all shapes computes
            return None

    def _kept(self, shape: tuple[int, ...], network: Any) -> Any:
        if len(self._of_shape) == _MOST_SHAPES[self._dtype]:
            del self._of_shape[next(iter(self._of_shape))]
            self._seconds.clear()  # the one that went has to earn its place again
        self._of_shape[shape] = network
        return network


def _agree(logits: Array, expected: Array) -> bool:
    return bool(np.abs(logits - expected).max() <= _ROUNDING * np.abs(expected).max())
