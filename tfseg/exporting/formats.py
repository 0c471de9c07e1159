"""The formats: what is written, what runs it for the comparison, and how far it may differ from the model."""

import dataclasses
import importlib.util
import math
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tfseg.exporting import integers, litert, onnx, openvino, saved_model, weights
from tfseg.exporting.job import ExportJob
from tfseg.rewrites.optimize import FEWER_OPERATIONS


class Runtime(NamedTuple):
    """What runs an artifact.

    Attributes:
        function: name of the function in reopening.py that runs the artifact.
        name: name of the package.
        modules: modules that the format needs and that tfseg does not install by default.
        extra: extra of tfseg that installs these modules.
    """

    function: str
    name: str
    modules: tuple[str, ...] = ()
    extra: str = ""


class Tolerance(NamedTuple):
    """How far an artifact may differ from the model.

    Attributes:
        difference: largest difference of the logits, in units of the largest logit.
        equal_pixels: smallest share of pixels with the same class.
    """

    difference: float
    equal_pixels: float


@dataclasses.dataclass(frozen=True)
class Format:
    """One kind of artifact.

    Attributes:
        artifact: path in the exported folder.
        write: function `write(job, path)`.
        runtime: what runs the artifact.
        tolerance: how far the artifact may differ from the model.
        needs: "preprocessing" or "calibration", if the format cannot be written without them.
        rewrites: names of the rewrites of `tfseg.optimize` that the network gets. Where the runtime computes below
            float32, or may, each BatchNorm is folded: rounded apart from its convolution, it costs accuracy.
    """

    artifact: str
    write: Callable[[ExportJob, pathlib.Path], None]
    runtime: Runtime
    tolerance: Tolerance
    needs: tuple[str, ...] = ()
    rewrites: tuple[str, ...] = ()


_TENSORFLOW = Runtime("tensorflow", "tensorflow")
_KERAS = Runtime("keras", "keras")
_LITERT = Runtime("litert", "ai-edge-litert", ("ai_edge_litert",), "litert")
_ONNX = Runtime("onnxruntime", "onnxruntime", ("onnx", "tf2onnx", "onnxruntime"), "onnx")
_OPENVINO = Runtime("openvino", "openvino", ("openvino",), "openvino")
_OPENVINO_INT8 = Runtime("openvino", "openvino", ("openvino", *_ONNX.modules), "openvino,onnx")
_SAFETENSORS = Runtime("keras", "keras", ("safetensors",), "safetensors")

_FLOAT = Tolerance(1e-5, 0.9999)
# Integers saturate. The largest difference therefore says little, and the masks decide. Random
# weights, whose logits are close to each other, are the hard case: dynamic int8 changed up to 5 % of the pixels, and
# full int8 14 %.
_HALF, _DYNAMIC, _INTEGER = Tolerance(0.01, 0.995), Tolerance(math.inf, 0.9), Tolerance(math.inf, 0.8)
_CALIBRATED = ("preprocessing", "calibration")
_FOLDED = ("fold_batch_norm",)

FORMATS = {
    "saved_model": Format("1", saved_model.write, _TENSORFLOW, _FLOAT, ("preprocessing",)),
    "litert_float32": Format("model_float32.tflite", litert.float32, _LITERT, _FLOAT),
    "litert_float16": Format("model_float16.tflite", litert.float16, _LITERT, _HALF, rewrites=_FOLDED),
    "litert_dynamic_int8": Format(
        "model_dynamic_int8.tflite", litert.dynamic_int8, _LITERT, _DYNAMIC, rewrites=_FOLDED
    ),
    "litert_int8": Format("model_int8.tflite", litert.int8, _LITERT, _INTEGER, _CALIBRATED, _FOLDED),
    "onnx": Format("model.onnx", onnx.write, _ONNX, _FLOAT),
    "onnx_int8": Format("model_int8.onnx", integers.onnx_int8, _ONNX, _INTEGER, _CALIBRATED, FEWER_OPERATIONS),
    "openvino": Format("openvino", openvino.write, _OPENVINO, _FLOAT, rewrites=_FOLDED),
    "openvino_int8": Format(
        "openvino_int8", integers.openvino_int8, _OPENVINO_INT8, _INTEGER, _CALIBRATED, FEWER_OPERATIONS
    ),
    "keras": Format("model.keras", weights.write_keras, _KERAS, _FLOAT),
    "weights_h5": Format("model.weights.h5", weights.write_h5, _KERAS, _FLOAT),
    "safetensors": Format("model.safetensors", weights.write_safetensors, _SAFETENSORS, _FLOAT),
}


def check_formats(names: Sequence[str]) -> None:
    """Refuses formats that are unknown or cannot be written here.

    Args:
        names: names of formats.
    Raises:
        ValueError: there is no format, an unknown one, one twice, or one whose extra is not installed.
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
