"""DeepLab's heads: the same features read at several rates at once (atrous spatial pyramid pooling)."""

from collections.abc import Sequence

import keras
from keras.layers import Concatenate, Dropout

from tfseg.layers import GlobalAveragePooling, ResizeLike
from tfseg.nets import blocks
from tfseg.nets.heads import auxiliary_logits, check_features, interpolation, logits, segmenter, tap
from tfseg.surgery.last_maps import last_maps
from tfseg.types import Tensor

# Rates of the pyramid, by the backbone's output stride.
RATES: dict[int, tuple[int, int, int]] = {8: (12, 24, 36), 16: (6, 12, 18)}


def DeepLabV3(
    backbone: keras.Model,
    num_classes: int,
    aux: bool | str = False,
    *,
    aux_classes: int | None = None,
    rates: Sequence[int] = RATES[8],
    filters: int = 256,
    pool_first: bool = False,
    project_kernel: int = 1,
    head_kernel: int | None = 3,
    upsampling: str = "bilinear",
    name: str | None = None,
) -> keras.Model:
    """A backbone with DeepLabV3's head, as torchvision computes it.

    Input and output are those of `FCN`; the map at the backbone's stride is the output of the layer `logits`.

    Args:
        backbone: functional model `(batch, height, width, channels)` -> one map of features (see `FCN`).
        num_classes: channels of the logits, background included.
        aux: layer that a second head reads, for training: True means the last block of ResNet's `conv4` stage. False:
            no second head.
        aux_classes: channels of the second head; None: `num_classes`.
        rates: dilation rates of the 3x3 branches: (12, 24, 36) for output stride 8, (6, 12, 18) for 16.
        filters: channels of each branch and of the head.
        pool_first: whether the average over the map comes first in the concatenation (mmsegmentation), or last.
        project_kernel: kernel size of the convolution after the concatenation; mmsegmentation has 3.
        head_kernel: kernel size of the convolution after that one; None: no such convolution (mmsegmentation).
        upsampling: how the map is enlarged, a name of `tfseg.specs.UPSAMPLINGS` (see `FCN`).
        name: name of the model; None: "deeplabv3_" and the backbone's name.
    Returns: functional model.
    Raises:
        ValueError: a backbone whose output is not a single map, no layer for `aux`, or an unknown upsampling.
    Reference: Chen et al. 2017, https://arxiv.org/abs/1706.05587, section 3.3.

    Example:
        >>> backbone = tfseg.ResNet(18, output_stride=16, width=1 / 16)
        >>> model = tfseg.DeepLabV3(backbone, 5, rates=(6, 12, 18), filters=16)
        >>> tuple(model(np.zeros((1, 65, 83, 3))).shape)
        (1, 65, 83, 5)
    """
    x = pyramid(check_features(backbone), rates, filters, pool_first=pool_first, project_kernel=project_kernel)
    x = Dropout(0.5, name="aspp_dropout")(x)
    if head_kernel:
        x = blocks.conv_norm_relu(x, filters, head_kernel, "head")
    outputs = [logits(x, num_classes), *auxiliary_logits(backbone, aux, aux_classes or num_classes)]
    return segmenter(backbone, outputs, upsampling, name or f"deeplabv3_{backbone.name}")


def DeepLabV3Plus(
    backbone: keras.Model,
    num_classes: int,
    aux: bool | str = False,
    *,
    aux_classes: int | None = None,
    rates: Sequence[int] = RATES[8],
    filters: int = 256,
    low_level: str | None = None,
    low_level_filters: int = 48,
    separable: bool = True,
    decoder_convs: int | None = None,
    low_level_first: bool = False,
    biases: bool = False,
    pool_first: bool = False,
    project_kernel: int = 1,
    depthwise_norm: bool = False,
    upsampling: str = "bilinear",
    name: str | None = None,
) -> keras.Model:
    """A backbone with DeepLabV3+'s head, as segmentation_models.pytorch computes it: separable kernels, and a decoder.

    `decoder_convs=2, separable=False` is the head of jfzhang95/pytorch-deeplab-xception; `decoder_convs=1` with
    `low_level_first=True` is that of VainF/DeepLabV3Plus-Pytorch.

    Input and output are those of `FCN`; the output of the layer `logits` has the stride of the low-level features, 4.

    Args:
        backbone: functional model `(batch, height, width, channels)` -> one map of features (see `FCN`).
        num_classes: channels of the logits, background included.
        aux: layer that a second head reads, for training: True means the last block of ResNet's `conv4` stage. False:
            no second head.
        aux_classes: channels of the second head; None: `num_classes`.
        rates: dilation rates of the 3x3 branches. segmentation_models.pytorch has (12, 24, 36) for output stride 16,
            too.
        filters: channels of each branch and of the decoder.
        low_level: layer of the backbone, or stage of a ResNet, that the decoder reads as well. None: stage "conv2" of a
            ResNet, and of any other classifier the last map of stride 4, see `last_maps`.
        low_level_filters: number of channels to which those features are reduced.
        separable: whether the 3x3 kernels of the pyramid are separable, and with `decoder_convs` those after it.
        decoder_convs: number of 3x3 convolutions after the concatenation, `decoder_1_conv` and so on. None: one of
            separable kernels before the concatenation, and one after it.
        low_level_first: whether the low-level features come first in the concatenation.
        biases: whether the convolutions before the norms have biases (bubbliiiing/deeplabv3-plus-pytorch).
        pool_first: whether the average over the map comes first in the pyramid (TensorFlow's DeepLab), or last.
        project_kernel: kernel size of the convolution after the pyramid's concatenation; mmsegmentation has 3.
        depthwise_norm: whether BatchNorm and ReLU follow each depthwise kernel, too (TensorFlow's DeepLab).
        upsampling: how the map is enlarged, a name of `tfseg.specs.UPSAMPLINGS` (see `FCN`). The pyramid's map is
            resized to the low-level features in the same way (bilinearly for a transposed convolution).
        name: name of the model; None: "deeplabv3plus_" and the backbone's name.
    Returns: functional model.
    Raises:
        ValueError: a backbone whose output is not a single map, no layer for `aux` or `low_level`, no map of
            stride 4, or an unknown upsampling.
    Reference: Chen et al. 2018, https://arxiv.org/abs/1802.02611, section 3.1.

    Example:
        >>> backbone = tfseg.ResNet(18, output_stride=16, width=1 / 16)
        >>> model = tfseg.DeepLabV3Plus(backbone, 5, filters=16, low_level_filters=4)
        >>> features = keras.Model(model.input, model.get_layer("logits").output)
        >>> tuple(features(np.zeros((1, 65, 83, 3))).shape)
        (1, 17, 21, 5)
    """
    x = pyramid(
        check_features(backbone),
        rates,
        filters,
        separable=separable,
        pool_first=pool_first,
        project_kernel=project_kernel,
        biases=biases,
        depthwise_norm=depthwise_norm,
    )
    x = Dropout(0.5, name="aspp_dropout")(x)
    if decoder_convs is None:
        x = _conv_norm_relu(x, filters, "aspp_out", biases, separable=True)
    fine = _low_level(backbone, low_level)
    fine = blocks.conv_norm_relu(fine, low_level_filters, 1, "low_level", use_bias=biases)
    x = ResizeLike(interpolation(upsampling), name="aspp_out_resize")([x, fine])
    x = Concatenate(name="decoder_concat")([fine, x] if low_level_first else [x, fine])
    if decoder_convs is None:
        x = _conv_norm_relu(x, filters, "decoder", biases, separable=True)
    for index in range(1, (decoder_convs or 0) + 1):
        more = {"depthwise_norm": depthwise_norm} if separable else {}
        x = _conv_norm_relu(x, filters, f"decoder_{index}", biases, separable=separable, **more)
    outputs = [logits(x, num_classes), *auxiliary_logits(backbone, aux, aux_classes or num_classes)]
    return segmenter(backbone, outputs, upsampling, name or f"deeplabv3plus_{backbone.name}")


def _conv_norm_relu(
    x: Tensor, filters: int, name: str, biases: bool, *, separable: bool, dilation_rate: int = 1, **more: bool
) -> Tensor:
    """A 3x3 convolution, BatchNorm and ReLU."""
    unit = blocks.separable_norm_relu if separable else blocks.conv_norm_relu
    return unit(x, filters, 3, name, dilation_rate=dilation_rate, use_bias=biases, **more)


def _low_level(backbone: keras.Model, layer: str | None) -> Tensor:
    if layer is None and not any(part.name.startswith("conv2_block") for part in backbone.layers):
        maps = last_maps(backbone)
        if 4 not in maps:
            raise ValueError(
                f"The backbone {backbone.name!r} has no map of stride 4 for the low-level features, but of "
                f"{[*maps]}: name a layer with low_level. Received: low_level=None"
            )
        return maps[4]
    return tap(backbone, layer or "conv2", "the low-level features", f"low_level={layer!r}")


def pyramid(
    x: Tensor,
    rates: Sequence[int],
    filters: int,
    *,
    separable: bool = False,
    pool_first: bool = False,
    project_kernel: int = 1,
    biases: bool = False,
    depthwise_norm: bool = False,
) -> Tensor:
    """A 1x1 branch, a 3x3 branch for every rate and the average over the map, concatenated and projected.

    Args:
        x: features `(batch, height, width, channels)`.
        rates: dilation rates of the 3x3 branches.
        filters: channels of each branch and of the result.
        separable: whether the 3x3 kernels are separable.
        pool_first: whether the average comes first in the concatenation, or last.
        project_kernel: kernel size of the projection.
        biases: whether the convolutions have biases.
        depthwise_norm: whether BatchNorm and ReLU follow each depthwise kernel, too.
    """
    more = {"depthwise_norm": depthwise_norm} if separable else {}
    branches = [blocks.conv_norm_relu(x, filters, 1, "aspp_0", use_bias=biases)]
    for index, rate in enumerate(rates, 1):
        branch = f"aspp_{index}"
        branches.append(_conv_norm_relu(x, filters, branch, biases, separable=separable, dilation_rate=rate, **more))
    y = GlobalAveragePooling(keepdims=True, name="aspp_pool")(x)
    y = blocks.conv_norm_relu(y, filters, 1, "aspp_pool", use_bias=biases)
    branches.insert(0 if pool_first else len(branches), ResizeLike(name="aspp_pool_resize")([y, x]))
    x = Concatenate(name="aspp_concat")(branches)
    return blocks.conv_norm_relu(x, filters, project_kernel, "aspp_project", use_bias=biases)
