"""UPerNet on any classifier."""

from collections.abc import Sequence

import keras
from keras.layers import Add, Concatenate, LayerNormalization

from tfseg.layers import AdaptiveAveragePooling, ResizeLike
from tfseg.nets import blocks
from tfseg.nets.decoders.pyramid import ALIGNED, levels, segmenter
from tfseg.types import Tensor


def UPerNet(
    backbone: keras.Model,
    num_classes: int,
    *,
    filters: int = 256,
    bins: Sequence[int] = (1, 2, 3, 6),
    bin_filters: int | None = None,
    enlarge_bins_first: bool = False,
    normalize: bool = True,
    taps: Sequence[str] | None = None,
    upsampling: str = ALIGNED,
    name: str | None = None,
) -> keras.Model:
    """UPerNet as segmentation_models.pytorch builds it: pyramid pooling, then a feature pyramid.

    Output logits `(batch, height, width, num_classes)` float32 of the input's size; the output of the layer `logits`
    has stride 4. The maps of stride 4 and more are normalized over their channels (`norm_<i>`). The coarsest is pooled
    (`psp_...`); to each of the others the enlarged coarser one is added (`lateral_<i>_...`, `fpn_<i>_...`). All are
    concatenated at the finest size.

    Args:
        backbone: functional classifier, see `Unet`.
        num_classes: channels of the logits, background included.
        filters: channels of the decoder.
        bins: number of rows, and of columns, of each pooled map.
        bin_filters: channels of each pooled map's convolution; None: `filters` (CSAILVision: 512).
        enlarge_bins_first: whether pooled maps are enlarged before their convolution and ReLU (CSAILVision), or after.
        normalize: whether the backbone's maps are normalized first. In the paper, mmsegmentation and transformers they
            are not, and `upsampling` is "bilinear".
        taps: layers whose maps are read, finest first; None: the last map of every stride. Strides below 4 are left
            out.
        upsampling: how the logits are enlarged to the input's size, a name of `tfseg.specs.INTERPOLATIONS`.
        name: name of the model; None: "upernet_" and the backbone's name.
    Returns: functional model.
    Raises:
        ValueError: a backbone with fewer than two strides of 4 or more, a layer of `taps` that it lacks, or an unknown
            upsampling.
    Reference: Xiao et al. 2018, https://arxiv.org/abs/1807.10221, section 3.1; code:
        https://github.com/qubvel-org/segmentation_models.pytorch, decoders/upernet.

    Example:
        >>> model = tfseg.UPerNet(tfseg.ResNet(18, width=1 / 16), num_classes=5, filters=8)
        >>> tuple(model(np.zeros((1, 65, 83, 3))).shape)
        (1, 65, 83, 5)
    """
    sources = levels(backbone, taps, "UPerNet", finest=4, count=2)
    *finer, deepest = [
        LayerNormalization(axis=-1, epsilon=1e-6, name=f"norm_{index}")(level.map) if normalize else level.map
        for index, level in enumerate(sources)
    ]
    x = _pooled(deepest, filters, bins, bin_filters or filters, enlarge_bins_first)
    maps = [x]
    for index, fine in enumerate(reversed(finer)):
        lateral = blocks.conv_norm_relu(fine, filters, 1, f"lateral_{index}")
        x = Add(name=f"lateral_{index}_add")([ResizeLike(name=f"lateral_{index}_resize")([x, lateral]), lateral])
        maps.append(blocks.conv_norm_relu(x, filters, 3, f"fpn_{index}"))
    *coarser, finest = maps
    resized = [ResizeLike(name=f"fusion_resize_{index}")([y, finest]) for index, y in enumerate(coarser)]
    x = Concatenate(name="fusion_concat")([finest, *reversed(resized)])
    x = blocks.conv_norm_relu(x, filters, 3, "fusion")
    return segmenter(backbone, x, num_classes, name or f"upernet_{backbone.name}", upsampling=upsampling)


def _pooled(x: Tensor, filters: int, bins: Sequence[int], bin_filters: int, enlarge_first: bool) -> Tensor:
    pooled = [x]
    for side in bins:
        y = AdaptiveAveragePooling(side, name=f"psp_{side}_pool")(x)
        resize = ResizeLike(name=f"psp_{side}_resize")
        y = resize([y, x]) if enlarge_first else y
        y = blocks.conv_norm_relu(y, bin_filters, 1, f"psp_{side}")
        pooled.append(y if enlarge_first else resize([y, x]))
    return blocks.conv_norm_relu(Concatenate(name="psp_concat")(pooled), filters, 3, "psp_out")
