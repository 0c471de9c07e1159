"""DeepLabV2's head: four rates summed, and the maximum over several sizes of the image."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras.layers import Add, Maximum

from tfseg import graphs
from tfseg.layers import Rescale, ResizeLike
from tfseg.nets import blocks
from tfseg.nets.heads import auxiliary_logits, check_features, interpolation, segmenter
from tfseg.types import Tensor

SCALES = (0.5, 0.75)


def DeepLabV2(
    backbone: keras.Model,
    num_classes: int,
    aux: bool | str = False,
    *,
    aux_classes: int | None = None,
    rates: Sequence[int] = (6, 12, 18, 24),
    multi_scale: bool | Sequence[float] = False,
    upsampling: str = "bilinear",
    name: str | None = None,
) -> keras.Model:
    """A backbone with DeepLabV2's head: 3x3 convolutions to the classes at several rates, summed.

    Input and output are those of `FCN`. With `multi_scale` the same layers also see the image at other sizes. Each map
    of logits is resized to the size of the original image's map, and their maximum is the output of the layer `logits`.
    The layer `aspp_sum` then has one output for each size.

    Args:
        backbone: functional model `(batch, height, width, channels)` -> one map of features (see `FCN`).
        num_classes: channels of the logits, background included.
        aux: layer that a second head reads, for training: True means the last block of ResNet's `conv4` stage. False:
            no second head.
        aux_classes: channels of the second head; None: `num_classes`.
        rates: dilation rates of the convolutions.
        multi_scale: further sizes of the image, relative to its own; True: (0.5, 0.75); False: none.
        upsampling: how the map is enlarged, a name of `tfseg.specs.UPSAMPLINGS` (see `FCN`). The image and the maps of
            `multi_scale` are resized in the same way (bilinearly for a transposed convolution). With aligned corners
            the image has `floor(scale * size) + 1` pixels, as in isht7's implementation.
        name: name of the model; None: "deeplabv2_" and the backbone's name.
    Returns: functional model.
    Raises:
        ValueError: a backbone whose output is not a single map, no layer for `aux`, an unknown upsampling, or invalid
            scales.
    Reference: Chen et al. 2017, https://arxiv.org/abs/1606.00915, sections 3.2 and 4.1.2.

    Example:
        >>> model = tfseg.DeepLabV2(tfseg.ResNet(18, output_stride=8, width=1 / 16), 5, multi_scale=(0.5,))
        >>> tuple(model(np.zeros((1, 65, 83, 3))).shape)
        (1, 65, 83, 5)
    """
    scales = _scales(multi_scale)
    branches = [
        blocks.conv(check_features(backbone), num_classes, 3, f"aspp_logits_{index}", dilation_rate=rate, use_bias=True)
        for index, rate in enumerate(rates)
    ]
    summed = Add(name="aspp_sum" if scales else "logits")(branches)
    if scales:
        summed = _largest(keras.Model(backbone.input, summed), scales, interpolation(upsampling))
    outputs = [summed, *auxiliary_logits(backbone, aux, aux_classes or num_classes)]
    return segmenter(backbone, outputs, upsampling, name or f"deeplabv2_{backbone.name}")


def _largest(net: keras.Model, scales: Sequence[float], upsampling: str) -> Tensor:
    """The maximum of the net's map and those of the rescaled images, in one graph that shares the layers' weights."""
    maps = [net.output]
    extra = 1 if upsampling == "bilinear_align_corners" else 0
    for index, scale in enumerate(scales, 1):
        image = Rescale(scale, upsampling, extra, name=f"scale_{index}_image")(net.input)
        (scores,) = graphs.replay(net, [image], _call_again)
        maps.append(ResizeLike(upsampling, name=f"scale_{index}_resize")([scores, net.output]))
    return Maximum(name="logits")(maps)


def _call_again(
    layer: keras.layers.Layer, args: Sequence[Any], kwargs: Mapping[str, Any], _outputs: Sequence[Tensor]
) -> list[Tensor]:
    return keras.tree.flatten(layer(*args, **kwargs))


def _scales(multi_scale: bool | Sequence[float]) -> tuple[float, ...]:
    """The further scales; scale 1, the image itself, is always there."""
    if isinstance(multi_scale, bool):
        return SCALES if multi_scale else ()
    scales = multi_scale or ()
    if not isinstance(scales, list | tuple) or not all(
        isinstance(scale, int | float) and scale > 0 for scale in scales
    ):
        raise ValueError(
            f"multi_scale is True, False or sizes relative to the image's, as in {SCALES}. Received: {multi_scale!r}"
        )
    return tuple(scale for scale in scales if scale != 1)
