"""Residual networks at any output stride: a table of blocks and a loop."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import keras
from keras.layers import Add, AveragePooling2D, MaxPooling2D, ZeroPadding2D

from tfseg import specs
from tfseg.layers import BlurPooling, GlobalAveragePooling
from tfseg.nets import blocks
from tfseg.nets.residual_variants import conv_norm, scales, split_attention, squeeze_and_excite
from tfseg.types import Tensor


def ResNet(
    spec: int | str | specs.ResNetSpec = 50,
    *,
    output_stride: int = 32,
    convention: str = "previous",
    multi_grid: Sequence[int] | None = None,
    width: float = 1.0,
    include_top: bool = False,
    num_classes: int = 1000,
    channels: int = 3,
    name: str | None = None,
) -> keras.Model:
    """ResNet, ResNeXt or Wide ResNet; layers have the names of `keras.applications` (`conv4_block1_2_conv`).

    Input `(batch, height, width, channels)` float32, preprocessed, any size. Output without the top: the last stage,
    `(batch, ceil(height / output_stride), ceil(width / output_stride), 2048)` (512 for 18 and 34). Output with the top:
    logits `(batch, num_classes)`.

    In a dilated stage, all layers have their old rate x stride, but for the one layer that lost its stride. Its rate is
    a convention:

    * "previous": its old rate (torchvision, timm). Sampling the map on the old grid gives the old map.
    * "new": its old rate x stride (semseg, segmentation_models.pytorch).
    * "one": 1 (DRN-A).

    The conventions are equal if a 1x1 convolution strides.

    Args:
        spec: 18, 34, 50, 101 or 152; or a name of `tfseg.specs.RESNETS` ("resnext50_32x4d", "resnet50d"); or a
            `tfseg.specs.ResNetSpec`, which determines stem pool, epsilon, the place of the stride and more.
        output_stride: input pixels per output pixel: 32, 16, 8 or 4. The stages after it are dilated instead of
            strided.
        convention: rate of the layer that lost its stride: "previous", "new" or "one", see above.
        multi_grid: factor of the rate of each block of the last stage, as in DeepLabV3; None: all 1.
        width: factor of every channel count.
        include_top: whether an average over the map and the layer `predictions` follow.
        num_classes: units of `predictions`.
        channels: channels of the input.
        name: name of the model; None: the name of the spec, such as "resnet50".
    Returns: functional model.
    Raises:
        ValueError: an unknown spec, output stride or convention; a multi_grid of another length than the last stage; or
            one that dilates a layer that strides.
    Reference: He et al. 2016, https://arxiv.org/abs/1512.03385; dilated: Yu et al. 2017,
        https://arxiv.org/abs/1705.09914; multi-grid: Chen et al. 2017, https://arxiv.org/abs/1706.05587, section 3.2.1.

    Example:
        >>> model = tfseg.ResNet(50, output_stride=8, width=1 / 16)
        >>> tuple(model(np.zeros((1, 65, 83, 3))).shape)
        (1, 9, 11, 128)
        >>> model.get_layer("conv5_block2_2_conv").dilation_rate
        (4, 4)
    """
    title, spec = _spec(spec)
    blocks.check_choice("output_stride", output_stride, specs.OUTPUT_STRIDES)
    blocks.check_choice("convention", convention, specs.CONVENTIONS)
    blocks.check_width(width)
    blocks.check_choice("stride_at", spec.stride_at, ("first", "last"))
    _check_variant(spec)
    grids = [(1,) * count for count in spec.blocks]
    stride_places = (spec.stride_in,) * len(grids) if isinstance(spec.stride_in, str) else spec.stride_in
    if multi_grid is not None:
        if len(multi_grid) != spec.blocks[-1]:
            raise ValueError(
                f"multi_grid needs one factor for each of the {spec.blocks[-1]} blocks of the last stage. Received: "
                f"{multi_grid!r}"
            )
        if output_stride == 32 and multi_grid[0] != 1 and stride_places[-1] == "3x3" and spec.stride_at == "first":
            raise ValueError(
                "At output_stride=32 the last stage strides in its first 3x3 convolution, which cannot be dilated too: "
                f"multi_grid begins with 1, or output_stride is 16 or less. Received: {multi_grid!r}"
            )
        grids[-1] = tuple(multi_grid)

    image, x = blocks.image_input(channels, "torch")
    x = _stem(x, width, spec)
    x = _stem_pool(x, spec)
    striding = _striding(spec)
    stride, rate = 4, 1
    for stage, (factors, stride_place) in enumerate(zip(grids, stride_places, strict=True)):
        for block, factor in enumerate(factors):
            strides, freed_rate = 1, rate
            if (stage, block) in striding and stride < output_stride:
                strides, stride = 2, stride * 2
            elif (stage, block) in striding:
                freed_rate = {"previous": rate, "new": rate * 2, "one": 1}[convention]
                rate *= 2
            x = residual_block(
                x,
                specs.RESNET_FILTERS[stage] * width,
                f"conv{stage + 2}_block{block + 1}",
                dataclasses.replace(spec, stride_in=stride_place),
                strides=strides,
                rate=(freed_rate if spec.one_rate else rate) * factor,
                freed_rate=freed_rate * factor,
            )
    if include_top:
        x = GlobalAveragePooling(name="avg_pool")(x)
        x = blocks.dense(x, num_classes, "predictions")
    return keras.Model(image, x, name=name or title)


def _check_variant(spec: specs.ResNetSpec) -> None:
    blocks.check_choice("norm", spec.norm, ("batch", "affine"))
    blocks.check_choice("antialias", spec.antialias, ("", "average", "average_valid", "blur"))
    if spec.antialias and (spec.stride_in, spec.stride_at, spec.stem_pool, spec.radix) != ("3x3", "first", (1, 1), 0):
        raise ValueError(
            'antialias reduces maps after the 3x3 convolutions: it goes with stride_in="3x3", stride_at="first", '
            f"stem_pool=(1, 1) and radix=0. Received: {spec}"
        )
    if spec.scales and not (spec.bottleneck and spec.scales > 1 and spec.stride_in == "3x3" and not spec.antialias):
        raise ValueError(
            "scales splits the 3x3 convolution of bottlenecks into two parts or more: it goes with bottleneck=True, "
            f'stride_in="3x3" and no antialias. Received: {spec}'
        )


def _striding(spec: specs.ResNetSpec) -> list[tuple[int, int]]:
    """`(stage, block)`, from 0, for each of the three blocks that stride."""
    if spec.stride_at == "last":
        return [(stage, count - 1) for stage, count in enumerate(spec.blocks[:-1])]
    return [(stage, 0) for stage in range(1, len(spec.blocks))]


def residual_block(
    x: Tensor, planes: float, name: str, spec: specs.ResNetSpec, *, strides: int, rate: int, freed_rate: int
) -> Tensor:
    """One residual block.

    Args:
        x: map `(batch, height, width, channels)`.
        planes: width of the block, as torchvision counts it.
        name: beginning of the layers' names.
        spec: what kind of block it is.
        strides: input pixels per output pixel.
        rate: dilation rate of the block.
        freed_rate: dilation rate of the convolution that strides, or would stride without dilation.
    """
    inside = max(1, int(planes * spec.group_width / 64)) * spec.groups if spec.bottleneck else specs.scaled(planes, 1)
    inside *= max(1, spec.scales)
    outside = specs.scaled(planes, spec.expansion)
    convs: list[tuple[int, int, dict[str, Any]]]  # filters, kernel size and options
    conv_strides = 1 if spec.antialias else strides
    if spec.bottleneck:
        in_1x1 = spec.stride_in == "1x1" or (spec.stride_in == "1x1_or_3x3" and strides > 1)
        in_3x3: dict[str, Any] = {
            "strides": 1 if in_1x1 else conv_strides,
            "dilation_rate": rate if in_1x1 else freed_rate,
            "groups": spec.groups,
        }
        convs = [
            (specs.first_filters(inside, spec), 1, {"strides": strides if in_1x1 else 1}),
            (inside, 3, in_3x3),
            (outside, 1, {}),
        ]
    else:
        first = {"strides": conv_strides, "dilation_rate": freed_rate}
        convs = [(inside, 3, first), (outside, 3, {"dilation_rate": rate})]
    source = shortcut = x
    if spec.stride_at == "last" and strides > 1 and x.shape[-1] == outside:
        shortcut = blocks.max_pool(x, 1, f"{name}_0_pool")
    elif strides > 1 or x.shape[-1] != outside:
        shortcut = _projection(x, outside, f"{name}_0", spec, strides=strides, dilated=rate > 1, rate=freed_rate)
    for index, (filters, kernel_size, options) in enumerate(convs, 1):
        if spec.scales and kernel_size == 3:
            x = scales(x, f"{name}_{index}", spec, is_first=shortcut is not source, **options)
            continue
        if spec.radix and kernel_size == 3:
            x = split_attention(x, filters, f"{name}_{index}", spec, **options)
            continue
        x = conv_norm(x, filters, kernel_size, f"{name}_{index}_conv", spec, **options)
        if index < len(convs):
            x = blocks.relu(x, f"{name}_{index}_relu")
        if index == len(convs) - 1:
            x = _antialias(x, f"{name}_{index}_pool", spec, strides=strides, freed=freed_rate != rate)
    if spec.squeeze:
        x = squeeze_and_excite(x, f"{name}_se", spec)
    return blocks.relu(Add(name=f"{name}_add")([shortcut, x]), f"{name}_out")


def _stem(x: Tensor, width: float, spec: specs.ResNetSpec) -> Tensor:
    strided: dict[str, Any] = {"strides": 2, "padding": "same" if spec.stem_same else None}
    if not spec.stem:
        x = conv_norm(x, specs.scaled(spec.stem_filters, width), 7, "conv1_conv", spec, **strided)
        return blocks.relu(x, "conv1_relu")
    for index, filters in enumerate(spec.stem, 1):
        options = strided if index == 1 else {}
        x = conv_norm(x, specs.scaled(filters, width), 3, f"conv1_{index}_conv", spec, **options)
        x = blocks.relu(x, f"conv1_{index}_relu")
    return x


def _stem_pool(x: Tensor, spec: specs.ResNetSpec) -> Tensor:
    if spec.antialias.startswith("average"):
        return AveragePooling2D(2, data_format=blocks.CHANNELS_LAST, name="pool1_pool")(x)
    if spec.antialias == "blur":
        x = MaxPooling2D(3, 1, padding="same", data_format=blocks.CHANNELS_LAST, name="pool1_pool")(x)
        return BlurPooling(2, name="pool1_blur")(x)
    if spec.stem_pool == "convolution":
        return blocks.relu(conv_norm(x, x.shape[-1], 3, "pool1_conv", spec, strides=2), "pool1_relu")
    same = spec.stem_pool == "same"
    if not same:  # zeros are as good as minus infinity before this pooling: its input comes from a ReLU
        x = ZeroPadding2D((spec.stem_pool, spec.stem_pool), data_format=blocks.CHANNELS_LAST, name="pool1_pad")(x)
    return blocks.max_pool(x, 3, "pool1_pool", padding="same" if same else "valid")


def _antialias(x: Tensor, name: str, spec: specs.ResNetSpec, *, strides: int, freed: bool) -> Tensor:
    """What reduces a map in place of a stride; in the block that would stride without dilation, the blur stays."""
    if spec.antialias.startswith("average") and strides > 1:
        # timm's pooling and its shortcut do not fit together where a side is odd. Here the last row counts once.
        padding = "valid" if spec.antialias == "average_valid" else "same"
        return AveragePooling2D(2, strides, padding=padding, data_format=blocks.CHANNELS_LAST, name=name)(x)
    if spec.antialias == "blur" and (strides > 1 or freed):
        return BlurPooling(strides, name=name)(x)
    return x


def _projection(
    x: Tensor, filters: int, name: str, spec: specs.ResNetSpec, *, strides: int, dilated: bool, rate: int
) -> Tensor:
    kernel_size, options = 1, {}
    if spec.projection_kernel > 1 and (strides > 1 or dilated):
        kernel_size, options = spec.projection_kernel, {"dilation_rate": rate}
    if spec.average_shortcut:
        pool = functools.partial(AveragePooling2D, 2, data_format=blocks.CHANNELS_LAST, name=f"{name}_pool")
        if strides > 1:
            # The ceil rule; the padding does not count.
            x = pool(strides, padding="valid" if spec.average_shortcut == "valid" else "same")(x)
        elif dilated and (spec.average_shortcut == "same" or (spec.average_shortcut == "valid" and rate > 1)):
            x = ZeroPadding2D(((0, 1), (0, 1)), data_format=blocks.CHANNELS_LAST, name=f"{name}_pool_pad")(x)
            x = pool(1)(x)
        strides = 1
    return conv_norm(x, filters, kernel_size, f"{name}_conv", spec, strides=strides, **options)


def _spec(spec: int | str | specs.ResNetSpec) -> tuple[str, specs.ResNetSpec]:
    """The name and the spec for a depth, a name or a spec."""
    if isinstance(spec, specs.ResNetSpec):
        return next((name for name, row in specs.RESNETS.items() if row == spec), "resnet"), spec
    name = f"resnet{spec}" if isinstance(spec, int) else spec
    if not isinstance(name, str) or name not in specs.RESNETS:
        raise ValueError(
            f"A ResNet is a depth (18, 34, 50, 101, 152), a name ({', '.join(specs.RESNETS)}) or a ResNetSpec. "
            f"Received: {spec!r}"
        )
    return name, specs.RESNETS[name]
