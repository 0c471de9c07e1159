"""DeepLabV2's head: four rates summed, and the maximum over several sizes of the image."""

import keras
from keras.layers import Add, Maximum

from tfseg import graphs
from tfseg.layers import Rescale, ResizeLike
from tfseg.nets import blocks
from tfseg.nets.heads import auxiliary_logits, check_features, interpolation, segmenter

SCALES = (0.5, 0.75)


def DeepLabV2(
    backbone,
    num_classes,
    aux=False,
    *,
    rates=(6, 12, 18, 24),
    multi_scale=False,
    upsampling="bilinear",
    name=None,
):
    """A backbone with DeepLabV2's head: 3x3 convolutions to the classes at several rates, summed.

    Input and output as in `FCN`. With `multi_scale` the same layers see the image at further sizes, too, and the logits
    are the largest of all, each brought to the size of the image's own: that map is then the output of the layer
    `logits`, and `aspp_sum` is each size's.

    Args:
        backbone, num_classes, aux, name: as in `FCN`.
        rates: of the convolutions.
        multi_scale: the further sizes, relative to the image's: True for (0.5, 0.75), False for none.
        upsampling: as in `FCN`, for the image at the further sizes and their logits as well (bilinear beside a
            transposed convolution). With aligned corners the image has `floor(scale * size) + 1` pixels, as in isht7's.
    Raises:
        ValueError: as `FCN`; scales that are none.
    Reference: Chen et al. 2017, https://arxiv.org/abs/1606.00915, sections 3.2 and 4.1.2.
    """
    scales = _scales(multi_scale)
    branches = [
        blocks.conv(check_features(backbone), num_classes, 3, f"aspp_logits_{index}", dilation_rate=rate, use_bias=True)
        for index, rate in enumerate(rates)
    ]
    summed = Add(name="aspp_sum" if scales else "logits")(branches)
    if scales:
        summed = _largest(keras.Model(backbone.input, summed), scales, interpolation(upsampling))
    outputs = [summed, *auxiliary_logits(backbone, aux, num_classes)]
    return segmenter(backbone, outputs, upsampling, name or f"deeplabv2_{backbone.name}")


def _largest(net, scales, upsampling):
    """The net's map and those of the rescaled image, in one graph: layers are shared, so weights are there once."""
    maps = [net.output]
    extra = 1 if upsampling == "bilinear_align_corners" else 0
    for index, scale in enumerate(scales, 1):
        image = Rescale(scale, upsampling, extra, name=f"scale_{index}_image")(net.input)
        (map_,) = graphs.replay(net, [image], _again)
        maps.append(ResizeLike(upsampling, name=f"scale_{index}_resize")([map_, net.output]))
    return Maximum(name="logits")(maps)


def _again(layer, args, kwargs, _outputs):
    return keras.tree.flatten(layer(*args, **kwargs))


def _scales(multi_scale):
    """The scales besides that of the image itself, which is always there."""
    if isinstance(multi_scale, bool):
        return SCALES if multi_scale else ()
    scales = multi_scale or ()
    if not isinstance(scales, list | tuple) or not all(isinstance(one, int | float) and one > 0 for one in scales):
        raise ValueError(
            f"multi_scale is True, False or sizes relative to the image's, as in {SCALES}. Received: {multi_scale!r}"
        )
    return tuple(scale for scale in scales if scale != 1)
