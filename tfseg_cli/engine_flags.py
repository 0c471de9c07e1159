"""The flags that say what computes the logits."""

from typing import TYPE_CHECKING

from absl import flags

from tfseg_cli import flag_types

if TYPE_CHECKING:
    import keras

    from tfseg.engines.runner import EngineRunner

ENGINES = ("auto", "tensorflow", "openvino", "onnxruntime", "litert")

_ENGINE = flag_types.choice(
    "engine",
    None,
    ENGINES,
    "What computes: by default the model as it is; auto: the fastest engine, measured once the model has computed for "
    "20 seconds. The others are extras of tfseg: openvino, onnx and litert.",
)
_PRECISION = flag_types.choice(
    "precision",
    "float32",
    ("float32", "bfloat16"),
    "Numbers in which the engine computes; bfloat16 rounds to three digits, and is quick on processors with AMX.",
)
_EXPLAIN = flags.DEFINE_bool("explain", False, "Whether to print which engine computes, and why.")


def explain() -> bool:
    """Whether the command prints which engine computes."""
    return bool(_EXPLAIN.value)


def precision() -> str:
    """The numbers in which the engine computes."""
    return str(_PRECISION.value)


def check() -> None:
    """Refuses, before the model is loaded, an engine that is not installed or has no such precision.

    Raises:
        ValueError: it is not installed, or does not compute in this precision.
    """
    from tfseg.engines.table import check_engine

    check_engine(_ENGINE.value or "auto", precision())


def chosen(model: "keras.Model") -> "EngineRunner | str | None":
    """The `engine` of `tfseg.predict_files` and of `tfseg.evaluation.evaluate`.

    Args:
        model: segmentation model.
    """
    import tfseg

    if precision() == "float32":
        return _ENGINE.value
    return tfseg.compile(model, engine=_ENGINE.value or "auto", dtype=precision(), explain=explain())
