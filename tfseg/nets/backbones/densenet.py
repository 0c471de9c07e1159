"""DenseNet: each layer reads the maps of all layers of its stage before it: a table of stages and a loop."""

import keras
from keras.layers import AveragePooling2D, Concatenate, ZeroPadding2D

from tfseg import specs
from tfseg.layers import GlobalAveragePooling, LastMap
from tfseg.nets import blocks
from tfseg.nets.backbones.named import named_spec
from tfseg.types import Tensor


def DenseNet(
    spec: str | specs.DenseNetSpec = "121",
    *,
    width: float = 1.0,
    include_top: bool = False,
    num_classes: int = 1000,
    channels: int = 3,
    name: str | None = None,
) -> keras.Model:
    """DenseNet-121, -161, -169 and -201, as torchvision computes them.

    Input `(batch, height, width, channels)` float32, preprocessed, any size of at least 32 pixels. Output without the
    top: the last map, `(batch, floor(height / 32), floor(width / 32), 1024)` for DenseNet-121 at sides that are
    multiples of 4. Output with the top: logits `(batch, num_classes)`.

    Decoders read the stem, the map at the end of each stage after its norm and ReLU (`transition1_out` to
    `transition3_out`), and the last map. `tfseg.dilate` gives other output strides.

    Args:
        spec: "121", "161", "169" or "201"; or a `tfseg.specs.DenseNetSpec`.
        width: factor of every channel count.
        include_top: whether an average over the map and the layer `predictions` follow.
        num_classes: units of `predictions`.
        channels: channels of the input.
        name: name of the model; None: the name of the spec, such as "densenet121".
    Returns: functional model.
    Raises:
        ValueError: an unknown spec, or a width that is not positive.
    Reference: Huang et al. 2017, https://arxiv.org/abs/1608.06993, table 1; code:
        https://github.com/pytorch/vision/blob/main/torchvision/models/densenet.py.

    Example:
        >>> model = tfseg.DenseNet("121", width=1 / 16)
        >>> tuple(model(np.zeros((1, 64, 96, 3))).shape)
        (1, 2, 3, 64)
    """
    title, spec = named_spec("A DenseNet", spec, specs.DENSENETS, "densenet")
    blocks.check_width(width)
    growth = specs.scaled(spec.growth, width)
    image, x = blocks.image_input(channels, "torch")
    x = blocks.conv_norm_relu(x, specs.scaled(spec.filters, width), 7, "stem", strides=2)
    # Zeros are as good as minus infinity before this pooling: its input comes from a ReLU.
    x = blocks.max_pool(ZeroPadding2D(1, data_format=blocks.CHANNELS_LAST, name="pool1_pad")(x), 3, "pool1_pool")
    for stage, count in enumerate(spec.layers, 1):
        for layer in range(1, count + 1):
            x = _dense_layer(x, growth, f"stage{stage}_layer{layer}")
        if stage < len(spec.layers):
            x = LastMap(name=f"transition{stage}_out")(_norm_relu(x, f"transition{stage}"))
            x = blocks.conv(x, x.shape[-1] // 2, 1, f"transition{stage}_conv")
            x = AveragePooling2D(2, data_format=blocks.CHANNELS_LAST, name=f"transition{stage}_pool")(x)
    x = _norm_relu(x, "top")
    if include_top:
        x = GlobalAveragePooling(name="avg_pool")(x)
        x = blocks.dense(x, num_classes, "predictions")
    return keras.Model(image, x, name=name or title)


def _dense_layer(x: Tensor, growth: int, name: str) -> Tensor:
    """A 1x1 and a 3x3 convolution, each after a norm and a ReLU; the result stands after what they read."""
    y = blocks.conv(_norm_relu(x, f"{name}_1"), 4 * growth, 1, f"{name}_1_conv")
    y = blocks.conv(_norm_relu(y, f"{name}_2"), growth, 3, f"{name}_2_conv")
    return Concatenate(name=f"{name}_concat")([x, y])


def _norm_relu(x: Tensor, name: str) -> Tensor:
    return blocks.relu(blocks.norm(x, f"{name}_bn"), f"{name}_relu")
