"""DeepLab's Xception at any output stride: a table of blocks and a loop."""

import keras
from keras.layers import Activation, Add

from tfseg import specs
from tfseg.layers import GlobalAveragePooling
from tfseg.nets import blocks
from tfseg.nets.backbones.strides import Step, check_dilation, dilated
from tfseg.types import Tensor


def Xception(
    spec: str = "xception65",
    *,
    output_stride: int = 32,
    convention: str = "previous",
    width: float = 1.0,
    form: str = "tensorflow",
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
        form: whose code it is, a name of `tfseg.specs.XCEPTION_FORMS`: they differ in their ReLUs, epsilon and last
            stride.
        stem_same: whether the first convolution pads as TensorFlow's SAME does (bonlime/keras-deeplab-v3-plus); if not,
            both sides have the same padding.
        include_top: whether an average over the map and the layer `predictions` follow.
        num_classes: units of `predictions`.
        channels: channels of the input.
        name: name of the model; None: the spec.
    Returns: functional model.
    Raises:
        ValueError: an unknown spec, output stride, convention or form, or a width that is not positive.
    Reference: Chen et al. 2018, https://arxiv.org/abs/1802.02611, section 3.2; code:
        https://github.com/tensorflow/models/blob/master/research/deeplab/core/xception.py, and timm's `xception65`;
        https://github.com/jfzhang95/pytorch-deeplab-xception; https://github.com/bubbliiiing/deeplabv3-plus-pytorch.

    Example:
        >>> model = tfseg.Xception("xception41", output_stride=16, width=1 / 16)
        >>> tuple(model(np.zeros((1, 65, 83, 3))).shape)
        (1, 5, 6, 128)
    """
    blocks.check_choice("spec", spec, specs.XCEPTIONS)
    check_dilation(output_stride, convention)
    blocks.check_width(width)
    blocks.check_choice("form", form, specs.XCEPTION_FORMS)
    kind, rows = specs.XCEPTION_FORMS[form], specs.XCEPTIONS[spec]
    image, x = blocks.image_input(channels, "torch")
    padding: blocks.Padding = "same" if stem_same else None
    x = _unit(x, 32 * width, 3, "stem_1", kind.epsilon, strides=2, relu=True, padding=padding)
    x = _unit(x, 64 * width, 3, "stem_2", kind.epsilon, relu=True)
    strides = [row.strides for row in rows]
    if not kind.last_stride:
        strides[-2] = 1
    for index, (row, step) in enumerate(zip(rows, dilated(strides, 2, output_stride, convention), strict=True), 1):
        x = _block(x, row, step, width, f"block{index}", kind)
    if include_top:
        x = GlobalAveragePooling(name="avg_pool")(x)
        x = blocks.dense(x, num_classes, "predictions")
    return keras.Model(image, x, name=name or spec)


def _block(
    x: Tensor, row: specs.XceptionBlock, step: Step, width: float, name: str, form: specs.XceptionForm
) -> Tensor:
    after = specs.scaled(row.filters[-1], width)
    projected = row.shortcut and (row.strides > 1 or x.shape[-1] != after)
    begun = blocks.relu(x, f"{name}_1_before") if row.shortcut or form.exit_relu else x
    overwritten = form.shortcut_relu == "all" or (form.shortcut_relu == "identities" and not projected)
    shortcut = begun if overwritten else x
    if projected:
        shortcut = _unit(shortcut, after, 1, f"{name}_0", form.epsilon, strides=step.strides)
    x = begun
    for index, filters in enumerate(row.filters, 1):
        last = index == len(row.filters)
        if row.shortcut and index > 1:
            x = blocks.relu(x, f"{name}_{index}_before")
        x = blocks.depthwise(
            x,
            3,
            f"{name}_{index}_depthwise",
            strides=step.strides if last else 1,
            dilation_rate=step.freed_rate if last else step.rate_before,
        )
        x = blocks.norm(x, f"{name}_{index}_depthwise_bn", form.epsilon)
        if form.depthwise_relu and not row.shortcut:
            x = blocks.relu(x, f"{name}_{index}_depthwise_relu")
        x = _unit(x, filters * width, 1, f"{name}_{index}", form.epsilon, relu=not row.shortcut)
    return Add(name=f"{name}_add")([shortcut, x]) if row.shortcut else x


def _unit(
    x: Tensor,
    filters: float,
    kernel_size: int,
    name: str,
    epsilon: float,
    *,
    strides: int = 1,
    relu: bool = False,
    padding: blocks.Padding = None,
) -> Tensor:
    x = blocks.conv(x, specs.scaled(filters, 1), kernel_size, f"{name}_conv", strides=strides, padding=padding)
    x = blocks.norm(x, f"{name}_bn", epsilon)
    return Activation("relu", name=f"{name}_relu")(x) if relu else x
