"""SegFormer's head of fully connected layers, on any classifier."""

from collections.abc import Sequence

import keras
from keras.layers import Concatenate

from tfseg.layers import ResizeLike
from tfseg.nets import blocks
from tfseg.nets.decoders.pyramid import ALIGNED, levels, segmenter

FORMS = ("authors", "mmsegmentation")


def SegFormer(
    backbone: keras.Model,
    num_classes: int,
    *,
    filters: int = 256,
    taps: Sequence[str] | None = None,
    upsampling: str = ALIGNED,
    form: str = "authors",
    name: str | None = None,
) -> keras.Model:
    """SegFormer's all-MLP head as segmentation_models.pytorch builds it.

    Output logits `(batch, height, width, num_classes)` float32 of the input's size; the output of the layer `logits`
    has stride 4. Every map goes pixel by pixel through a fully connected layer (`mlp_<i>`, the coarsest is 0) and is
    resized to stride 4. All are concatenated and reduced by a 1x1 convolution (`fuse_conv`). The paper's backbone
    has no map of stride 2; where there is one, that library reads it, too.

    With `form="mmsegmentation"`, a BatchNorm and a ReLU follow each `mlp_<i>_conv`, and the finest map comes first.

    Args:
        backbone: functional classifier, see `Unet`.
        num_classes: channels of the logits, background included.
        filters: channels of the head.
        taps: layers whose maps are read, finest first; None: the last map of every stride.
        upsampling: how the logits are enlarged to the input's size, a name of `tfseg.specs.INTERPOLATIONS`.
        form: "authors" or "mmsegmentation", see above.
        name: name of the model; None: "segformer_" and the backbone's name.
    Returns: functional model.
    Raises:
        ValueError: a backbone without a map of stride 4, a layer of `taps` that it lacks, or an unknown upsampling or
            form.
    Reference: Xie et al. 2021, https://arxiv.org/abs/2105.15203, section 3.2; code:
        https://github.com/qubvel-org/segmentation_models.pytorch, decoders/segformer.

    Example:
        >>> model = tfseg.SegFormer(tfseg.ResNet(18, width=1 / 16), num_classes=5, filters=8)
        >>> tuple(model(np.zeros((1, 65, 83, 3))).shape)
        (1, 65, 83, 5)
    """
    blocks.check_choice("form", form, FORMS)
    sources = levels(backbone, taps, "SegFormer")
    quarter = [level.map for level in sources if level.stride == 4]
    if not quarter:
        raise ValueError(
            f"SegFormer's head resizes all maps to stride 4, and the backbone {backbone.name!r} has strides "
            f"{[level.stride for level in sources]}: name a layer of stride 4 with taps. Received: taps={taps!r}"
        )
    maps = []
    for index, level in enumerate(reversed(sources)):
        if form == "authors":
            x = blocks.dense(level.map, filters, f"mlp_{index}")
        else:
            x = blocks.conv_norm_relu(level.map, filters, 1, f"mlp_{index}")
        maps.append(ResizeLike(name=f"mlp_{index}_resize")([x, quarter[0]]))
    joined = Concatenate(name="fuse_concat")(maps if form == "authors" else maps[::-1])
    x = blocks.conv_norm_relu(joined, filters, 1, "fuse")
    return segmenter(backbone, x, num_classes, name or f"segformer_{backbone.name}", upsampling=upsampling)
