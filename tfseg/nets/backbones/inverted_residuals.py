"""Blocks that are wide in their middle: those of MobileNetV2, MobileNetV3 and EfficientNet."""

import dataclasses

from keras.layers import Activation, Add, Dropout, Multiply, ZeroPadding2D

from tfseg.layers import GlobalAveragePooling
from tfseg.nets import blocks
from tfseg.nets.backbones.strides import Step
from tfseg.types import Tensor


@dataclasses.dataclass(frozen=True)
class Norms:
    """How the BatchNorms of a network work.

    Attributes:
        epsilon: number that is added to the variance.
        momentum: share of the old value in the moving averages.
    """

    epsilon: float = 1e-5
    momentum: float = 0.9


@dataclasses.dataclass(frozen=True)
class InvertedResidual:
    """One block.

    Attributes:
        expanded: channels in the middle; those of the input: no convolution widens them.
        filters: channels of the output.
        kernel_size: rows, and columns, of the depthwise kernel.
        activation: nonlinear function after the first two convolutions.
        squeeze: channels in the middle of squeeze-and-excite; 0: it has none.
        squeeze_activation: nonlinear function in there.
        gate: function that makes the factors of the channels.
        strides: input pixels per output pixel, without dilation.
        dropped: share of the images whose block is left out in training (stochastic depth).
        pad_first: whether the zeros of the depthwise convolution lie around the block's input, before it is widened.
    """

    expanded: int
    filters: int
    kernel_size: int
    activation: str
    squeeze: int = 0
    squeeze_activation: str = "relu"
    gate: str = "hard_sigmoid"
    strides: int = 1
    dropped: float = 0.0
    pad_first: bool = False


def unit(
    x: Tensor,
    filters: int,
    kernel_size: int,
    name: str,
    norms: Norms,
    activation: str | None,
    *,
    strides: int = 1,
    padding: blocks.Padding = None,
) -> Tensor:
    """Convolution, BatchNorm and nonlinear function: `<name>_conv`, `<name>_bn` and `<name>_activation`.

    Args:
        x: map `(batch, height, width, channels)`.
        filters: number of output channels.
        kernel_size: rows, and columns, of the kernel.
        name: beginning of the layers' names.
        norms: how BatchNorm works.
        activation: name of the nonlinear function; None: none.
        strides: input pixels per output pixel.
        padding: see `tfseg.nets.blocks.conv`.
    """
    x = blocks.conv(x, filters, kernel_size, f"{name}_conv", strides=strides, padding=padding)
    x = blocks.norm(x, f"{name}_bn", norms.epsilon, norms.momentum)
    return Activation(activation, name=f"{name}_activation")(x) if activation else x


def inverted_residual(
    x: Tensor, block: InvertedResidual, name: str, norms: Norms, step: Step, padding: blocks.Padding = None
) -> Tensor:
    """A 1x1 convolution that widens, a depthwise one that may stride, squeeze-and-excite, and one that narrows.

    Layers have the names that EfficientNet has in `keras.applications`: `<name>_expand_conv`, `<name>_dwconv`,
    `<name>_bn`, `<name>_se_reduce`, `<name>_se_expand`, `<name>_project_conv`.

    Args:
        x: map `(batch, height, width, channels)`.
        block: its numbers.
        name: beginning of the layers' names.
        norms: how BatchNorm works.
        step: stride and dilation.
        padding: padding of the depthwise convolution if it strides.
    """
    shortcut = x
    if block.pad_first:
        zeros = step.freed_rate * (block.kernel_size - 1) // 2
        x, padding = ZeroPadding2D(zeros, data_format=blocks.CHANNELS_LAST, name=f"{name}_pad")(x), 0
    if block.expanded != x.shape[-1]:
        x = unit(x, block.expanded, 1, f"{name}_expand", norms, block.activation)
    x = blocks.depthwise(
        x,
        block.kernel_size,
        f"{name}_dwconv",
        strides=step.strides,
        dilation_rate=step.freed_rate,
        padding=padding if step.strides > 1 or block.pad_first else None,
    )
    x = blocks.norm(x, f"{name}_bn", norms.epsilon, norms.momentum)
    x = Activation(block.activation, name=f"{name}_activation")(x)
    if block.squeeze:
        x = _squeeze_and_excite(x, block, f"{name}_se")
    x = unit(x, block.filters, 1, f"{name}_project", norms, None)
    if block.strides > 1 or shortcut.shape[-1] != block.filters:
        return x
    if block.dropped:
        x = Dropout(block.dropped, noise_shape=(None, 1, 1, 1), name=f"{name}_drop")(x)
    return Add(name=f"{name}_add")([shortcut, x])


def _squeeze_and_excite(x: Tensor, block: InvertedResidual, name: str) -> Tensor:
    y = GlobalAveragePooling(keepdims=True, name=f"{name}_squeeze")(x)
    y = blocks.conv(y, block.squeeze, 1, f"{name}_reduce", use_bias=True)
    y = Activation(block.squeeze_activation, name=f"{name}_reduce_activation")(y)
    y = blocks.conv(y, x.shape[-1], 1, f"{name}_expand", use_bias=True)
    y = Activation(block.gate, name=f"{name}_expand_activation")(y)
    return Multiply(name=f"{name}_excite")([x, y])


def classifier(x: Tensor, num_classes: int, dropout: float) -> Tensor:
    """The logits `(batch, num_classes)` for the average of a map.

    Args:
        x: map `(batch, height, width, channels)`.
        num_classes: units of `predictions`.
        dropout: share of the features that training drops.
    """
    x = Dropout(dropout, name="top_dropout")(GlobalAveragePooling(name="avg_pool")(x))
    return blocks.dense(x, num_classes, "predictions")
