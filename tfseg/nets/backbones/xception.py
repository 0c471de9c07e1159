"""DeepLab's Xception at any output stride: a table of blocks and a loop."""

import keras
from keras.layers import Activation, Add

from tfseg import specs
from tfseg.layers import GlobalAveragePooling
from tfseg.nets import blocks
from tfseg.nets.backbones.strides import Step, check_dilation, dilated
from tfseg.types import Tensor

EPSILON = 1e-3


def Xception(
    spec: str = "xception65",
    *,
    output_stride: int = 32,
    convention: str = "previous",
    width: float = 1.0,
    stem_same: bool = False,
    include_top: bool = False,
    num_classes: int = 1000,
    channels: int = 3,
    name: str | None = None,
) -> keras.Model:
    """Xception-41, -65 or -71 as DeepLab changed it: deeper, and strided separable convolutions in place of poolings.

    Input `(batch, height, width, channels)` float32, preprocessed, any size. Output without the top: the last map,
    `(batch, ceil(height / output_stride), ceil(width / output_stride), 2048)`. Output with the top: logits
    `(batch, num_classes)`.

    Layers: `stem_1_conv`, `stem_2_conv`; `block1_1_depthwise`, `block1_1_conv` and so on, `block1_0_conv` the
    projection; `predictions`. A BatchNorm follows each convolution, also the depthwise ones.

    Args:
        spec: "xception41", "xception65" or "xception71".
        output_stride: input pixels per output pixel: 32, 16, 8 or 4. The blocks after it are dilated instead of
            strided.
        convention: rate of the layer that lost its stride: "previous", "new" or "one", see `ResNet`.
        width: factor of every channel count.
        stem_same: whether the first convolution pads as TensorFlow's SAME does (bonlime/keras-deeplab-v3-plus); if not,
            both sides have the same padding.
        include_top: whether an average over the map and the layer `predictions` follow.
        num_classes: units of `predictions`.
        channels: channels of the input.
        name: name of the model; None: the spec.
    Returns: functional model.
    Raises:
        ValueError: an unknown spec, output stride or convention, or a width that is not positive.
    Reference: Chen et al. 2018, https://arxiv.org/abs/1802.02611, section 3.2; code:
        https://github.com/tensorflow/models/blob/master/research/deeplab/core/xception.py, and timm's `xception65`.

    Example:
        >>> model = tfseg.Xception("xception41", output_stride=16, width=1 / 16)
        >>> tuple(model(np.zeros((1, 65, 83, 3))).shape)
        (1, 5, 6, 128)
    """
    blocks.check_choice("spec", spec, specs.XCEPTIONS)
    check_dilation(output_stride, convention)
    blocks.check_width(width)
    image, x = blocks.image_input(channels, "torch")
    x = _unit(x, 32 * width, 3, "stem_1", strides=2, relu=True, padding="same" if stem_same else None)
    x = _unit(x, 64 * width, 3, "stem_2", relu=True)
    rows = specs.XCEPTIONS[spec]
    steps = dilated([row.strides for row in rows], 2, output_stride, convention)
    for index, (row, step) in enumerate(zip(rows, steps, strict=True), 1):
        x = _block(x, row, step, width, f"block{index}")
    if include_top:
        x = GlobalAveragePooling(name="avg_pool")(x)
        x = blocks.dense(x, num_classes, "predictions")
    return keras.Model(image, x, name=name or spec)


def _block(x: Tensor, row: specs.XceptionBlock, step: Step, width: float, name: str) -> Tensor:
    shortcut, after = x, specs.scaled(row.filters[-1], width)
    if row.shortcut and (row.strides > 1 or x.shape[-1] != after):
        shortcut = _unit(x, after, 1, f"{name}_0", strides=step.strides)
    for index, filters in enumerate(row.filters, 1):
        last = index == len(row.filters)
        if row.shortcut:
            x = blocks.relu(x, f"{name}_{index}_before")
        x = blocks.depthwise(
            x,
            3,
            f"{name}_{index}_depthwise",
            strides=step.strides if last else 1,
            dilation_rate=step.freed_rate if last else step.rate_before,
        )
        x = blocks.norm(x, f"{name}_{index}_depthwise_bn", EPSILON)
        if not row.shortcut:
            x = blocks.relu(x, f"{name}_{index}_depthwise_relu")
        x = _unit(x, filters * width, 1, f"{name}_{index}", relu=not row.shortcut)
    return Add(name=f"{name}_add")([shortcut, x]) if row.shortcut else x


def _unit(
    x: Tensor,
    filters: float,
    kernel_size: int,
    name: str,
    *,
    strides: int = 1,
    relu: bool = False,
    padding: blocks.Padding = None,
) -> Tensor:
    x = blocks.conv(x, specs.scaled(filters, 1), kernel_size, f"{name}_conv", strides=strides, padding=padding)
    x = blocks.norm(x, f"{name}_bn", EPSILON)
    return Activation("relu", name=f"{name}_relu")(x) if relu else x
