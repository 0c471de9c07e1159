"""U-Net without a classifier inside, as most public code builds it."""

import keras
from keras.layers import Concatenate, Conv2DTranspose, ZeroPadding2D

from tfseg import specs
from tfseg.layers import CropLike, Rescale
from tfseg.nets import blocks
from tfseg.nets.heads import logits
from tfseg.types import Tensor

UPSAMPLINGS = ("transposed_convolution", "bilinear_align_corners")


def PlainUnet(
    num_classes: int = 2,
    *,
    upsampling: str = "transposed_convolution",
    biases: bool = False,
    width: float = 1.0,
    channels: int = 3,
    name: str | None = None,
) -> keras.Model:
    """U-Net as milesial/Pytorch-UNet builds it: two convolutions at each stride, down to 16 and back to the image.

    Input `(batch, height, width, channels)` float32, preprocessed, at least 16 pixels on each side. Output logits
    `(batch, height, width, num_classes)` float32. Where a side is odd, an enlarged map gets a row or column of zeros.

    Layers: `encoder_<i>_conv1_conv` and `encoder_<i>_conv2_conv` for i = 0 to 4, strides 1 to 16; `decoder_<i>_up` and
    `decoder_<i>_conv1_conv`, `decoder_<i>_conv2_conv` for i = 0 to 3, coarsest first; `logits`.

    Args:
        num_classes: channels of the logits.
        upsampling: how maps are enlarged. "transposed_convolution": with kernels of 2x2 pixels, to half the channels.
            "bilinear_align_corners": bilinearly; the coarsest map then has half as many channels.
        biases: whether the convolutions before the norms have biases, as in its files before August 2021.
        width: factor of every channel count.
        channels: channels of the input.
        name: name of the model; None: "plain_unet".
    Returns: functional model.
    Raises:
        ValueError: an unknown upsampling, or a width that is not positive.
    Reference: Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597; code:
        https://github.com/milesial/Pytorch-UNet.

    Example:
        >>> model = tfseg.PlainUnet(5, width=1 / 16)
        >>> tuple(model(np.zeros((1, 65, 83, 3))).shape)
        (1, 65, 83, 5)
    """
    blocks.check_choice("upsampling", upsampling, UPSAMPLINGS)
    blocks.check_width(width)
    filters = [specs.scaled(count, width) for count in specs.UNETS["plain_unet"]]
    bilinear = upsampling != "transposed_convolution"
    if bilinear:
        filters[-1] //= 2
    image, x = blocks.image_input(channels, "unit")
    maps: list[Tensor] = []
    for index, count in enumerate(filters):
        if maps:
            x = blocks.max_pool(maps[-1], 2, f"encoder_{index}_pool")
        x = _two(x, count, count, f"encoder_{index}", biases)
        maps.append(x)
    for index, beside in enumerate(reversed(maps[:-1])):
        step = f"decoder_{index}"
        x = _enlarged(x, beside, step, bilinear)
        x = Concatenate(name=f"{step}_concat")([beside, x])
        count, middle = beside.shape[-1], beside.shape[-1]
        if bilinear and index < len(maps) - 2:
            count //= 2
        x = _two(x, middle, count, step, biases)
    x = keras.layers.Activation("linear", dtype="float32", name="score")(logits(x, num_classes))
    return keras.Model(image, x, name=name or "plain_unet")


def _two(x: Tensor, middle: int, filters: int, name: str, biases: bool) -> Tensor:
    x = blocks.conv_norm_relu(x, middle, 3, f"{name}_conv1", use_bias=biases)
    return blocks.conv_norm_relu(x, filters, 3, f"{name}_conv2", use_bias=biases)


def _enlarged(x: Tensor, beside: Tensor, step: str, bilinear: bool) -> Tensor:
    """The map at twice its size, with zeros at the far side where the finer map has one more row or column."""
    if bilinear:
        x = Rescale(2, "bilinear_align_corners", name=f"{step}_up")(x)
    else:
        kernel = Conv2DTranspose(
            x.shape[-1] // 2,
            2,
            strides=2,
            kernel_initializer="he_normal",
            data_format=blocks.CHANNELS_LAST,
            name=f"{step}_up",
        )
        x = blocks.apply(kernel, x)
    x = ZeroPadding2D(((0, 1), (0, 1)), data_format=blocks.CHANNELS_LAST, name=f"{step}_pad")(x)
    return CropLike(name=f"{step}_crop")([x, beside])
