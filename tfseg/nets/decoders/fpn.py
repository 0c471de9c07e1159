"""Feature pyramid network for segmentation, on any classifier."""

from collections.abc import Sequence

import keras
from keras.layers import Add, Concatenate, SpatialDropout2D

from tfseg import specs
from tfseg.layers import GroupNormalization, Rescale, ResizeLike
from tfseg.nets import blocks
from tfseg.nets.decoders.pyramid import ALIGNED, levels, segmenter
from tfseg.types import Tensor

MERGES = ("add", "cat")
FORMS = ("pytorch", "keras", "mmsegmentation")


def FPN(
    backbone: keras.Model,
    num_classes: int,
    *,
    pyramid_filters: int = 256,
    filters: int = 128,
    groups: int = 32,
    merge: str = "add",
    dropout: float = 0.2,
    taps: Sequence[str] | None = None,
    interpolation: str = "nearest",
    upsampling: str = ALIGNED,
    form: str = "pytorch",
    head_epsilon: float = 1e-5,
    name: str | None = None,
) -> keras.Model:
    """Panoptic FPN's semantic branch, as segmentation_models.pytorch or segmentation_models for Keras builds it.

    Output logits `(batch, height, width, num_classes)` float32 of the input's size; the output of the layer `logits`
    has stride 4. The maps of stride 4 and more become a pyramid `p2` ... `p5`, each level plus the enlarged one above
    it. Every level is brought to stride 4 by 3x3 convolutions with GroupNorm and ReLU (`seg<n>_<i>_conv`). There are
    as many as levels below it, each followed by an enlargement. Then all levels are merged. A dilated
    backbone has fewer levels.

    `form="keras"` is finer. The coarsest map is only enlarged and added, so the levels have strides 16 to 2. Each has
    two 3x3 convolutions with BatchNorm and ReLU, and is enlarged to stride 2 in one step. After the merge, one more
    such convolution follows (`final_conv`). Its map is enlarged to the image, and a 3x3 kernel makes the logits there.

    `form="mmsegmentation"` is the first form with BatchNorm. A 3x3 convolution (`p<n>_out`) stands between each level
    and its branch. Branches become twice as large by each of their enlargements.

    Args:
        backbone: functional classifier, see `Unet`.
        num_classes: channels of the logits, background included.
        pyramid_filters: channels of the pyramid.
        filters: channels of each level at stride 4.
        groups: groups of every GroupNorm; they divide `filters`. The other forms have none.
        merge: "add" or "cat": whether the levels are added or concatenated.
        dropout: rate at which channels are left out before the logits.
        taps: layers whose maps are read, finest first; None: the last map of every stride. Strides below 4 are left
            out, or below 2 in the Keras form.
        interpolation: how levels of the pyramid are enlarged, a name of `tfseg.specs.INTERPOLATIONS`.
        upsampling: how the logits, or the last map of the Keras form, are enlarged to the input's size: a name of
            `tfseg.specs.INTERPOLATIONS`.
        form: "pytorch", "keras" or "mmsegmentation", see above.
        head_epsilon: epsilon of the Keras form's BatchNorms; segmentation_models for Keras has 1e-3.
        name: name of the model; None: "fpn_" and the backbone's name.
    Returns: functional model.
    Raises:
        ValueError: a backbone with fewer than two strides of 4 or more; a layer of `taps` that it lacks; groups that do
            not divide `filters`; or an unknown merge, form, interpolation or upsampling.
    Reference: Kirillov et al. 2019, https://arxiv.org/abs/1901.02446, section 3.1; code:
        https://github.com/qubvel-org/segmentation_models.pytorch, decoders/fpn.

    Example:
        >>> model = tfseg.FPN(tfseg.ResNet(18, width=1 / 16), num_classes=5, pyramid_filters=16, filters=8, groups=4)
        >>> tuple(model(np.zeros((1, 65, 83, 3))).shape)
        (1, 65, 83, 5)
    """
    blocks.check_choice("merge", merge, MERGES)
    blocks.check_choice("form", form, FORMS)
    if form == "keras":
        blocks.check_choice("upsampling", upsampling, specs.INTERPOLATIONS)
        x = _keras_form(backbone, taps, pyramid_filters, filters, merge, dropout, interpolation, head_epsilon)
        x = ResizeLike(upsampling, name="final_resize")([x, backbone.inputs[0]])
        title = name or f"fpn_{backbone.name}"
        return segmenter(backbone, x, num_classes, title, kernel_size=3, upsampling=None)
    if form == "pytorch" and filters % groups:
        raise ValueError(f"groups must divide filters. Received: filters={filters}, groups={groups}")
    sources = levels(backbone, taps, "FPN", finest=4, count=2)
    numbers = range(2, 2 + len(sources))
    pyramid: list[Tensor] = []
    for number, level in reversed([*zip(numbers, sources, strict=True)]):
        x = blocks.conv(level.map, pyramid_filters, 1, f"p{number}", use_bias=True)
        if pyramid:
            coarser = ResizeLike(interpolation, name=f"p{number}_resize")([pyramid[0], level.map])
            x = Add(name=f"p{number}_add")([coarser, x])
        pyramid.insert(0, x)
    if form == "mmsegmentation":
        branches = [
            _doubled_branch(x, pyramid[0], number, pyramid_filters, filters)
            for number, x in zip(numbers, pyramid, strict=True)
        ]
    else:
        branches = [_branch(pyramid[: number - 1], filters, groups, f"seg{number}") for number in numbers][::-1]
    join = Add(name="merge") if merge == "add" else Concatenate(name="merge")
    x = SpatialDropout2D(dropout, name="dropout", data_format=blocks.CHANNELS_LAST)(join(branches))
    return segmenter(backbone, x, num_classes, name or f"fpn_{backbone.name}", upsampling=upsampling)


def _keras_form(
    backbone: keras.Model,
    taps: Sequence[str] | None,
    pyramid_filters: int,
    filters: int,
    merge: str,
    dropout: float,
    interpolation: str,
    epsilon: float,
) -> Tensor:
    """The last map of the Keras form, of stride 2."""
    *finer, coarsest = levels(backbone, taps, "FPN", count=2)
    x: Tensor = coarsest.map
    branches: list[Tensor] = []
    for number, level in zip(range(len(finer) + 1, 1, -1), reversed(finer), strict=True):
        if x.shape[-1] != pyramid_filters:
            x = blocks.conv(x, pyramid_filters, 1, f"p{number}_pre", use_bias=True)
        beside = blocks.conv(level.map, pyramid_filters, 1, f"p{number}", use_bias=True)
        x = ResizeLike(interpolation, name=f"p{number}_resize")([x, level.map])
        x = Add(name=f"p{number}_add")([x, beside])
        branch = x
        for index in range(2):
            branch = blocks.conv_norm_relu(branch, filters, 3, f"seg{number}_{index}", epsilon=epsilon)
        if level is not finer[0]:
            branch = ResizeLike("nearest", name=f"seg{number}_resize")([branch, finer[0].map])
        branches.insert(0, branch)
    join = Add(name="merge") if merge == "add" else Concatenate(name="merge")
    x = join(branches) if len(branches) > 1 else branches[0]
    x = SpatialDropout2D(dropout, name="dropout", data_format=blocks.CHANNELS_LAST)(x)
    return blocks.conv_norm_relu(x, filters, 3, "final", epsilon=epsilon)


def _doubled_branch(x: Tensor, finest: Tensor, number: int, pyramid_filters: int, filters: int) -> Tensor:
    """mmsegmentation's branch of a level: level 2 is the finest."""
    x, name = blocks.conv(x, pyramid_filters, 3, f"p{number}_out", use_bias=True), f"seg{number}"
    for index in range(max(1, number - 2)):
        x = blocks.conv_norm_relu(x, filters, 3, f"{name}_{index}")
        if number > 2:
            x = Rescale(2, name=f"{name}_{index}_resize")(x)
    return ResizeLike(name=f"{name}_resize")([x, finest]) if number > 2 else x


def _branch(finer: Sequence[Tensor], filters: int, groups: int, name: str) -> Tensor:
    """The coarsest of some levels at the size of the finest."""
    *targets, x = finer
    for index in range(max(1, len(targets))):
        x = blocks.conv(x, filters, 3, f"{name}_{index}_conv")
        x = GroupNormalization(groups, epsilon=1e-5, name=f"{name}_{index}_gn")(x)
        x = blocks.relu(x, f"{name}_{index}_relu")
        if targets:
            x = ResizeLike(ALIGNED, name=f"{name}_{index}_resize")([x, targets[-1 - index]])
    return x
