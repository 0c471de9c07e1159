"""OpenVINO: for Intel's processors, and bfloat16 on those that multiply matrices in it."""

import pathlib
import tempfile
from threading import Lock
from typing import Any

from tfseg.engines.job import AtPrecision, EngineError, EngineJob, Run
from tfseg.types import Array

_HINTS = {"float32": "f32", "bfloat16": "bf16"}
_MOST_SHAPES = 4  # shapes of batches for which bfloat16 is compiled at once
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
        settings = options | {"INFERENCE_PRECISION_HINT": _HINTS[dtype]}
        lock = Lock()
        compiled: dict[tuple[int, ...], Any] = {}

        def run(batch: Array) -> Array:
            # In bfloat16, places in a map of any size would be rounded to three digits, and a resize would be off by
            # pixels. For one shape they are constants, computed in float32.
            shape = batch.shape if dtype == "bfloat16" else ()
            with lock:  # all calls share one request
                if shape not in compiled:
                    if len(compiled) == _MOST_SHAPES:
                        del compiled[next(iter(compiled))]
                    network = model
                    if shape:
                        network = model.clone()
                        network.reshape(list(shape))
                    compiled[shape] = core.compile_model(network, "CPU", settings)
                return compiled[shape](batch)[0]

        return run

    return at
