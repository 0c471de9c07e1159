"""Rows of timm's HRNet, Xception, ResNetV2 and MobileNetV2, in the layer names of `tfseg`."""

from converters.families.light_trunks import TIMM_ENDS, timm_block, unit
from converters.names.tables import Row
from tfseg import specs


def _numbered(source: str, target: str) -> tuple[Row, Row]:
    """The rows of convolutions and norms that are counted: conv1, bn1, conv2 and so on."""
    return (f"{source}conv{{c}}", f"{target}{{c}}_conv", "conv"), (f"{source}bn{{c}}", f"{target}{{c}}_bn", "norm")


def _residual(source: str, target: str) -> tuple[Row, ...]:
    """The rows of a residual block. The projection comes first: read backwards, it is no "conv0"."""
    return *unit(f"{source}.downsample", f"{target}_0"), *_numbered(f"{source}.", f"{target}_")


def hrnet(prefix: str = "") -> tuple[Row, ...]:
    """The authors' HRNet without a head, with the names of timm, of CSAILVision and of mmsegmentation.

    Args:
        prefix: text before every name, such as "backbone.".
    """
    fuse, target = "stage{s}.{m}.fuse_layers.{i}.{j}", "stage{s}_module{m+1}_fuse{i+1}_from{j+1}"
    rows = (
        *_numbered("", "stem_"),
        *_residual("layer1.{b}", "stage1_block{b+1}"),
        *unit("transition1.0", "transition1_1"),
        # The new branch of each stage is the last one: a list of units with one in it.
        *(row for stage in (1, 2, 3) for row in unit(f"transition{stage}.{stage}.0", f"transition{stage}_{stage + 1}")),
        *_residual("stage{s}.{m}.branches.{r}.{b}", "stage{s}_module{m+1}_branch{r+1}_block{b+1}"),
        *unit(fuse, target),
        *unit(f"{fuse}.{{k}}", f"{target}_{{k+1}}"),
    )
    return tuple((prefix + source, layer, kind) for source, layer, kind in rows)


def hrnet_top() -> tuple[Row, ...]:
    """The classifier after an HRNet."""
    return (
        *_residual("incre_modules.{i}.0", "top_branch{i+1}"),
        *unit("downsamp_modules.{i}", "top_down{i+2}"),
        *unit("final_layer", "top"),
        ("classifier", "predictions", "dense"),
    )


def xception() -> tuple[Row, ...]:
    """timm's Xception of DeepLab, with its classifier."""
    block, target = "blocks.{b}", "block{b+1}"
    return (
        *unit("stem.{i}", "stem_{i+1}", "conv", "bn"),
        *unit(f"{block}.shortcut", f"{target}_0", "conv", "bn"),
        (f"{block}.stack.conv{{i}}.conv_dw", f"{target}_{{i}}_depthwise", "depthwise"),
        (f"{block}.stack.conv{{i}}.bn_dw", f"{target}_{{i}}_depthwise_bn", "norm"),
        *unit(f"{block}.stack.conv{{i}}", f"{target}_{{i}}", "conv_pw", "bn_pw"),
        ("head.fc", "predictions", "dense"),
    )


def resnetv2(*, group_norm: bool = False) -> tuple[Row, ...]:
    """timm's ResNetV2, with its classifier.

    Args:
        group_norm: whether it has GroupNorm, as Big Transfer; if not, BatchNorm.
    """
    block, target = "stages.{s}.blocks.{b}", "stage{s+1}_unit{b+1}"
    letters, kind = ("gn", "group_norm") if group_norm else ("bn", "norm")
    return (
        ("stem.conv", "conv0", "conv"),
        (f"{block}.downsample.conv", f"{target}_sc", "conv"),
        (f"{block}.conv{{c}}", f"{target}_conv{{c}}", "conv"),
        (f"{block}.norm{{c}}", f"{target}_{letters}{{c}}", kind),
        ("norm", f"{letters}1", kind),
        ("head.fc", "predictions", "dense1x1"),
    )


def timm_mobilenet_v2() -> tuple[Row, ...]:
    """timm's MobileNetV2, with its classifier. It counts the blocks of each stage; here all are counted on."""
    rows: list[Row] = [*TIMM_ENDS, ("classifier", "predictions", "dense")]
    counts = [stage.blocks for stage in specs.MOBILENETS_V2["mobilenet_v2"]]
    # The last stage comes first: read backwards, the first row that fits is used.
    for stage in range(len(counts) - 1, -1, -1):
        target = f"block{{b+{1 + sum(counts[:stage])}}}"
        rows += timm_block(f"blocks.{stage}.{{b}}", target, widens=stage > 0)
    return tuple(rows)
