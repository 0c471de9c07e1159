"""The kernels that every file of a light or newer backbone has, enumerated from its numbers, as in `variables`."""

import functools

from converters.families.light_trunks import efficientnet_counts
from converters.families.variables import ANY
from converters.types import Shape, Shapes
from tfseg import specs


@functools.cache
def mobilenet_v2(width: float) -> Shapes:
    """The kernels of a MobileNetV2.

    Args:
        width: multiplier of the channel counts.
    """
    before, number = specs.divisible(32 * width), 0
    variables: dict[str, Shape] = {"stem_conv/kernel": (3, 3, ANY, before)}
    for stage in specs.MOBILENETS_V2["mobilenet_v2"]:
        filters = specs.divisible(stage.filters * width)
        for _ in range(stage.blocks):
            number += 1
            variables |= _inverted(f"block{number}", before, before * stage.expansion, filters, 3, squeeze=0)
            before = filters
    return variables | {"top_conv/kernel": (1, 1, before, specs.divisible(1280 * max(1.0, width)))}


MOBILENET_V2_WIDEST = "block17_project_conv/kernel"
"""The kernel of a MobileNetV2 that tells its width: its stem's filters are a multiple of 8, so 44.8 become 48."""


@functools.cache
def mobilenet_v3(width: float, *, name: str) -> Shapes:
    """The kernels of a MobileNetV3.

    Args:
        width: multiplier of the channel counts.
        name: name in `tfseg.specs.MOBILENETS_V3`.
    """
    before = specs.divisible(16 * width)
    variables: dict[str, Shape] = {"stem_conv/kernel": (3, 3, ANY, before)}
    for number, row in enumerate(specs.MOBILENETS_V3[name][0], 1):
        inside, filters = specs.divisible(row.expanded * width), specs.divisible(row.filters * width)
        squeeze = specs.divisible(inside // 4) if row.squeeze else 0
        variables |= _inverted(f"block{number}", before, inside, filters, row.kernel_size, squeeze=squeeze)
        before = filters
    return variables | {"top_conv/kernel": (1, 1, before, 6 * before)}


@functools.cache
def efficientnet(width: float, *, spec: specs.EfficientNetSpec) -> Shapes:
    """The kernels of an EfficientNet without its top.

    Args:
        width: multiplier of the channel counts.
        spec: numbers of the network.
    """
    scale = spec.width * width
    before = specs.divisible(32 * scale)
    variables: dict[str, Shape] = {"stem_conv/kernel": (3, 3, ANY, before)}
    stages = zip(specs.EFFICIENTNET_STAGES, efficientnet_counts(spec), strict=True)
    for number, (stage, count) in enumerate(stages, 1):
        filters = specs.divisible(stage.filters * scale)
        for index in range(count):
            block, inside = f"block{number}{chr(ord('a') + index)}", before * stage.expansion
            squeeze = max(1, before // 4)
            variables |= _inverted(block, before, inside, filters, stage.kernel_size, squeeze=squeeze)
            before = filters
    return variables


def efficientnet_with_top(width: float, *, spec: specs.EfficientNetSpec) -> Shapes:
    """The kernels of an EfficientNet with its last convolution.

    Args:
        width: multiplier of the channel counts.
        spec: numbers of the network.
    """
    variables = efficientnet(width, spec=spec)
    features = list(variables.values())[-1][-1]
    return {**variables, "top_conv/kernel": (1, 1, features, 4 * features)}


def mobilenet_v2_without_top(width: float) -> Shapes:
    """The kernels of a MobileNetV2 without its last convolution.

    Args:
        width: multiplier of the channel counts.
    """
    return {path: shape for path, shape in mobilenet_v2(width).items() if not path.startswith("top_")}


@functools.cache
def xception(width: float, *, name: str) -> Shapes:
    """The kernels of DeepLab's Xception.

    Args:
        width: multiplier of the channel counts.
        name: name in `tfseg.specs.XCEPTIONS`.
    """
    before, after = specs.scaled(32, width), specs.scaled(64, width)
    variables: dict[str, Shape] = {
        "stem_1_conv/kernel": (3, 3, ANY, before),
        "stem_2_conv/kernel": (3, 3, before, after),
    }
    before = after
    for number, row in enumerate(specs.XCEPTIONS[name], 1):
        after = specs.scaled(row.filters[-1], width)
        if row.shortcut and (row.strides > 1 or before != after):
            variables[f"block{number}_0_conv/kernel"] = (1, 1, before, after)
        for index, filters in enumerate(row.filters, 1):
            variables[f"block{number}_{index}_depthwise/kernel"] = (3, 3, before, 1)
            variables[f"block{number}_{index}_conv/kernel"] = (1, 1, before, specs.scaled(filters, width))
            before = specs.scaled(filters, width)
    return variables


@functools.cache
def preactivation_resnet(width: float, *, spec: specs.PreActivationSpec) -> Shapes:
    """The kernels of a ResNet whose norms stand before its convolutions.

    Args:
        width: multiplier of the channel counts.
        spec: numbers of the network.
    """
    before = specs.scaled(64 * spec.factor, width)
    variables: dict[str, Shape] = {"conv0/kernel": (7, 7, ANY, before)}
    for stage, (count, filters) in enumerate(zip(spec.blocks, specs.RESNET_FILTERS, strict=True), 1):
        inside = specs.scaled(filters * spec.factor, width)
        after = 4 * inside if spec.bottleneck else inside
        for unit in range(1, count + 1):
            name = f"stage{stage}_unit{unit}"
            if unit == 1 and not (spec.bare_shortcut and before == after):
                variables[f"{name}_sc/kernel"] = (1, 1, before, after)
            sizes = [(1, before, inside), (3, inside, inside), (1, inside, after)]
            for index, shape in enumerate(sizes if spec.bottleneck else [(3, before, inside), (3, inside, after)], 1):
                variables[f"{name}_conv{index}/kernel"] = (shape[0], *shape)
            before = after
    return variables


@functools.cache
def densenet(width: float, *, spec: specs.DenseNetSpec) -> Shapes:
    """The kernels of a DenseNet.

    Args:
        width: multiplier of the channel counts.
        spec: numbers of the network.
    """
    before, growth = specs.scaled(spec.filters, width), specs.scaled(spec.growth, width)
    variables: dict[str, Shape] = {"stem_conv/kernel": (7, 7, ANY, before)}
    for stage, count in enumerate(spec.layers, 1):
        for layer in range(1, count + 1):
            variables[f"stage{stage}_layer{layer}_1_conv/kernel"] = (1, 1, before, 4 * growth)
            variables[f"stage{stage}_layer{layer}_2_conv/kernel"] = (3, 3, 4 * growth, growth)
            before += growth
        if stage < len(spec.layers):
            variables[f"transition{stage}_conv/kernel"] = (1, 1, before, before // 2)
            before //= 2
    return variables


def _inverted(block: str, before: int, inside: int, after: int, kernel_size: int, *, squeeze: int) -> dict[str, Shape]:
    """The kernels of one inverted residual block."""
    kernels: dict[str, Shape] = {}
    if inside != before:
        kernels["expand_conv"] = (1, 1, before, inside)
    kernels["dwconv"] = (kernel_size, kernel_size, inside, 1)
    if squeeze:
        kernels |= {"se_reduce": (1, 1, inside, squeeze), "se_expand": (1, 1, squeeze, inside)}
    kernels["project_conv"] = (1, 1, inside, after)
    return {f"{block}_{layer}/kernel": shape for layer, shape in kernels.items()}


@functools.cache
def mit(width: float, *, spec: specs.MiTSpec, joined: bool = True, joined_query: bool = False) -> Shapes:
    """The kernels of a MiT.

    Args:
        width: multiplier of the channel counts.
        spec: numbers of the network.
        joined: whether keys and values are one layer.
        joined_query: whether queries, keys and values are one layer.
    """
    answers = {"query": 1, **({"key_value": 2} if joined else {"key": 1, "value": 1})}
    if joined_query:
        answers = {"projections": 3}
    variables: dict[str, Shape] = {}
    before = ANY
    stages = zip(specs.MIT_PATCHES, spec.filters, spec.blocks, spec.heads, spec.reductions, strict=True)
    for stage, ((size, _), filters, count, heads, reduction) in enumerate(stages, 1):
        after = specs.scaled(filters / heads, width) * heads
        variables[f"stage{stage}_patch_conv/kernel"] = (size, size, before, after)
        for block in range(1, count + 1):
            kernels: dict[str, Shape] = {
                **{f"attention_{part}": (after, times * after) for part, times in answers.items()},
                "attention_out": (after, after),
                "mlp_1": (after, spec.expansion * after),
                "mlp_dwconv": (3, 3, spec.expansion * after, 1),
                "mlp_2": (spec.expansion * after, after),
            }
            if reduction > 1:
                kernels["attention_reduce_conv"] = (reduction, reduction, after, after)
            variables |= {f"stage{stage}_block{block}_{layer}/kernel": shape for layer, shape in kernels.items()}
        before = after
    return variables
