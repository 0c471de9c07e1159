"""OpenVINO: for Intel's processors, and bfloat16 on those that multiply matrices in it."""

import pathlib
import tempfile
from threading import Lock
from typing import Any

from tfseg.engines.job import AtPrecision, EngineError, EngineJob, Run
from tfseg.types import Array

_HINTS = {"float32": "f32", "bfloat16": "bf16"}
_CAPABILITIES = {"float32": "FP32", "bfloat16": "BF16"}


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
        return opened(path, job.threads)


def opened(path: pathlib.Path, threads: int | None) -> AtPrecision:
    """The network of a directory with `model.xml`, which is not needed any more.

    Args:
        path: path of the directory.
        threads: threads to use; None: as many as it likes.
    """
    import openvino

    graph, weights = (path / "model.xml").read_bytes(), (path / "model.bin").read_bytes()
    core = openvino.Core()
    # From memory, because the files are gone: a mapped file could not be removed on Windows.
    model = core.read_model(model=graph, weights=weights)
    options: dict[str, Any] = {} if threads is None else {"INFERENCE_NUM_THREADS": threads}

    def at(dtype: str) -> Run:
        if _CAPABILITIES[dtype] not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise EngineError(f"this processor does not compute in {dtype}")
        # Without the hint, OpenVINO takes bfloat16 by itself where the processor has it.
        compiled = core.compile_model(model, "CPU", options | {"INFERENCE_PRECISION_HINT": _HINTS[dtype]})
        lock = Lock()

        def run(batch: Array) -> Array:
            with lock:  # all calls share one request
                return compiled(batch)[0]

        return run

    return at
