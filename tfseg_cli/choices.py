"""The choices of flags that the library knows, written out: `--help` must not load it. A test compares them with it."""

from typing import NamedTuple

RECIPES = ("fcn-heavy", "poly", "vgg", "adamw")
LOSSES = ("cross_entropy", "focal", "online_hard_examples", "dice", "lovasz")
BATCH_NORMS = ("plain", "frozen", "synchronized", "synchronised")
DTYPES = ("float32", "mixed_bfloat16", "mixed_float16")
CONVENTIONS = ("previous", "new", "one")
OUTPUT_STRIDES = ("32", "16", "8", "4")
ANNOTATIONS = ("coco_json", "labelme", "cvat")  # data sets whose masks are drawn from annotations
DATA_SETS = ("folder", "voc", "cityscapes", "camvid", "ade20k", "coco", *ANNOTATIONS)
OVERLAPS = ("last", "void")
CLASS_NAMES = ("voc", "pascal_context", "siftflow", "nyud", "cityscapes", "cocostuff", "ade20k", "camvid")
EXIF_RULES = ("sizes", "apply", "ignore")
FIRST_CONVS = ("average", "copy", "zero")
CLASS_WEIGHTS = ("median_frequency", "enet")
OUTPUTS = ("logits", "classes", "probabilities")
VOID_NAMES = ("void", "unlabelled", "unlabeled")  # names of a palette that stand for ignored pixels
VOID = 255  # the id of ignored pixels


class FormatNeeds(NamedTuple):
    """What a format of `tfseg export` needs beside tfseg.

    Attributes:
        modules: modules that tfseg does not install by default.
        extra: extra of tfseg that installs them.
    """

    modules: tuple[str, ...] = ()
    extra: str = ""


_LITERT = FormatNeeds(("ai_edge_litert",), "litert")
_ONNX = FormatNeeds(("onnx", "tf2onnx", "onnxruntime"), "onnx")
FORMATS = {
    "saved_model": FormatNeeds(),
    "litert_float32": _LITERT,
    "litert_float16": _LITERT,
    "litert_dynamic_int8": _LITERT,
    "litert_int8": _LITERT,
    "onnx": _ONNX,
    "onnx_int8": _ONNX,
    "openvino": FormatNeeds(("openvino",), "openvino"),
    "openvino_int8": FormatNeeds(("openvino", *_ONNX.modules), "openvino,onnx"),
    "keras": FormatNeeds(),
    "weights_h5": FormatNeeds(),
    "safetensors": FormatNeeds(("safetensors",), "safetensors"),
}
CALIBRATED = ("litert_int8", "onnx_int8", "openvino_int8")
"""Formats that take the ranges of their integers from photographs."""
