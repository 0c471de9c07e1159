"""The FCNs, SegNets and U-Nets of meetps, yassouali and bubbliiiing in torch, written from their description.

Their layers have the names of the files. `width` is a factor of all channels but those of the scores.
"""

import functools
import itertools

import torch
from helpers.deep_stem_twins import add_stages
from helpers.module_trees import Tree, doubled, resized
from torch import nn
from torch.nn import functional

STAGES = ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)


def _pool(x, ceil=False):
    return functional.max_pool2d(x, 2, 2, ceil_mode=ceil)


class Vgg(Tree):
    """A VGG16 whose layers a function names: `names(stage, index)` gives a convolution and its norm or ""."""

    def __init__(self, names, width):
        super().__init__()
        self.names, before = names, 3
        for stage, filters in enumerate(STAGES, 1):
            for index, count in enumerate(filters, 1):
                conv, norm = names(stage, index)
                self.put_conv(conv, before, int(count * width), norm=norm, bias=True)
                before = int(count * width)

    def stage(self, stage, x, first=1):
        for index in range(1, len(STAGES[stage - 1]) + 1):
            conv, norm = self.names(stage, index)
            x = self.step(conv, x, norm=norm, padding=first if index == 1 else 1)
        return x


# ----------------------------------------------------------------------------------------------------------------- FCN

FCN_NAMES = {
    "meetps": {
        "classifier": ("classifier.0", "classifier.3", "classifier.6"),
        "scores": ("score_pool4", "score_pool3"),
        "up": ("upscore2", "upscore4", "upscore8"),
    },
    "yassouali": {
        "classifier": ("output.0", "output.3", "output.6"),
        "scores": ("adj_pool4", "adj_pool3"),
        "up": ("up_output", "up_pool4_out", "up_final"),
    },
}


def _fcn_place(style, stage, index):
    if style == "meetps":
        return f"conv_block{stage}.{2 * (index - 1)}", ""
    before = sum(2 * len(filters) + 1 for filters in STAGES[: stage - 1]) if stage <= 3 else 0
    return f"pool{max(3, stage)}.{before + 2 * (index - 1)}", ""


class FCN(Vgg):
    """An FCN with a border of 100 pixels: FCN-8s with upscores, or one that repeats pixels to enlarge its scores.

    `skips` is 0 for FCN-32s, 1 for -16s and 2 for -8s; `scaled` gives the factors of the at-once variant.
    """

    def __init__(self, style, skips=2, upscores=True, width=1, num_classes=5):
        super().__init__(functools.partial(_fcn_place, style), width)
        self.style, self.skips, self.upscores = FCN_NAMES[style], skips, upscores
        self.factors = (1, 1) if style == "meetps" else (0.01, 0.0001)
        units = int(4096 * width)
        first, second, score = self.style["classifier"]
        self.put_conv(first, int(512 * width), units, 7, bias=True)
        self.put_conv(second, units, units, 1, bias=True)
        self.put_conv(score, units, num_classes, 1, bias=True)
        for path, filters in zip(self.style["scores"][:skips], (512, 256), strict=False):
            self.put_conv(path, int(filters * width), num_classes, 1, bias=True)
        for path, stride in zip(self.style["up"] if upscores else (), (2, 2, 8), strict=False):
            self.put(path, nn.ConvTranspose2d(num_classes, num_classes, 2 * stride, stride, bias=False))

    def forward(self, image):
        x, pools = image, []
        for stage in range(1, 6):
            x = _pool(self.stage(stage, x, 100 if stage == 1 else 1), ceil=True)
            pools.append(x)
        first, second, score = self.style["classifier"]
        x = self.step(second, self.step(first, x, padding=0))
        x = self.step(score, x, relu=False)
        skips = zip(self.style["scores"][: self.skips], (pools[3], pools[2]), self.factors, (5, 9), strict=False)
        for index, (path, pool, factor, offset) in enumerate(skips):
            y = self.step(path, factor * pool, relu=False)
            if self.upscores:
                x = self.get_submodule(self.style["up"][index])(x)
                x = x + y[:, :, offset : offset + x.shape[2], offset : offset + x.shape[3]]
            else:
                x = y + functional.interpolate(x, y.shape[2:])
        if not self.upscores:
            return functional.interpolate(x, image.shape[2:])
        x = self.get_submodule(self.style["up"][2])(x)
        return x[:, :, 31 : 31 + image.shape[2], 31 : 31 + image.shape[3]]


# -------------------------------------------------------------------------------------------------------------- SegNet


def _segnet_place(style, stage, index):
    if style == "meetps":
        return tuple(f"down{stage}.conv{index}.cbr_unit.{part}" for part in (0, 1))
    return tuple(f"stage{stage}_encoder.{3 * (index - 1) + part}" for part in (0, 1))


class SegNet(Vgg):
    """SegNet; meetps' scores have a norm and a ReLU, and yassouali's one more convolution before them."""

    def __init__(self, style, width=1, num_classes=5):
        super().__init__(functools.partial(_segnet_place, style), width)
        self.style, self.decoder = style, {}
        rows = {5: (512,) * 3, 4: (512, 512, 256), 3: (256, 256, 128), 2: (128, 64)}
        rows[1] = (64,) if style == "meetps" else (64, 64)
        before = int(512 * width)
        for stage, filters in rows.items():
            self.decoder[stage] = []
            for index, count in enumerate(filters, 1):
                paths = self._place(stage, index)
                self.put_conv(paths[0], before, int(count * width), norm=paths[1], bias=True)
                self.decoder[stage].append(paths)
                before = int(count * width)
        self.last = ("up1.conv2.cbr_unit.0", "up1.conv2.cbr_unit.1") if style == "meetps" else ("stage5_decoder.6", "")
        self.put_conv(self.last[0], before, num_classes, norm=self.last[1], bias=True)

    def _place(self, stage, index):
        if self.style == "meetps":
            return tuple(f"up{stage}.conv{index}.cbr_unit.{part}" for part in (0, 1))
        return tuple(f"stage{6 - stage}_decoder.{3 * (index - 1) + part}" for part in (0, 1))

    def forward(self, image):
        x, pools = image, []
        for stage in range(1, 6):
            x = self.stage(stage, x)
            size = x.shape
            x, places = functional.max_pool2d(x, 2, 2, return_indices=True)
            pools.append((places, size))
        for stage, units in self.decoder.items():
            x = functional.max_unpool2d(x, pools[stage - 1][0], 2, 2, output_size=pools[stage - 1][1])
            for conv, norm in units:
                x = self.step(conv, x, norm=norm)
        return self.step(self.last[0], x, norm=self.last[1], relu=bool(self.last[1]))


# --------------------------------------------------------------------------------------------------------------- U-Net


class PlainUnet(Tree):
    """The U-Net of meetps, which pads nowhere, and that of yassouali, which pools after its convolutions."""

    def __init__(self, style, width=1, norms=True, num_classes=5):
        super().__init__()
        self.style, filters = style, [int(64 * width * 2**step) for step in range(5)]
        self.norms = norms
        for step, (before, after) in enumerate(itertools.pairwise([3, *filters])):
            self._put_two(self._encoder(step), before, after, norms)
        if style == "yassouali":
            self._put_two("middle_conv", filters[-1], filters[-1], True)
        for step in range(4, 0, -1):
            before, after = filters[step], filters[step - 1]
            self.put(self._decoder(step)[0], nn.ConvTranspose2d(before, before // 2, 2, 2))
            self._put_two(self._decoder(step)[1], before, after, style == "yassouali")
        self.last = "final" if style == "meetps" else "final_conv"
        self.put_conv(self.last, filters[0], num_classes, 1, bias=True)

    def _encoder(self, step):
        if self.style == "meetps":
            return "center" if step == 4 else f"conv{step + 1}"
        return f"down{step}.down_conv" if step else "start_conv"

    def _decoder(self, step):
        if self.style == "meetps":
            return f"up_concat{step}.up", f"up_concat{step}.conv"
        return f"up{5 - step}.up", f"up{5 - step}.up_conv"

    def _paths(self, owner, index):
        if self.style == "meetps":
            return f"{owner}.conv{index}.0", f"{owner}.conv{index}.1"
        return f"{owner}.{3 * (index - 1)}", f"{owner}.{3 * (index - 1) + 1}"

    def _put_two(self, owner, before, after, norms):
        middle = after // 2 if self.style == "yassouali" else after
        for index, (inside, outside) in enumerate(((before, middle), (middle, after)), 1):
            conv, norm = self._paths(owner, index)
            self.put_conv(conv, inside, outside, norm=norm if norms else "", bias=self.style == "meetps")

    def two(self, owner, x, norms=True):
        for index in (1, 2):
            conv, norm = self._paths(owner, index)
            x = self.step(conv, x, norm=norm if norms else "", padding=0 if self.style == "meetps" else 1)
        return x

    def forward(self, image):
        x, maps, meetps = image, [], self.style == "meetps"
        for step in range(5):
            x = self.two(self._encoder(step), _pool(x) if meetps and step else x, self.norms)
            x = x if meetps or not step else _pool(x, ceil=True)
            maps.append(x)
        x = maps.pop() if meetps else self.two("middle_conv", maps.pop())
        for step in range(4, 0, -1):
            up, owner = self._decoder(step)
            x, fine = self.get_submodule(up)(x), maps.pop()
            if meetps:
                border = (fine.shape[2] - x.shape[2]) // 2
                fine = fine[:, :, border:-border, border:-border]
            elif x.shape[2:] != fine.shape[2:]:
                x = resized(x, fine)
            x = self.two(owner, torch.cat([fine, x], 1), not meetps)
        x = self.step(self.last, x, relu=False)
        return resized(x, image) if meetps else x


class BubbliiiingUnet(Tree):
    """His U-Net on VGG16, or on a ResNet-50 whose first pooling is Caffe's."""

    def __init__(self, backbone, width=1, num_classes=5):
        super().__init__()
        steps = [int(filters * width) for filters in (512, 256, 128, 64)]
        if backbone == "vgg":
            self.vgg = Vgg(self._vgg_place, width)
            maps = [int(filters[0] * width) for filters in STAGES]
        else:
            self.resnet = nn.Module()
            self.resnet.conv1 = nn.Conv2d(3, int(64 * width), 7, 2, 3, bias=False)
            self.resnet.bn1 = nn.BatchNorm2d(int(64 * width))
            add_stages(self.resnet, 50, width, dilated=False, new=False, stem_width=64)
            maps = [int(filters * width) for filters in (64, 256, 512, 1024, 2048)]
        before = maps[-1]
        for step, (filters, beside) in enumerate(zip(steps, maps[3::-1], strict=True)):
            self.put_conv(f"up_concat{4 - step}.conv1", before + beside, filters, bias=True)
            self.put_conv(f"up_concat{4 - step}.conv2", filters, filters, bias=True)
            before = filters
        self.last = [] if backbone == "vgg" else ["up_conv.1", "up_conv.3"]
        for path in self.last:
            self.put_conv(path, before, before, bias=True)
        self.put_conv("final", before, num_classes, 1, bias=True)

    @staticmethod
    def _vgg_place(stage, index):
        return f"features.{sum(2 * len(filters) + 1 for filters in STAGES[: stage - 1]) + 2 * (index - 1)}", ""

    def maps(self, image):
        x, maps = image, []
        if hasattr(self, "vgg"):
            for stage in range(1, 6):
                x = self.vgg.stage(stage, _pool(x) if maps else x)
                maps.append(x)
            return maps
        net = self.resnet
        maps.append(net.bn1(net.conv1(image)).relu())
        x = functional.max_pool2d(maps[0], 3, 2, 0, ceil_mode=True)
        for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
            x = stage(x)
            maps.append(x)
        return maps

    def forward(self, image):
        maps = self.maps(image)
        x = maps.pop()
        for step in range(4, 0, -1):
            x = torch.cat([maps.pop(), doubled(x)], 1)
            x = self.step(f"up_concat{step}.conv2", self.step(f"up_concat{step}.conv1", x))
        for place, path in enumerate(self.last):
            x = self.step(path, x if place else doubled(x))
        return self.step("final", x, relu=False)
