"""mmsegmentation beyond dilated ResNets: FCN on HRNet, SegFormer on its own MiT, and Semantic FPN.

Source of the facts: https://github.com/open-mmlab/mmsegmentation: mmseg/models/backbones/hrnet.py and mit.py,
decode_heads/fcn_head.py, segformer_head.py and fpn_head.py, necks/fpn.py, configs/_base_/models/fcn_hr18.py,
segformer_mit-b0.py and fpn_r50.py.
"""

import dataclasses
import functools
from typing import Any

from converters.families import further_variables, light_variables
from converters.families.family import COUNTER, FamilyNetwork
from converters.families.further_trunks import hrnet
from converters.families.light_trunks import mmseg_mit
from converters.families.pytorch.mmseg import ASSUMED, MMSEG, UNREAD_AUX, modules, on_resnets
from converters.names.tables import table
from converters.types import Shapes
from tfseg import specs

_LOGITS = ("decode_head.conv_seg", "logits", "conv")
_BRANCHES = r"(stem|stage\d|transition\d)_.*"

HRNET = dataclasses.replace(
    MMSEG,
    name="open-mmlab/mmsegmentation/hrnet",
    covers="FCN on HRNet-W18, -W18 small and -W48",
    proof="mmsegmentation, 1.1e-6",
    networks=tuple(
        FamilyNetwork(
            f"fcn_{name}",
            table((*hrnet("backbone."), *modules([("decode_head.convs.0", "head")]), _LOGITS), (COUNTER,)),
            "backbone.conv1.weight",
            functools.partial(further_variables.hrnet, spec=specs.HRNETS[name]),
            complete=_BRANCHES,
            dilates=False,
            requires={"decode_head.convs.0.conv.weight": "decode_head.conv_seg.weight"},
            assumed=ASSUMED,
        )
        for name in ("hrnet_w18", "hrnet_w18_small_v2", "hrnet_w48")
    ),
    aux=None,
    head=rf"(?!{_BRANCHES}).*",
    features="maps",
    trunk={},
    options={"exchange": "bilinear", "by_stride": True, "head_kernel": 1, "head_reduction": 1},
    dilates=False,
)


_ASSUMED_OF_MIT = (
    "the tensors do not tell the heads of the attention, the strides, or aligned corners: they are those of "
    "mmsegmentation's configurations, 1, 2, 5 and 8, and 4, 2, 2 and 2, without aligned corners"
)


def _read_segformer(shapes: Shapes) -> dict[str, Any]:
    key = "decode_head.fusion_conv.conv.weight"
    return {"filters": shapes[key][0]} if key in shapes else {}


SEGFORMER = dataclasses.replace(
    MMSEG,
    name="open-mmlab/mmsegmentation/segformer",
    covers="SegFormer-B0 to -B5",
    proof="mmsegmentation, 1.8e-6",
    networks=tuple(
        FamilyNetwork(
            f"segformer_{name}",
            table(
                (
                    *mmseg_mit("backbone."),
                    # The finest map is the first there, and the last one here.
                    *modules((f"decode_head.convs.{level}", f"mlp_{3 - level}") for level in range(4)),
                    *modules([("decode_head.fusion_conv", "fuse")]),
                    _LOGITS,
                ),
                (COUNTER,),
            ),
            "backbone.layers.0.0.projection.weight",
            functools.partial(light_variables.mit, spec=spec, joined_query=True),
            complete=r"stage\d_.*",
            dilates=False,
            read=_read_segformer,
            requires={"decode_head.fusion_conv.conv.weight": "decode_head.conv_seg.weight"},
            assumed=_ASSUMED_OF_MIT,
        )
        for name, spec in specs.MITS.items()
    ),
    aux=None,
    head=r"(?!stage\d_).*",
    features="stage4_out",
    trunk=None,
    options={
        "joined_query": True,
        "epsilon": 1e-6,
        "form": "mmsegmentation",
        "upsampling": "bilinear",
        "taps": tuple(f"stage{stage}_out" for stage in range(1, 5)),
    },
    dilates=False,
)


def _read_fpn(shapes: Shapes) -> dict[str, Any]:
    keys = {"pyramid_filters": "neck.fpn_convs.0.conv.weight", "filters": "decode_head.scale_heads.0.0.conv.weight"}
    return {option: shapes[key][0] for option, key in keys.items() if key in shapes}


_FPN = (
    *((f"neck.lateral_convs.{level}.conv", f"p{level + 2}", "conv") for level in range(4)),
    *((f"neck.fpn_convs.{level}.conv", f"p{level + 2}_out", "conv") for level in range(4)),
    # An enlargement follows each convolution of a coarser level.
    *modules(
        (f"decode_head.scale_heads.{level}.{2 * index}", f"seg{level + 2}_{index}")
        for level in range(4)
        for index in range(max(1, level))
    ),
    _LOGITS,
)
FPN = dataclasses.replace(
    MMSEG,
    name="open-mmlab/mmsegmentation/fpn",
    covers="Semantic FPN on ResNet-50, -101 and -152: V1c, plain (b) and V1d",
    proof="mmsegmentation, 1.9e-6",
    networks=tuple(
        on_resnets(
            "fpn",
            _FPN,
            {"form": "mmsegmentation", "upsampling": "bilinear", "taps": ("conv2", "conv3", "conv4", "conv5")},
            UNREAD_AUX,
            read=_read_fpn,
            requires={"neck.fpn_convs.0.conv.weight": ""},
            dilates=False,
        )
    ),
    aux=None,
    options={"output_stride": 32},
    dilates=False,
)
