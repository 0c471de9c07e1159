"""MA-Net on any classifier."""

from collections.abc import Sequence

import keras
from keras.layers import Add, Concatenate, Multiply

from tfseg.layers import PositionAttention
from tfseg.nets import blocks
from tfseg.nets.decoders.attention import channel_gate
from tfseg.nets.decoders.pyramid import Level, enlarged, filters_of, levels, segmenter, steps
from tfseg.nets.decoders.unet import block
from tfseg.types import Tensor


def MAnet(
    backbone: keras.Model,
    num_classes: int,
    *,
    filters: Sequence[int] | None = None,
    attention_filters: int = 64,
    reduction: int = 16,
    taps: Sequence[str] | None = None,
    interpolation: str = "nearest",
    name: str | None = None,
) -> keras.Model:
    """MA-Net as segmentation_models.pytorch builds it: a U-Net with attention of pixels and of channels.

    Input and output are those of `Unet`. The pixels of the coarsest map attend to each other (`center_...`, see
    `tfseg.layers.PositionAttention`), which takes memory by the fourth power of the image's side. Step i brings the
    coarser map to the channels of the next one and enlarges it. It multiplies it with the sum of both maps' channel
    gates. Then it concatenates the two, and has two 3x3 convolutions. Steps without a map are those of `Unet`.

    Args:
        backbone: functional classifier, see `Unet`.
        num_classes: channels of the logits, background included.
        filters: channels of each step, coarsest first, see `Unet`.
        attention_filters: channels in which pixels are compared.
        reduction: how many times fewer channels a gate has inside.
        taps: layers whose maps are read, finest first; None: the last map of every stride.
        interpolation: how maps are enlarged, a name of `tfseg.specs.INTERPOLATIONS`.
        name: name of the model; None: "manet_" and the backbone's name.
    Returns: functional model.
    Raises:
        ValueError: the reasons of `Unet`.
    Reference: Fan et al. 2020, https://doi.org/10.1109/ACCESS.2020.3025372, sections III.B and III.C; code:
        https://github.com/qubvel-org/segmentation_models.pytorch, decoders/manet.

    Example:
        >>> model = tfseg.MAnet(tfseg.ResNet(18, width=1 / 16), num_classes=5, filters=(32, 16, 8, 8, 4))
        >>> tuple(model(np.zeros((1, 64, 96, 3))).shape)
        (1, 64, 96, 5)
    """
    sources = levels(backbone, taps, "MAnet")
    image = backbone.inputs[0]
    way = steps(sources, image)
    x = _positions(sources[-1].map, attention_filters)
    for index, (level, channels) in enumerate(zip(way, filters_of(filters, len(way), "MAnet"), strict=True)):
        part = f"decoder_{index}"
        if level.map is None:
            x = block(x, level, image, channels, part, interpolation=interpolation)
        else:
            x = _block(x, level, image, channels, part, reduction, interpolation)
    return segmenter(backbone, x, num_classes, name or f"manet_{backbone.name}", kernel_size=3, upsampling=None)


def _positions(x: Tensor, filters: int) -> Tensor:
    """PAB, the position-wise attention block."""
    top, center = (blocks.conv(x, filters, 1, f"center_{part}_conv", use_bias=True) for part in ("top", "center"))
    bottom = blocks.conv(x, x.shape[-1], 3, "center_bottom_conv", use_bias=True)
    y = PositionAttention(name="center_attention")([center, top, bottom])
    x = Add(name="center_add")([x, y])
    return blocks.conv(x, x.shape[-1], 3, "center_out_conv", use_bias=True)


def _block(
    x: Tensor, level: Level, image: Tensor, filters: int, name: str, reduction: int, interpolation: str
) -> Tensor:
    """MFAB, the multi-scale fusion attention block."""
    skip: Tensor = level.map
    channels = skip.shape[-1]
    x = blocks.conv_norm_relu(x, x.shape[-1], 3, f"{name}_hl_0")
    x = blocks.conv_norm_relu(x, channels, 1, f"{name}_hl_1")
    x = enlarged(x, level, image, interpolation, f"{name}_resize")
    reduced = max(1, channels // reduction)
    gates = [channel_gate(y, reduced, f"{name}_se_{part}") for part, y in (("hl", x), ("ll", skip))]
    x = Multiply(name=f"{name}_gated")([x, Add(name=f"{name}_gates")(gates)])
    x = Concatenate(name=f"{name}_concat")([x, skip])
    for index in (1, 2):
        x = blocks.conv_norm_relu(x, filters, 3, f"{name}_conv{index}")
    return x
