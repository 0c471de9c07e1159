"""PSPNet's head: the features beside their averages over grids of a few bins."""

from collections.abc import Sequence

import keras
from keras.initializers import Constant
from keras.layers import Concatenate, Dropout, PReLU

from tfseg import specs
from tfseg.layers import AdaptiveAveragePooling, Rescale, ResizeLike
from tfseg.nets import blocks
from tfseg.nets.heads import auxiliary_logits, check_features, interpolation, logits, segmenter, tap
from tfseg.types import Tensor


def PSPNet(
    backbone: keras.Model,
    num_classes: int,
    aux: bool | str = False,
    *,
    aux_classes: int | None = None,
    features: str | None = None,
    bins: Sequence[int] = (1, 2, 3, 6),
    order: str = "features_first",
    filters: int = 512,
    branch_filters: int | None = None,
    kernel_sizes: Sequence[int] = (3, 1),
    norm_single_bin: bool = True,
    plain: bool = False,
    steps: Sequence[int] = (),
    dropout: float = 0.1,
    aux_reduction: int = 4,
    aux_filters: int | None = None,
    upsampling: str = "bilinear",
    bin_upsampling: str | None = None,
    head_epsilon: float = 1e-5,
    name: str | None = None,
) -> keras.Model:
    """A backbone with PSPNet's head: average pooling to each of `bins`, 1x1 convolution, back to size, concatenated.

    Input and output are those of `FCN`; the map at the backbone's stride is the output of the layer `logits`.

    The published implementations differ in everything that has an argument here. The defaults are those of
    hszhao/semseg, except its `upsampling="bilinear_align_corners"`. The orders of the concatenation are:

    * "features_first": features, then bins 1 2 3 6 (semseg, CSAILVision).
    * "features_last": bins 1 2 3 6, then features (segmentation_models.pytorch).
    * "reversed": features, then bins 6 3 2 1 (the original in Caffe).

    Args:
        backbone: functional model `(batch, height, width, channels)` -> one map of features (see `FCN`).
        num_classes: channels of the logits, background included.
        aux: layer that a second head reads, for training: True means the last block of ResNet's `conv4` stage. False:
            no second head.
        aux_classes: channels of the second head; None: `num_classes`.
        features: layer of the backbone, or stage of a ResNet, that the head reads (segmentation_models.pytorch:
            "conv3"); None: the backbone's output.
        bins: number of rows, and of columns, of each pooled map, by PyTorch's windows: every map size is allowed.
        order: order of the concatenation, a name of `tfseg.specs.PYRAMID_ORDERS`, see above.
        filters: channels of the convolution after the concatenation.
        branch_filters: channels of each bin's convolution; None: the features' channels divided by the number of bins.
        kernel_sizes: kernel size of the convolution after the concatenation, and that of the logits' convolution.
        norm_single_bin: whether the convolution over a single bin has a BatchNorm; if not, it has a bias
            (segmentation_models.pytorch).
        plain: whether the convolutions of the bins stand alone, without BatchNorm, bias and ReLU, and the one after the
            concatenation has a bias and no BatchNorm (Lextal/pspnet-pytorch).
        steps: channels of steps before the logits, each of which doubles the map's size bilinearly and convolves it by
            3x3, with BatchNorm and a ReLU that keeps a learned part of negative numbers (Lextal).
        dropout: dropout rate before the logits.
        aux_reduction: how many times fewer channels the second head has inside than it reads.
        aux_filters: number of those channels instead.
        upsampling: how the map is enlarged, a name of `tfseg.specs.UPSAMPLINGS` (see `FCN`). The pooled maps are
            resized in the same way (bilinearly for a transposed convolution).
        bin_upsampling: how the pooled maps are resized instead, a name of `tfseg.specs.INTERPOLATIONS`.
        head_epsilon: epsilon of the head's BatchNorms.
        name: name of the model; None: "pspnet_" and the backbone's name.
    Returns: functional model.
    Raises:
        ValueError: a backbone whose output is not a single map, no layer for `aux` or `features`, an unknown upsampling
            or order.
    Reference: Zhao et al. 2017, https://arxiv.org/abs/1612.01105, section 3.2.

    Example:
        >>> model = tfseg.PSPNet(tfseg.ResNet(18, output_stride=8, width=1 / 16), 5, filters=16)
        >>> tuple(model(np.zeros((1, 65, 83, 3))).shape)
        (1, 65, 83, 5)
    """
    blocks.check_choice("order", order, specs.PYRAMID_ORDERS)
    x = tap(backbone, features, "the head", f"features={features!r}") if features else check_features(backbone)
    branch_filters = branch_filters or max(1, x.shape[-1] // len(bins))
    resize = bin_upsampling or interpolation(upsampling)
    normed = [head_epsilon if side > 1 or norm_single_bin else None for side in bins]
    pooled = [
        _branch(x, side, branch_filters, epsilon, resize, plain) for side, epsilon in zip(bins, normed, strict=True)
    ]
    parts = {
        "features_first": [x, *pooled],
        "features_last": [*pooled, x],
        "reversed": [x, *reversed(pooled)],
    }
    x = Concatenate(name="ppm_concat")(parts[order])
    if plain:
        x = blocks.conv_relu(x, filters, kernel_sizes[0], "head")
    else:
        x = blocks.conv_norm_relu(x, filters, kernel_sizes[0], "head", epsilon=head_epsilon)
    x = Dropout(dropout, name="head_dropout")(x)
    for index, count in enumerate(steps, 1):
        x = _step(x, count, f"step_{index}", head_epsilon)
    outputs = [
        logits(x, num_classes, kernel_size=kernel_sizes[1]),
        *auxiliary_logits(backbone, aux, aux_classes or num_classes, aux_reduction, aux_filters),
    ]
    return segmenter(backbone, outputs, upsampling, name or f"pspnet_{backbone.name}")


def _step(x: Tensor, filters: int, name: str, epsilon: float) -> Tensor:
    x = Rescale(2, "bilinear", name=f"{name}_up")(x)
    x = blocks.norm(blocks.conv(x, filters, 3, f"{name}_conv", use_bias=True), f"{name}_bn", epsilon)
    return PReLU(alpha_initializer=Constant(0.25), shared_axes=[1, 2, 3], name=f"{name}_prelu")(x)


def _branch(x: Tensor, bins: int, filters: int, epsilon: float | None, resize: str, plain: bool) -> Tensor:
    name = f"ppm_{bins}"
    y = AdaptiveAveragePooling(bins, name=f"{name}_pool")(x)
    if plain:
        return ResizeLike(resize, name=f"{name}_resize")([blocks.conv(y, filters, 1, f"{name}_conv"), x])
    y = blocks.conv(y, filters, 1, f"{name}_conv", use_bias=epsilon is None)
    y = y if epsilon is None else blocks.norm(y, f"{name}_bn", epsilon)
    return ResizeLike(resize, name=f"{name}_resize")([blocks.relu(y, f"{name}_relu"), x])
