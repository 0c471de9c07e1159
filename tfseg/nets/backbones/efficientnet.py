"""EfficientNet at any output stride: B0's table of stages, scaled, and a loop."""

import dataclasses
import math
from collections.abc import Mapping

import keras

from tfseg import specs
from tfseg.nets import blocks
from tfseg.nets.backbones.inverted_residuals import InvertedResidual, Norms, classifier, inverted_residual, unit
from tfseg.nets.backbones.named import named_spec
from tfseg.nets.backbones.strides import Step, check_dilation, dilated

PADDINGS = ("symmetric", "same")


def EfficientNet(
    spec: str | specs.EfficientNetSpec = "b0",
    *,
    padding: int | str | None = None,
    epsilon: float | None = None,
    output_stride: int = 32,
    convention: str = "previous",
    width: float = 1.0,
    top_conv: bool = True,
    early_block: str | None = None,
    include_top: bool = False,
    num_classes: int = 1000,
    channels: int = 3,
    name: str | None = None,
) -> keras.Model:
    """EfficientNet-B0 to B7: torchvision's, or TensorFlow's with its one-sided padding.

    Input `(batch, height, width, channels)` float32, preprocessed, any size. Output without the top: the last map,
    `(batch, ceil(height / output_stride), ceil(width / output_stride), 1280)` for B0. Output with the top: logits
    `(batch, num_classes)`.

    Layers have the names of `keras.applications` (`block2a_dwconv`, `block2a_se_reduce`, `top_conv`). Training leaves
    out blocks at random, up to a fifth of them at the end (stochastic depth).

    In a dilated network, squeeze-and-excite averages all pixels; those of `tfseg.dilate` average the pixels of the old
    grid. With padding="same", the old map lies on the dilated one only where all maps have odd sizes, as in
    TensorFlow; `tfseg.dilate` keeps it at every size.

    Args:
        spec: "b0" to "b7" (torchvision's), "tf_efficientnet_b0" to "tf_efficientnet_b7" (TensorFlow's: "same" padding
            and another epsilon); or a `tfseg.specs.EfficientNetSpec`.
        padding: zeros of the convolutions that stride: "symmetric", "same", or a number of pixels (see
            `EfficientNetSpec`); None: those of the spec.
        epsilon: number that every BatchNorm adds to the variance; None: that of the spec.
        output_stride: input pixels per output pixel: 32, 16, 8 or 4. The stages after it are dilated instead of
            strided.
        convention: rate of the layer that lost its stride: "previous", "new" or "one", see `ResNet`.
        width: factor of every channel count, which stays a multiple of 8.
        top_conv: whether the last 1x1 convolution is there; without it the last map of B0 has 320 channels.
        early_block: block from which a dilated network has the rate of the next stage already, such as "block5b"
            (segmentation_models.pytorch's B0); None: each stage has its own.
        include_top: whether an average over the map, dropout and the layer `predictions` follow.
        num_classes: units of `predictions`.
        channels: channels of the input.
        name: name of the model; None: the name of the spec, such as "efficientnet_b0".
    Returns: functional model.
    Raises:
        ValueError: an unknown spec, padding, output stride, convention or block, or a width that is not positive.
    Reference: Tan and Le 2019, https://arxiv.org/abs/1905.11946, section 4; code:
        https://docs.pytorch.org/vision/stable/models/efficientnet.html; TensorFlow's in PyTorch:
        https://github.com/huggingface/pytorch-image-models, `tf_efficientnet_b0`.

    Example:
        >>> model = tfseg.EfficientNet("b0", output_stride=8, width=1 / 8, top_conv=False)
        >>> tuple(model(np.zeros((1, 65, 83, 3))).shape)
        (1, 9, 11, 40)
    """
    title, spec = named_spec("An EfficientNet", spec, specs.EFFICIENTNETS, "efficientnet_")
    check_dilation(output_stride, convention)
    blocks.check_width(width)
    pads = _Pads(spec.padding if padding is None else padding)
    norms = Norms(spec.epsilon if epsilon is None else epsilon, spec.momentum)
    scale = spec.width * width
    image, x = blocks.image_input(channels, "torch")
    x = unit(x, specs.divisible(32 * scale), 3, "stem", norms, "silu", strides=2, padding=pads.next(3, 2))
    rows = _rows(x.shape[-1], spec, scale)
    steps = list(dilated([row.strides for row in rows.values()], 2, output_stride, convention))
    if early_block is not None:
        _dilate_early(steps, rows, early_block)
    for (block, row), step in zip(rows.items(), steps, strict=True):
        x = inverted_residual(x, row, block, norms, step, pads.next(row.kernel_size, row.strides))
    if top_conv:
        x = unit(x, specs.divisible(1280 * scale), 1, "top", norms, "silu")
    if include_top:
        x = classifier(x, num_classes, spec.dropout)
    return keras.Model(image, x, name=name or title)


def _rows(before: int, spec: specs.EfficientNetSpec, scale: float) -> dict[str, InvertedResidual]:
    """Every block by its name: `block2a` is the first one of the second stage."""
    counts = [math.ceil(stage.blocks * spec.depth) for stage in specs.EFFICIENTNET_STAGES]
    rows: dict[str, InvertedResidual] = {}
    for number, (stage, count) in enumerate(zip(specs.EFFICIENTNET_STAGES, counts, strict=True), 1):
        filters = specs.divisible(stage.filters * scale)
        for index in range(count):
            rows[f"block{number}{chr(ord('a') + index)}"] = InvertedResidual(
                before * stage.expansion,
                filters,
                stage.kernel_size,
                "silu",
                squeeze=max(1, before // 4),
                squeeze_activation="silu",
                gate="sigmoid",
                strides=stage.strides if index == 0 else 1,
                dropped=0.2 * len(rows) / sum(counts),
            )
            before = filters
    return rows


def _dilate_early(steps: list[Step], rows: Mapping[str, InvertedResidual], block: str) -> None:
    """Gives the blocks from one on, up to the next that strides, the rate after that one."""
    blocks.check_choice("early_block", block, tuple(rows))
    strides = [row.strides for row in rows.values()]
    first = tuple(rows).index(block)
    after = next((index for index in range(first, len(strides)) if strides[index] > 1), len(strides))
    rate = steps[min(after, len(steps) - 1)].rate
    steps[first:after] = [Step(1, rate, rate, rate)] * (after - first)


@dataclasses.dataclass
class _Pads:
    """The padding of each convolution in turn.

    Attributes:
        padding: "symmetric", "same" or a number, see `tfseg.specs.EfficientNetSpec`.
    """

    padding: int | str

    def __post_init__(self) -> None:
        is_size = isinstance(self.padding, int) and not isinstance(self.padding, bool) and self.padding > 0
        if not is_size and self.padding not in PADDINGS:
            raise ValueError(
                "padding must be 'symmetric', 'same', or the size in pixels of the images for which TensorFlow's "
                f"padding is computed. Received: {self.padding!r}"
            )

    def next(self, kernel_size: int, strides: int) -> blocks.Padding:
        """The padding of the next convolution, if it strides."""
        if self.padding == "symmetric" or strides == 1:
            return None
        if isinstance(self.padding, str):
            return self.padding
        size, self.padding = self.padding, -(-self.padding // strides)
        total = max(0, (self.padding - 1) * strides + kernel_size - size)
        return total // 2, total - total // 2
