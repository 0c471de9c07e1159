"""The encoders of segmentation_models for Keras: their names, and the maps that its decoders read."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

from converters.families import light_variables, variables
from converters.names.tables import Row
from converters.types import Shapes
from tfseg import specs


@dataclasses.dataclass(frozen=True, eq=False)
class Encoder:
    """One encoder.

    Attributes:
        name: name of the network in `tfseg.build`.
        rows: rows of its names.
        first: key of its first kernel.
        variables: function of the width that gives its kernels.
        complete: regular expression of its layers: a file has no others of them.
        taps: layers whose maps decoders read, finest first, without the last one.
        last: the layer that makes its last map.
        ends: for PSPNet, a tap of stride 8, 16 or 4 -> beginning of the name of the first layer after it.
        options: options of `tfseg.build` that make the network this one.
        pooled: whether it ends with a pooling, after which U-Net and LinkNet have two more convolutions.
    """

    name: str
    rows: tuple[Row, ...]
    first: str
    variables: Callable[[float], Shapes]
    complete: str
    taps: tuple[str, ...]
    last: str
    ends: tuple[tuple[str, str], ...]
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    pooled: bool = False


_RESNET = (
    ("bn_data", "bn_data", "keras_norm"),
    ("conv0", "conv0", "keras_conv"),
    ("bn{i}", "bn{i}", "keras_norm"),
    ("stage{s}_unit{u}_bn{i}", "stage{s}_unit{u}_bn{i}", "keras_norm"),
    ("stage{s}_unit{u}_conv{i}", "stage{s}_unit{u}_conv{i}", "keras_conv"),
    ("stage{s}_unit{u}_sc", "stage{s}_unit{u}_sc", "keras_conv"),
)


def _resnet(depth: int) -> Encoder:
    name = f"preact_resnet{depth}"
    stages = range(2, 5)
    return Encoder(
        name,
        _RESNET,
        "conv0/kernel",
        functools.partial(light_variables.preactivation_resnet, spec=specs.PREACTIVATION_RESNETS[name]),
        r"conv0|stage\d+_unit\d+_.*",
        ("relu0", *(f"stage{stage}_unit1_relu1" for stage in stages)),
        "relu1",
        tuple((f"stage{stage}_unit1_relu1", f"stage{stage}_unit1") for stage in (3, 4, 2)),
    )


def _vgg(depth: int) -> Encoder:
    counts = specs.VGG_CONVS[depth]
    return Encoder(
        f"vgg{depth}",
        (("block{s}_conv{i}", "conv{s}_{i}", "keras_conv"),),
        "block1_conv1/kernel",
        functools.partial(variables.vgg, depth=depth),
        r"conv\d_\d",
        tuple(f"relu{stage}_{counts[stage - 1]}" for stage in range(2, 6)),
        "pool5",
        tuple((f"relu{stage}_{counts[stage - 1]}", f"conv{stage + 1}_") for stage in (4, 5, 3)),
        pooled=True,
    )


def inverted_rows(first: str, block: str) -> tuple[Row, ...]:
    """The rows of MobileNetV2's blocks, as Keras names their layers.

    Args:
        first: beginning of the first block's names, which does not widen.
        block: beginning of the names of every other block, with the field {b}.
    """
    rows: list[Row] = []
    for source, target in ((first, "block1"), (block, "block{b+1}")):
        rows += [
            (f"{source}expand", f"{target}_expand_conv", "keras_conv"),
            (f"{source}expand_BN", f"{target}_expand_bn", "keras_norm"),
            (f"{source}depthwise", f"{target}_dwconv", "keras_depthwise"),
            (f"{source}depthwise_BN", f"{target}_bn", "keras_norm"),
            (f"{source}project", f"{target}_project_conv", "keras_conv"),
            (f"{source}project_BN", f"{target}_project_bn", "keras_norm"),
        ]
    return tuple(rows)


MOBILENET_V2_ROWS: tuple[Row, ...] = (
    ("Conv1", "stem_conv", "keras_conv"),
    ("bn_Conv1", "stem_bn", "keras_norm"),
    ("Conv_1", "top_conv", "keras_conv"),
    ("Conv_1_bn", "top_bn", "keras_norm"),
    *inverted_rows("expanded_conv_", "block_{b}_"),
)
_MOBILENET = Encoder(
    "mobilenet_v2",
    MOBILENET_V2_ROWS,
    "Conv1/kernel",
    light_variables.mobilenet_v2,
    r"(stem|block\d+|top)_.*",
    tuple(f"block{block}_expand_activation" for block in (2, 4, 7, 14)),
    "top_activation",
    tuple((f"block{block}_expand_activation", f"block{block}_dwconv") for block in (7, 14, 4)),
    {"padding": "same", "epsilon": 1e-3},
)

_EFFICIENTNET = (
    *((f"{layer}_conv", f"{layer}_conv", "keras_conv") for layer in ("stem", "top")),
    *((f"{layer}_bn", f"{layer}_bn", "keras_norm") for layer in ("stem", "top")),
    ("block{s}{b:a}_dwconv", "block{s}{b:a}_dwconv", "keras_depthwise"),
    *(
        (f"block{{s}}{{b:a}}_{layer}", f"block{{s}}{{b:a}}_{layer}", "keras_norm" if "bn" in layer else "keras_conv")
        for layer in ("expand_conv", "expand_bn", "bn", "se_reduce", "se_expand", "project_conv", "project_bn")
    ),
)


def _efficientnet(index: int) -> Encoder:
    name = f"tf_efficientnet_b{index}"
    return Encoder(
        name,
        _EFFICIENTNET,
        "stem_conv/kernel",
        functools.partial(light_variables.efficientnet_with_top, spec=specs.EFFICIENTNETS[name]),
        r"(stem|block\d+[a-z]|top)_.*",
        tuple(f"block{stage}a_expand_activation" for stage in (2, 3, 4, 6)),
        "top_activation",
        tuple((f"block{stage}a_expand_activation", f"block{stage}a_dwconv") for stage in (4, 6, 3)),
    )


ENCODERS: dict[str, tuple[Encoder, ...]] = {
    "resnet": tuple(_resnet(depth) for depth in (18, 34, 50, 101, 152)),
    "vgg": tuple(_vgg(depth) for depth in (16, 19)),
    "mobilenet": (_MOBILENET,),
    "efficientnet": tuple(_efficientnet(index) for index in range(8)),
}
