"""LiteRT, formerly TensorFlow Lite: for phones and small boards."""

import os
import pathlib
import tempfile
from threading import Lock

from tfseg.engines.job import AtPrecision, EngineJob, Run
from tfseg.types import Array


def load(job: EngineJob) -> AtPrecision:
    """The network as an interpreter of LiteRT.

    Args:
        job: network.
    Reference: https://ai.google.dev/edge/litert
    """
    from tfseg.exporting import litert as writer  # its package imports what runs engines

    with tempfile.TemporaryDirectory(prefix="tfseg-engine-") as directory:
        path = pathlib.Path(directory) / "model.tflite"
        writer.float32(job, path)
        return opened(path, job.threads)


def opened(path: pathlib.Path, threads: int | None) -> AtPrecision:
    """The network of a `.tflite` file, which is not needed any more.

    Args:
        path: path of the file.
        threads: threads to use; None: all.
    """
    from ai_edge_litert.interpreter import Interpreter

    content = path.read_bytes()

    def at(dtype: str) -> Run:
        interpreter = Interpreter(model_content=content, num_threads=threads or os.cpu_count())
        (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
        lock, shapes = Lock(), [()]

        def run(batch: Array) -> Array:
            with lock:  # there is one input, which all calls share
                if shapes[0] != batch.shape:
                    shapes[0] = ()  # while it is unknown whether the interpreter takes the new one
                    interpreter.resize_tensor_input(taken["index"], batch.shape)
                    interpreter.allocate_tensors()
                    shapes[0] = batch.shape
                interpreter.set_tensor(taken["index"], batch)
                interpreter.invoke()
                return interpreter.get_tensor(given["index"])

        return run

    return at
