"""The kernels that every file of an HRNet, a Xception, a ResNetV2, a plain U-Net or a SegNet has, as in `variables`."""

import functools
import itertools

from converters.families.variables import ANY, vgg
from converters.types import Shape, Shapes
from tfseg import specs


@functools.cache
def hrnet(width: float, *, spec: specs.HRNetSpec, top: bool = False) -> Shapes:
    """The kernels of an HRNet.

    Args:
        width: multiplier of the channel counts.
        spec: numbers of the network.
        top: whether its classifier's last convolution is among them.
    """
    stem = specs.scaled(64, width)
    variables: dict[str, Shape] = {"stem_1_conv": (3, 3, ANY, stem), "stem_2_conv": (3, 3, stem, stem)}
    before = stem
    for block in range(1, spec.first_blocks + 1):
        after = specs.scaled(64 * width, 4)
        if before != after:
            variables[f"stage1_block{block}_0_conv"] = (1, 1, before, after)
        sizes = ((1, before, stem), (3, stem, stem), (1, stem, after))
        for index, (size, inside, outside) in enumerate(sizes, 1):
            variables[f"stage1_block{block}_{index}_conv"] = (size, size, inside, outside)
        before = after
    maps = [before]
    for stage, row in enumerate(spec.stages, 2):
        filters = [specs.scaled(spec.filters * 2**branch, width) for branch in range(stage)]
        for index, (inside, outside) in enumerate(zip([*maps, maps[-1]], filters, strict=True), 1):
            if index == stage or inside != outside:
                variables[f"transition{stage - 1}_{index}_conv"] = (3, 3, inside, outside)
        for module in range(1, row.modules + 1):
            variables |= _hrnet_module(f"stage{stage}_module{module}", filters, row.blocks)
        maps = filters
    if top:
        variables["top_conv"] = (1, 1, specs.scaled(4 * specs.HRNET_TOP[-2], width), specs.scaled(2048, width))
    return {f"{layer}/kernel": shape for layer, shape in variables.items()}


def _hrnet_module(name: str, filters: list[int], blocks: int) -> dict[str, Shape]:
    """The layers of one module: the blocks of each branch, and what one branch takes from another."""
    layers: dict[str, Shape] = {}
    for branch, count in enumerate(filters, 1):
        for block, index in itertools.product(range(1, blocks + 1), (1, 2)):
            layers[f"{name}_branch{branch}_block{block}_{index}_conv"] = (3, 3, count, count)
    for target, source in itertools.permutations(range(len(filters)), 2):
        path = f"{name}_fuse{target + 1}_from{source + 1}"
        if source > target:
            layers[f"{path}_conv"] = (1, 1, filters[source], filters[target])
        for step in range(1, target - source + 1):
            outside = filters[target] if step == target - source else filters[source]
            layers[f"{path}_{step}_conv"] = (3, 3, filters[source], outside)
    return layers


@functools.cache
def xception(width: float, *, name: str) -> Shapes:
    """The kernels of DeepLab's Xception.

    Args:
        width: multiplier of the channel counts.
        name: name in `tfseg.specs.XCEPTIONS`.
    """
    before = specs.scaled(64, width)
    stem = specs.scaled(32, width)
    variables: dict[str, Shape] = {"stem_1_conv": (3, 3, ANY, stem), "stem_2_conv": (3, 3, stem, before)}
    for number, row in enumerate(specs.XCEPTIONS[name], 1):
        after = specs.scaled(row.filters[-1], width)
        if row.shortcut and (row.strides > 1 or before != after):
            variables[f"block{number}_0_conv"] = (1, 1, before, after)
        for index, filters in enumerate(row.filters, 1):
            variables[f"block{number}_{index}_depthwise"] = (3, 3, before, 1)
            variables[f"block{number}_{index}_conv"] = (1, 1, before, specs.scaled(filters, width))
            before = specs.scaled(filters, width)
    return {f"{layer}/kernel": shape for layer, shape in variables.items()}


@functools.cache
def resnetv2(width: float, *, spec: specs.PreActivationSpec) -> Shapes:
    """The kernels of a residual network whose norms stand before its convolutions.

    Args:
        width: multiplier of the channel counts.
        spec: numbers of the network.
    """

    def scaled(count: int) -> int:
        filters = specs.scaled(count * spec.factor, width)
        return -(-filters // 32) * 32 if spec.standardized else filters

    before = scaled(64)
    variables: dict[str, Shape] = {"conv0": (7, 7, ANY, before)}
    for stage, (count, planes) in enumerate(zip(spec.blocks, specs.RESNET_FILTERS, strict=True), 1):
        inside = scaled(planes)
        after = 4 * inside if spec.bottleneck else inside
        for unit in range(1, count + 1):
            name = f"stage{stage}_unit{unit}"
            if unit == 1 and not (spec.bare_shortcut and before == after):
                variables[f"{name}_sc"] = (1, 1, before, after)
            sizes = ((1, before, inside), (3, inside, inside), (1, inside, after))
            basic = ((3, before, inside), (3, inside, after))
            for index, (size, inputs, outputs) in enumerate(sizes if spec.bottleneck else basic, 1):
                variables[f"{name}_conv{index}"] = (size, size, inputs, outputs)
            before = after
    return {f"{layer}/kernel": shape for layer, shape in variables.items()}


@functools.cache
def plain_unet(width: float, *, bilinear: bool = False, form: str = "milesial") -> Shapes:
    """The kernels of a U-Net without a classifier inside, as `tfseg.PlainUnet` builds them.

    Args:
        width: multiplier of the channel counts.
        bilinear: whether maps are enlarged bilinearly.
        form: name in `tfseg.specs.UNET_FORMS`.
    """
    filters = [specs.scaled(count, width) for count in specs.UNETS["plain_unet"]]
    if bilinear:
        filters[-1] //= 2
    kind = specs.UNET_FORMS[form]
    variables: dict[str, Shape] = {}
    before = ANY
    for index, count in enumerate(filters):
        variables |= _two(f"encoder_{index}", before, count, count, kind)
        before = count
    if kind.pool_last:
        variables |= _two("middle", before, before, before, kind)
    for index, beside in enumerate(reversed(filters[:-1])):
        if not bilinear:
            variables[f"decoder_{index}_up"] = (2, 2, before // 2, before)
        after = beside // 2 if bilinear and index < len(filters) - 2 else beside
        variables |= _two(f"decoder_{index}", beside + (before if bilinear else before // 2), beside, after, kind)
        before = after
    return {f"{layer}/kernel": shape for layer, shape in variables.items()}


def _two(target: str, before: int, middle: int, after: int, form: specs.UnetForm) -> dict[str, Shape]:
    middle = after // 2 if form.half_first else middle
    return {f"{target}_conv1_conv": (3, 3, before, middle), f"{target}_conv2_conv": (3, 3, middle, after)}


@functools.cache
def segnet(width: float, *, last_convs: int) -> Shapes:
    """The kernels of a SegNet on VGG16, without that of the scores.

    Args:
        width: multiplier of the channel counts.
        last_convs: number of convolutions between the last unpooling and the scores.
    """
    variables = dict(vgg(width, depth=16))
    before = specs.scaled(specs.VGG_FILTERS[-1], width)
    *rows, last = specs.SEGNETS["plain_segnet"]
    for stage, filters in zip(range(5, 0, -1), [*rows, last * last_convs], strict=True):
        for index, count in enumerate(filters, 1):
            variables[f"decoder_{stage}_{index}_conv/kernel"] = (3, 3, before, specs.scaled(count, width))
            before = specs.scaled(count, width)
    return variables
