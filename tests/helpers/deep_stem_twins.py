"""Dilated ResNets with a deep stem in torch, and the heads that hszhao/semseg and CSAILVision put on them.

Written from the facts of `converters/families/pytorch/semseg.py` and `csail.py`, under the names of the checkpoints: what our
networks are compared with where the repositories cannot be installed.
"""

import torch
from torch import nn
from torch.nn.functional import interpolate

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
BINS = (1, 2, 3, 6)


class Block(nn.Module):
    """Two 3x3 convolutions, or a bottleneck; `freed` is the rate of the one that strides, or strode once."""

    def __init__(self, inside, planes, bottleneck, stride, freed, rate, average=False):
        super().__init__()
        outside = 4 * planes if bottleneck else planes
        if bottleneck:
            plan = ((inside, planes, 1, 1, 1), (planes, planes, 3, stride, freed), (planes, outside, 1, 1, 1))
        else:
            plan = ((inside, planes, 3, stride, freed), (planes, planes, 3, 1, rate))
        self.count = len(plan)
        for index, (before, after, kernel, step, dilation) in enumerate(plan, 1):
            pad = dilation * (kernel // 2)
            self.add_module(f"conv{index}", nn.Conv2d(before, after, kernel, step, pad, dilation, bias=False))
            self.add_module(f"bn{index}", nn.BatchNorm2d(after))
        self.downsample = None
        if stride > 1 or inside != outside:
            pool = [nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)] if average else []
            conv = nn.Conv2d(inside, outside, 1, 1 if average else stride, bias=False)
            self.downsample = nn.Sequential(*pool, conv, nn.BatchNorm2d(outside))

    def forward(self, x):
        y = x
        for index in range(1, self.count + 1):
            y = getattr(self, f"bn{index}")(getattr(self, f"conv{index}")(y))
            y = y.relu() if index < self.count else y
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


def stem(width, widths=(64, 64, 128)):
    """Three convolutions with their norms, in order."""
    widths = [3, *(int(part * width) for part in widths)]
    for index in range(3):
        yield nn.Conv2d(widths[index], widths[index + 1], 3, 2 if index == 0 else 1, 1, bias=False)
        yield nn.BatchNorm2d(widths[index + 1])


def add_stages(module, depth, width, dilated, new, stem_width=128, average=False):
    """`layer1` to `layer4` of a module; with `dilated`, the last two at the second's stride."""
    inside, rate = int(stem_width * width), 1
    for stage, count in enumerate(BLOCKS[depth], 1):
        planes = int(64 * width) * 2 ** (stage - 1)
        stride, freed = (1 if stage == 1 else 2), 1
        if dilated and stage > 2:
            stride, rate, freed = 1, rate * 2, rate * 2 if new else rate
        blocks = []
        for index in range(count):
            bottleneck, step, first = depth >= 50, 1 if index else stride, rate if index else freed
            blocks.append(Block(inside, planes, bottleneck, step, first, rate, average))
            inside = planes * (4 if bottleneck else 1)
        module.add_module(f"layer{stage}", nn.Sequential(*blocks))
    return inside


def run_stages(module, x):
    """What `layer3` and `layer4` make of the stem's result."""
    x = module.layer3(module.layer2(module.layer1(nn.functional.max_pool2d(x, 3, 2, 1))))
    return x, module.layer4(x)


def conv_norm_relu(inside, outside, kernel, *more):
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(outside), nn.ReLU(), *more
    )


def branches(inside, outside):
    return nn.ModuleList(
        nn.Sequential(nn.AdaptiveAvgPool2d(bins), *conv_norm_relu(inside, outside, 1)) for bins in BINS
    )


def pyramid(parts, x, corners):
    sized = [interpolate(part(x), x.shape[2:], mode="bilinear", align_corners=corners) for part in parts]
    return torch.cat([x, *sized], 1)


# -------------------------------------------------------------------------------------------------------------- semseg


class SemsegPSPNet(nn.Module):
    """PSPNet as hszhao/semseg has it; returns the logits of both heads at the image's size."""

    def __init__(self, depth, num_classes=7, width=1):
        super().__init__()
        convs = list(stem(width))
        self.layer0 = nn.Sequential(*(part for i in (0, 2, 4) for part in (*convs[i : i + 2], nn.ReLU())))
        features = add_stages(self, depth, width, dilated=True, new=True)
        self.ppm = nn.Module()
        self.ppm.features = branches(features, features // 4)
        self.cls = conv_norm_relu(2 * features, 512, 3, nn.Dropout2d(), nn.Conv2d(512, num_classes, 1))
        self.aux = conv_norm_relu(
            features // 2, features // 8, 3, nn.Dropout2d(), nn.Conv2d(features // 8, num_classes, 1)
        )

    def forward(self, image):
        fourth, x = run_stages(self, self.layer0(image))
        maps = self.cls(pyramid(self.ppm.features, x, True)), self.aux(fourth)
        return [interpolate(part, image.shape[2:], mode="bilinear", align_corners=True) for part in maps]


class Numbered(nn.Module):
    """A trunk whose stem is `conv1` to `conv3`."""

    def __init__(self, depth, width, dilated):
        super().__init__()
        for index, part in enumerate(stem(width)):
            self.add_module(f"{'bn' if index % 2 else 'conv'}{index // 2 + 1}", part)
        self.features = add_stages(self, depth, width, dilated, new=False)

    def trunk(self, x):
        for index in (1, 2, 3):
            x = getattr(self, f"bn{index}")(getattr(self, f"conv{index}")(x)).relu()
        return run_stages(self, x)


class SemsegClassifier(Numbered):
    """The ImageNet classifier of `initmodel`."""

    def __init__(self, depth, num_classes=7, width=1):
        super().__init__(depth, width, dilated=False)
        self.fc = nn.Linear(self.features, num_classes)

    def forward(self, image):
        return self.fc(self.trunk(image)[1].mean((2, 3)))


# --------------------------------------------------------------------------------------------------------- CSAILVision


class Csail(Numbered):
    """An encoder and one of the decoders c1, c1_deepsup, ppm, ppm_deepsup; returns logits at the image's size."""

    def __init__(self, depth, decoder, num_classes=7, width=1):
        super().__init__(depth, width, dilated=True)
        wide, narrow = self.features, self.features // 4
        self.encoder = set(self.state_dict())
        if decoder.startswith("ppm"):
            self.ppm = branches(wide, 512)
            self.conv_last = conv_norm_relu(wide + 4 * 512, 512, 3, nn.Dropout2d(), nn.Conv2d(512, num_classes, 1))
        else:
            self.cbr = conv_norm_relu(wide, narrow, 3)
            self.conv_last = nn.Conv2d(narrow, num_classes, 1)
        self.deepsup = decoder.endswith("deepsup")
        if self.deepsup:
            self.cbr_deepsup = conv_norm_relu(wide // 2, narrow, 3)
            self.conv_last_deepsup = nn.Conv2d(narrow, num_classes, 1)

    def forward(self, image):
        fourth, x = self.trunk(image)
        x = self.cbr(x) if hasattr(self, "cbr") else pyramid(self.ppm, x, False)
        maps = [self.conv_last(x)]
        if self.deepsup:
            maps.append(self.conv_last_deepsup(self.cbr_deepsup(fourth)))
        return [interpolate(part, image.shape[2:], mode="bilinear", align_corners=False) for part in maps]

    def files(self):
        """The tensors of the two files."""
        state = self.state_dict()
        return [
            {key: value for key, value in state.items() if (key in self.encoder) == first} for first in (True, False)
        ]
