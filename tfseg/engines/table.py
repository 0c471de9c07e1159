"""The table of engines: what each needs, its precisions, and which rewrites it gets."""

import dataclasses
import importlib.util
import pathlib
from collections.abc import Callable, Mapping

from tfseg.engines import litert, onnxruntime, openvino, tensorflow
from tfseg.engines.job import AtPrecision, EngineJob
from tfseg.rewrites.optimize import FEWER_OPERATIONS, REWRITES

AUTO = "auto"

# `FEWER_OPERATIONS` are for all. Measured with OpenVINO on a Xeon with AMX, as shares of the time of the same
# network unchanged: 0.71 for FCN-32s in float32, by its border. OpenVINO's graph is then rewritten once more, by
# `tfseg/engines/openvino_rewrites.py`: 0.86 for FCN-32s by its largest kernel, 0.9 by 3x3 kernels along rows and by a
# network for its shape. The other rewrites cost OpenVINO up to 1.17 in float32 and 1.85 in bfloat16 (ResNet-50 at
# output stride 8), and TensorFlow in bfloat16, too.
ALL = tuple(REWRITES)


@dataclasses.dataclass(frozen=True)
class Engine:
    """One engine.

    Attributes:
        name: its name in `engine=`.
        modules: modules that it needs and that tfseg does not install by default.
        extra: extra of tfseg that installs them.
        rewrites: dtype that it offers -> names of the rewrites of `tfseg.optimize` that it gets.
        load: function `load(job)` that converts a network.
        opened: function `opened(path, threads)` that reads an artifact of `tfseg.export`; None: it has none.
        artifact: name of that artifact.
        gain: what it gained where it was measured.
    """

    name: str
    modules: tuple[str, ...]
    extra: str
    rewrites: Mapping[str, tuple[str, ...]]
    load: Callable[[EngineJob], AtPrecision]
    opened: Callable[[pathlib.Path, int | None], AtPrecision] | None
    artifact: str
    gain: str

    @property
    def is_installed(self) -> bool:
        """Whether its modules can be imported here."""
        return all(map(_is_installed, self.modules))

    @property
    def remedy(self) -> str:
        """The command that installs it."""
        return f'pip install "tfseg[{self.extra}]"'


# In the order in which "auto" tries them: what was fastest more often comes first.
ENGINES = {
    engine.name: engine
    for engine in (
        Engine(
            "tensorflow",
            (),
            "",
            {"float32": ALL, "bfloat16": ("fold_batch_norm",)},
            tensorflow.load,
            None,
            "",
            "0.4 to 0.9 of the time of the unchanged model",
        ),
        Engine(
            "openvino",
            ("openvino",),
            "openvino",
            {"float32": FEWER_OPERATIONS, "bfloat16": FEWER_OPERATIONS},
            openvino.load,
            openvino.opened,
            "openvino",
            "0.65 of TensorFlow's time for a ResNet-50, and 0.2 in bfloat16, on a Xeon with AMX",
        ),
        Engine(
            "onnxruntime",
            ("onnx", "tf2onnx", "onnxruntime"),
            "onnx",
            {"float32": FEWER_OPERATIONS},
            onnxruntime.load,
            onnxruntime.opened,
            "model.onnx",
            "0.77 of TensorFlow's time for a ResNet-50, on a Xeon with AMX",
        ),
        Engine(
            "litert",
            ("ai_edge_litert",),
            "litert",
            {"float32": FEWER_OPERATIONS},
            litert.load,
            litert.opened,
            "model_float32.tflite",
            "little on large processors: it is for small ones",
        ),
    )
}
NAMES = (AUTO, *ENGINES)
DTYPES = ("float32", "bfloat16")


def check_engine(name: str, dtype: str = "float32") -> None:
    """Refuses an engine that is unknown or not installed, or that does not offer a dtype.

    Args:
        name: name of an engine, or "auto".
        dtype: "float32" or "bfloat16".
    Raises:
        ValueError: the name or the dtype is unknown, or the engine is not installed or lacks the dtype.
    """
    if name not in NAMES:
        raise ValueError(f"engine is one of {', '.join(NAMES)}, or None for the model as it is. Received: {name!r}")
    if dtype not in DTYPES:
        raise ValueError(f"dtype is one of {', '.join(DTYPES)}. Received: {dtype!r}")
    if name == AUTO:
        return
    engine = ENGINES[name]
    if dtype not in engine.rewrites:
        able = ", ".join(other.name for other in ENGINES.values() if dtype in other.rewrites)
        raise ValueError(f"The engine {name!r} computes in {', '.join(engine.rewrites)}. For {dtype} there are: {able}")
    if not engine.is_installed:
        raise ValueError(f"The engine {name!r} is not installed here: {engine.remedy}")


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ValueError, ImportError):  # a module without a specification, as None in `sys.modules`
        return False
