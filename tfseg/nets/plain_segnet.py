"""SegNet: a VGG16 whose poolings remember where their maxima were, and a decoder that puts them back there."""

import keras

from tfseg import specs
from tfseg.layers import MaximumPlaces, Unpooling
from tfseg.nets import blocks
from tfseg.nets.heads import logits
from tfseg.nets.vgg import stage_convs
from tfseg.types import Tensor

_DEPTH = 16


def PlainSegNet(
    num_classes: int = 21,
    *,
    last_convs: int = 1,
    logits_norm: bool = False,
    width: float = 1.0,
    channels: int = 3,
    name: str | None = None,
) -> keras.Model:
    """SegNet on VGG16 with BatchNorm.

    Input `(batch, height, width, channels)` float32, preprocessed, at least 32 pixels on each side. Output logits
    `(batch, height, width, num_classes)` float32. An odd last row or column is in no pooling's window; there the
    decoder puts zeros.

    Layers: those of `VGG` with BatchNorm, `conv1_1` to `conv5_3`; `decoder_5_1_conv` to `decoder_1_1_conv`, coarsest
    first, each with its `_bn`; `logits`.

    Args:
        num_classes: channels of the logits.
        last_convs: number of convolutions between the last unpooling and that of the scores (yassouali: 2).
        logits_norm: whether BatchNorm and ReLU follow the scores, which are then never negative
            (meetps/pytorch-semseg).
        width: factor of every channel count.
        channels: channels of the input.
        name: name of the model; None: "plain_segnet".
    Returns: functional model.
    Raises:
        ValueError: a width that is not positive.
    Reference: Badrinarayanan et al. 2017, https://arxiv.org/abs/1511.00561; code:
        https://github.com/yassouali/pytorch-segmentation: models/segnet.py,
        https://github.com/meetps/pytorch-semseg: ptsemseg/models/segnet.py.

    Example:
        >>> model = tfseg.PlainSegNet(5, width=1 / 16)
        >>> tuple(model(np.zeros((1, 65, 83, 3))).shape)
        (1, 65, 83, 5)
    """
    blocks.check_width(width)
    image, x = blocks.image_input(channels, "torch")
    maps: list[tuple[Tensor, Tensor]] = []
    for stage in range(1, 6):
        x = stage_convs(x, _DEPTH, stage, width=width, batch_norm=True)
        maps.append((x, MaximumPlaces(2, name=f"pool{stage}_places")(x)))
        x = blocks.max_pool(x, 2, f"pool{stage}")
    *rows, last = specs.SEGNETS["plain_segnet"]
    for stage, filters in zip(range(5, 0, -1), [*rows, last * last_convs], strict=True):
        finer, places = maps[stage - 1]
        x = Unpooling(([2, 1], [2, 2]), name=f"unpool{stage}")([x, places, finer])
        for index, count in enumerate(filters, 1):
            x = blocks.conv_norm_relu(x, specs.scaled(count, width), 3, f"decoder_{stage}_{index}", use_bias=True)
    x = logits(x, num_classes, kernel_size=3)
    if logits_norm:
        x = blocks.relu(blocks.norm(x, "logits_bn"), "logits_relu")
    return keras.Model(image, keras.layers.Identity(name="score", dtype="float32")(x), name=name or "plain_segnet")
