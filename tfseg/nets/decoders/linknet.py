"""LinkNet on any classifier."""

from collections.abc import Sequence

import keras
from keras.layers import Add, Conv2DTranspose

from tfseg.layers import CropLike
from tfseg.nets import blocks
from tfseg.nets.decoders.pyramid import Level, enlarged, levels, segmenter, steps
from tfseg.types import Tensor


def Linknet(
    backbone: keras.Model,
    num_classes: int,
    *,
    filters: int = 32,
    taps: Sequence[str] | None = None,
    center: bool = False,
    interpolation: str | None = None,
    kernel_size: int = 1,
    head_epsilon: float = 1e-5,
    name: str | None = None,
) -> keras.Model:
    """LinkNet as segmentation_models.pytorch builds it: from the coarsest map to the image, each stride's map added.

    Output logits `(batch, height, width, num_classes)` float32 of the input's size. Step i reduces the channels to a
    quarter (`decoder_<i>_reduce_conv`) and doubles the map with a transposed 4x4 convolution (`decoder_<i>_up_conv`).
    Then it brings it to the channels of the next map (`decoder_<i>_expand_conv`). Each has BatchNorm and ReLU. A
    backbone that rounds sizes down (VGG) needs images whose sides its stride divides: else the sums fail.
    `interpolation="nearest", kernel_size=3, head_epsilon=1e-3`, and `center=True` on VGG, is the form of
    segmentation_models for Keras.

    Args:
        backbone: functional classifier, see `Unet`.
        num_classes: channels of the logits, background included.
        filters: channels of the last step.
        taps: layers whose maps are read, finest first; None: the last map of every stride.
        center: whether two 3x3 convolutions follow the coarsest map.
        interpolation: how each step enlarges its map before a 3x3 convolution, a name of `tfseg.specs.INTERPOLATIONS`;
            None: by the transposed convolution.
        kernel_size: rows, and columns, of the last kernel.
        head_epsilon: epsilon of the decoder's BatchNorms.
        name: name of the model; None: "linknet_" and the backbone's name.
    Returns: functional model.
    Raises:
        ValueError: a backbone that is no graph or has no strides; a layer of `taps` that it lacks; two taps of one
            stride; or an unknown interpolation.
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
    if center:
        for index in (1, 2):
            x = blocks.conv_norm_relu(x, x.shape[-1], 3, f"center_{index}", epsilon=head_epsilon)
    for index, level in enumerate(way):
        channels = filters if level.stride == 1 else x.shape[-1] if level.map is None else level.map.shape[-1]
        x = _block(x, level, image, channels, f"decoder_{index}", interpolation, head_epsilon)
        like = image if level.stride == 1 else level.map
        if like is not None and interpolation is None:
            x = CropLike(name=f"decoder_{index}_crop")([x, like])
        if level.map is not None:
            x = Add(name=f"decoder_{index}_add")([x, level.map])
    title = name or f"linknet_{backbone.name}"
    return segmenter(backbone, x, num_classes, title, kernel_size=kernel_size, upsampling=None)


def _block(
    x: Tensor, level: Level, image: Tensor, filters: int, name: str, interpolation: str | None, epsilon: float
) -> Tensor:
    reduced = max(1, x.shape[-1] // 4)
    x = blocks.conv_norm_relu(x, reduced, 1, f"{name}_reduce", epsilon=epsilon)
    if interpolation:
        x = enlarged(x, level, image, interpolation, f"{name}_resize")
        x = blocks.conv_norm_relu(x, reduced, 3, f"{name}_up", epsilon=epsilon)
        return blocks.conv_norm_relu(x, filters, 1, f"{name}_expand", epsilon=epsilon)
    up = Conv2DTranspose(
        reduced,
        4,
        strides=2,
        padding="same",
        kernel_initializer="he_normal",
        data_format=blocks.CHANNELS_LAST,
        name=f"{name}_up_conv",
    )
    x = blocks.relu(blocks.norm(blocks.apply(up, x), f"{name}_up_bn", epsilon), f"{name}_up_relu")
    return blocks.conv_norm_relu(x, filters, 1, f"{name}_expand", epsilon=epsilon)
