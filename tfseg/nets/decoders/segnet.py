"""A chain of single convolutions on any classifier: SegNet without its indices, or with skips a slim U-Net."""

from collections.abc import Sequence

import keras
from keras.layers import Concatenate

from tfseg.nets import blocks
from tfseg.nets.decoders.pyramid import enlarged, levels, segmenter, steps
from tfseg.types import Tensor

_LEAST = 64  # channels of the finest steps


def SegNet(
    backbone: keras.Model,
    num_classes: int,
    *,
    filters: Sequence[int] | None = None,
    taps: Sequence[str] | None = None,
    skips: bool = False,
    activation: str | None = None,
    head_epsilon: float = 1e-3,
    name: str | None = None,
) -> keras.Model:
    """SegNet and U-Net as divamgupta's package for Keras builds them: a 3x3 convolution and a norm for each stride.

    Output logits `(batch, height, width, num_classes)` float32 of the input's size; any size that the backbone takes.
    The coarsest map is convolved, and enlarged to every finer stride down to 2, by repeating pixels. The logits have
    stride 2, the output of the layer `logits`; they are repeated to the image's size. Unlike in the paper, maxima are
    not put back where they were found.

    Args:
        backbone: functional classifier `(batch, height, width, channels)`, with its head or without.
        num_classes: channels of the logits, background included.
        filters: channels of each convolution, coarsest first. None: 512, and half as many in each further step, but no
            fewer than 64.
        taps: layers whose maps give the strides, finest first, or stages of a ResNet ("conv2"). None: the last map of
            every stride, see `last_maps`.
        skips: whether each step concatenates the backbone's map of its stride, as in the package's U-Nets.
        activation: activation between a convolution and its norm, "relu" in the package's U-Nets; None: none, as in
            its SegNets.
        head_epsilon: epsilon of the decoder's BatchNorms.
        name: name of the model; None: "segnet_" and the backbone's name.
    Returns: functional model, trainable, without the backbone's own top.
    Raises:
        ValueError: a backbone that is no graph or has no strides; a layer of `taps` that it lacks; another number of
            `filters` than convolutions; or an unknown activation.
    Reference: Badrinarayanan et al. 2017, https://arxiv.org/abs/1511.00561; code:
        https://github.com/divamgupta/image-segmentation-keras, models/segnet.py and models/unet.py.

    Example:
        >>> model = tfseg.SegNet(tfseg.VGG(16, width=1 / 16), num_classes=5, filters=(32, 16, 8, 8, 4))
        >>> tuple(model(np.zeros((1, 64, 96, 3))).shape)
        (1, 64, 96, 5)
    """
    blocks.check_choice("activation", activation, (None, "relu"))
    sources = levels(backbone, taps, "SegNet")
    image, way = backbone.inputs[0], steps(sources, backbone.inputs[0])[:-1]
    counts = tuple(max(_LEAST, 512 >> index) for index in range(len(way) + 1)) if filters is None else tuple(filters)
    if len(counts) != len(way) + 1:
        raise ValueError(
            f"SegNet has {len(way) + 1} convolutions on this backbone, so filters needs as many numbers, coarsest "
            f"first. Received: filters={filters!r}"
        )
    x = _unit(sources[-1].map, counts[0], "decoder_0", activation, head_epsilon)
    for index, (level, channels) in enumerate(zip(way, counts[1:], strict=True), 1):
        x = enlarged(x, level, image, "nearest", f"decoder_{index}_resize")
        if skips and level.map is not None:
            x = Concatenate(name=f"decoder_{index}_concat")([x, level.map])
        x = _unit(x, channels, f"decoder_{index}", activation, head_epsilon)
    return segmenter(backbone, x, num_classes, name or f"segnet_{backbone.name}", kernel_size=3, upsampling="nearest")


def _unit(x: Tensor, filters: int, name: str, activation: str | None, epsilon: float) -> Tensor:
    x = blocks.conv(x, filters, 3, f"{name}_conv", use_bias=True)
    x = blocks.relu(x, f"{name}_relu") if activation else x
    return blocks.norm(x, f"{name}_bn", epsilon)
