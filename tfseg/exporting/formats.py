"""The formats: what is written, what re-opens it, how far it may lie from the model."""

import importlib.util
import math
from collections.abc import Callable
from typing import NamedTuple

from tfseg.exporting import litert, onnx, openvino, saved_model, weights


class Runtime(NamedTuple):
    """What re-opens an artifact."""

    function: str  # of reopening.py
    name: str
    modules: tuple = ()  # which tfseg does not install by itself, and the format needs
    extra: str = ""  # that does


class Bound(NamedTuple):
    """How far an artifact may lie from the model."""

    difference: float  # of logits, in units of the largest logit
    equal_pixels: float  # share of pixels of the same class


class Format(NamedTuple):
    """One kind of artifact."""

    artifact: str  # path in the exported directory
    write: Callable  # write(job, path)
    runtime: Runtime
    bound: Bound
    needs: tuple = ()  # "preprocessing", "calibration"


_TENSORFLOW = Runtime("tensorflow", "tensorflow")
_KERAS = Runtime("keras", "keras")
_LITERT = Runtime("litert", "ai-edge-litert", ("ai_edge_litert",), "litert")
_ONNX = Runtime("onnxruntime", "onnxruntime", ("onnx", "tf2onnx", "onnxruntime"), "onnx")
_OPENVINO = Runtime("openvino", "openvino", ("openvino",), "openvino")
_SAFETENSORS = Runtime("keras", "keras", ("safetensors",), "safetensors")

_FLOAT = Bound(1e-5, 0.9999)
# Integers saturate, so that the largest difference says little: the masks decide. Random weights, whose classes lie
# closer to each other than trained ones, lost up to 5 % of the pixels in dynamic, and 14 % in full int8.
_HALF, _DYNAMIC, _INTEGER = Bound(0.01, 0.995), Bound(math.inf, 0.9), Bound(math.inf, 0.8)

FORMATS = {
    "saved_model": Format("1", saved_model.write, _TENSORFLOW, _FLOAT, ("preprocessing",)),
    "litert_float32": Format("model_float32.tflite", litert.float32, _LITERT, _FLOAT),
    "litert_float16": Format("model_float16.tflite", litert.float16, _LITERT, _HALF),
    "litert_dynamic_int8": Format("model_dynamic_int8.tflite", litert.dynamic_int8, _LITERT, _DYNAMIC),
    "litert_int8": Format("model_int8.tflite", litert.int8, _LITERT, _INTEGER, ("preprocessing", "calibration")),
    "onnx": Format("model.onnx", onnx.write, _ONNX, _FLOAT),
    "openvino": Format("openvino", openvino.write, _OPENVINO, _FLOAT),
    "keras": Format("model.keras", weights.keras_file, _KERAS, _FLOAT),
    "weights_h5": Format("model.weights.h5", weights.h5, _KERAS, _FLOAT),
    "safetensors": Format("model.safetensors", weights.safetensors, _SAFETENSORS, _FLOAT),
}


def check_formats(names):
    """Refuses what is no format, or cannot be written here.

    Raises:
        ValueError: no format, an unknown one, one twice, or one whose extra is not installed.
    """
    unknown = [name for name in names if name not in FORMATS]
    if isinstance(names, str) or unknown or not names or len(set(names)) < len(names):
        raise ValueError(f"formats is a list of some of {', '.join(FORMATS)}, each once. Received: {names!r}")
    for name in names:
        runtime = FORMATS[name].runtime
        missing = [module for module in runtime.modules if importlib.util.find_spec(module) is None]
        if missing:
            raise ValueError(
                f"The format {name!r} needs {', '.join(missing)}, not installed here: pip install "
                f'"tfseg[{runtime.extra}]"'
            )
