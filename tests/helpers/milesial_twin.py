"""The U-Net of milesial in torch, written from its description."""

import torch
from torch import nn
from torch.nn import functional


def named(**parts):
    """A module with these parts."""
    module = nn.Module()
    for name, part in parts.items():
        module.add_module(name, part)
    return module


def two(inside, middle, outside, biases=False):
    layers = []
    for before, after in ((inside, middle), (middle, outside)):
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=biases), nn.BatchNorm2d(after), nn.ReLU()]
    return named(double_conv=nn.Sequential(*layers))


class MilesialUnet(nn.Module):
    """The U-Net as its description says: `base` channels at the image, 16 times as many at stride 16."""

    def __init__(self, bilinear, base=64, channels=3, num_classes=2, biases=False):
        super().__init__()
        self.bilinear, filters = bilinear, [base * 2**step for step in range(5)]
        filters[-1] //= 2 if bilinear else 1
        self.inc = two(channels, base, base, biases)
        for step in range(1, 5):
            block = two(filters[step - 1], filters[step], filters[step], biases)
            self.add_module(f"down{step}", named(maxpool_conv=nn.Sequential(nn.MaxPool2d(2), block)))
        before = filters[-1]
        for step, beside in enumerate(filters[3::-1], 1):
            after = beside // 2 if bilinear and step < 4 else beside
            up = {} if bilinear else {"up": nn.ConvTranspose2d(before, before // 2, 2, 2)}
            inside = beside + (before if bilinear else before // 2)
            self.add_module(f"up{step}", named(**up, conv=two(inside, beside, after, biases)))
            before = after
        self.outc = named(conv=nn.Conv2d(base, num_classes, 1))

    def forward(self, image):
        maps = [self.inc.double_conv(image)]
        for step in range(1, 5):
            pooling, block = getattr(self, f"down{step}").maxpool_conv
            maps.append(block.double_conv(pooling(maps[-1])))
        x = maps.pop()
        for step in range(1, 5):
            block, beside = getattr(self, f"up{step}"), maps.pop()
            size = [2 * side for side in x.shape[2:]]
            x = functional.interpolate(x, size, mode="bilinear", align_corners=True) if self.bilinear else block.up(x)
            rows, columns = (wanted - has for wanted, has in zip(beside.shape[2:], x.shape[2:], strict=True))
            x = block.conv.double_conv(torch.cat([beside, functional.pad(x, (0, columns, 0, rows))], 1))
        return self.outc.conv(x)
