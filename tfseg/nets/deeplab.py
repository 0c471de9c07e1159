"""DeepLab's heads: the same features read at several rates at once (atrous spatial pyramid pooling)."""

from keras.layers import Concatenate, Dropout, GlobalAveragePooling2D

from tfseg.layers import ResizeLike
from tfseg.nets import blocks
from tfseg.nets.heads import auxiliary_logits, check_features, logits, segmenter

RATES = {8: (12, 24, 36), 16: (6, 12, 18)}  # by the backbone's output stride


def DeepLabV3(backbone, num_classes, aux=False, *, rates=RATES[8], filters=256, upsampling="bilinear", name=None):
    """A backbone with DeepLabV3's head, as torchvision computes it.

    Input and output as in `FCN`; the map at the backbone's stride is the output of the layer `logits`.

    Args:
        backbone, num_classes, aux, upsampling, name: as in `FCN`.
        rates: of the three 3x3 branches: (12, 24, 36) at output stride 8, (6, 12, 18) at 16.
        filters: channels of each branch and of the head.
    Raises:
        ValueError: as `FCN`.
    Reference: Chen et al. 2017, https://arxiv.org/abs/1706.05587, section 3.3.
    """
    features = check_features(backbone)
    x = pyramid(features, rates, filters)
    x = blocks.conv_norm_relu(Dropout(0.5, name="aspp_dropout")(x), filters, 3, "head")
    outputs = [logits(x, num_classes), *auxiliary_logits(backbone, aux, num_classes)]
    return segmenter(backbone, outputs, upsampling, name or f"deeplabv3_{backbone.name}")


def pyramid(x, rates, filters):
    """A 1x1 branch, a 3x3 branch for every rate, the average over the map; concatenated and projected."""
    branches = [blocks.conv_norm_relu(x, filters, 1, "aspp_0")]
    for index, rate in enumerate(rates, 1):
        branches.append(blocks.conv_norm_relu(x, filters, 3, f"aspp_{index}", dilation_rate=rate))
    y = GlobalAveragePooling2D(keepdims=True, data_format=blocks.CHANNELS_LAST, name="aspp_pool")(x)
    y = blocks.conv_norm_relu(y, filters, 1, "aspp_pool")
    branches.append(ResizeLike(name="aspp_pool_resize")([y, x]))
    return blocks.conv_norm_relu(Concatenate(name="aspp_concat")(branches), filters, 1, "aspp_project")
