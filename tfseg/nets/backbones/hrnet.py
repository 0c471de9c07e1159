"""HRNet: branches of four strides side by side, which exchange their maps: a table of stages and a loop."""

import keras
from keras.layers import Add, Concatenate

from tfseg import specs
from tfseg.layers import GlobalAveragePooling, LastMap, Rescale, ResizeLike
from tfseg.nets import blocks
from tfseg.nets.backbones.named import named_spec
from tfseg.nets.resnet import residual_block
from tfseg.types import Tensor

_BOTTLENECK, _BASIC = specs.ResNetSpec(()), specs.ResNetSpec((), bottleneck=False)


def HRNet(
    spec: str | specs.HRNetSpec = "w18",
    *,
    upsampling: str = "nearest",
    exchange: str | None = None,
    by_stride: bool = False,
    width: float = 1.0,
    include_top: bool = False,
    num_classes: int = 1000,
    channels: int = 3,
    name: str | None = None,
) -> keras.Model:
    """HRNet-W18 to W64: a branch of stride 4 from the beginning to the end, and coarser branches beside it.

    Input `(batch, height, width, channels)` float32, preprocessed, any size. Output without the top: the maps of
    strides 4, 8, 16 and 32, concatenated at stride 4 as HRNetV2 gives them to its head. For W18 it is
    `(batch, ceil(height / 4), ceil(width / 4), 270)`. Output with the top: logits `(batch, num_classes)`.

    The four maps themselves are the outputs of `map4`, `map8`, `map16` and `map32`. Decoders read them, and the map of
    stride 2 from the stem. `tfseg.dilate` refuses HRNet: its branches interpolate between the pixels of each other.

    Args:
        spec: "w18", "w30", "w32", "w40", "w44", "w48" or "w64"; or a `tfseg.specs.HRNetSpec`.
        upsampling: how coarser maps are enlarged before finer ones take them, a name of `tfseg.specs.INTERPOLATIONS`.
            The classifiers of timm and of the authors have "nearest", the authors' segmenters "bilinear" and
            "bilinear_align_corners". The concatenated maps are enlarged so, too,
            but bilinearly in place of "nearest".
        exchange: `upsampling` by a name that no head has, for `tfseg.build("fcn_hrnet_w48", exchange="bilinear")`.
        by_stride: whether a coarser map is enlarged by its stride first, and then resized to the finer one
            (mmsegmentation). Both are one step for images whose sides are multiples of 32.
        width: factor of every channel count.
        include_top: whether the classifier follows: bottlenecks (`top_branch1_1_conv`), strided convolutions from
            each branch to the next, an average and the layer `predictions`.
        num_classes: units of `predictions`.
        channels: channels of the input.
        name: name of the model; None: the name of the spec, such as "hrnet_w18".
    Returns: functional model.
    Raises:
        ValueError: an unknown spec or upsampling, or a width that is not positive.
    Reference: Wang et al. 2020, https://arxiv.org/abs/1908.07919, section 3; code:
        https://github.com/HRNet/HRNet-Semantic-Segmentation, and timm's `hrnet_w18`.

    Example:
        >>> model = tfseg.HRNet("w18", width=1 / 9)
        >>> tuple(model(np.zeros((1, 65, 83, 3))).shape)
        (1, 17, 21, 30)
    """
    title, spec = named_spec("An HRNet", spec, specs.HRNETS, "hrnet_")
    upsampling = exchange or upsampling
    blocks.check_choice("upsampling", upsampling, specs.INTERPOLATIONS)
    blocks.check_width(width)
    image, x = blocks.image_input(channels, "torch")
    for index in (1, 2):
        x = blocks.conv_norm_relu(x, specs.scaled(64, width), 3, f"stem_{index}", strides=2)
    for block in range(1, spec.first_blocks + 1):
        x = _residual(x, 64 * width, f"stage1_block{block}", bottleneck=True)
    maps = [x]
    for stage, row in enumerate(spec.stages, 2):
        filters = [specs.scaled(spec.filters * 2**branch, width) for branch in range(stage)]
        maps = _transition(maps, filters, f"transition{stage - 1}")
        for module in range(1, row.modules + 1):
            for branch in range(stage):
                for block in range(1, row.blocks + 1):
                    block_name = f"stage{stage}_module{module}_branch{branch + 1}_block{block}"
                    maps[branch] = _residual(maps[branch], filters[branch], block_name)
            maps = [
                _fused(maps, target, f"stage{stage}_module{module}_fuse{target + 1}", upsampling, by_stride=by_stride)
                for target in range(stage)
            ]
    maps = [LastMap(name=f"map{4 * 2**branch}")(x) for branch, x in enumerate(maps)]
    if include_top:
        return keras.Model(image, _top(maps, num_classes, width), name=name or title)
    method = "bilinear" if upsampling == "nearest" else upsampling
    resized = [
        ResizeLike(method, name=f"map{4 * 2**branch}_resize")([x, maps[0]]) for branch, x in enumerate(maps[1:], 1)
    ]
    return keras.Model(image, Concatenate(name="maps")([maps[0], *resized]), name=name or title)


def _residual(x: Tensor, planes: float, name: str, *, bottleneck: bool = False) -> Tensor:
    kind = _BOTTLENECK if bottleneck else _BASIC
    return residual_block(x, planes, name, kind, strides=1, rate=1, freed_rate=1)


def _transition(maps: list[Tensor], filters: list[int], name: str) -> list[Tensor]:
    """The maps with the channels of the next stage, and one of twice the stride beside them."""
    after = [
        x if x.shape[-1] == count else blocks.conv_norm_relu(x, count, 3, f"{name}_{index}")
        for index, (x, count) in enumerate(zip(maps, filters, strict=False), 1)
    ]
    return [*after, blocks.conv_norm_relu(maps[-1], filters[-1], 3, f"{name}_{len(filters)}", strides=2)]


def _fused(maps: list[Tensor], target: int, name: str, upsampling: str, *, by_stride: bool) -> Tensor:
    """The sum of all maps at the size of one: coarser ones enlarged, finer ones strided, layer by layer."""
    parts = []
    for source, x in enumerate(maps):
        path = f"{name}_from{source + 1}"
        filters = maps[target].shape[-1]
        if source > target:
            x = blocks.norm(blocks.conv(x, filters, 1, f"{path}_conv"), f"{path}_bn")
            if by_stride:
                x = Rescale(2 ** (source - target), upsampling, name=f"{path}_rescale")(x)
            x = ResizeLike(upsampling, name=f"{path}_resize")([x, maps[target]])
        for step in range(1, target - source):
            x = blocks.conv_norm_relu(x, maps[source].shape[-1], 3, f"{path}_{step}", strides=2)
        if source < target:
            last = f"{path}_{target - source}"
            x = blocks.norm(blocks.conv(x, filters, 3, f"{last}_conv", strides=2), f"{last}_bn")
        parts.append(x)
    return blocks.relu(Add(name=f"{name}_add")(parts), f"{name}_out")


def _top(maps: list[Tensor], num_classes: int, width: float) -> Tensor:
    *planes, last = specs.HRNET_TOP
    wide = [
        _residual(x, count * width, f"top_branch{index}", bottleneck=True)
        for index, (x, count) in enumerate(zip(maps, planes, strict=True), 1)
    ]
    x = wide[0]
    for index, finer in enumerate(wide[1:], 2):
        name = f"top_down{index}"
        x = blocks.conv_norm_relu(x, finer.shape[-1], 3, name, strides=2, use_bias=True)
        x = Add(name=f"{name}_add")([finer, x])
    x = blocks.conv_norm_relu(x, specs.scaled(last, width), 1, "top", use_bias=True)
    return blocks.dense(GlobalAveragePooling(name="avg_pool")(x), num_classes, "predictions")
