"""bonlime's DeepLabV3+ for Keras: TensorFlow's checkpoints of DeepLab under other names.

Its first convolution pads by TensorFlow's SAME, the original equally on both sides: at even sizes they sample other
pixels. Its MobileNetV2 has output stride 8.

Source of the facts: https://github.com/bonlime/keras-deeplab-v3-plus, model.py.
"""

import dataclasses
import functools
from typing import Any

from converters.families import light_variables
from converters.families.family import FamilyNetwork
from converters.families.keras.qubvel_encoders import inverted_rows
from converters.families.tensorflow import deeplab
from converters.names.tables import Row, table

_SOURCE = "https://github.com/bonlime/keras-deeplab-v3-plus"
_ASSUMED = "weights alone do not tell the activation after the logits, such as a softmax: the logits come out"


def _unit(source: str, target: str) -> tuple[Row, Row]:
    return (source, f"{target}_conv", "keras_conv"), (f"{source}_BN", f"{target}_bn", "keras_norm")


def _separated(source: str, target: str) -> tuple[Row, ...]:
    depthwise = f"{source}_depthwise", f"{target}_depthwise", "keras_depthwise"
    norm = f"{source}_depthwise_BN", f"{target}_depthwise_bn", "keras_norm"
    return (depthwise, norm, *_unit(f"{source}_pointwise", target))


def _xception_rows() -> tuple[Row, ...]:
    rows = [row for index in (1, 2) for row in _unit(f"entry_flow_conv1_{index}", f"stem_{index}")]
    places = [(f"entry_flow_block{number}", f"block{number}") for number in (1, 2, 3)]
    places += [(f"exit_flow_block{number}", f"block{19 + number}") for number in (1, 2)]
    places += [("middle_flow_unit_{u}", "block{u+3}")]
    for place, block in places:
        rows += _unit(f"{place}_shortcut", f"{block}_0")
        rows += _separated(f"{place}_separable_conv{{i}}", f"{block}_{{i}}")
    return tuple(rows)


_PYRAMID = (
    *_unit("image_pooling", "aspp_pool"),
    *_unit("aspp0", "aspp_0"),
    *_unit("concat_projection", "aspp_project"),
    ("logits_semantic", "logits", "keras_conv"),
    # The name where the number of classes is not that of the published weights.
    ("custom_logits_semantic", "logits", "keras_conv"),
)
DECODER = (
    *_PYRAMID,
    *_separated("aspp{i}", "aspp_{i}"),
    *_unit("feature_projection0", "low_level"),
    *_separated("decoder_conv{i}", "decoder_{i+1}"),
)
XCEPTION = _xception_rows()
MOBILENET = (*_unit("Conv", "stem"), *inverted_rows("expanded_conv_", "expanded_conv_{b}_"))
_STRIDE = "the tensors do not tell the output stride: it is 16, its default; it also builds output_stride=8"


def _network(name: str) -> FamilyNetwork:
    (other,) = (network for network in deeplab.DEEPLAB.networks if network.name == name)
    fields: dict[str, Any] = {
        "table": table((*XCEPTION, *DECODER)),
        "first": "entry_flow_conv1_1/kernel",
        "variables": functools.partial(light_variables.xception, name="xception65"),
        "requires": {"feature_projection0/kernel": "", "aspp1_depthwise_BN/gamma": ""},
        "options": {**other.options, "stem_same": True},
        "assumed_stride": _STRIDE,
    }
    if name == "deeplabv3_mobilenet_v2":
        fields = {
            "table": table((*MOBILENET, *_PYRAMID)),
            "first": "Conv/kernel",
            "requires": {"image_pooling/kernel": "", "aspp0/kernel": ""},
            "options": {**other.options, "output_stride": 8},
            "assumed_stride": "",
        }
    return dataclasses.replace(other, assumed=_ASSUMED, **fields)


DEEPLAB = dataclasses.replace(
    deeplab.DEEPLAB,
    name="bonlime/keras-deeplab-v3-plus",
    source=_SOURCE,
    license="MIT",
    covers="DeepLabV3+ on Xception-65 and DeepLabV3 on MobileNetV2 for Keras "
    "(`deeplabv3_xception_tf_dim_ordering_tf_kernels.h5`)",
    files=f"{_SOURCE}/releases",
    formats=("Keras HDF5", "Keras zip"),
    networks=tuple(map(_network, ("deeplabv3plus_xception65", "deeplabv3_mobilenet_v2"))),
    classes="logits_semantic/kernel",
    proof="a twin in Keras, 3.4e-7",
)
