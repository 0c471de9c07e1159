"""mmsegmentation's heads on ResNets and PyTorch-Encoding's FCN in torch.

They are written from the records in `converters/families/pytorch/mmseg.py` and `encoding.py`, with the names of the
checkpoints. Our networks are compared with them, because the repositories cannot be installed.
"""

import torch
from helpers.deep_stem_twins import add_stages, run_stages, stem
from torch import nn
from torch.nn.functional import interpolate

STEMS = {"": (64,), "c": (32, 32, 64), "d": (32, 32, 64), "s": (64, 64, 128)}


class Trunk(nn.Module):
    """A ResNet at output stride 8, or 32 without `dilated`; `deep` is the name of a deep stem, which mmsegmentation closes with its norm."""

    def __init__(self, depth, letter, width, deep, dilated=True):
        super().__init__()
        widths = STEMS[letter]
        if letter:
            convs = list(stem(width, widths))
            parts = [part for i in (0, 2, 4) for part in (*convs[i : i + 2], nn.ReLU())]
            self.add_module(deep, nn.Sequential(*(parts if deep == "stem" else parts[:7])))
            if deep != "stem":
                self.bn1 = parts[7]
        else:
            self.conv1 = nn.Conv2d(3, int(64 * width), 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(int(64 * width))
        average = letter == "d"
        self.features = add_stages(self, depth, width, dilated, new=False, stem_width=widths[-1], average=average)

    def begin(self, x):
        return self.stem(x) if hasattr(self, "stem") else self.bn1(self.conv1(x)).relu()

    def forward(self, x):
        return run_stages(self, self.begin(x))

    def maps(self, x):
        """The results of all four stages, finest first."""
        maps = [self.layer1(nn.functional.max_pool2d(self.begin(x), 3, 2, 1))]
        for stage in (self.layer2, self.layer3, self.layer4):
            maps.append(stage(maps[-1]))
        return maps


def sized(maps, image, corners):
    return [interpolate(part, image.shape[2:], mode="bilinear", align_corners=corners) for part in maps]


# ------------------------------------------------------------------------------------------------------ mmsegmentation


class ConvModule(nn.Module):
    def __init__(self, inside, outside, kernel, rate=1, groups=1):
        super().__init__()
        padding = rate * (kernel // 2)
        self.conv = nn.Conv2d(inside, outside, kernel, padding=padding, dilation=rate, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outside)

    def forward(self, x):
        return self.bn(self.conv(x)).relu()


class FCNHead(nn.Module):
    def __init__(self, inside, num_classes, convs=1, concat=False):
        super().__init__()
        filters = inside // 4
        self.convs = nn.Sequential(*(ConvModule(filters if i else inside, filters, 3) for i in range(convs)))
        self.conv_cat = ConvModule(inside + filters, filters, 3) if concat else None
        self.conv_seg = nn.Conv2d(filters, num_classes, 1)

    def forward(self, x):
        y = self.convs(x)
        return self.conv_seg(y if self.conv_cat is None else self.conv_cat(torch.cat([x, y], 1)))


class ASPPHead(nn.Module):
    def __init__(self, inside, num_classes, filters=512):
        super().__init__()
        self.image_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), ConvModule(inside, filters, 1))
        self.aspp_modules = nn.ModuleList(
            ConvModule(inside, filters, 1 if rate == 1 else 3, rate) for rate in (1, 12, 24, 36)
        )
        self.bottleneck = ConvModule(5 * filters, filters, 3)
        self.conv_seg = nn.Conv2d(filters, num_classes, 1)

    def pyramid(self, x):
        pooled = self.image_pool(x).expand(-1, -1, *x.shape[2:])
        return self.bottleneck(torch.cat([pooled, *(part(x) for part in self.aspp_modules)], 1))

    def forward(self, x):
        return self.conv_seg(self.pyramid(x))


class SeparableModule(nn.Module):
    def __init__(self, inside, outside, rate=1):
        super().__init__()
        self.depthwise_conv = ConvModule(inside, inside, 3, rate, groups=inside)
        self.pointwise_conv = ConvModule(inside, outside, 1)

    def forward(self, x):
        return self.pointwise_conv(self.depthwise_conv(x))


class SeparableASPPHead(ASPPHead):
    """Reads the finest and the coarsest of four maps."""

    def __init__(self, inside, num_classes, filters=64):
        super().__init__(inside, num_classes, filters)
        for branch, rate in enumerate((12, 24, 36), 1):
            self.aspp_modules[branch] = SeparableModule(inside, filters, rate)
        self.c1_bottleneck = ConvModule(inside // 8, 48, 1)
        self.sep_bottleneck = nn.Sequential(SeparableModule(filters + 48, filters), SeparableModule(filters, filters))

    def forward(self, maps):
        fine = self.c1_bottleneck(maps[0])
        joined = torch.cat([*sized([self.pyramid(maps[3])], fine, False), fine], 1)
        return self.conv_seg(self.sep_bottleneck(joined))


class Doubled(nn.Module):
    def forward(self, x):
        return interpolate(x, [2 * side for side in x.shape[2:]], mode="bilinear")


class FPNHead(nn.Module):
    """The branches of a Semantic FPN; the pyramid before them is `FPN`."""

    def __init__(self, inside, num_classes, filters=32):
        super().__init__()
        self.scale_heads = nn.ModuleList()
        for level in range(4):
            parts = []
            for index in range(max(1, level)):
                parts += [ConvModule(filters if index else inside, filters, 3), *([Doubled()] if level else [])]
            self.scale_heads.append(nn.Sequential(*parts))
        self.conv_seg = nn.Conv2d(filters, num_classes, 1)

    def forward(self, maps):
        first, *others = (head(x) for head, x in zip(self.scale_heads, maps, strict=True))
        return self.conv_seg(first + sum(sized(others, first, False)))


class BareModule(nn.Module):
    def __init__(self, inside, outside, kernel):
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, kernel, padding=kernel // 2)

    def forward(self, x):
        return self.conv(x)


class FPN(nn.Module):
    def __init__(self, inside, filters=48):
        super().__init__()
        widths = [inside // 8, inside // 4, inside // 2, inside]
        self.lateral_convs = nn.ModuleList(BareModule(width, filters, 1) for width in widths)
        self.fpn_convs = nn.ModuleList(BareModule(filters, filters, 3) for _ in widths)

    def forward(self, maps):
        levels = [lateral(x) for lateral, x in zip(self.lateral_convs, maps, strict=True)]
        for index in (2, 1, 0):
            levels[index] = levels[index] + interpolate(levels[index + 1], levels[index].shape[2:])
        return [conv(x) for conv, x in zip(self.fpn_convs, levels, strict=True)]


def bin_modules(inside, filters):
    return nn.ModuleList(
        nn.Sequential(nn.AdaptiveAvgPool2d(bins), ConvModule(inside, filters, 1)) for bins in (1, 2, 3, 6)
    )


def with_bins(modules, x):
    return torch.cat([x, *sized([part(x) for part in modules], x, False)], 1)


class PSPHead(nn.Module):
    def __init__(self, inside, num_classes, filters=64):
        super().__init__()
        self.psp_modules = bin_modules(inside, filters)
        self.bottleneck = ConvModule(inside + 4 * filters, filters, 3)
        self.conv_seg = nn.Conv2d(filters, num_classes, 1)

    def forward(self, x):
        return self.conv_seg(self.bottleneck(with_bins(self.psp_modules, x)))


class UPerHead(nn.Module):
    def __init__(self, inside, num_classes, filters=64):
        super().__init__()
        widths = [inside // 8, inside // 4, inside // 2]
        self.psp_modules = bin_modules(inside, filters)
        self.bottleneck = ConvModule(inside + 4 * filters, filters, 3)
        self.lateral_convs = nn.ModuleList(ConvModule(width, filters, 1) for width in widths)
        self.fpn_convs = nn.ModuleList(ConvModule(filters, filters, 3) for _ in widths)
        self.fpn_bottleneck = ConvModule(4 * filters, filters, 3)
        self.conv_seg = nn.Conv2d(filters, num_classes, 1)

    def forward(self, maps):
        x = self.bottleneck(with_bins(self.psp_modules, maps[3]))
        levels = [x]
        for lateral, conv, fine in reversed([*zip(self.lateral_convs, self.fpn_convs, maps, strict=False)]):
            beside = lateral(fine)
            x = beside + sized([x], beside, False)[0]
            levels.insert(0, conv(x))
        joined = torch.cat([levels[0], *sized(levels[1:], levels[0], False)], 1)
        return self.conv_seg(self.fpn_bottleneck(joined))


class Mmseg(nn.Module):
    """The logits of both heads at the image's size; without the second one for "upernet" and "fpn".

    `head` is "fcn", "pspnet", "deeplabv3", "deeplabv3plus", "upernet" or "fpn".
    """

    def __init__(self, depth, letter, head, num_classes=7, width=1):
        super().__init__()
        self.backbone = Trunk(depth, letter, width, "stem", dilated=head not in ("upernet", "fpn"))
        inside = self.backbone.features
        heads = {
            "fcn": lambda: FCNHead(inside, num_classes, 2, True),
            "deeplabv3": lambda: ASPPHead(inside, num_classes),
            "pspnet": lambda: PSPHead(inside, num_classes),
            "deeplabv3plus": lambda: SeparableASPPHead(inside, num_classes),
            "upernet": lambda: UPerHead(inside, num_classes),
            "fpn": lambda: FPNHead(48, num_classes),
        }
        if head == "fpn":
            self.neck = FPN(inside)
        self.decode_head = heads[head]()
        self.auxiliary_head = FCNHead(inside // 2, num_classes)

    def forward(self, image):
        if isinstance(self.decode_head, UPerHead | FPNHead):
            maps = self.backbone.maps(image)
            maps = self.neck(maps) if hasattr(self, "neck") else maps
            return sized([self.decode_head(maps)], image, False)[0]
        if isinstance(self.decode_head, SeparableASPPHead):
            maps = self.backbone.maps(image)
            return sized([self.decode_head(maps), self.auxiliary_head(maps[2])], image, False)
        fourth, x = self.backbone(image)
        return sized([self.decode_head(x), self.auxiliary_head(fourth)], image, False)


# ---------------------------------------------------------------------------------------------------- PyTorch-Encoding


class Conv5(nn.Module):
    def __init__(self, inside, num_classes):
        super().__init__()
        filters = inside // 4
        norm, last = nn.BatchNorm2d(filters), nn.Conv2d(filters, num_classes, 1)
        self.conv5 = nn.Sequential(
            nn.Conv2d(inside, filters, 3, padding=1, bias=False), norm, nn.ReLU(), nn.Dropout(0.1), last
        )


class Encoding(nn.Module):
    """The logits of both heads at the image's size."""

    def __init__(self, depth, letter, num_classes=7, width=1):
        super().__init__()
        self.pretrained = Trunk(depth, letter, width, "conv1")
        inside = self.pretrained.features
        self.head, self.auxlayer = Conv5(inside, num_classes), Conv5(inside // 2, num_classes)

    def forward(self, image):
        fourth, x = self.pretrained(image)
        return sized([self.head.conv5(x), self.auxlayer.conv5(fourth)], image, True)
