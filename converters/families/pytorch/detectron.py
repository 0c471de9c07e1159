"""The ResNets of MSRA as Detectron and detectron2 keep them: `R-50.pkl`, arrays by the names of Caffe2's blobs.

Detectron folded each BatchNorm into a factor and a number. detectron2 keeps its four tensors.

Source of the facts: https://github.com/facebookresearch/Detectron: tools/pickle_caffe_blobs.py and
detectron/modeling/ResNet.py; https://github.com/facebookresearch/detectron2: detectron2/checkpoint/c2_model_loading.py,
detectron2/modeling/backbone/resnet.py and detectron2/layers/batch_norm.py; the keys of the published files:
https://github.com/facebookresearch/detectron2/issues/1688 and https://github.com/tianzhi0549/FCOS/issues/88.
"""

import dataclasses
from typing import Any

from converters.families.family import Family
from converters.families.trunks import network
from converters.names.tables import Row
from tfseg import specs

_LETTERS = {"a": 1, "b": 2, "c": 3}
_BIASES = (
    r"(conv1|res\d_\d+_branch(1|2[abc]))_b",
    "a bias of nearly zero that Detectron does not read: its convolutions have none",
)


def _rows(norm: str, ending: str) -> tuple[Row, ...]:
    """The rows.

    Args:
        norm: kind of what follows each convolution.
        ending: end of its layers' names.
    """
    block, target = "res{s}_{b}_branch", "conv{s}_block{b+1}"
    rows: list[Row] = [("conv1", "conv1_conv", "blob_conv"), ("res_conv1_bn", f"conv1_{ending}", norm)]
    for source, layer in (
        (f"{block}1", f"{target}_0"),
        *((f"{block}2{letter}", f"{target}_{index}") for letter, index in _LETTERS.items()),
    ):
        rows += [(source, f"{layer}_conv", "blob_conv"), (f"{source}_bn", f"{layer}_{ending}", norm)]
    return *rows, ("fc1000", "predictions", "blob_dense")


_OPTIONS: dict[str, Any] = {"stride_in": "1x1"}


def _family(name: str, norm: str, ending: str, covers: str, options: dict[str, Any], source: str) -> Family:
    return Family(
        name=name,
        covers=covers,
        files=source,
        proof="a twin of detectron2's ResNet, 5.0e-7",
        source=source,
        license="Apache-2.0",
        formats=("pickle",),
        preprocessing="detectron2",
        networks=tuple(
            network(
                depth,
                dataclasses.replace(specs.RESNETS[depth], **_OPTIONS, **options),
                _rows(norm, ending),
                (_BIASES,),
                options={**_OPTIONS, **options},
            )
            for depth in ("resnet50", "resnet101")
        ),
        classes="fc1000_w",
        head=r"predictions/.*",
        conventions=("previous", "new"),  # which are equal where a 1x1 strides
    )


AFFINE = _family(
    "facebookresearch/Detectron",
    "blob_affine",
    "affine",
    "MSRA's ResNet-50 and -101 with folded BatchNorms (`R-50.pkl`, `R-101.pkl`)",
    {"norm": "affine"},
    "https://github.com/facebookresearch/Detectron",
)
NORMED = _family(
    "facebookresearch/detectron2/MSRA",
    "blob_norm",
    "bn",
    "MSRA's ResNet-50 and -101 (`MSRA/R-50.pkl`, `MSRA/R-101.pkl`)",
    {},
    "https://github.com/facebookresearch/detectron2/blob/main/MODEL_ZOO.md",
)
