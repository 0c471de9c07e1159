"""What kinds of ResNet have beside, or in place of, the 3x3 convolution of a block."""

from typing import Any

from keras import ops
from keras.layers import Activation, Add, AveragePooling2D, Concatenate, Multiply, Reshape, Softmax, ZeroPadding2D

from tfseg import specs
from tfseg.layers import GlobalAveragePooling
from tfseg.nets import blocks
from tfseg.types import Tensor


def squeeze_and_excite(x: Tensor, name: str, spec: specs.ResNetSpec) -> Tensor:
    """Each channel times a factor, which two layers compute from the averages of all channels.

    Args:
        x: map `(batch, height, width, channels)`.
        name: beginning of the layers' names.
        spec: what kind of block it is.
    """
    if spec.squeeze_relu:
        x = blocks.relu(x, f"{name}_before")
    y = GlobalAveragePooling(keepdims=True, name=f"{name}_pool")(x)
    middle = specs.squeezed(x.shape[-1], spec)
    y = blocks.conv(y, middle, 1, f"{name}_1_conv", use_bias=True)
    y = blocks.conv(blocks.relu(y, f"{name}_relu"), x.shape[-1], 1, f"{name}_2_conv", use_bias=True)
    return Multiply(name=f"{name}_scale")([x, Activation("sigmoid", name=f"{name}_sigmoid")(y)])


def split_attention(
    x: Tensor, filters: int, name: str, spec: specs.ResNetSpec, *, strides: int, dilation_rate: int, groups: int
) -> Tensor:
    """Convolutions that are weighed against each other, channel by channel; a stride is an average after them.

    Args:
        x: map `(batch, height, width, channels)`.
        filters: number of output channels.
        name: beginning of the layers' names.
        spec: what kind of block it is.
        strides: input pixels per output pixel.
        dilation_rate: distance in pixels between the pixels that a kernel reads.
        groups: groups of channels that are convolved separately.
    """
    y = conv_norm(
        x, filters * spec.radix, 3, f"{name}_conv", spec, dilation_rate=dilation_rate, groups=groups * spec.radix
    )
    y = blocks.relu(y, f"{name}_relu")
    middle = max(32, (x.shape[-1] * spec.radix // 4 + 4) // 8 * 8)  # a multiple of 8, as in timm
    z = Add(name=f"{name}_attention_sum")(ops.split(y, spec.radix, axis=-1))
    z = GlobalAveragePooling(keepdims=True, name=f"{name}_attention_pool")(z)
    z = blocks.conv(z, middle, 1, f"{name}_attention_1_conv", use_bias=True)
    z = blocks.relu(blocks.norm(z, f"{name}_attention_1_bn", spec.epsilon), f"{name}_attention_relu")
    z = blocks.conv(z, filters * spec.radix, 1, f"{name}_attention_2_conv", use_bias=True)
    z = Reshape((1, spec.radix, filters), name=f"{name}_attention_parts")(z)
    z = Softmax(axis=2, name=f"{name}_attention_softmax")(z)
    z = Reshape((1, 1, spec.radix * filters), name=f"{name}_attention")(z)
    y = Multiply(name=f"{name}_scale")([y, z])
    y = Add(name=f"{name}_out")(ops.split(y, spec.radix, axis=-1))
    if strides > 1:
        y = ZeroPadding2D(1, data_format=blocks.CHANNELS_LAST, name=f"{name}_pool_pad")(y)
        y = AveragePooling2D(3, strides, data_format=blocks.CHANNELS_LAST, name=f"{name}_pool")(y)
    return y


def scales(
    x: Tensor, name: str, spec: specs.ResNetSpec, *, strides: int, dilation_rate: int, groups: int, is_first: bool
) -> Tensor:
    """Res2Net: the channels in parts, each convolved after the result of the part before was added to it.

    In a block that has a projection nothing is added, and the last part is averaged; in other blocks it stays.

    Args:
        x: map `(batch, height, width, channels)`.
        name: beginning of the layers' names.
        spec: what kind of block it is.
        strides: input pixels per output pixel.
        dilation_rate: distance in pixels between the pixels that a kernel reads.
        groups: groups of channels that are convolved separately.
        is_first: whether the block has a projection.
    """
    *parts, last = ops.split(x, spec.scales, axis=-1)
    options = {"strides": strides, "dilation_rate": dilation_rate, "groups": groups}
    results: list[Tensor] = []
    for index, y in enumerate(parts, 1):
        if results and not is_first:
            y = Add(name=f"{name}_{index}_add")([results[-1], y])
        y = conv_norm(y, last.shape[-1], 3, f"{name}_{index}_conv", spec, **options)
        results.append(blocks.relu(y, f"{name}_{index}_relu"))
    if is_first:  # the zeros count, also in a dilated block, whose pooling has no gaps: as in timm
        last = ZeroPadding2D(1, data_format=blocks.CHANNELS_LAST, name=f"{name}_pool_pad")(last)
        last = AveragePooling2D(3, strides, data_format=blocks.CHANNELS_LAST, name=f"{name}_pool")(last)
    return Concatenate(name=f"{name}_concat")([*results, last])


def conv_norm(x: Tensor, filters: int, kernel_size: int, name: str, spec: specs.ResNetSpec, **options: Any) -> Tensor:
    """A convolution and its BatchNorm, whose name ends with "_bn" where the convolution's ends with "_conv".

    With `norm="affine"` a layer whose name ends with "_affine" stands in its place.

    Args:
        x: map `(batch, height, width, channels)`.
        filters: number of output channels.
        kernel_size: rows, and columns, of the kernel.
        name: name of the convolution.
        spec: what kind of block it is.
        options: further arguments of `tfseg.nets.blocks.conv`.
    """
    use_bias = spec.biases == "all" or (spec.biases == "stem" and name.startswith("conv1_"))
    x = blocks.conv(x, filters, kernel_size, name, use_bias=use_bias, **options)
    if spec.norm == "affine":
        return blocks.affine(x, name.removesuffix("_conv") + "_affine")
    return blocks.norm(x, name.removesuffix("_conv") + "_bn", spec.epsilon)
