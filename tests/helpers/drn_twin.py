"""fyu/drn in torch, made from its description: the modules that compute, under the names that its files have."""

from torch import nn

BLOCKS = {"basic": (2, 2, 2, 2), "deeper": (3, 4, 6, 3), "deepest": (3, 4, 23, 3)}
NETWORKS = {  # architecture, blocks of levels 3 to 6, whether these are bottlenecks, blocks of levels 7 and 8
    "drn_c_26": ("C", "basic", False, 1),
    "drn_c_42": ("C", "deeper", False, 1),
    "drn_c_58": ("C", "deeper", True, 1),
    "drn_d_22": ("D", "basic", False, 1),
    "drn_d_24": ("D", "basic", False, 2),
    "drn_d_38": ("D", "deeper", False, 1),
    "drn_d_40": ("D", "deeper", False, 2),
    "drn_d_54": ("D", "deeper", True, 1),
    "drn_d_56": ("D", "deeper", True, 2),
    "drn_d_105": ("D", "deepest", True, 1),
    "drn_d_107": ("D", "deepest", True, 2),
    "drn_a_50": ("A", "deeper", True, 0),
}
CHANNELS, STRIDES, RATES = (16, 32, 64, 128, 256, 512, 512, 512), (1, 2, 2, 2, 1, 1, 1, 1), (1, 1, 1, 1, 2, 4, 2, 1)
STAGES = ((64, 1, 1), (128, 2, 1), (256, 1, 2), (512, 1, 4))  # of DRN-A: channels, stride, rate


def conv(inside, outside, size, stride=1, rate=1):
    return nn.Conv2d(inside, outside, size, stride, rate * (size - 1) // 2, rate, bias=False)


class Block(nn.Module):
    """Two or three convolutions; the first 3x3 strides. `shortcut=False` leaves the sum out, and its projection dead."""

    def __init__(self, inside, planes, bottleneck, stride, rates, shortcut):
        super().__init__()
        self.outside = planes * (4 if bottleneck else 1)
        sizes = (
            ((1, 1, 1), (3, stride, rates[0]), (1, 1, 1)) if bottleneck else ((3, stride, rates[0]), (3, 1, rates[1]))
        )
        self.shortcut, self.count = shortcut, len(sizes)
        for index, (size, *options) in enumerate(sizes, 1):
            channels = self.outside if index == self.count else planes
            self.add_module(f"conv{index}", conv(inside if index == 1 else planes, channels, size, *options))
            self.add_module(f"bn{index}", nn.BatchNorm2d(channels))
        self.downsample = None
        if stride > 1 or inside != self.outside:
            self.downsample = nn.Sequential(conv(inside, self.outside, 1, stride), nn.BatchNorm2d(self.outside))

    def forward(self, x):
        y = x
        for index in range(1, self.count + 1):
            y = getattr(self, f"bn{index}")(getattr(self, f"conv{index}")(y))
            if index < self.count:
                y = y.relu()
        if self.shortcut:
            y = y + (x if self.downsample is None else self.downsample(x))
        return y.relu()


def blocks(inside, planes, count, bottleneck=False, stride=1, rate=1, shortcut=True, first_rate=None):
    made = []
    for index in range(count):
        rates = (first_rate or rate, first_rate or rate) if index == 0 else (rate, rate)
        made.append(Block(inside, planes, bottleneck, stride if index == 0 else 1, rates, shortcut))
        inside = made[-1].outside
    return nn.Sequential(*made), inside


def plain(inside, planes, count, size=3, stride=1, rate=1):
    made = []
    for index in range(count):
        made += [conv(inside, planes, size, stride if index == 0 else 1, rate), nn.BatchNorm2d(planes), nn.ReLU()]
        inside = planes
    return nn.Sequential(*made), inside


def trunk(name, width):
    """The modules by name, in the order of computation, and how many channels come out."""
    arch, middle, bottleneck, last = NETWORKS[name]
    if arch == "A":
        inside = int(64 * width)
        modules = {"conv1": nn.Conv2d(3, inside, 7, 2, 3, bias=False), "bn1": nn.BatchNorm2d(inside), "relu": nn.ReLU()}
        modules["maxpool"] = nn.MaxPool2d(3, 2, 1)
        for index, ((planes, stride, rate), count) in enumerate(zip(STAGES, BLOCKS[middle], strict=True), 1):
            options = {"stride": stride, "rate": rate, "first_rate": 1}
            modules[f"layer{index}"], inside = blocks(inside, int(planes * width), count, True, **options)
        return modules, inside
    inside = int(16 * width)
    stem, _ = plain(3, inside, 1, size=7)
    modules = {"layer0": stem} if arch == "D" else dict(zip(("conv1", "bn1", "relu"), stem, strict=True))
    for level, count in enumerate((1, 1, *BLOCKS[middle], last, last), 1):
        planes = int(CHANNELS[level - 1] * width)
        options = {"stride": STRIDES[level - 1], "rate": RATES[level - 1]}
        if 3 <= level <= 6:
            made = blocks(inside, planes, count, bottleneck, **options)
        elif arch == "C":
            made = blocks(inside, planes, count, shortcut=level < 7, **options)
        else:
            made = plain(inside, planes, count, **options)
        modules[f"layer{level}"], inside = made
    return modules, inside


class Classifier(nn.Sequential):
    """The average of the map's first 28 x 28 pixels, then `fc`, as in the public code."""

    def __init__(self, name, width=1, num_classes=1000):
        modules, channels = trunk(name, width)
        super().__init__()
        for key, module in modules.items():
            self.add_module(key, module)
        self.avgpool = nn.AvgPool2d(28)
        if name == "drn_a_50":
            self.flatten = nn.Flatten()
            self.fc = nn.Linear(channels, num_classes)
        else:
            self.fc = nn.Conv2d(channels, num_classes, 1)
            self.flatten = nn.Flatten()


class Segmenter(nn.Module):
    """The logarithms of probabilities, of a map of whole steps of 8 pixels; and the logits at stride 8."""

    def __init__(self, name, width=1, num_classes=19, use_torch_up=False):
        super().__init__()
        modules, channels = trunk(name, width)
        self.base = nn.Sequential(*modules.values())
        self.seg = nn.Conv2d(channels, num_classes, 1)
        self.up = nn.ConvTranspose2d(num_classes, num_classes, 16, 8, 4, groups=num_classes, bias=False)
        if use_torch_up:
            self.up = nn.UpsamplingBilinear2d(scale_factor=8)

    def forward(self, x):
        x = self.seg(self.base(x))
        return self.up(x).log_softmax(1), x
