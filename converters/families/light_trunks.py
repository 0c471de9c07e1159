"""Rows of the light and newer backbones, as their public networks name their tensors.

The layers are those of `tfseg.MobileNetV2`, `tfseg.EfficientNet` and `tfseg.MiT`.
"""

import math
from collections.abc import Mapping

from converters.names.tables import Row
from tfseg import specs


def unit(source: str, target: str, convolution: str = "0", norm: str = "1") -> tuple[Row, Row]:
    """The rows of a convolution and its norm.

    Args:
        source: name of the module that has both.
        target: beginning of the layers' names.
        convolution: name of the convolution in the module.
        norm: name of the norm in the module.
    """
    return (f"{source}.{convolution}", f"{target}_conv", "conv"), (f"{source}.{norm}", f"{target}_bn", "norm")


def mobilenet_v2(prefix: str = "") -> tuple[Row, ...]:
    """torchvision's MobileNetV2; its last convolution of a block and that one's norm lie bare in the list.

    Args:
        prefix: text before every name, such as "encoder.".
    """
    first, block, target = f"{prefix}features.1.conv", f"{prefix}features.{{b}}.conv", "block{b}"
    return (
        *unit(f"{prefix}features.0", "stem"),
        *unit(f"{prefix}features.18", "top"),
        (f"{first}.0.0", "block1_dwconv", "depthwise"),
        (f"{first}.0.1", "block1_bn", "norm"),
        *unit(first, "block1_project", "1", "2"),
        *unit(f"{block}.0", f"{target}_expand"),
        (f"{block}.1.0", f"{target}_dwconv", "depthwise"),
        (f"{block}.1.1", f"{target}_bn", "norm"),
        *unit(block, f"{target}_project", "2", "3"),
    )


TIMM_ENDS: tuple[Row, ...] = (
    ("conv_stem", "stem_conv", "conv"),
    ("bn1", "stem_bn", "norm"),
    ("conv_head", "top_conv", "conv"),
    ("bn2", "top_bn", "norm"),
)
"""The convolutions before and after the blocks of timm's MobileNetV2 and EfficientNet."""


def timm_block(block: str, target: str, *, widens: bool) -> tuple[Row, ...]:
    """The rows of one of their blocks.

    Args:
        block: its name in timm.
        target: its name here.
        widens: whether it begins with a convolution that widens the map; those of the first stage do not.
    """
    parts = (
        (
            ("conv_pw", "expand_conv"),
            ("bn1", "expand_bn"),
            ("bn2", "bn"),
            ("conv_pwl", "project_conv"),
            ("bn3", "project_bn"),
        )
        if widens
        else (("bn1", "bn"), ("conv_pw", "project_conv"), ("bn2", "project_bn"))
    )
    rows = [(f"{block}.{part}", f"{target}_{layer}", "norm" if "bn" in part else "conv") for part, layer in parts]
    return ((f"{block}.conv_dw", f"{target}_dwconv", "depthwise"), *rows)


def timm_efficientnet(prefix: str = "") -> tuple[Row, ...]:
    """timm's EfficientNet without its classifier; the first stage's blocks do not widen.

    Args:
        prefix: text before every name, such as "encoder.".
    """
    rows: list[Row] = [*TIMM_ENDS]
    for block, target, widens in (
        ("blocks.0.{b}", "block1{b:a+1}", False),
        ("blocks.{s}.{b}", "block{s+1}{b:a+1}", True),
    ):
        rows += [
            *timm_block(block, target, widens=widens),
            (f"{block}.se.conv_reduce", f"{target}_se_reduce", "conv"),
            (f"{block}.se.conv_expand", f"{target}_se_expand", "conv"),
        ]
    return tuple((prefix + source, target, kind) for source, target, kind in rows)


def counted_efficientnet(spec: specs.EfficientNetSpec, prefix: str = "") -> tuple[Row, ...]:
    """efficientnet_pytorch's EfficientNet without its top, which counts the blocks of all stages on.

    Args:
        spec: numbers of the network, which say at which block a stage begins.
        prefix: text before every name, such as "encoder.".
    """
    counts = efficientnet_counts(spec)
    rows = [(f"{prefix}_conv_stem", "stem_conv", "conv"), (f"{prefix}_bn0", "stem_bn", "norm")]
    # The first row that fits is used: the last stage comes first.
    for stage in range(len(counts), 0, -1):
        rows += _counted_block(f"{prefix}_blocks.{{b+{sum(counts[: stage - 1])}}}", f"block{stage}{{b:a+1}}")
    return tuple(rows)


def counted_beginning(spec: specs.EfficientNetSpec, prefix: str, stages: int) -> tuple[Row, ...]:
    """The rows of `counted_efficientnet` up to a stage, block by block.

    Args:
        spec: numbers of the network.
        prefix: text before every name.
        stages: number of stages.
    """
    rows = [*counted_efficientnet(spec, prefix)[:2]]
    counts = efficientnet_counts(spec)[:stages]
    blocks = [f"block{stage}{chr(ord('a') + index)}" for stage, count in enumerate(counts, 1) for index in range(count)]
    for number, target in enumerate(blocks):
        rows += _counted_block(f"{prefix}_blocks.{number}", target)
    return tuple(rows)


def _counted_block(block: str, target: str) -> tuple[Row, ...]:
    return (
        (f"{block}._expand_conv", f"{target}_expand_conv", "conv"),
        (f"{block}._bn0", f"{target}_expand_bn", "norm"),
        (f"{block}._depthwise_conv", f"{target}_dwconv", "depthwise"),
        (f"{block}._bn1", f"{target}_bn", "norm"),
        (f"{block}._se_reduce", f"{target}_se_reduce", "conv"),
        (f"{block}._se_expand", f"{target}_se_expand", "conv"),
        (f"{block}._project_conv", f"{target}_project_conv", "conv"),
        (f"{block}._bn2", f"{target}_project_bn", "norm"),
    )


def efficientnet_counts(spec: specs.EfficientNetSpec) -> tuple[int, ...]:
    """The number of blocks in each stage.

    Args:
        spec: numbers of the network.
    """
    return tuple(math.ceil(stage.blocks * spec.depth) for stage in specs.EFFICIENTNET_STAGES)


def densenet(prefix: str = "") -> tuple[Row, ...]:
    """torchvision's DenseNet without its classifier; its first files have dots before the numbers of norms and kernels.

    Args:
        prefix: text before every name, such as "encoder.".
    """
    layer, target = "features.denseblock{s}.denselayer{i}", "stage{s}_layer{i}"
    rows = (
        ("features.conv0", "stem_conv", "conv"),
        ("features.norm0", "stem_bn", "norm"),
        (f"{layer}.norm{{c}}", f"{target}_{{c}}_bn", "norm"),
        (f"{layer}.conv{{c}}", f"{target}_{{c}}_conv", "conv"),
        ("features.transition{s}.norm", "transition{s}_bn", "norm"),
        ("features.transition{s}.conv", "transition{s}_conv", "conv"),
        ("features.norm5", "top_bn", "norm"),
        (f"{layer}.norm.{{c}}", f"{target}_{{c}}_bn", "norm"),
        (f"{layer}.conv.{{c}}", f"{target}_{{c}}_conv", "conv"),
    )
    return tuple((prefix + source, layer, kind) for source, layer, kind in rows)


def authors_mit(prefix: str = "") -> tuple[Row, ...]:
    """The MiT of SegFormer's authors, whose keys and values are one layer.

    Args:
        prefix: text before every name, such as "encoder.".
    """
    block, target = "block{s}.{b}", "stage{s}_block{b+1}"
    rows = (
        ("patch_embed{s}.proj", "stage{s}_patch_conv", "conv"),
        ("patch_embed{s}.norm", "stage{s}_patch_norm", "norm"),
        ("norm{s}", "stage{s}_norm", "norm"),
        (f"{block}.norm{{i}}", f"{target}_{{i}}_norm", "norm"),
        (f"{block}.attn.q", f"{target}_attention_query", "dense"),
        (f"{block}.attn.kv", f"{target}_attention_key_value", "dense"),
        (f"{block}.attn.proj", f"{target}_attention_out", "dense"),
        (f"{block}.attn.sr", f"{target}_attention_reduce_conv", "conv"),
        (f"{block}.attn.norm", f"{target}_attention_reduce_norm", "norm"),
        (f"{block}.mlp.fc{{i}}", f"{target}_mlp_{{i}}", "dense"),
        (f"{block}.mlp.dwconv.dwconv", f"{target}_mlp_dwconv", "depthwise"),
    )
    return tuple((prefix + source, layer, kind) for source, layer, kind in rows)


def mmseg_mit(prefix: str = "") -> tuple[Row, ...]:
    """The MiT of mmsegmentation, which counts the stages from 0 and has one layer for queries, keys and values.

    Args:
        prefix: text before every name, such as "backbone.".
    """
    stage, target, block = "layers.{s}", "stage{s+1}_block{b+1}", "layers.{s}.1.{b}"
    rows = (
        (f"{stage}.0.projection", "stage{s+1}_patch_conv", "conv"),
        (f"{stage}.0.norm", "stage{s+1}_patch_norm", "norm"),
        (f"{stage}.2", "stage{s+1}_norm", "norm"),
        (f"{block}.norm{{i}}", f"{target}_{{i}}_norm", "norm"),
        (f"{block}.attn.attn", f"{target}_attention_projections", "in_projection"),
        (f"{block}.attn.attn.out_proj", f"{target}_attention_out", "dense"),
        (f"{block}.attn.sr", f"{target}_attention_reduce_conv", "conv"),
        (f"{block}.attn.norm", f"{target}_attention_reduce_norm", "norm"),
        # The depthwise convolution lies between the two others, and an activation and dropout after it.
        (f"{block}.ffn.layers.0", f"{target}_mlp_1", "dense1x1"),
        (f"{block}.ffn.layers.1", f"{target}_mlp_dwconv", "depthwise"),
        (f"{block}.ffn.layers.4", f"{target}_mlp_2", "dense1x1"),
    )
    return tuple((prefix + source, layer, kind) for source, layer, kind in rows)


def transformers_mit(prefix: str = "") -> tuple[Row, ...]:
    """The MiT of transformers 5, as its modules are named.

    Args:
        prefix: text before every name, such as "segformer.".
    """
    stage, block = "stages.{s}", "stages.{s}.blocks.{b}"
    reduction = f"{block}.attention.sequence_reduction"
    names = {
        "patch": f"{stage}.patch_embeddings",
        "norm": f"{stage}.layer_norm",
        "before": f"{block}.layernorm_before",
        "query": f"{block}.attention.q_proj",
        "key": f"{block}.attention.k_proj",
        "value": f"{block}.attention.v_proj",
        "out": f"{block}.attention.o_proj",
        "reduce_conv": f"{reduction}.sequence_reduction",
        "reduce_norm": f"{reduction}.layer_norm",
        "after": f"{block}.layernorm_after",
        "dense": f"{block}.mlp.fc{{i}}",
        "dwconv": f"{block}.mlp.dwconv.dwconv",
    }
    return _transformers_mit(prefix, names)


def published_mit(prefix: str = "") -> tuple[Row, ...]:
    """The MiT of transformers as every version writes it to files.

    Args:
        prefix: text before every name, such as "segformer.".
    """
    block = "encoder.block.{s}.{b}"
    names = {
        "patch": "encoder.patch_embeddings.{s}",
        "norm": "encoder.layer_norm.{s}",
        "before": f"{block}.layer_norm_1",
        "query": f"{block}.attention.self.query",
        "key": f"{block}.attention.self.key",
        "value": f"{block}.attention.self.value",
        "out": f"{block}.attention.output.dense",
        "reduce_conv": f"{block}.attention.self.sr",
        "reduce_norm": f"{block}.attention.self.layer_norm",
        "after": f"{block}.layer_norm_2",
        "dense": f"{block}.mlp.dense{{i}}",
        "dwconv": f"{block}.mlp.dwconv.dwconv",
    }
    return _transformers_mit(prefix, names)


def _transformers_mit(prefix: str, names: Mapping[str, str]) -> tuple[Row, ...]:
    """The rows of a MiT that counts its stages from 0.

    Args:
        prefix: text before every name.
        names: part of the network -> name of its module.
    """
    stage, block = "stage{s+1}", "stage{s+1}_block{b+1}"
    rows = (
        (f"{names['patch']}.proj", f"{stage}_patch_conv", "conv"),
        (f"{names['patch']}.layer_norm", f"{stage}_patch_norm", "norm"),
        (names["norm"], f"{stage}_norm", "norm"),
        (names["before"], f"{block}_1_norm", "norm"),
        (names["after"], f"{block}_2_norm", "norm"),
        *((names[part], f"{block}_attention_{part}", "dense") for part in ("query", "key", "value", "out")),
        (names["reduce_conv"], f"{block}_attention_reduce_conv", "conv"),
        (names["reduce_norm"], f"{block}_attention_reduce_norm", "norm"),
        (names["dense"], f"{block}_mlp_{{i}}", "dense"),
        (names["dwconv"], f"{block}_mlp_dwconv", "depthwise"),
    )
    return tuple((prefix + source, layer, kind) for source, layer, kind in rows)
