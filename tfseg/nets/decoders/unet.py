"""U-Net on any classifier."""

from collections.abc import Sequence

import keras
from keras.layers import Concatenate

from tfseg.nets import blocks
from tfseg.nets.decoders.attention import attended
from tfseg.nets.decoders.pyramid import Level, enlarged, filters_of, levels, segmenter, steps
from tfseg.types import Tensor


def Unet(
    backbone: keras.Model,
    num_classes: int,
    *,
    filters: Sequence[int] | None = None,
    taps: Sequence[str] | None = None,
    center: bool = False,
    attention: str | None = None,
    interpolation: str = "nearest",
    norms: bool = True,
    skip_first: bool = False,
    head_kernel: int = 3,
    head_epsilon: float = 1e-5,
    name: str | None = None,
) -> keras.Model:
    """U-Net as segmentation_models.pytorch builds it: from the coarsest map to the image, each stride's map beside it.

    Output logits `(batch, height, width, num_classes)` float32 of the input's size; any size that the backbone takes.
    Step i enlarges the map to the next finer stride and concatenates the backbone's map of that stride. Two 3x3
    convolutions follow, `decoder_<i>_conv1_conv` and `decoder_<i>_conv2_conv`, with BatchNorm and ReLU. A stride that
    the backbone lacks has a step without its map; a dilated backbone has fewer steps.

    Args:
        backbone: functional classifier `(batch, height, width, channels)`, with its head or without: `ResNet`, `VGG`,
            `DRN`, a model of `keras.applications`, or one that `converters.convert` made. If its outputs are several
            maps, as those of a converted encoder of segmentation_models.pytorch, these are read.
        num_classes: channels of the logits, background included.
        filters: channels of each step, coarsest first. None: (256, 128, 64, 32, 16), whose last ones belong to a
            backbone with fewer strides.
        taps: layers whose maps are read, finest first, or stages of a ResNet ("conv2"); the finest one may have the
            image's size. None: the last map of every stride, see `last_maps`. segmentation_models.pytorch takes other
            maps of EfficientNet: its stem, and the first block of 112 channels. On DPN it puts a ReLU on them: convert
            its encoder, which returns them.
        center: whether two more convolutions follow the coarsest map (segmentation_models.pytorch has them on VGG).
        attention: "scse" gates the input and the output of every step; None: no gates.
        interpolation: how maps are enlarged, a name of `tfseg.specs.INTERPOLATIONS`.
        norms: whether the decoder's convolutions have BatchNorms; if not, they have biases (bubbliiiing).
        skip_first: whether the backbone's map comes first in each concatenation (bubbliiiing).
        head_kernel: rows, and columns, of the last kernel.
        head_epsilon: epsilon of the decoder's BatchNorms; segmentation_models for Keras has 1e-3.
        name: name of the model; None: "unet_" and the backbone's name.
    Returns: functional model, trainable, without the backbone's own top.
    Raises:
        ValueError: a backbone that is no graph or has no strides; a layer of `taps` that it lacks; another number of
            `filters` than steps; or an unknown attention or interpolation.
    Reference: Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597, section 2; code:
        https://github.com/qubvel-org/segmentation_models.pytorch, decoders/unet;
        https://github.com/bubbliiiing/unet-pytorch, nets/unet.py.

    Example:
        >>> model = tfseg.Unet(tfseg.ResNet(18, width=1 / 16), num_classes=5, filters=(32, 16, 8, 8, 4))
        >>> tuple(model(np.zeros((1, 65, 83, 3))).shape)
        (1, 65, 83, 5)
    """
    sources = levels(backbone, taps, "Unet", finest=1 if taps else 2)
    image = backbone.inputs[0]
    way = steps(sources, image)
    x: Tensor = sources[-1].map
    if center:
        for index in (1, 2):
            x = blocks.conv_norm_relu(x, x.shape[-1], 3, f"center_{index}", epsilon=head_epsilon)
    for index, (level, channels) in enumerate(zip(way, filters_of(filters, len(way), "Unet"), strict=True)):
        x = block(
            x,
            level,
            image,
            channels,
            f"decoder_{index}",
            attention=attention,
            interpolation=interpolation,
            norms=norms,
            skip_first=skip_first,
            epsilon=head_epsilon,
        )
    name = name or f"unet_{backbone.name}"
    return segmenter(backbone, x, num_classes, name, kernel_size=head_kernel, upsampling=None)


def block(
    x: Tensor,
    level: Level,
    image: Tensor,
    filters: int,
    name: str,
    *,
    attention: str | None = None,
    interpolation: str,
    beside: Sequence[Tensor] = (),
    norms: bool = True,
    skip_first: bool = False,
    epsilon: float = 1e-5,
) -> Tensor:
    """One step: enlarge, concatenate, and two 3x3 convolutions.

    Args:
        x: coarser map.
        level: the next stride.
        image: the image.
        filters: channels of the result.
        name: beginning of the layers' names.
        attention: see `Unet`.
        interpolation: see `Unet`.
        beside: maps of the next stride that are concatenated before the backbone's.
        norms: see `Unet`.
        skip_first: see `Unet`.
        epsilon: epsilon of the BatchNorms.
    """
    x = enlarged(x, level, image, interpolation, f"{name}_resize")
    maps = [*beside, *([] if level.map is None else [level.map])]
    if maps:
        x = Concatenate(name=f"{name}_concat")([*maps, x] if skip_first else [x, *maps])
        x = attended(x, attention, f"{name}_attention1")
    for index in (1, 2):
        if norms:
            x = blocks.conv_norm_relu(x, filters, 3, f"{name}_conv{index}", epsilon=epsilon)
        else:
            x = blocks.conv_relu(x, filters, 3, f"{name}_conv{index}")
    return attended(x, attention, f"{name}_attention2")
