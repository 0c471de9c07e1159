"""PSPNet's head: the features beside their averages over grids of a few bins."""

from keras.layers import Concatenate, Dropout

from tfseg import specs
from tfseg.layers import AdaptiveAveragePooling, ResizeLike
from tfseg.nets import blocks
from tfseg.nets.heads import auxiliary_logits, check_features, interpolation, logits, segmenter, tap


def PSPNet(
    backbone,
    num_classes,
    aux=False,
    *,
    features=None,
    bins=(1, 2, 3, 6),
    order="features_first",
    filters=512,
    branch_filters=None,
    kernel_sizes=(3, 1),
    norm_single_bin=True,
    dropout=0.1,
    aux_reduction=4,
    upsampling="bilinear",
    name=None,
):
    """A backbone with PSPNet's head: average pooling to each of `bins`, 1x1 convolution, back to size, concatenated.

    Input and output as in `FCN`; the map at the backbone's stride is the output of the layer `logits`. The published
    implementations differ in everything that has an argument here; those of hszhao/semseg are the defaults, but for its
    `upsampling="bilinear_align_corners"`.

    Args:
        backbone, num_classes, aux, aux_reduction, name: as in `FCN`.
        features: layer of the backbone, or stage of a ResNet, that the head reads, whatever comes behind it
            (segmentation_models.pytorch: "conv3"); None: the backbone's output.
        bins: rows, and columns, of each pooled map, by PyTorch's windows: any map size will do.
        order: of what is concatenated, of `tfseg.specs.PYRAMID_ORDERS`: "features_first" (features, then bins 1 2 3 6:
            semseg, CSAILVision), "features_last" (bins 1 2 3 6, then features: segmentation_models.pytorch) or
            "reversed" (features, then bins 6 3 2 1: the original in Caffe).
        filters: of the convolution behind the concatenation.
        branch_filters: of each bin's convolution; None: the features' channels divided by the number of bins.
        kernel_sizes: of the convolution behind the concatenation, and of the logits'.
        norm_single_bin: False gives the convolution over a single bin a bias in place of its BatchNorm
            (segmentation_models.pytorch).
        dropout: rate before the logits.
        upsampling: as in `FCN`. The pooled maps are resized so, too; bilinearly where it is a transposed convolution.
    Raises:
        ValueError: as `FCN`; an unknown order.
    Reference: Zhao et al. 2017, https://arxiv.org/abs/1612.01105, section 3.2.
    """
    blocks.check("order", order, specs.PYRAMID_ORDERS)
    features = tap(backbone, features, "the head", f"features={features!r}") if features else check_features(backbone)
    branch_filters = branch_filters or max(1, features.shape[-1] // len(bins))
    resize = interpolation(upsampling)
    pooled = [_branch(features, one, branch_filters, one > 1 or norm_single_bin, resize) for one in bins]
    parts = {
        "features_first": [features, *pooled],
        "features_last": [*pooled, features],
        "reversed": [features, *reversed(pooled)],
    }
    x = Concatenate(name="ppm_concat")(parts[order])
    x = blocks.conv_norm_relu(x, filters, kernel_sizes[0], "head")
    x = Dropout(dropout, name="head_dropout")(x)
    outputs = [
        logits(x, num_classes, kernel_size=kernel_sizes[1]),
        *auxiliary_logits(backbone, aux, num_classes, aux_reduction),
    ]
    return segmenter(backbone, outputs, upsampling, name or f"pspnet_{backbone.name}")


def _branch(x, bins, filters, normed, resize):
    name = f"ppm_{bins}"
    y = AdaptiveAveragePooling(bins, name=f"{name}_pool")(x)
    y = blocks.conv(y, filters, 1, f"{name}_conv", use_bias=not normed)
    y = blocks.norm(y, f"{name}_bn") if normed else y
    return ResizeLike(resize, name=f"{name}_resize")([blocks.relu(y, f"{name}_relu"), x])
