"""VGG: a stack of 3x3 convolutions, five poolings, and a head that reads a 7x7 map."""

import keras

from tfseg import specs
from tfseg.layers import AdaptiveAveragePooling, DilatedPooling
from tfseg.nets import blocks


def VGG(
    depth=16,
    *,
    batch_norm=False,
    include_top=False,
    num_classes=1000,
    output_stride=32,
    ceil_pool=False,
    width=1.0,
    channels=3,
    name=None,
):
    """VGG 11, 13, 16 or 19, as torchvision or Caffe compute it; layers bear the paper's names (`conv1_1` ... `fc8`).

    Input `(batch, height, width, channels)` float32, preprocessed; any size of at least 32 pixels. Output without the
    top: `pool5`, `(batch, height // 32, width // 32, 512)`, or rounded up with `ceil_pool`; with it: logits
    `(batch, num_classes)`.

    Args:
        depth: 11, 13, 16 or 19 layers with weights.
        batch_norm: BatchNorm behind every convolution (which keeps its bias).
        include_top: average to 7x7 by PyTorch's windows, then fc6, fc7 and fc8.
        num_classes: units of fc8.
        output_stride: input pixels per output pixel: 32, 16, 8 or 4. Below 32 the last poolings lose their stride and
            what follows is dilated, so that every second (fourth, eighth) pixel is the old map.
        ceil_pool: poolings by Caffe's rule: an odd last row or column is a window of its own. torchvision drops it.
        width: multiplies every channel count.
        channels: of the input.
        name: of the model; "vgg16", "vgg16_bn", ... by default.
    Raises:
        ValueError: an unknown depth or output stride, or a dilated net with the top, whose fc6 reads stride 32.
    Reference: Simonyan & Zisserman 2015, https://arxiv.org/abs/1409.1556; dilated: Chen et al.,
        https://arxiv.org/abs/1606.00915, section 3.1.
    """
    blocks.check("depth", depth, tuple(specs.VGG_CONVS))
    blocks.check("output_stride", output_stride, specs.OUTPUT_STRIDES)
    if include_top and output_stride != 32:
        raise ValueError(
            f"fc6 of VGG reads a map of stride 32: include_top=True needs output_stride=32. Received: {output_stride}"
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
        x = AdaptiveAveragePooling(specs.VGG_GRID, name="adaptive_pool")(x)
        x = keras.layers.Flatten(data_format=blocks.CHANNELS_LAST, name="flatten")(x)
        for index in (6, 7):
            x = blocks.dense(x, blocks.scaled(specs.VGG_FC_UNITS, width), f"fc{index}")
            x = keras.layers.Dropout(0.5, name=f"drop{index}")(blocks.relu(x, f"relu{index}"))
        x = blocks.dense(x, num_classes, "fc8")
    return keras.Model(image, x, name=name or f"vgg{depth}" + "_bn" * batch_norm)


def stage_convs(x, depth, stage, *, width=1.0, batch_norm=False, dilation_rate=1, first_padding=None):
    """The convolutions of one stage (1 to 5), each with its ReLU."""
    filters = blocks.scaled(specs.VGG_FILTERS[stage - 1], width)
    for index in range(1, specs.VGG_CONVS[depth][stage - 1] + 1):
        name = f"conv{stage}_{index}"
        padding = first_padding if index == 1 else None
        x = blocks.conv(x, filters, 3, name, use_bias=True, padding=padding, dilation_rate=dilation_rate)
        if batch_norm:
            x = blocks.norm(x, f"{name}_bn")
        x = blocks.relu(x, f"relu{stage}_{index}")
    return x
