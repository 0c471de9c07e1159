"""ONNX Runtime, on the processor."""

import pathlib
import tempfile

from tfseg.engines.job import AtPrecision, EngineJob, Run
from tfseg.types import Array

_ERRORS_ONLY = 3


def load(job: EngineJob) -> AtPrecision:
    """The network as a session of ONNX Runtime.

    Args:
        job: network.
    Reference: https://onnxruntime.ai/docs/performance/tune-performance/threading.html
    """
    from tfseg.exporting import onnx as writer  # its package imports what runs engines

    with tempfile.TemporaryDirectory(prefix="tfseg-engine-") as directory:
        path = pathlib.Path(directory) / "model.onnx"
        writer.write(job, path)
        return opened(path, job.threads)


def opened(path: pathlib.Path, threads: int | None) -> AtPrecision:
    """The network of an `.onnx` file, which is not needed any more.

    Args:
        path: path of the file.
        threads: threads to use; None: as many as it likes.
    """
    import onnxruntime

    content = path.read_bytes()

    def at(dtype: str) -> Run:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        options.intra_op_num_threads = threads or 0  # 0: as many as there are cores
        session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])

        def run(batch: Array) -> Array:
            return session.run(["logits"], {"images": batch})[0]

        return run

    return at
