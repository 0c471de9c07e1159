"""yassouali/pytorch-segmentation: DeepLabV3+ and PSPNet on ResNets, FCN-8s, SegNet and U-Net.

Source of the facts: https://github.com/yassouali/pytorch-segmentation: models/deeplabv3_plus.py, pspnet.py, resnet.py,
fcn.py, segnet.py, unet.py and dataloaders/voc.py.
"""

import dataclasses
import functools
from typing import Any

from converters.families import further_variables, variables
from converters.families.family import COUNTER, Family, FamilyNetwork
from converters.families.light_trunks import unit
from converters.families.trunks import FEATURES, HEAD, network, renamed, trunk
from converters.names.tables import Row, table
from converters.types import Shapes
from tfseg import specs

_DEPTHS = (50, 101, 152)
_MEANS = (
    "mean and deviation are those of its PASCAL VOC; its other data sets have others, for which give preprocessing= "
    "with the numbers of its dataloaders"
)
_STRIDE = "the tensors do not tell the output stride: it is 16, the default; for its other one give output_stride=8"

_DEEPLAB_HEAD: tuple[Row, ...] = (
    *(row for branch in range(4) for row in unit(f"ASSP.aspp{branch + 1}", f"aspp_{branch}")),
    *unit("ASSP.avg_pool", "aspp_pool", "1", "2"),
    *unit("ASSP", "aspp_project", "conv1", "bn1"),
    *unit("decoder", "low_level", "conv1", "bn1"),
    *unit("decoder.output", "decoder_1", "0", "1"),
    *unit("decoder.output", "decoder_2", "3", "4"),
    ("decoder.output.7", "logits", "conv"),
)
# The stem lies in a sequence with its pooling.
_LAYER0 = {"backbone.conv1": "backbone.layer0.0", "backbone.bn1": "backbone.layer0.1"}

DEEPLABV3PLUS = Family(
    name="yassouali/pytorch-segmentation/deeplabv3plus",
    covers="DeepLabV3+ on ResNet-50, -101 and -152",
    files="https://github.com/yassouali/pytorch-segmentation",
    proof="its code, 1.6e-6",
    source="https://github.com/yassouali/pytorch-segmentation",
    license="MIT",
    formats=("PyTorch zip", "PyTorch legacy stream"),
    preprocessing="yassouali_voc",
    networks=tuple(
        network(
            f"deeplabv3plus_resnet{depth}",
            specs.RESNETS[f"resnet{depth}"],
            (*renamed(trunk(specs.RESNETS[f"resnet{depth}"], "backbone."), _LAYER0), *_DEEPLAB_HEAD),
            requires={"ASSP.conv1.weight": "decoder.output.7.weight"},
            assumed=_MEANS,
            assumed_stride=_STRIDE,
        )
        for depth in _DEPTHS
    ),
    classes="decoder.output.7.weight",
    head=HEAD,
    features=FEATURES,
    options={
        "output_stride": 16,
        "convention": "new",
        "separable": False,
        "decoder_convs": 2,
        "low_level_first": True,
        "upsampling": "bilinear_align_corners",
    },
    conventions=("new",),
    datasets=("voc", "cityscapes", "ade20k"),
)

_PYRAMID = "master_branch.0"
PSPNET_HEAD: tuple[Row, ...] = (
    *(row for i, bins in enumerate((1, 2, 3, 6)) for row in unit(f"{_PYRAMID}.stages.{i}", f"ppm_{bins}", "1", "2")),
    *unit(f"{_PYRAMID}.bottleneck", "head"),
    ("master_branch.1", "logits", "conv"),
    *unit("auxiliary_branch", "aux_head"),
    ("auxiliary_branch.4", "aux_logits", "conv"),
)


def _read_pspnet(shapes: Shapes) -> dict[str, Any]:
    key = f"{_PYRAMID}.bottleneck.0.weight"
    return {"filters": shapes[key][0]} if key in shapes else {}


def _pspnet(depth: int) -> FamilyNetwork:
    """PSPNet on a ResNet with a deep stem, which has a name of its own from 50 layers on."""
    name = f"resnet{depth}" if depth < 50 else f"resnet{depth}s"
    spec = dataclasses.replace(specs.RESNETS[name], stem=specs.RESNETS["resnet50s"].stem)
    return network(
        f"pspnet_{name}",
        spec,
        (*trunk(spec, stem="initial"), *PSPNET_HEAD),
        read=_read_pspnet,
        assumed=_MEANS,
        options={"stem": spec.stem} if depth < 50 else {},
    )


PSPNET = dataclasses.replace(
    DEEPLABV3PLUS,
    name="yassouali/pytorch-segmentation/pspnet",
    covers="PSPNet on ResNet-18 to -152 with a deep stem, auxiliary head",
    proof="its code, 4.0e-6",
    networks=tuple(map(_pspnet, (18, 34, *_DEPTHS))),
    classes="master_branch.1.weight",
    aux="auxiliary_branch.4.weight",
    options={
        "output_stride": 8,
        "convention": "previous",
        "aux_reduction": 2,
        "bin_upsampling": "bilinear_align_corners",
    },
    conventions=("previous",),
    dilates=False,
)


# ---------------------------------------------------------------------------------------- networks without a ResNet


def _vgg_parts() -> tuple[Row, ...]:
    """torchvision's VGG16 in three sequences, which end with pool3, pool4 and pool5."""
    rows: list[Row] = []
    places = {"pool3": (1, 2, 3), "pool4": (4,), "pool5": (5,)}
    for part, stages in places.items():
        index = 0
        for stage in stages:
            for conv in range(1, specs.VGG_CONVS[16][stage - 1] + 1):
                rows.append((f"{part}.{index}", f"conv{stage}_{conv}", "conv"))
                index += 2
            index += 1
    return tuple(rows)


_FCN_HEAD: tuple[Row, ...] = (
    ("output.0", "fc6", "conv"),
    ("output.3", "fc7", "conv"),
    ("output.6", "score_fr", "conv"),
    ("adj_pool{i}", "score_pool{i}", "conv"),
    ("up_output", "upscore2", "upconv"),
    ("up_pool4_out", "upscore_pool4", "upconv"),
    ("up_final", "upscore8", "upconv"),
)
FCN8S = dataclasses.replace(
    DEEPLABV3PLUS,
    name="yassouali/pytorch-segmentation/fcn8",
    covers="FCN-8s at once",
    proof="its code, 1.6e-6",
    networks=(
        FamilyNetwork(
            "fcn8s_atonce",
            table((*_vgg_parts(), *_FCN_HEAD)),
            "pool3.0.weight",
            functools.partial(variables.fcn, name="fcn8s_atonce"),
            complete=r"score_pool\d|upscore.*",
            assumed=_MEANS,
        ),
    ),
    classes="output.6.weight",
    head=r"(fc6|fc7|score_.*|upscore.*)/.*",
    features="pool5",
    options={},
    conventions=(),
    dilates=False,
)


def _pairs(source: str, target: str, count: int) -> tuple[Row, ...]:
    """Convolutions and norms with a ReLU after each pair in one sequence; `{n}` of the target is their number."""
    return tuple(
        row
        for index in range(count)
        for row in (
            (f"{source}.{3 * index}", target.replace("{n}", str(index + 1)) + "_conv", "conv"),
            (f"{source}.{3 * index + 1}", target.replace("{n}", str(index + 1)) + "_bn", "norm"),
        )
    )


def _segnet_rows() -> tuple[Row, ...]:
    rows: list[Row] = []
    for stage, count in enumerate(specs.VGG_CONVS[16], 1):
        # A convolution of the encoder is called as its number.
        pairs = _pairs(f"stage{stage}_encoder", f"conv{stage}_{{n}}", count)
        rows += [(source, target.removesuffix("_conv"), kind) for source, target, kind in pairs]
        rows += _pairs(f"stage{6 - stage}_decoder", f"decoder_{stage}_{{n}}", count)
    return *rows, ("stage5_decoder.6", "logits", "conv")


SEGNET = dataclasses.replace(
    FCN8S,
    name="yassouali/pytorch-segmentation/segnet",
    covers="SegNet",
    proof="its code, 8.6e-7",
    networks=(
        FamilyNetwork(
            "plain_segnet",
            table(_segnet_rows(), (COUNTER,)),
            "stage1_encoder.0.weight",
            functools.partial(further_variables.segnet, last_convs=2),
            complete=r"decoder_.*",
            assumed=_MEANS,
            options={"last_convs": 2},
        ),
    ),
    classes="stage5_decoder.6.weight",
    head=r"logits/.*",
    features="decoder_1_2_relu",
)


def _unet_rows() -> tuple[Row, ...]:
    places = (
        ("start_conv", "encoder_0"),
        ("down{i}.down_conv", "encoder_{i}"),
        ("middle_conv", "middle"),
        ("up{i+1}.up_conv", "decoder_{i}"),
    )
    pairs = (row for source, target in places for row in _pairs(source, f"{target}_conv{{n}}", 2))
    return *pairs, ("up{i+1}.up", "decoder_{i}_up", "upconv"), ("final_conv", "logits", "conv")


UNET = dataclasses.replace(
    FCN8S,
    name="yassouali/pytorch-segmentation/unet",
    covers="U-Net",
    proof="its code, 1.4e-6",
    networks=(
        FamilyNetwork(
            "plain_unet",
            table(_unet_rows(), (COUNTER,)),
            "start_conv.0.weight",
            functools.partial(further_variables.plain_unet, form="yassouali"),
            complete=r"decoder_\d_up|middle.*",
            assumed=_MEANS,
            options={"form": "yassouali"},
            requires={"final_conv.weight": ""},
        ),
    ),
    classes="final_conv.weight",
    head=r"logits/.*",
    features="decoder_3_conv2_relu",
)
