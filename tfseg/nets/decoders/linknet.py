"""LinkNet on any classifier."""

from collections.abc import Sequence

import keras
from keras.layers import Add, Conv2DTranspose

from tfseg.layers import CropLike
from tfseg.nets import blocks
from tfseg.nets.decoders.pyramid import levels, segmenter, steps
from tfseg.types import Tensor


def Linknet(
    backbone: keras.Model,
    num_classes: int,
    *,
    filters: int = 32,
    taps: Sequence[str] | None = None,
    name: str | None = None,
) -> keras.Model:
    """LinkNet as segmentation_models.pytorch builds it: from the coarsest map to the image, each stride's map added.

    Output logits `(batch, height, width, num_classes)` float32 of the input's size. Step i reduces the channels to a
    quarter (`decoder_<i>_reduce_conv`) and doubles the map with a transposed 4x4 convolution (`decoder_<i>_up_conv`).
    Then it brings it to the channels of the next map (`decoder_<i>_expand_conv`). Each has BatchNorm and ReLU. A
    backbone that rounds sizes down (VGG) needs images whose sides its stride divides: else the sums fail.

    Args:
        backbone: functional classifier, see `Unet`.
        num_classes: channels of the logits, background included.
        filters: channels of the last step.
        taps: layers whose maps are read, finest first; None: the last map of every stride.
        name: name of the model; None: "linknet_" and the backbone's name.
    Returns: functional model.
    Raises:
        ValueError: a backbone that is no graph or has no strides, a layer of `taps` that it lacks, or two taps of one
            stride.
    Reference: Chaurasia and Culurciello 2017, https://arxiv.org/abs/1707.03718, section 3; code:
        https://github.com/qubvel-org/segmentation_models.pytorch, decoders/linknet.

    Example:
        >>> model = tfseg.Linknet(tfseg.ResNet(18, width=1 / 16), num_classes=5)
        >>> tuple(model(np.zeros((1, 65, 83, 3))).shape)
        (1, 65, 83, 5)
    """
    sources = levels(backbone, taps, "Linknet")
    image = backbone.inputs[0]
    strides = [level.stride for level in sources]
    if len(set(strides)) < len(strides):
        raise ValueError(
            f"Linknet doubles the map in every step, so every tap has a stride of its own. Received: {strides=}"
        )
    x: Tensor = sources[-1].map
    way = steps(sources, image)
    for index, level in enumerate(way):
        channels = filters if level.stride == 1 else x.shape[-1] if level.map is None else level.map.shape[-1]
        x = _block(x, channels, f"decoder_{index}")
        like = image if level.stride == 1 else level.map
        if like is not None:
            x = CropLike(name=f"decoder_{index}_crop")([x, like])
        if level.map is not None:
            x = Add(name=f"decoder_{index}_add")([x, level.map])
    return segmenter(backbone, x, num_classes, name or f"linknet_{backbone.name}", upsampling=None)


def _block(x: Tensor, filters: int, name: str) -> Tensor:
    reduced = max(1, x.shape[-1] // 4)
    x = blocks.conv_norm_relu(x, reduced, 1, f"{name}_reduce")
    up = Conv2DTranspose(
        reduced,
        4,
        strides=2,
        padding="same",
        kernel_initializer="he_normal",
        data_format=blocks.CHANNELS_LAST,
        name=f"{name}_up_conv",
    )
    x = blocks.relu(blocks.norm(blocks.apply(up, x), f"{name}_up_bn"), f"{name}_up_relu")
    return blocks.conv_norm_relu(x, filters, 1, f"{name}_expand")
