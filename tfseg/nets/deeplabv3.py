"""DeepLab's heads: the same features read at several rates at once (atrous spatial pyramid pooling)."""

from keras.layers import Concatenate, Dropout, GlobalAveragePooling2D

from tfseg.layers import ResizeLike
from tfseg.nets import blocks
from tfseg.nets.heads import auxiliary_logits, check_features, interpolation, logits, segmenter, tap

RATES = {8: (12, 24, 36), 16: (6, 12, 18)}  # by the backbone's output stride


def DeepLabV3(
    backbone,
    num_classes,
    aux=False,
    *,
    rates=RATES[8],
    filters=256,
    pool_first=False,
    project_kernel=1,
    head_kernel=3,
    upsampling="bilinear",
    name=None,
):
    """A backbone with DeepLabV3's head, as torchvision computes it.

    Input and output as in `FCN`; the map at the backbone's stride is the output of the layer `logits`.

    Args:
        backbone, num_classes, aux, upsampling, name: as in `FCN`.
        rates: of the three 3x3 branches: (12, 24, 36) at output stride 8, (6, 12, 18) at 16.
        filters: channels of each branch and of the head.
        pool_first: whether the average over the map comes first in the concatenation (mmsegmentation), or last.
        project_kernel: of the convolution behind the concatenation: 1; 3 in mmsegmentation.
        head_kernel: of the convolution behind that one; None: there is no other (mmsegmentation).
    Raises:
        ValueError: as `FCN`.
    Reference: Chen et al. 2017, https://arxiv.org/abs/1706.05587, section 3.3.
    """
    x = pyramid(check_features(backbone), rates, filters, pool_first=pool_first, project_kernel=project_kernel)
    x = Dropout(0.5, name="aspp_dropout")(x)
    if head_kernel:
        x = blocks.conv_norm_relu(x, filters, head_kernel, "head")
    outputs = [logits(x, num_classes), *auxiliary_logits(backbone, aux, num_classes)]
    return segmenter(backbone, outputs, upsampling, name or f"deeplabv3_{backbone.name}")


def DeepLabV3Plus(
    backbone,
    num_classes,
    aux=False,
    *,
    rates=RATES[8],
    filters=256,
    low_level="conv2",
    low_level_filters=48,
    upsampling="bilinear",
    name=None,
):
    """A backbone with DeepLabV3+'s head, as segmentation_models.pytorch computes it: separable kernels, and a decoder.

    Input and output as in `FCN`; the output of the layer `logits` has the stride of the low-level features, 4.

    Args:
        backbone, num_classes, aux, name: as in `FCN`.
        rates, filters: as in `DeepLabV3`; segmentation_models.pytorch has its (12, 24, 36) at output stride 16, too.
        low_level: layer of the backbone, or stage of a ResNet, that the decoder reads besides.
        low_level_filters: channels that those features are brought to.
        upsampling: as in `FCN`, and of the pyramid's map to the low-level features' size, too; that bilinearly
            where it is a transposed convolution.
    Raises:
        ValueError: as `FCN`; no layer for `low_level`.
    Reference: Chen et al. 2018, https://arxiv.org/abs/1802.02611, section 3.1.
    """
    x = pyramid(check_features(backbone), rates, filters, separable=True)
    x = blocks.separable_norm_relu(Dropout(0.5, name="aspp_dropout")(x), filters, 3, "aspp_out")
    fine = tap(backbone, low_level, "the low-level features", f"low_level={low_level!r}")
    fine = blocks.conv_norm_relu(fine, low_level_filters, 1, "low_level")
    x = ResizeLike(interpolation(upsampling), name="aspp_out_resize")([x, fine])
    x = Concatenate(name="decoder_concat")([x, fine])
    x = blocks.separable_norm_relu(x, filters, 3, "decoder")
    outputs = [logits(x, num_classes), *auxiliary_logits(backbone, aux, num_classes)]
    return segmenter(backbone, outputs, upsampling, name or f"deeplabv3plus_{backbone.name}")


def pyramid(x, rates, filters, *, separable=False, pool_first=False, project_kernel=1):
    """A 1x1 branch, a 3x3 branch for every rate, the average over the map; concatenated and projected."""
    branch = blocks.separable_norm_relu if separable else blocks.conv_norm_relu
    branches = [blocks.conv_norm_relu(x, filters, 1, "aspp_0")]
    for index, rate in enumerate(rates, 1):
        branches.append(branch(x, filters, 3, f"aspp_{index}", dilation_rate=rate))
    y = GlobalAveragePooling2D(keepdims=True, data_format=blocks.CHANNELS_LAST, name="aspp_pool")(x)
    y = blocks.conv_norm_relu(y, filters, 1, "aspp_pool")
    branches.insert(0 if pool_first else len(branches), ResizeLike(name="aspp_pool_resize")([y, x]))
    return blocks.conv_norm_relu(Concatenate(name="aspp_concat")(branches), filters, project_kernel, "aspp_project")
