"""Pyramid attention network on any classifier."""

from collections.abc import Sequence

import keras
from keras.layers import Activation, Add, Multiply

from tfseg.layers import GlobalAveragePooling, ResizeLike
from tfseg.nets import blocks
from tfseg.nets.decoders.pyramid import ALIGNED, levels, segmenter
from tfseg.types import Tensor

_KERNELS = (7, 5, 3)  # of the pyramid inside the attention, finest first


def PAN(
    backbone: keras.Model,
    num_classes: int,
    *,
    filters: int = 32,
    taps: Sequence[str] | None = None,
    interpolation: str = ALIGNED,
    upsampling: str = ALIGNED,
    name: str | None = None,
) -> keras.Model:
    """PAN as segmentation_models.pytorch builds it: attention on the coarsest map, and gates on the way to stride 4.

    Output logits `(batch, height, width, num_classes)` float32 of the input's size; the output of the layer `logits`
    has stride 4. The coarsest map is halved three times, so it needs 8 rows and columns: images of 128 pixels at output
    stride 16, of 256 at 32. That library dilates the last stage of a ResNet and reads both maps of stride 16:
    `taps=("conv2", "conv3", "conv4", "conv5")` on `ResNet(output_stride=16, convention="new")`. By default only the
    last map of each stride is read.

    Args:
        backbone: functional classifier, see `Unet`.
        num_classes: channels of the logits, background included.
        filters: channels of the decoder.
        taps: layers whose maps are read, finest first, or stages of a ResNet; None: the last map of every stride.
            Strides below 4 are left out.
        interpolation: how maps are enlarged on the way to stride 4, a name of `tfseg.specs.INTERPOLATIONS`.
        upsampling: how the logits are enlarged to the input's size, a name of `tfseg.specs.INTERPOLATIONS`.
        name: name of the model; None: "pan_" and the backbone's name.
    Returns: functional model.
    Raises:
        ValueError: a backbone with fewer than two strides of 4 or more, or for images that are too small; a layer of
            `taps` that it lacks; or an unknown interpolation or upsampling.
    Reference: Li et al. 2018, https://arxiv.org/abs/1805.10180, sections 3.2 and 3.3; code:
        https://github.com/qubvel-org/segmentation_models.pytorch, decoders/pan.

    Example:
        >>> model = tfseg.PAN(tfseg.ResNet(18, output_stride=16, width=1 / 16), num_classes=5, filters=8)
        >>> tuple(model(np.zeros((1, 128, 160, 3))).shape)
        (1, 128, 160, 5)
    """
    *finer, deepest = levels(backbone, taps, "PAN", finest=4, count=2)
    x: Tensor = deepest.map
    least = 2 ** len(_KERNELS)
    if any(side is not None and side < least for side in x.shape[1:3]):
        raise ValueError(
            f"PAN halves the coarsest map {len(_KERNELS)} times, so it needs {least} rows and columns: images of "
            f"{least * deepest.stride} pixels on this backbone. Received: a map {tuple(x.shape)}"
        )
    x = _pyramid_attention(x, filters)
    for index, level in reversed([*enumerate(finer, 1)]):
        x = _attention_upsample(level.map, x, filters, f"gau{index}", interpolation)
    return segmenter(backbone, x, num_classes, name or f"pan_{backbone.name}", kernel_size=3, upsampling=upsampling)


def _conv_norm(x: Tensor, filters: int, kernel_size: int, name: str) -> Tensor:
    return blocks.norm(blocks.conv(x, filters, kernel_size, f"{name}_conv", use_bias=True), f"{name}_bn")


def _unit(x: Tensor, filters: int, kernel_size: int, name: str) -> Tensor:
    return blocks.relu(_conv_norm(x, filters, kernel_size, name), f"{name}_relu")


def _pyramid_attention(x: Tensor, filters: int) -> Tensor:
    """FPA: a small pyramid of single channels says how much every pixel counts; the average over the map is added."""
    average = GlobalAveragePooling(keepdims=True, name="fpa_pool")(x)
    average = ResizeLike(ALIGNED, name="fpa_branch1_resize")([_unit(average, filters, 1, "fpa_branch1"), x])
    middle = _unit(x, filters, 1, "fpa_mid")
    maps, sizes = [], [middle]
    for index, kernel_size in enumerate(_KERNELS, 1):
        x = blocks.max_pool(x, 2, f"fpa_down{index}_pool")
        x = _unit(x, 1, kernel_size, f"fpa_down{index}")
        maps.append(x)
        sizes.append(x)
    y = _unit(maps.pop(), 1, _KERNELS[-1], f"fpa_conv{len(_KERNELS)}")
    for index in range(len(_KERNELS) - 1, 0, -1):
        y = ResizeLike(ALIGNED, name=f"fpa_resize{index}")([y, sizes[index]])
        y = Add(name=f"fpa_add{index}")([_unit(maps.pop(), 1, _KERNELS[index - 1], f"fpa_conv{index}"), y])
    y = ResizeLike(ALIGNED, name="fpa_resize0")([y, middle])
    return Add(name="fpa_add0")([Multiply(name="fpa_gated")([y, middle]), average])


def _attention_upsample(fine: Tensor, coarse: Tensor, filters: int, name: str, interpolation: str) -> Tensor:
    """GAU: the average of the coarse map gates the channels of the fine one, and the coarse map is added."""
    gate = GlobalAveragePooling(keepdims=True, name=f"{name}_pool")(coarse)
    gate = Activation("sigmoid", name=f"{name}_sigmoid")(_conv_norm(gate, filters, 1, f"{name}_conv1"))
    gated = Multiply(name=f"{name}_gated")([_unit(fine, filters, 3, f"{name}_conv2"), gate])
    return Add(name=f"{name}_add")([ResizeLike(interpolation, name=f"{name}_resize")([coarse, fine]), gated])
