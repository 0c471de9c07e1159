"""VGG: a stack of 3x3 convolutions, five poolings, and a head that reads a 7x7 map."""

from collections.abc import Sequence

import keras

from tfseg import specs
from tfseg.layers import AdaptiveAveragePooling, DilatedPooling
from tfseg.nets import blocks
from tfseg.types import Tensor


def VGG(
    depth: int = 16,
    *,
    batch_norm: bool = False,
    include_top: bool = False,
    num_classes: int = 1000,
    output_stride: int = 32,
    ceil_pool: bool = False,
    fc_units: Sequence[int] | None = None,
    grid: int = specs.VGG_GRID,
    width: float = 1.0,
    channels: int = 3,
    name: str | None = None,
) -> keras.Model:
    """VGG 11, 13, 16 or 19, as torchvision or Caffe compute it; layers have the paper's names (`conv1_1` ... `fc8`).

    Input `(batch, height, width, channels)` float32, preprocessed; any size of at least 32 pixels. Output without the
    top: `pool5`, `(batch, height // 32, width // 32, 512)`, or rounded up with `ceil_pool`. Output with the top: logits
    `(batch, num_classes)`.

    Args:
        depth: number of layers with weights: 11, 13, 16 or 19.
        batch_norm: whether a BatchNorm follows every convolution, which keeps its bias.
        include_top: whether an average to `grid` x `grid` by PyTorch's windows, fc6, fc7 and fc8 follow.
        num_classes: units of fc8.
        output_stride: input pixels per output pixel: 32, 16, 8 or 4. Below 32 the last poolings lose their stride and
            the layers after them are dilated: every second (fourth, eighth) pixel is the old map.
        ceil_pool: whether poolings follow Caffe's ceil rule, where an odd last row or column is a window of its own.
            torchvision drops it.
        fc_units: units of the fully connected layers before fc8, at most two: those of fc6 and fc7. None: 4096 each,
            times `width`. `()`: fc8 reads the map, as in VGGs for CIFAR.
        grid: rows, and columns, of the map that the first fully connected layer reads.
        width: factor of every channel count.
        channels: channels of the input.
        name: name of the model; None: "vgg16", "vgg16_bn", ...
    Returns: functional model.
    Raises:
        ValueError: an unknown depth or output stride, a width that is not positive, or more than two `fc_units`. Also a
            dilated net with the top, whose fc6 reads stride 32.
    Reference: Simonyan & Zisserman 2015, https://arxiv.org/abs/1409.1556; dilated: Chen et al. 2017,
        https://arxiv.org/abs/1606.00915, section 3.1.

    Example:
        >>> model = tfseg.VGG(16, output_stride=8, width=1 / 16)
        >>> tuple(model(np.zeros((1, 64, 96, 3))).shape)
        (1, 8, 12, 32)
    """
    blocks.check_choice("depth", depth, tuple(specs.VGG_CONVS))
    blocks.check_choice("output_stride", output_stride, specs.OUTPUT_STRIDES)
    if include_top and output_stride != 32:
        raise ValueError(
            f"fc6 of VGG reads a map of stride 32: include_top=True needs output_stride=32. Received: {output_stride}"
        )
    blocks.check_width(width)
    units = (specs.scaled(specs.VGG_FC_UNITS, width),) * 2 if fc_units is None else tuple(fc_units)
    if len(units) > 2 or min(units, default=1) < 1 or grid < 1:
        raise ValueError(
            "fc_units has at most two positive numbers, those of fc6 and fc7, and grid is positive. Received: "
            f"fc_units={fc_units!r}, grid={grid!r}"
        )
    image, x = blocks.image_input(channels, "torch")
    rate, padding = 1, "same" if ceil_pool else "valid"
    for stage in range(1, 6):
        x = stage_convs(x, depth, stage, width=width, batch_norm=batch_norm, dilation_rate=rate)
        if 2**stage <= output_stride:
            x = blocks.max_pool(x, 2, f"pool{stage}", padding=padding)
        else:
            x = DilatedPooling(2, strides=2, dilation_rate=rate, padding=padding, name=f"pool{stage}")(x)
            rate *= 2
    if include_top:
        x = AdaptiveAveragePooling(grid, name="adaptive_pool")(x)
        x = keras.layers.Flatten(data_format=blocks.CHANNELS_LAST, name="flatten")(x)
        for index, count in enumerate(units, 6):
            x = blocks.dense(x, count, f"fc{index}")
            x = keras.layers.Dropout(0.5, name=f"drop{index}")(blocks.relu(x, f"relu{index}"))
        x = blocks.dense(x, num_classes, "fc8")
    return keras.Model(image, x, name=name or f"vgg{depth}" + "_bn" * batch_norm)


def stage_convs(
    x: Tensor,
    depth: int,
    stage: int,
    *,
    width: float = 1.0,
    batch_norm: bool = False,
    dilation_rate: int = 1,
    first_padding: int | None = None,
) -> Tensor:
    """The convolutions of one stage, each with its ReLU.

    Args:
        x: map `(batch, height, width, channels)`.
        depth: depth of the VGG: 11, 13, 16 or 19.
        stage: number of the stage, 1 to 5.
        width: factor of every channel count.
        batch_norm: whether a BatchNorm follows every convolution.
        dilation_rate: distance in pixels between the pixels that a kernel reads.
        first_padding: zero pixels on every side of the first convolution; None: as many as keep the size.
    """
    filters = specs.scaled(specs.VGG_FILTERS[stage - 1], width)
    for index in range(1, specs.VGG_CONVS[depth][stage - 1] + 1):
        name = f"conv{stage}_{index}"
        padding = first_padding if index == 1 else None
        x = blocks.conv(x, filters, 3, name, use_bias=True, padding=padding, dilation_rate=dilation_rate)
        if batch_norm:
            x = blocks.norm(x, f"{name}_bn")
        x = blocks.relu(x, f"relu{stage}_{index}")
    return x
