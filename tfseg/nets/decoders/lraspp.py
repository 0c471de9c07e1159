"""Lite R-ASPP on any classifier."""

import keras
from keras.layers import Activation, Add, Multiply

from tfseg import specs
from tfseg.layers import GlobalAveragePooling, ResizeLike
from tfseg.nets import blocks
from tfseg.nets.decoders.pyramid import levels
from tfseg.nets.heads import logits


def LRASPP(
    backbone: keras.Model,
    num_classes: int,
    *,
    filters: int = 128,
    low: str | None = None,
    high: str | None = None,
    upsampling: str = "bilinear",
    name: str | None = None,
) -> keras.Model:
    """MobileNetV3's light head, as torchvision computes it: gated features, and logits of two strides that are added.

    Output logits `(batch, height, width, num_classes)` float32 of the input's size. The layer `logits` classifies the
    coarsest map after `cbr_conv` and the gate of its average (`scale_conv`); `low_logits` classifies the map of stride
    8. torchvision's network reads the first block of stride 8, not the last: name it with `low`.

    Args:
        backbone: functional classifier, see `Unet`.
        num_classes: channels of the logits, background included.
        filters: channels of the head.
        low: layer with the finer map; None: the last map of stride 8, or of the next smaller one.
        high: layer with the coarser map; None: the coarsest map.
        upsampling: how maps are enlarged, a name of `tfseg.specs.INTERPOLATIONS`.
        name: name of the model; None: "lraspp_" and the backbone's name.
    Returns: functional model.
    Raises:
        ValueError: a backbone with fewer than two strides, a layer that it lacks, or an unknown upsampling.
    Reference: Howard et al. 2019, https://arxiv.org/abs/1905.02244, section 6.4; code:
        https://docs.pytorch.org/vision/stable/models/lraspp.html.

    Example:
        >>> model = tfseg.LRASPP(tfseg.ResNet(18, output_stride=16, width=1 / 16), num_classes=5, filters=8)
        >>> tuple(model(np.zeros((1, 65, 83, 3))).shape)
        (1, 65, 83, 5)
    """
    blocks.check_choice("upsampling", upsampling, specs.INTERPOLATIONS)
    if low and high:
        fine, coarse = (level.map for level in levels(backbone, (low, high), "LRASPP"))
    else:
        *finer, deepest = levels(backbone, None, "LRASPP", count=2)
        fine = (
            levels(backbone, (low,), "LRASPP")[0].map if low else ([x for x in finer if x.stride <= 8] or finer)[-1].map
        )
        coarse = levels(backbone, (high,), "LRASPP")[0].map if high else deepest.map
    x = blocks.conv_norm_relu(coarse, filters, 1, "cbr")
    gate = GlobalAveragePooling(keepdims=True, name="scale_pool")(coarse)
    gate = Activation("sigmoid", name="scale_sigmoid")(blocks.conv(gate, filters, 1, "scale_conv"))
    x = ResizeLike(upsampling, name="cbr_resize")([Multiply(name="cbr_scaled")([x, gate]), fine])
    scores = Add(name="logits_add")([logits(fine, num_classes, "low_"), logits(x, num_classes)])
    image = backbone.inputs[0]
    score = ResizeLike(upsampling, name="score", dtype="float32")([scores, image])
    return keras.Model(image, score, name=name or f"lraspp_{backbone.name}")
