"""DeepLabV2 in torch, under kazuto1011's names and under isht7's.

Written from the facts of `converters/families/pytorch/deeplabv2.py`: what our networks are compared with, since neither
repository can be installed.
"""

import torch
from torch import nn
from torch.nn.functional import interpolate, max_pool2d

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
STAGES = ((64, 1, 1), (128, 2, 1), (256, 1, 2), (512, 1, 4))  # width inside, stride of the first 1x1, rate
RATES = (6, 12, 18, 24)


class Names:
    """How the one and the other call a convolution and its norm, and the head's convolutions."""

    def kazuto(stage, block, index):
        if stage == 0:
            return "layer1.conv1.conv", "layer1.conv1.bn"
        unit = f"layer{stage + 1}.block{block + 1}.{('shortcut', 'reduce', 'conv3x3', 'increase')[index]}"
        return f"{unit}.conv", f"{unit}.bn"

    def isht7(stage, block, index):
        unit = f"layer{stage}.{block}." if stage else ""
        if stage and index == 0:
            return f"{unit}downsample.0", f"{unit}downsample.1"
        return f"{unit}conv{index or 1}", f"{unit}bn{index or 1}"


class DeepLabV2(nn.Module):
    """The network for one size of the image; logits at its stride."""

    def __init__(self, names, head, depth=101, num_classes=7, width=1):
        super().__init__()
        self.names, self.head, self.blocks = names, head, BLOCKS[depth]
        inside = self._unit((0, 0, 0), 3, int(64 * width), 7, 2)
        for stage, (planes, stride, rate) in enumerate(STAGES, 1):
            planes = int(planes * width)
            for block in range(self.blocks[stage - 1]):
                step = 1 if block else stride
                if block == 0:
                    self._unit((stage, block, 0), inside, 4 * planes, 1, step)
                self._unit((stage, block, 1), inside, planes, 1, step)
                self._unit((stage, block, 2), planes, planes, 3, 1, rate)
                inside = self._unit((stage, block, 3), planes, 4 * planes, 1)
        for index, rate in enumerate(RATES):
            self._put(head.format(index), nn.Conv2d(inside, num_classes, 3, padding=rate, dilation=rate))

    def _unit(self, place, inside, outside, kernel, stride=1, rate=1):
        conv, norm = self.names(*place)
        pad = rate * (kernel // 2)
        self._put(conv, nn.Conv2d(inside, outside, kernel, stride, pad, rate, bias=False))
        self._put(norm, nn.BatchNorm2d(outside))
        return outside

    def _put(self, name, module):
        node = self
        *path, last = name.split(".")
        for part in path:
            if not hasattr(node, part):
                node.add_module(part, nn.Module())
            node = getattr(node, part)
        node.add_module(last, module)

    def _run(self, x, *place):
        for name in self.names(*place):
            x = self.get_submodule(name)(x)
        return x

    def forward(self, image):
        x = max_pool2d(self._run(image, 0, 0, 0).relu(), 3, 2, 1, ceil_mode=True)
        for stage, count in enumerate(self.blocks, 1):
            for block in range(count):
                shortcut = self._run(x, stage, block, 0) if block == 0 else x
                y = self._run(self._run(x, stage, block, 1).relu(), stage, block, 2).relu()
                x = (self._run(y, stage, block, 3) + shortcut).relu()
        return sum(self.get_submodule(self.head.format(index))(x) for index in range(len(RATES)))


class Kazuto(nn.Module):
    """The largest logits of three sizes."""

    def __init__(self, scales=(0.5, 0.75), **options):
        super().__init__()
        self.scales = scales
        self.base = DeepLabV2(Names.kazuto, "aspp.c{}", **options)

    def forward(self, image):
        maps = [self.base(image)]
        for scale in self.scales:
            smaller = self.base(interpolate(image, scale_factor=scale, mode="bilinear", align_corners=False))
            maps.append(interpolate(smaller, maps[0].shape[2:], mode="bilinear", align_corners=False))
        return torch.stack(maps).amax(0)


class Isht7(nn.Module):
    """The logits of three sizes, and the largest of them; the smallest is returned as it is."""

    def __init__(self, **options):
        super().__init__()
        self.Scale = DeepLabV2(Names.isht7, "layer5.conv2d_list.{}", **options)

    def forward(self, image):
        def resized(x, height, width):
            return interpolate(x, (height, width), mode="bilinear", align_corners=True)

        height, width = image.shape[2:]
        first = self.Scale(image)
        larger, smaller = (
            self.Scale(resized(image, int(height * scale) + 1, int(width * scale) + 1)) for scale in (0.75, 0.5)
        )
        larger = resized(larger, *first.shape[2:])
        return [first, larger, smaller, first.maximum(larger).maximum(resized(smaller, *first.shape[2:]))]
