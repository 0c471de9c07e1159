"""The variables that every file of a network has, enumerated from its numbers: no model is built for that.

Each function gives variable path -> shape at a width, in Keras layout; 0 stands for any size. Heads are left out, since
files may lack them. So are most BatchNorms: they tell no two networks apart.
"""

import functools
from collections.abc import Iterator

from converters.types import Shape, Shapes
from tfseg import specs

ANY = 0  # size of an axis that the network leaves open


@functools.cache
def vgg(width: float, *, depth: int, batch_norm: bool = False) -> Shapes:
    """The convolutions of a VGG, with the factors of their BatchNorms where it has those.

    Args:
        width: multiplier of the channel counts.
        depth: 11, 13, 16 or 19.
        batch_norm: whether each convolution has a BatchNorm.
    """
    variables: dict[str, Shape] = {}
    before = ANY
    for stage, (count, filters) in enumerate(zip(specs.VGG_CONVS[depth], specs.VGG_FILTERS, strict=True), 1):
        for index in range(1, count + 1):
            layer, after = f"conv{stage}_{index}", specs.scaled(filters, width)
            variables[f"{layer}/kernel"] = (3, 3, before, after)
            variables[f"{layer}/bias"] = (after,)
            if batch_norm:
                variables[f"{layer}_bn/gamma"] = (after,)
            before = after
    return variables


@functools.cache
def oxford_vgg(width: float, *, depth: int) -> Shapes:
    """The convolutions of a VGG and its fully connected `fc6`, which DeepLab reduced to 3x3 in a file of its own."""
    return {**vgg(width, depth=depth), "fc6/kernel": (ANY, ANY)}


@functools.cache
def deeplab_vgg(width: float, *, branches: tuple[str, ...]) -> Shapes:
    """The convolutions of a VGG16, and the 3x3 ones that DeepLab makes of its `fc6`.

    Args:
        width: multiplier of the channel counts.
        branches: names of the layers that read the last map: ("fc6",), or one for each rate.
    """
    return {**vgg(width, depth=16), **{f"{layer}/kernel": (3, 3, ANY, ANY) for layer in branches}}


@functools.cache
def fcn(
    width: float, *, name: str, heads: tuple[str, ...] = ("",), channel_scales: bool = False, resized: bool = False
) -> Shapes:
    """The convolutions of an FCN's VGG16, and the layers that tell the FCNs apart: scores of poolings and upscores.

    Args:
        width: multiplier of the channel counts.
        name: name in `tfseg.specs.FCNS`.
        heads: endings of the layers' names, one for each head.
        channel_scales: whether the factors of the at-once variant are variables.
        resized: whether scores are resized, without upscores.
    """
    variables = dict(vgg(width, depth=16))
    for upscore in specs.FCNS[name]:
        for head in heads:
            size = 2 * upscore.strides
            if not resized:
                variables[f"{upscore.name}{head}/kernel"] = (size, size, ANY, ANY)
            if upscore.skip:
                variables[f"score_{upscore.skip}{head}/kernel"] = (1, 1, ANY, ANY)
        if upscore.skip and channel_scales:
            variables[f"scale_{upscore.skip}/kernel"] = (1, 1, ANY, 1)
    return variables


@functools.cache
def resnet(width: float, *, spec: specs.ResNetSpec) -> Shapes:
    """The convolutions of a ResNet's stem and blocks, with their biases where it has those.

    Args:
        width: multiplier of the channel counts.
        spec: numbers of the network.
    """
    variables: dict[str, Shape] = {}
    before = ANY
    stem = [(f"conv1_{index}_conv", 3, filters) for index, filters in enumerate(spec.stem, 1)]
    for layer, size, filters in stem or [("conv1_conv", 7, spec.stem_filters)]:
        variables[f"{layer}/kernel"] = (size, size, before, specs.scaled(filters, width))
        before = specs.scaled(filters, width)
    if spec.stem_pool == "convolution":
        variables["pool1_conv/kernel"] = (3, 3, before, before)
    for stage, (count, filters) in enumerate(zip(spec.blocks, specs.RESNET_FILTERS, strict=False), 2):
        for block in range(1, count + 1):
            variables |= _residual_block(spec, f"conv{stage}_block{block}", before, filters * width)
            before = specs.scaled(filters * width, spec.expansion)
    if spec.norm == "affine":
        filters_of = {path.removesuffix("_conv/kernel"): shape[-1] for path, shape in variables.items()}
        variables |= {f"{layer}_affine/kernel": (1, 1, count, 1) for layer, count in filters_of.items()}
        variables |= {f"{layer}_affine/bias": (count,) for layer, count in filters_of.items()}
    return variables


def _residual_block(spec: specs.ResNetSpec, block: str, before: int, planes: float) -> Iterator[tuple[str, Shape]]:
    """`(path, shape)` of the convolutions of one block, as `tfseg.nets.resnet.residual_block` builds them."""
    after = specs.scaled(planes, spec.expansion)
    inside = max(1, int(planes * spec.group_width / 64)) * spec.groups if spec.bottleneck else specs.scaled(planes, 1)
    parts = max(1, spec.scales)
    first = specs.first_filters(inside, spec)
    sizes = [(1, before, first * parts), (3, first, inside), (1, inside * parts, after)]
    kernels: dict[str, Shape] = {}
    if before != after:
        kernels["0_conv"] = (*_projection(spec, block), before, after)
    for index, (size, inputs, outputs) in enumerate(
        sizes if spec.bottleneck else [(3, before, inside), (3, inside, after)], 1
    ):
        groups, copies = (spec.groups, max(1, spec.radix)) if size == 3 else (1, 1)
        kernel = (size, size, inputs // (groups * copies), outputs * copies)
        if spec.scales and size == 3:
            kernels |= {f"{index}_{part}_conv": kernel for part in range(1, spec.scales)}
        else:
            kernels[f"{index}_conv"] = kernel
        if copies > 1:
            middle = max(32, (inputs * spec.radix // 4 + 4) // 8 * 8)
            yield from _biased(f"{block}_{index}_attention_1_conv", (1, 1, outputs, middle))
            yield from _biased(f"{block}_{index}_attention_2_conv", (1, 1, middle, outputs * copies))
    if spec.squeeze:
        middle = specs.squeezed(after, spec)
        yield from _biased(f"{block}_se_1_conv", (1, 1, after, middle))
        yield from _biased(f"{block}_se_2_conv", (1, 1, middle, after))
    for layer, shape in kernels.items():
        variables = list(_biased(f"{block}_{layer}", shape))
        yield from variables if spec.biases == "all" else variables[:1]


def _projection(spec: specs.ResNetSpec, block: str) -> tuple[int, int]:
    """Rows and columns of a projection's kernel; the first stage does not stride."""
    size = 1 if block.startswith("conv2") else spec.projection_kernel
    return size, size


def _biased(layer: str, shape: Shape) -> Iterator[tuple[str, Shape]]:
    yield f"{layer}/kernel", shape
    yield f"{layer}/bias", shape[-1:]


@functools.cache
def drn(width: float, *, spec: specs.DRNSpec) -> Shapes:
    """The convolutions of a DRN-C or -D; a DRN-A is a `resnet`.

    Args:
        width: multiplier of the channel counts.
        spec: numbers of the network.
    """
    before = specs.scaled(specs.DRN_FILTERS[0], width)
    variables: dict[str, Shape] = {"level0_conv/kernel": (7, 7, ANY, before)}
    for level, (count, filters) in enumerate(zip(spec.blocks, specs.DRN_FILTERS, strict=True), 1):
        for block in range(1, count + 1):
            name, convolutions = f"level{level}_block{block}", spec.convolutions(level)
            if level <= 6 and convolutions > 1:
                kind = specs.ResNetSpec((), bottleneck=convolutions == 3)
                variables |= _residual_block(kind, name, before, filters * width)
                before = specs.scaled(filters * width, kind.expansion)
                continue
            for index in range(1, convolutions + 1):
                variables[f"{name}_{index}_conv/kernel"] = (3, 3, before, specs.scaled(filters * width, 1))
                before = specs.scaled(filters * width, 1)
    return variables
