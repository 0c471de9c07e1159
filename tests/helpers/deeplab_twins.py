"""DeepLabs of four public repositories in torch, made from their descriptions, under the names of their files."""

import dataclasses

import torch
from helpers import drn_twin, xception_twin
from helpers.torchvision_cpu import import_torchvision
from torch import nn
from torch.nn import functional

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


@dataclasses.dataclass(frozen=True)
class Style:
    """How one repository names and computes.

    Attributes:
        names: paths of the head's modules, a convolution and its norm at a time: the pyramid's four branches, its
            average, its projection, the low-level features, and the convolutions of the decoder.
        last: path of the last convolution.
        plus: whether low-level features are read.
        aligned: whether maps are enlarged with aligned corners.
        low_first: whether the low-level features come first.
        biases: whether convolutions before norms have biases.
        nested: whether a convolution of MobileNetV2 has a sequence of its own.
        pad_first: whether a block of MobileNetV2 pads its input.
        stem_padding: padding of MobileNetV2's first convolution.
        parts: names of MobileNetV2's two parts.
        late: whether all blocks of a stage have the rate of the stage before.
        twice: whether the blocks have a third name.
        grid: whether the rates of a ResNet's last blocks grow.
    """

    names: tuple[tuple[str, str], ...]
    last: str
    plus: bool = True
    aligned: bool = True
    low_first: bool = False
    biases: bool = False
    nested: bool = False
    pad_first: bool = False
    stem_padding: int = 1
    parts: tuple[str, str] = ("features", "features")
    late: bool = False
    twice: bool = False
    grid: bool = False


def pairs(*texts):
    """Paths of convolution and norm: "aspp.0 1" stands for aspp.0 and aspp.1."""
    return tuple((first, f"{first.rpartition('.')[0]}.{last}".lstrip(".")) for first, last in map(str.split, texts))


def _vainf(pyramid):
    branches = [f"{pyramid}.convs.{branch}.0 1" for branch in range(4)]
    return (*branches, f"{pyramid}.convs.4.1 2", f"{pyramid}.project.0 1")


_CUT = ("low_level_features", "high_level_features")
_OLD = {"nested": True, "pad_first": True, "stem_padding": 0, "parts": _CUT}
STYLES = {
    "vainf v3": Style(
        pairs(*_vainf("classifier.classifier.0"), "classifier.classifier.1 2"),
        "classifier.classifier.4",
        plus=False,
        aligned=False,
        **_OLD,
    ),
    "vainf v3+": Style(
        pairs(*_vainf("classifier.aspp"), "classifier.project.0 1", "classifier.classifier.0 1"),
        "classifier.classifier.3",
        aligned=False,
        low_first=True,
        **_OLD,
    ),
    "jfzhang95": Style(
        pairs(
            *(f"aspp.aspp{branch}.atrous_conv bn" for branch in (1, 2, 3, 4)),
            *("aspp.global_avg_pool.1 2", "aspp.conv1 bn1", "decoder.conv1 bn1"),
            *("decoder.last_conv.0 1", "decoder.last_conv.4 5"),
        ),
        "decoder.last_conv.8",
        pad_first=True,
        parts=_CUT,
        late=True,
        twice=True,
        grid=True,
    ),
    "chenxi116": Style(
        pairs(
            *(f"aspp.aspp{branch} aspp{branch}_bn" for branch in (1, 2, 3, 4, 5)),
            "aspp.conv2 bn2",
        ),
        "aspp.conv3",
        plus=False,
        nested=True,
    ),
    "yassouali": Style(
        pairs(
            *(f"ASSP.aspp{branch}.0 1" for branch in (1, 2, 3, 4)),
            *("ASSP.avg_pool.1 2", "ASSP.conv1 bn1", "decoder.conv1 bn1"),
            *("decoder.output.0 1", "decoder.output.3 4"),
        ),
        "decoder.output.7",
        low_first=True,
    ),
    "bubbliiiing": Style(
        pairs(
            *(f"aspp.branch{branch}.0 1" for branch in (1, 2, 3, 4)),
            *("aspp.branch5_conv branch5_bn", "aspp.conv_cat.0 1"),
            *("shortcut_conv.0 1", "cat_conv.0 1", "cat_conv.4 5"),
        ),
        "cls_conv",
        biases=True,
    ),
}


class Block(nn.Module):
    """One block of MobileNetV2."""

    def __init__(self, style, inside, expansion, outside, stride, rate):
        super().__init__()
        wide = inside * expansion
        self.pad, padding = (rate, 0) if style.pad_first else (0, rate)
        parts = [] if expansion == 1 else [(nn.Conv2d(inside, wide, 1, bias=False), wide)]
        parts.append((nn.Conv2d(wide, wide, 3, stride, padding, rate, groups=wide, bias=False), wide))
        units = [(conv, nn.BatchNorm2d(channels), nn.ReLU6()) for conv, channels in parts]
        listed = (
            [nn.Sequential(*unit) for unit in units] if style.nested else [layer for unit in units for layer in unit]
        )
        self.conv = nn.Sequential(*listed, nn.Conv2d(wide, outside, 1, bias=False), nn.BatchNorm2d(outside))
        self.adds = stride == 1 and inside == outside

    def forward(self, x):
        y = self.conv(functional.pad(x, (self.pad,) * 4))
        return x + y if self.adds else y


class MobileNet(nn.Module):
    """MobileNetV2 without its last convolution: a list of blocks with one or two names."""

    def __init__(self, style, output_stride):
        super().__init__()
        stem = nn.Conv2d(3, 32, 3, 2, style.stem_padding, bias=False), nn.BatchNorm2d(32), nn.ReLU6()
        blocks, before, stride, rate = [nn.Sequential(*stem)], 32, 2, 1
        for expansion, filters, count, step in STAGES:
            old = rate
            if stride == output_stride:
                rate, step = rate * step, 1
            stride *= step
            for index in range(count):
                taken = old if index == 0 or style.late else rate
                blocks.append(Block(style, before, expansion, filters, step if index == 0 else 1, taken))
                before = filters
        if style.twice:
            self.features = nn.Sequential(*blocks)
        for name in dict.fromkeys(style.parts):
            setattr(self, name, nn.Module())
        for index, block in enumerate(blocks):
            getattr(self, style.parts[index > 3]).add_module(str(index), block)
        self.blocks = [blocks]  # in a list, so that they have no further name

    def forward(self, x):
        maps = [x]
        for block in self.blocks[0]:
            maps.append(block(maps[-1]))
        return maps[4], maps[-1]


def resnet(name, output_stride, new, grid):
    """torchvision's ResNet without its top; with `new`, yassouali's rates, or with `grid` jfzhang95's."""
    replaced = [False, output_stride == 8, True]
    module = getattr(import_torchvision().models, name)(weights=None, replace_stride_with_dilation=replaced)
    del module.fc
    rates = {"layer3": 2, "layer4": 4} if output_stride == 8 else {"layer4": 2}
    for stage, rate in rates.items() if new else ():
        factors = (1, 2, 4) if grid and stage == "layer4" else (1,) * 99
        for block, factor in zip(getattr(module, stage), factors, strict=False):
            block.conv2.dilation = block.conv2.padding = (rate * factor,) * 2

    def forward(image):
        fine = module.layer1(module.maxpool(module.bn1(module.conv1(image)).relu()))
        return fine, module.layer4(module.layer3(module.layer2(fine)))

    module.forward = forward
    return module


class DRN(nn.Module):
    """DRN-D-54, and the map of its third level."""

    def __init__(self):
        super().__init__()
        for name, module in drn_twin.trunk("drn_d_54", 1)[0].items():
            self.add_module(name, module)

    def forward(self, x):
        maps = [x]
        for level in self.children():
            maps.append(level(maps[-1]))
        return maps[4], maps[-1]


class DeepLab(nn.Module):
    """DeepLabV3 or DeepLabV3+ in a style of `STYLES`, on "mobilenet", "drn", "xception" or a ResNet of torchvision."""

    def __init__(self, style, backbone="mobilenet", num_classes=5, output_stride=16):
        super().__init__()
        name, self.style = style, STYLES[style]
        style = self.style
        builders = {
            "mobilenet": (24, 320, lambda: MobileNet(style, output_stride)),
            "drn": (256, 512, DRN),
            "xception": (xception_twin.FINE.get(name), 2048, lambda: xception_twin.Xception(name, output_stride)),
        }
        plain = (256, 2048, lambda: resnet(backbone, output_stride, not style.nested, style.grid))
        fine, inside, build = builders.get(backbone, plain)
        self.backbone = build()
        self.rates = [rate * 16 // output_stride for rate in (6, 12, 18)]
        channels = [*((inside, 256),) * 5, (1280, 256)]
        channels += [(fine, 48), (304, 256), (256, 256)] if style.plus else [(256, 256)]
        kernels = [1, 3, 3, 3, 1, 1, *([1, 3, 3] if style.plus else [3])]
        for (conv, norm), (before, after), kernel in zip(style.names, channels, kernels, strict=False):
            self._add(conv, nn.Conv2d(before, after, kernel, bias=style.biases))
            self._add(norm, nn.BatchNorm2d(after))
        self._add(style.last, nn.Conv2d(256, num_classes, 1))

    def _add(self, path, module):
        *owners, name = path.split(".")
        place = self
        for owner in owners:
            if not hasattr(place, owner):
                place.add_module(owner, nn.Module())
            place = getattr(place, owner)
        place.add_module(name, module)

    def unit(self, index, x, rate=1):
        conv, norm = map(self.get_submodule, self.style.names[index])
        x = functional.conv2d(x, conv.weight, conv.bias, padding=rate * (conv.kernel_size[0] // 2), dilation=rate)
        return norm(x).relu()

    def forward(self, image):
        fine, x = self.backbone(image)
        maps = [self.unit(0, x), *(self.unit(index, x, rate) for index, rate in enumerate(self.rates, 1))]
        maps.append(self.unit(4, x.mean((2, 3), keepdim=True)).expand(-1, -1, *x.shape[2:]))
        x, index = self.unit(5, torch.cat(maps, 1)), 6
        if self.style.plus:
            fine, x = self.unit(6, fine), self._enlarged(x, fine)
            x, index = torch.cat([fine, x] if self.style.low_first else [x, fine], 1), 7
        for place in range(index, len(self.style.names)):
            x = self.unit(place, x)
        return self._enlarged(self.get_submodule(self.style.last)(x), image)

    def _enlarged(self, x, like):
        return functional.interpolate(x, like.shape[2:], mode="bilinear", align_corners=self.style.aligned)
