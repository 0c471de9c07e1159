"""Residual networks whose norms stand before their convolutions: a table of units and a loop."""

import keras
from keras.layers import Add, BatchNormalization, MaxPooling2D, ZeroPadding2D

from tfseg import specs
from tfseg.layers import GlobalAveragePooling, GroupNormalization, LastMap, StandardizedConv2D
from tfseg.nets import blocks
from tfseg.nets.backbones.named import named_spec
from tfseg.nets.backbones.strides import Step, check_dilation, dilated
from tfseg.types import Tensor


def PreActivationResNet(
    spec: str | specs.PreActivationSpec = "preact_resnet50",
    *,
    output_stride: int = 32,
    convention: str = "previous",
    width: float = 1.0,
    include_top: bool = False,
    num_classes: int = 1000,
    channels: int = 3,
    name: str | None = None,
) -> keras.Model:
    """ResNet version 2: qubvel's for Keras, timm's, tf-slim's, and Big Transfer's with standardized kernels.

    Input `(batch, height, width, channels)` float32, preprocessed, any size. Output without the top: the last map after
    its norm and ReLU, `(batch, ceil(height / output_stride), ceil(width / output_stride), 2048)` (512 for 18 and 34).
    Output with the top: logits `(batch, num_classes)`.

    Layers have the names of qubvel's classification_models: `conv0`, `stage1_unit1_bn1`, `stage1_unit1_conv1`,
    `stage1_unit1_sc` the projection, `bn1`, `relu1`. qubvel's networks end with a softmax; here the logits come out,
    and his `fc1` is `predictions`. His networks take RGB images in 0 to 255 without preprocessing.

    In a dilated Big Transfer, GroupNorm averages all pixels. `tfseg.dilate` refuses it.

    Args:
        spec: "preact_resnet18" (34, 50, 101, 152; qubvel's), "resnetv2_50" (18 to 152; timm's), "resnetv2_50_slim"
            (101, 152; tf-slim's), "resnetv2_50x1_bit" (50x3, 101x1, 101x3, 152x2, 152x4; Big Transfer), or a
            `tfseg.specs.PreActivationSpec`.
        output_stride: input pixels per output pixel: 32, 16, 8 or 4. The stages after it are dilated instead of
            strided.
        convention: rate of the layer that lost its stride: "previous", "new" or "one", see `ResNet`.
        width: factor of every channel count. With GroupNorm, all counts stay multiples of 32.
        include_top: whether an average over the map and the layer `predictions` follow.
        num_classes: units of `predictions`.
        channels: channels of the input.
        name: name of the model; None: the name of the spec.
    Returns: functional model.
    Raises:
        ValueError: an unknown spec, output stride or convention, or a width that is not positive.
    Reference: He et al. 2016, https://arxiv.org/abs/1603.05027, figure 4e; Kolesnikov et al. 2020,
        https://arxiv.org/abs/1912.11370; code: https://github.com/qubvel/classification_models;
        https://github.com/google-research/tf-slim, nets/resnet_v2.py.

    Example:
        >>> model = tfseg.PreActivationResNet("preact_resnet18", output_stride=8, width=1 / 16)
        >>> tuple(model(np.zeros((1, 65, 83, 3))).shape)
        (1, 9, 11, 32)
    """
    title, spec = named_spec("A PreActivationResNet", spec, specs.PREACTIVATION_RESNETS, "preact_resnet_")
    check_dilation(output_stride, convention)
    blocks.check_width(width)
    image, x = blocks.image_input(channels, "torch")
    if spec.data_norm:
        x = BatchNormalization(momentum=spec.momentum, epsilon=spec.epsilon, scale=False, name="bn_data")(x)
    x = _stem(x, _filters(64, width, spec), spec)
    counts = [(stage, unit) for stage, count in enumerate(spec.blocks, 1) for unit in range(1, count + 1)]
    striding = {(stage, spec.blocks[stage - 1]) for stage in (1, 2, 3)} if spec.slim else {(2, 1), (3, 1), (4, 1)}
    steps = dilated([2 if place in striding else 1 for place in counts], 4, output_stride, convention)
    for (stage, unit), step in zip(counts, steps, strict=True):
        filters = _filters(specs.RESNET_FILTERS[stage - 1], width, spec)
        x = _unit(x, filters, f"stage{stage}_unit{unit}", spec, step, is_first=unit == 1)
    x = _norm_relu(x, "", 1, spec)
    if include_top:
        x = GlobalAveragePooling(name="pool1")(x)
        x = blocks.dense(x, num_classes, "predictions")
    return keras.Model(image, x, name=name or title)


def _filters(count: int, width: float, spec: specs.PreActivationSpec) -> int:
    filters = specs.scaled(count * spec.factor, width)
    return -(-filters // 32) * 32 if spec.standardized else filters


def _stem(x: Tensor, filters: int, spec: specs.PreActivationSpec) -> Tensor:
    x = _conv(x, filters, 7, "conv0", spec, strides=2, use_bias=spec.slim)
    if spec.slim:
        return blocks.max_pool(LastMap(name="stem_out")(x), 3, "pooling0", padding="same")
    if spec.stem_norm:
        x = _norm_relu(x, "", 0, spec)
    elif not spec.standardized:
        # torch pads with minus infinity on both sides: all maxima at stride 1, and then every second one.
        x = LastMap(name="stem_out")(x)
        x = MaxPooling2D(3, 1, padding="same", data_format=blocks.CHANNELS_LAST, name="pooling0_all")(x)
        return blocks.max_pool(x, 1, "pooling0")
    else:
        x = LastMap(name="stem_out")(x)
    x = ZeroPadding2D(1, data_format=blocks.CHANNELS_LAST, name="pooling0_pad")(x)
    return blocks.max_pool(x, 3, "pooling0")


def _unit(x: Tensor, planes: int, name: str, spec: specs.PreActivationSpec, step: Step, *, is_first: bool) -> Tensor:
    """One residual unit; the projection reads the normalized map, the bare shortcut the map itself."""
    outside = 4 * planes if spec.bottleneck else planes
    shortcut, x = x, _norm_relu(x, name, 1, spec)
    if is_first and not (spec.bare_shortcut and shortcut.shape[-1] == outside):
        shortcut = _conv(x, outside, 1, f"{name}_sc", spec, strides=step.strides, use_bias=spec.slim)
    elif step.strides > 1:
        shortcut = blocks.max_pool(shortcut, 1, f"{name}_sc_pool")
    strided = {"strides": step.strides, "dilation_rate": step.freed_rate}
    if spec.bottleneck:
        convs = [(planes, 1, {}), (planes, 3, strided), (outside, 1, {})]
    else:
        convs = [(planes, 3, strided), (outside, 3, {"dilation_rate": step.rate})]
    for index, (filters, kernel_size, options) in enumerate(convs, 1):
        if index > 1:
            x = _norm_relu(x, name, index, spec)
        last = spec.slim and index == len(convs)
        x = _conv(x, filters, kernel_size, f"{name}_conv{index}", spec, use_bias=last, **options)
    return Add(name=f"{name}_add")([x, shortcut])


def _norm_relu(x: Tensor, name: str, index: int, spec: specs.PreActivationSpec) -> Tensor:
    prefix = f"{name}_" if name else ""
    if spec.standardized:
        x = GroupNormalization(32, spec.epsilon, name=f"{prefix}gn{index}")(x)
    else:
        x = blocks.norm(x, f"{prefix}bn{index}", spec.epsilon, spec.momentum)
    return blocks.relu(x, f"{prefix}relu{index}")


def _conv(
    x: Tensor,
    filters: int,
    kernel_size: int,
    name: str,
    spec: specs.PreActivationSpec,
    *,
    strides: int = 1,
    dilation_rate: int = 1,
    use_bias: bool = False,
) -> Tensor:
    kind = StandardizedConv2D if spec.standardized else keras.layers.Conv2D
    return blocks.conv(
        x, filters, kernel_size, name, strides=strides, dilation_rate=dilation_rate, use_bias=use_bias, kind=kind
    )
