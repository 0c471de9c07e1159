"""MobileNetV2 and MobileNetV3 at any output stride: a table of blocks and a loop."""

import dataclasses
import itertools
from collections.abc import Sequence

import keras
from keras.layers import Activation, Dropout

from tfseg import specs
from tfseg.layers import GlobalAveragePooling
from tfseg.nets import blocks
from tfseg.nets.backbones.inverted_residuals import InvertedResidual, Norms, classifier, inverted_residual, unit
from tfseg.nets.backbones.strides import Step, check_dilation, dilated
from tfseg.types import Tensor


def MobileNetV2(
    *,
    output_stride: int = 32,
    convention: str = "previous",
    width: float = 1.0,
    top_conv: bool = True,
    padding: str = "symmetric",
    epsilon: float = 1e-5,
    stem_padding: int | None = None,
    pad_first: bool = False,
    late_rates: bool = False,
    include_top: bool = False,
    num_classes: int = 1000,
    channels: int = 3,
    name: str | None = None,
) -> keras.Model:
    """MobileNetV2 as torchvision has it: blocks that are wide inside and narrow between each other.

    Input `(batch, height, width, channels)` float32, preprocessed, any size. Output without the top: the last map,
    `(batch, ceil(height / output_stride), ceil(width / output_stride), 1280)`. Output with the top: logits
    `(batch, num_classes)`.

    Layers: `stem_conv`; `block1_dwconv` to `block17_project_conv` (torchvision's `features.1` to `features.17`);
    `top_conv`; `predictions`.

    Args:
        output_stride: input pixels per output pixel: 32, 16, 8 or 4. The blocks after it are dilated instead of
            strided.
        convention: rate of the layer that lost its stride: "previous", "new" or "one", see `ResNet`.
        width: factor of every channel count, which stays a multiple of 8; the last map never has fewer than 1280.
        top_conv: whether the last 1x1 convolution is there; without it the last map has 320 channels.
        padding: zeros of the convolutions that stride: "symmetric", as many on both sides (torchvision), or "same",
            TensorFlow's SAME.
        epsilon: epsilon of every BatchNorm; TensorFlow's networks have 1e-3.
        stem_padding: zero pixels on every side of the image; None: 1. VainF/DeepLabV3Plus-Pytorch has 0.
        pad_first: whether the zeros of the depthwise convolutions lie around the blocks' inputs, before these are
            widened. The widened border is then not zero (VainF's, and jfzhang95/pytorch-deeplab-xception).
        late_rates: whether all blocks of a stage without its stride keep the rate of the stage before (jfzhang95).
        include_top: whether dropout, an average over the map and the layer `predictions` follow.
        num_classes: units of `predictions`.
        channels: channels of the input.
        name: name of the model; None: "mobilenet_v2".
    Returns: functional model.
    Raises:
        ValueError: an unknown padding, output stride or convention, or a width that is not positive.
    Reference: Sandler et al. 2018, https://arxiv.org/abs/1801.04381, table 2; code:
        https://docs.pytorch.org/vision/stable/models/mobilenetv2.html.

    Example:
        >>> model = tfseg.MobileNetV2(output_stride=8, width=1 / 8, top_conv=False)
        >>> tuple(model(np.zeros((1, 65, 83, 3))).shape)
        (1, 9, 11, 40)
        >>> model.get_layer("block15_dwconv").dilation_rate
        (4, 4)
    """
    check_dilation(output_stride, convention)
    blocks.check_width(width)
    blocks.check_choice("padding", padding, ("symmetric", "same"))
    norms, pads = Norms(epsilon), "same" if padding == "same" else None
    image, x = blocks.image_input(channels, "torch")
    first = pads if stem_padding is None else stem_padding
    x = unit(x, specs.divisible(32 * width), 3, "stem", norms, "relu6", strides=2, padding=first)
    before, rows = x.shape[-1], []
    for stage in specs.MOBILENETS_V2["mobilenet_v2"]:
        filters = specs.divisible(stage.filters * width)
        for index in range(stage.blocks):
            strides = stage.strides if index == 0 else 1
            rows.append(InvertedResidual(before * stage.expansion, filters, 3, "relu6", strides=strides))
            before = filters
    if pad_first:
        rows = [dataclasses.replace(row, pad_first=True) for row in rows]
    stages = [stage.blocks for stage in specs.MOBILENETS_V2["mobilenet_v2"]] if late_rates else []
    x = _chain(x, rows, norms, output_stride, convention, late=stages, padding=pads)
    if top_conv:
        x = unit(x, specs.divisible(1280 * max(1.0, width)), 1, "top", norms, "relu6")
    if include_top:
        x = classifier(x, num_classes, 0.2)
    return keras.Model(image, x, name=name or "mobilenet_v2")


def MobileNetV3(
    spec: str = "large",
    *,
    output_stride: int = 32,
    convention: str = "previous",
    width: float = 1.0,
    top_conv: bool = True,
    include_top: bool = False,
    num_classes: int = 1000,
    channels: int = 3,
    name: str | None = None,
) -> keras.Model:
    """MobileNetV3 as torchvision has it: MobileNetV2's blocks with squeeze-and-excite and hard functions.

    Input `(batch, height, width, channels)` float32, preprocessed, any size. Output without the top: the last map,
    `(batch, ceil(height / output_stride), ceil(width / output_stride), 960)` (576 for the small one). Output with the
    top: logits `(batch, num_classes)`.

    Layers: `stem_conv`; `block1_dwconv` and so on (torchvision's `features.1` and so on); `top_conv`; `top_dense`;
    `predictions`. torchvision's backbone for segmentation has output_stride=16 and convention="new". In a dilated
    network, squeeze-and-excite averages all pixels; those of `tfseg.dilate` average the pixels of the old grid.

    Args:
        spec: "large" or "small".
        output_stride: input pixels per output pixel: 32, 16, 8 or 4. The blocks after it are dilated instead of
            strided.
        convention: rate of the layer that lost its stride: "previous", "new" or "one", see `ResNet`.
        width: factor of every channel count, which stays a multiple of 8.
        top_conv: whether the last 1x1 convolution is there; without it the last map has 160 channels (96).
        include_top: whether an average over the map, `top_dense`, dropout and the layer `predictions` follow.
        num_classes: units of `predictions`.
        channels: channels of the input.
        name: name of the model; None: "mobilenet_v3_large" or "mobilenet_v3_small".
    Returns: functional model.
    Raises:
        ValueError: an unknown spec, output stride or convention, or a width that is not positive.
    Reference: Howard et al. 2019, https://arxiv.org/abs/1905.02244, tables 1 and 2; code:
        https://docs.pytorch.org/vision/stable/models/mobilenetv3.html.

    Example:
        >>> model = tfseg.MobileNetV3("small", output_stride=16, width=1 / 8)
        >>> tuple(model(np.zeros((1, 65, 83, 3))).shape)
        (1, 5, 6, 96)
    """
    title = f"mobilenet_v3_{str(spec).removeprefix('mobilenet_v3_')}"
    if title not in specs.MOBILENETS_V3:
        raise ValueError(f"A MobileNetV3 is 'large' or 'small'. Received: {spec!r}")
    check_dilation(output_stride, convention)
    blocks.check_width(width)
    table, units = specs.MOBILENETS_V3[title]
    norms = Norms(1e-3, 0.99)
    image, x = blocks.image_input(channels, "torch")
    x = unit(x, specs.divisible(16 * width), 3, "stem", norms, "hard_silu", strides=2)
    rows = []
    for row in table:
        expanded = specs.divisible(row.expanded * width)
        squeeze = specs.divisible(expanded // 4) if row.squeeze else 0
        filters = specs.divisible(row.filters * width)
        rows.append(InvertedResidual(expanded, filters, row.kernel_size, row.activation, squeeze, strides=row.strides))
    x = _chain(x, rows, norms, output_stride, convention)
    if top_conv:
        x = unit(x, 6 * x.shape[-1], 1, "top", norms, "hard_silu")
    if include_top:
        x = blocks.dense(GlobalAveragePooling(name="avg_pool")(x), specs.divisible(units * width), "top_dense")
        x = Activation("hard_silu", name="top_dense_activation")(x)
        x = blocks.dense(Dropout(0.2, name="top_dropout")(x), num_classes, "predictions")
    return keras.Model(image, x, name=name or title)


def _chain(
    x: Tensor,
    rows: Sequence[InvertedResidual],
    norms: Norms,
    output_stride: int,
    convention: str,
    late: Sequence[int] = (),
    padding: blocks.Padding = None,
) -> Tensor:
    """The blocks one after the other, `block1` the first; the map before them has stride 2.

    `late` has the numbers of blocks in the stages that keep the rate of the stage before.
    """
    steps = list(dilated([row.strides for row in rows], 2, output_stride, convention))
    for end, count in zip(itertools.accumulate(late), late, strict=True):
        first = steps[end - count]
        steps[end - count : end] = [first, *(Step(1, *(first.rate_before,) * 3) for _ in range(count - 1))]
    for index, (row, step) in enumerate(zip(rows, steps, strict=True), 1):
        x = inverted_residual(x, row, f"block{index}", norms, step, padding)
    return x
