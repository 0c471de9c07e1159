"""U-Net without a classifier inside, as most public code builds it."""

import functools

import keras
from keras.layers import Concatenate, Conv2DTranspose, ZeroPadding2D

from tfseg import specs
from tfseg.layers import CropLike, Rescale, ResizeLike
from tfseg.nets import blocks
from tfseg.nets.heads import logits
from tfseg.types import Tensor

UPSAMPLINGS = ("transposed_convolution", "bilinear_align_corners")
_CROPS = (4, 16, 40, 88)  # rows that each finer map has more than half of what the enlarged one lacks, coarsest first


def PlainUnet(
    num_classes: int = 2,
    *,
    upsampling: str = "transposed_convolution",
    form: str = "milesial",
    norms: bool = True,
    biases: bool = False,
    width: float = 1.0,
    channels: int = 3,
    name: str | None = None,
) -> keras.Model:
    """U-Net as milesial/Pytorch-UNet builds it: two convolutions at each stride, down to 16 and back to the image.

    Input `(batch, height, width, channels)` float32, preprocessed, at least 16 pixels on each side. Output logits
    `(batch, height, width, num_classes)` float32. Where a side is odd, an enlarged map gets a row or column of zeros.

    Without padding (`form="meetps"`) the layer `logits` has 184 rows and columns fewer than the image. The output is
    enlarged from it as in that code's loss. An image then has at least 188 pixels on each side.

    Layers: `encoder_<i>_conv1_conv` and `encoder_<i>_conv2_conv` for i = 0 to 4, strides 1 to 16; `decoder_<i>_up` and
    `decoder_<i>_conv1_conv`, `decoder_<i>_conv2_conv` for i = 0 to 3, coarsest first; `logits`.

    Args:
        num_classes: channels of the logits.
        upsampling: how maps are enlarged. "transposed_convolution": with kernels of 2x2 pixels, to half the channels.
            "bilinear_align_corners": bilinearly; the coarsest map then has half as many channels.
        form: whose code it is, a name of `tfseg.specs.UNET_FORMS`: they differ in padding, norms, channels and in how
            maps of different sizes meet.
        norms: whether the convolutions have BatchNorms, where the form has them.
        biases: whether the convolutions before the norms have biases, as in its files before August 2021. Those
            without norms always have them.
        width: factor of every channel count.
        channels: channels of the input.
        name: name of the model; None: "plain_unet".
    Returns: functional model.
    Raises:
        ValueError: an unknown upsampling or form, or a width that is not positive.
    Reference: Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597; code:
        https://github.com/milesial/Pytorch-UNet, https://github.com/meetps/pytorch-semseg: ptsemseg/models/unet.py,
        https://github.com/yassouali/pytorch-segmentation: models/unet.py.

    Example:
        >>> model = tfseg.PlainUnet(5, width=1 / 16)
        >>> tuple(model(np.zeros((1, 65, 83, 3))).shape)
        (1, 65, 83, 5)
    """
    blocks.check_choice("upsampling", upsampling, UPSAMPLINGS)
    blocks.check_choice("form", form, specs.UNET_FORMS)
    blocks.check_width(width)
    kind = specs.UNET_FORMS[form]
    two = functools.partial(_two, form=kind, biases=biases)
    filters = [specs.scaled(count, width) for count in specs.UNETS["plain_unet"]]
    bilinear = upsampling != "transposed_convolution"
    if bilinear:
        filters[-1] //= 2
    image, x = blocks.image_input(channels, "unit")
    maps: list[Tensor] = []
    for index, count in enumerate(filters):
        if maps and not kind.pool_last:
            x = blocks.max_pool(x, 2, f"encoder_{index}_pool")
        x = two(x, count, count, f"encoder_{index}", norms=norms)
        if maps and kind.pool_last:  # Keras's "same" is the ceil rule here
            x = blocks.max_pool(x, 2, f"encoder_{index}_pool", padding="same")
        maps.append(x)
    if kind.pool_last:
        x = two(x, filters[-1], filters[-1], "middle", norms=norms)
    for index, beside in enumerate(reversed(maps[:-1])):
        step = f"decoder_{index}"
        x = _enlarged(x, step, bilinear)
        if kind.padding == 0:
            beside = CropLike(_CROPS[index], name=f"{step}_crop")([beside, x])
        else:
            x = _fitted(x, beside, step, kind)
        x = Concatenate(name=f"{step}_concat")([beside, x])
        count, middle = beside.shape[-1], beside.shape[-1]
        if bilinear and index < len(maps) - 2:
            count //= 2
        x = two(x, middle, count, step, norms=norms and kind.decoder_norms)
    x = logits(x, num_classes)
    if kind.padding == 0:
        x = ResizeLike("bilinear_align_corners", dtype="float32", name="score")([x, image])
    else:
        x = keras.layers.Activation("linear", dtype="float32", name="score")(x)
    return keras.Model(image, x, name=name or "plain_unet")


def _two(x: Tensor, middle: int, filters: int, name: str, *, form: specs.UnetForm, norms: bool, biases: bool) -> Tensor:
    """Two convolutions, `<name>_conv1_conv` and `<name>_conv2_conv`."""
    middle = filters // 2 if form.half_first else middle
    for index, count in enumerate((middle, filters), 1):
        layer = f"{name}_conv{index}"
        if norms:
            x = blocks.conv_norm_relu(x, count, 3, layer, use_bias=biases, padding=form.padding)
        else:
            x = blocks.conv_relu(x, count, 3, layer, padding=form.padding)
    return x


def _enlarged(x: Tensor, step: str, bilinear: bool) -> Tensor:
    """The map at twice its size."""
    if bilinear:
        return Rescale(2, "bilinear_align_corners", name=f"{step}_up")(x)
    kernel = Conv2DTranspose(
        x.shape[-1] // 2,
        2,
        strides=2,
        kernel_initializer="he_normal",
        data_format=blocks.CHANNELS_LAST,
        name=f"{step}_up",
    )
    return blocks.apply(kernel, x)


def _fitted(x: Tensor, beside: Tensor, step: str, form: specs.UnetForm) -> Tensor:
    """The enlarged map at the size of the finer one: resized, or with zeros at the far side."""
    if form.resize:
        return ResizeLike("bilinear_align_corners", name=f"{step}_fit")([x, beside])
    x = ZeroPadding2D(((0, 1), (0, 1)), data_format=blocks.CHANNELS_LAST, name=f"{step}_pad")(x)
    return CropLike(name=f"{step}_crop")([x, beside])
