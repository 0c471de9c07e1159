"""Which tensor of a public network is which variable of `tfseg`'s light and newer backbones, as data."""

import math

from converters.names.tables import Row
from tfseg import specs


def unit(source: str, target: str, convolution: str = "0", norm: str = "1") -> list[Row]:
    """The rows of a convolution and its norm."""
    return [(f"{source}.{convolution}", f"{target}_conv", "conv"), (f"{source}.{norm}", f"{target}_bn", "norm")]


def _inverted(
    source: str, target: str, widens: bool, squeezes: bool, names: tuple[str, str, str, str] = ("", "", "fc1", "fc2")
) -> list[Row]:
    """The rows of one inverted residual block of torchvision: a list of units, some of which it may lack."""
    rows, index = [], 0
    if widens:
        rows += unit(f"{source}.{index}", f"{target}_expand")
        index += 1
    rows += [(f"{source}.{index}.0", f"{target}_dwconv", "depthwise"), (f"{source}.{index}.1", f"{target}_bn", "norm")]
    index += 1
    if squeezes:
        rows += [
            (f"{source}.{index}.fc1", f"{target}_se_reduce", "conv"),
            (f"{source}.{index}.fc2", f"{target}_se_expand", "conv"),
        ]
        index += 1
    return rows + unit(f"{source}.{index}", f"{target}_project")


def mobilenet_v2() -> list[Row]:
    """torchvision's MobileNetV2; its last convolution of a block and that one's norm lie bare in the list."""
    rows = unit("features.0", "stem") + unit("features.18", "top") + [("classifier.1", "predictions", "dense")]
    for block in range(1, 18):
        source, target, last = f"features.{block}.conv", f"block{block}", 1 if block == 1 else 2
        rows += _inverted(source, target, block > 1, False)[:-2]
        rows += unit(source, f"{target}_project", str(last), str(last + 1))
    return rows


def mobilenet_v3(name: str) -> list[Row]:
    """torchvision's MobileNetV3, "mobilenet_v3_large" or "mobilenet_v3_small"."""
    blocks, _ = specs.MOBILENETS_V3[name]
    rows = unit("features.0", "stem") + unit(f"features.{len(blocks) + 1}", "top")
    before = 16
    for number, block in enumerate(blocks, 1):
        rows += _inverted(f"features.{number}.block", f"block{number}", block.expanded != before, block.squeeze)
        before = block.filters
    return [*rows, ("classifier.0", "top_dense", "dense"), ("classifier.3", "predictions", "dense")]


def efficientnet(spec: specs.EfficientNetSpec) -> list[Row]:
    """torchvision's EfficientNet."""
    rows = unit("features.0", "stem") + unit("features.8", "top") + [("classifier.1", "predictions", "dense")]
    for stage, index, target in efficientnet_blocks(spec):
        rows += _inverted(f"features.{stage}.{index}.block", target, stage > 1, True)
    return rows


def timm_efficientnet(spec: specs.EfficientNetSpec) -> list[Row]:
    """timm's EfficientNet; the first stage's blocks do not widen."""
    rows = [
        ("conv_stem", "stem_conv", "conv"),
        ("bn1", "stem_bn", "norm"),
        ("conv_head", "top_conv", "conv"),
        ("bn2", "top_bn", "norm"),
        ("classifier", "predictions", "dense"),
    ]
    for stage, index, target in efficientnet_blocks(spec):
        block = f"blocks.{stage - 1}.{index}"
        rows += [
            (f"{block}.conv_dw", f"{target}_dwconv", "depthwise"),
            (f"{block}.se.conv_reduce", f"{target}_se_reduce", "conv"),
            (f"{block}.se.conv_expand", f"{target}_se_expand", "conv"),
        ]
        if stage == 1:
            parts = (("bn1", f"{target}_bn"), ("conv_pw", f"{target}_project_conv"), ("bn2", f"{target}_project_bn"))
        else:
            parts = (
                ("conv_pw", f"{target}_expand_conv"),
                ("bn1", f"{target}_expand_bn"),
                ("bn2", f"{target}_bn"),
                ("conv_pwl", f"{target}_project_conv"),
                ("bn3", f"{target}_project_bn"),
            )
        rows += [(f"{block}.{part}", layer, "norm" if "bn" in part else "conv") for part, layer in parts]
    return rows


def smp_efficientnet(spec: specs.EfficientNetSpec) -> list[Row]:
    """The encoder of segmentation_models.pytorch that comes from efficientnet_pytorch."""
    rows = [("_conv_stem", "stem_conv", "conv"), ("_bn0", "stem_bn", "norm")]
    for number, (_, _, target) in enumerate(efficientnet_blocks(spec)):
        block = f"_blocks.{number}"
        rows += [
            (f"{block}._expand_conv", f"{target}_expand_conv", "conv"),
            (f"{block}._bn0", f"{target}_expand_bn", "norm"),
            (f"{block}._depthwise_conv", f"{target}_dwconv", "depthwise"),
            (f"{block}._bn1", f"{target}_bn", "norm"),
            (f"{block}._se_reduce", f"{target}_se_reduce", "conv"),
            (f"{block}._se_expand", f"{target}_se_expand", "conv"),
            (f"{block}._project_conv", f"{target}_project_conv", "conv"),
            (f"{block}._bn2", f"{target}_project_bn", "norm"),
        ]
    return rows


def efficientnet_blocks(spec: specs.EfficientNetSpec) -> list[tuple[int, int, str]]:
    """`(stage from 1, index from 0, name)` of every block."""
    return [
        (number, index, f"block{number}{chr(ord('a') + index)}")
        for number, stage in enumerate(specs.EFFICIENTNET_STAGES, 1)
        for index in range(math.ceil(stage.blocks * spec.depth))
    ]


def mit_transformers() -> list[Row]:
    """transformers' SegFormer classifier."""
    stage, block = "segformer.stages.{s}", "segformer.stages.{s}.blocks.{b}"
    target, inner = "stage{s+1}", "stage{s+1}_block{b+1}"
    reduction = f"{block}.attention.sequence_reduction"
    return [
        (f"{stage}.patch_embeddings.proj", f"{target}_patch_conv", "conv"),
        (f"{stage}.patch_embeddings.layer_norm", f"{target}_patch_norm", "norm"),
        (f"{block}.layernorm_before", f"{inner}_1_norm", "norm"),
        (f"{block}.attention.q_proj", f"{inner}_attention_query", "dense"),
        (f"{block}.attention.k_proj", f"{inner}_attention_key", "dense"),
        (f"{block}.attention.v_proj", f"{inner}_attention_value", "dense"),
        (f"{block}.attention.o_proj", f"{inner}_attention_out", "dense"),
        (f"{reduction}.sequence_reduction", f"{inner}_attention_reduce_conv", "conv"),
        (f"{reduction}.layer_norm", f"{inner}_attention_reduce_norm", "norm"),
        (f"{block}.layernorm_after", f"{inner}_2_norm", "norm"),
        (f"{block}.mlp.fc{{i}}", f"{inner}_mlp_{{i}}", "dense"),
        (f"{block}.mlp.dwconv.dwconv", f"{inner}_mlp_dwconv", "depthwise"),
        (f"{stage}.layer_norm", f"{target}_norm", "norm"),
        ("classifier", "predictions", "dense"),
    ]


def hrnet() -> list[Row]:
    """timm's HRNet."""
    return [
        *_numbered("", "stem_", counted="{c}"),
        *_residual("layer1.{b}", "stage1_block{b+1}"),
        *unit("transition{t}.{i}", "transition{t}_{i+1}"),
        *unit("transition{t}.{i}.0", "transition{t}_{i+1}"),
        *_residual("stage{s}.{m}.branches.{r}.{b}", "stage{s}_module{m+1}_branch{r+1}_block{b+1}"),
        *unit("stage{s}.{m}.fuse_layers.{i}.{j}", "stage{s}_module{m+1}_fuse{i+1}_from{j+1}"),
        *unit("stage{s}.{m}.fuse_layers.{i}.{j}.{k}", "stage{s}_module{m+1}_fuse{i+1}_from{j+1}_{k+1}"),
        *_residual("incre_modules.{i}.0", "top_branch{i+1}"),
        *unit("downsamp_modules.{i}", "top_down{i+2}"),
        *unit("final_layer", "top"),
        ("classifier", "predictions", "dense"),
    ]


def xception() -> list[Row]:
    """timm's Xception of DeepLab."""
    block, target = "blocks.{b}", "block{b+1}"
    return [
        *unit("stem.{i}", "stem_{i+1}", "conv", "bn"),
        *unit(f"{block}.shortcut", f"{target}_0", "conv", "bn"),
        (f"{block}.stack.conv{{i}}.conv_dw", f"{target}_{{i}}_depthwise", "depthwise"),
        (f"{block}.stack.conv{{i}}.bn_dw", f"{target}_{{i}}_depthwise_bn", "norm"),
        *unit(f"{block}.stack.conv{{i}}", f"{target}_{{i}}", "conv_pw", "bn_pw"),
        ("head.fc", "predictions", "dense"),
    ]


def _numbered(source: str, target: str, counted: str = "{c}") -> list[Row]:
    return [
        (f"{source}conv{counted}", f"{target}{counted}_conv", "conv"),
        (f"{source}bn{counted}", f"{target}{counted}_bn", "norm"),
    ]


def _residual(source: str, target: str) -> list[Row]:
    """The rows of a residual block of torchvision's or timm's."""
    return [*unit(f"{source}.downsample", f"{target}_0"), *_numbered(f"{source}.", f"{target}_")]


def resnetv2(group_norm: bool = False) -> list[Row]:
    """timm's ResNetV2, with BatchNorm or as Big Transfer."""
    block, target, norm = "stages.{s}.blocks.{b}", "stage{s+1}_unit{b+1}", "gn" if group_norm else "bn"
    return [
        ("stem.conv", "conv0", "conv"),
        (f"{block}.downsample.conv", f"{target}_sc", "conv"),
        (f"{block}.conv{{c}}", f"{target}_conv{{c}}", "conv"),
        (f"{block}.norm{{c}}", f"{target}_{norm}{{c}}", "norm"),
        ("norm", f"{norm}1", "norm"),
        ("head.fc", "predictions", "dense1x1"),
    ]


def clip_resnet() -> list[Row]:
    """timm's ResNet of CLIP with a plain average at its end."""
    block, target = "stages.{s}.{b}", "conv{s+2}_block{b+1}"
    return [
        *unit("stem.conv{i}", "conv1_{i}", "conv", "bn"),
        *unit(f"{block}.shortcut.conv", f"{target}_0", "conv", "bn"),
        *unit(f"{block}.conv1_1x1", f"{target}_1", "conv", "bn"),
        *unit(f"{block}.conv2_kxk", f"{target}_2", "conv", "bn"),
        *unit(f"{block}.conv3_1x1", f"{target}_3", "conv", "bn"),
        ("head.fc", "predictions", "dense"),
    ]
