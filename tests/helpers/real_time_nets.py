"""Three published segmenters that no package installs, written from their papers: BiSeNet, ENet and SegNet.

References: Yu et al. 2018, https://arxiv.org/abs/1808.00897; Paszke et al. 2016, https://arxiv.org/abs/1606.02147;
Badrinarayanan et al. 2015, https://arxiv.org/abs/1511.00561.
"""

import torch
from helpers.torchvision_cpu import import_torchvision
from torch import nn
from torch.nn import functional


def _unit(inputs, outputs, kernel=3, stride=1):
    """Convolution, BatchNorm, ReLU."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class Refinement(nn.Module):
    """BiSeNet's attention refinement: channels weighted by what their means say."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = _unit(inputs, outputs)
        self.attention = nn.Sequential(
            nn.Conv2d(outputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.Sigmoid()
        )

    def forward(self, x):
        x = self.conv(x)
        return x * self.attention(functional.avg_pool2d(x, x.shape[2:]))


class Fusion(nn.Module):
    """BiSeNet's feature fusion: both paths joined, and a residual weight for each channel."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = _unit(inputs, outputs, 1)
        self.narrow, self.wide = nn.Conv2d(outputs, outputs // 4, 1), nn.Conv2d(outputs // 4, outputs, 1)

    def forward(self, spatial, context):
        x = self.conv(torch.cat([spatial, context], 1))
        weights = self.wide(self.narrow(x.mean((2, 3), keepdim=True)).relu()).sigmoid()
        return x * weights + x


class BiSeNet(nn.Module):
    """A shallow path that keeps details, and ResNet-18 as the deep path."""

    def __init__(self, classes=19):
        super().__init__()
        trunk = import_torchvision().models.resnet18(weights=None)
        self.stem = nn.Sequential(trunk.conv1, trunk.bn1, trunk.relu, trunk.maxpool)
        self.stages = nn.ModuleList([trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4])
        self.spatial = nn.Sequential(_unit(3, 64, 7, 2), _unit(64, 64, 3, 2), _unit(64, 64, 3, 2), _unit(64, 128, 1))
        self.refine16, self.refine32 = Refinement(256, 128), Refinement(512, 128)
        self.smooth16, self.smooth32 = _unit(128, 128), _unit(128, 128)
        self.globally = _unit(512, 128, 1)
        self.fusion = Fusion(256, 256)
        self.head = nn.Sequential(_unit(256, 256), nn.Conv2d(256, classes, 1))

    def forward(self, image):
        maps, x = [], self.stem(image)
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        _, feature8, feature16, feature32 = maps
        mean = self.globally(functional.avg_pool2d(feature32, feature32.shape[2:]))
        x = self.refine32(feature32) + functional.interpolate(mean, feature32.shape[2:], mode="nearest")
        x = self.smooth32(functional.interpolate(x, feature16.shape[2:], mode="nearest"))
        x = self.refine16(feature16) + x
        x = self.smooth16(functional.interpolate(x, feature8.shape[2:], mode="nearest"))
        x = self.head(self.fusion(self.spatial(image), x))
        return functional.interpolate(x, image.shape[2:], mode="bilinear", align_corners=True)


class Start(nn.Module):
    """ENet's first block: a strided convolution beside a pooling."""

    def __init__(self, channels=16):
        super().__init__()
        self.conv, self.pool = nn.Conv2d(3, channels - 3, 3, 2, 1, bias=False), nn.MaxPool2d(2, 2)
        self.norm, self.slope = nn.BatchNorm2d(channels), nn.PReLU()

    def forward(self, image):
        return self.slope(self.norm(torch.cat([self.conv(image), self.pool(image)], 1)))


class Bottleneck(nn.Module):
    """ENet's residual unit: regular, dilated, asymmetric, downsampling or upsampling."""

    def __init__(self, inputs, outputs, kind="regular", rate=1, drop=0.1):
        super().__init__()
        inside = inputs // 4
        self.kind, self.more = kind, outputs - inputs
        first = 2 if kind == "down" else 1
        self.project = nn.Sequential(
            nn.Conv2d(inputs, inside, first, first, bias=False), nn.BatchNorm2d(inside), nn.PReLU(inside)
        )
        if kind == "asymmetric":
            middle = [
                nn.Conv2d(inside, inside, (5, 1), padding=(2, 0), bias=False),
                nn.Conv2d(inside, inside, (1, 5), padding=(0, 2), bias=False),
            ]
        elif kind == "up":
            middle = [nn.ConvTranspose2d(inside, inside, 2, 2, bias=False)]
        else:
            middle = [nn.Conv2d(inside, inside, 3, padding=rate, dilation=rate, bias=False)]
        self.middle = nn.Sequential(*middle, nn.BatchNorm2d(inside), nn.PReLU(inside))
        self.expand = nn.Sequential(nn.Conv2d(inside, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.drop, self.slope = nn.Dropout2d(drop), nn.PReLU(outputs)
        if kind == "down":
            self.pool = nn.MaxPool2d(2, 2, return_indices=True)
        if kind == "up":
            self.main = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
            self.unpool = nn.MaxUnpool2d(2, 2)

    def forward(self, x, places=None):
        branch = self.drop(self.expand(self.middle(self.project(x))))
        if self.kind == "down":
            x, places = self.pool(x)
            batch, _, height, width = x.shape
            x = torch.cat([x, torch.zeros(batch, self.more, height, width)], 1)
        elif self.kind == "up":
            x = self.unpool(self.main(x), places)
        result = self.slope(x + branch)
        return (result, places) if self.kind == "down" else result


def _stage(channels):
    """The eight units of ENet's second and third stage."""
    units = [("regular", 1), ("dilated", 2), ("asymmetric", 1), ("dilated", 4)]
    units += [("regular", 1), ("dilated", 8), ("asymmetric", 1), ("dilated", 16)]
    return nn.Sequential(*(Bottleneck(channels, channels, kind, rate) for kind, rate in units))


class ENet(nn.Module):
    """A narrow encoder whose poolings tell the decoder where their maxima were."""

    def __init__(self, classes=12):
        super().__init__()
        self.start = Start()
        self.down1, self.down2 = Bottleneck(16, 64, "down", drop=0.01), Bottleneck(64, 128, "down")
        self.stage1 = nn.Sequential(*(Bottleneck(64, 64, drop=0.01) for _ in range(4)))
        self.stage2, self.stage3 = _stage(128), _stage(128)
        self.up4, self.up5 = Bottleneck(128, 64, "up"), Bottleneck(64, 16, "up")
        self.stage4, self.stage5 = nn.Sequential(Bottleneck(64, 64), Bottleneck(64, 64)), Bottleneck(16, 16)
        self.head = nn.ConvTranspose2d(16, classes, 3, 2, 1, 1, bias=False)

    def forward(self, image):
        x, places1 = self.down1(self.start(image))
        x, places2 = self.down2(self.stage1(x))
        x = self.stage4(self.up4(self.stage3(self.stage2(x)), places2))
        return self.head(self.stage5(self.up5(x, places1)))


class SegNet(nn.Module):
    """VGG-16 with BatchNorm down, and up again with the places of its maxima."""

    def __init__(self, classes=12):
        super().__init__()
        numbers, widths = (2, 2, 3, 3, 3), (64, 128, 256, 512, 512)
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        inputs = 3
        for number, width in zip(numbers, widths, strict=True):
            self.encoder.append(nn.Sequential(*(_biased(inputs if i == 0 else width, width) for i in range(number))))
            inputs = width
        for number, width, after in zip(numbers[::-1], widths[::-1], (512, 256, 128, 64, None), strict=True):
            units = [_biased(width, width) for _ in range(number - 1)]
            units.append(_biased(width, after) if after else nn.Conv2d(width, classes, 3, padding=1))
            self.decoder.append(nn.Sequential(*units))

    def forward(self, image):
        x, places = image, []
        for stage in self.encoder:
            x = stage(x)
            places.append((x.shape, functional.max_pool2d(x, 2, 2, return_indices=True)))
            x = places[-1][1][0]
        for stage, (shape, (_, where)) in zip(self.decoder, reversed(places), strict=True):
            x = stage(functional.max_unpool2d(x, where, 2, 2, output_size=shape[2:]))
        return x


def _biased(inputs, outputs):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())


NETS = {"BiSeNet": BiSeNet, "ENet": ENet, "SegNet": SegNet}
