"""The Xceptions of jfzhang95 and bubbliiiing in torch, written from their description, under the names of their files."""

from helpers.module_trees import Tree

LAST = 20  # the last block with a shortcut


def places(style, block, index):
    """Names of a separable convolution's four layers; those of block 21 are numbered at the top."""
    if style == "bubbliiiing":
        owner = f"block{block}.sepconv{index}" if block <= LAST else f"conv{index + 2}"
        return tuple(f"{owner}.{name}" for name in ("depthwise", "bn1", "pointwise", "bn2"))
    if block > LAST:
        owner = f"conv{index + 2}"
        return f"{owner}.conv1", f"{owner}.bn", f"{owner}.pointwise", f"bn{index + 2}"
    place = 3 * (index - 1) + (block > 2)  # a ReLU comes first but in the first two blocks
    owner = f"block{block}.rep.{place}"
    return f"{owner}.conv1", f"{owner}.bn", f"{owner}.pointwise", f"block{block}.rep.{place + 1}"


def plan(style, output_stride):
    """`(filters, strides, rates of the three convolutions)` of each block."""
    eight = output_stride == 8
    for filters, strides in ((128, 2), (256, 2), (728, 1 if eight else 2)):
        yield filters, strides, (1, 1, 1)
    rate = 2 if eight else 1
    for _ in range(16):
        yield 728, 1, (rate,) * 3
    if style == "bubbliiiing":
        yield 1024, 1, (rate,) * 3
        yield 2048, 1, (rate,) * 3
    else:  # the last convolution of the block forgets its rate
        yield 1024, 1, (rate, rate, 1)
        yield 2048, 1, (2 * rate,) * 3


class Xception(Tree):
    """Returns the map that the decoder reads, and the last one."""

    def __init__(self, style, output_stride, width=1):
        super().__init__()
        self.style, self.plan = style, list(plan(style, output_stride))
        before, stem = int(64 * width), int(32 * width)
        self.put_conv("conv1", 3, stem, norm="bn1")
        self.put_conv("conv2", stem, before, norm="bn2")
        for block, (filters, _, _) in enumerate(self.plan, 1):
            after = int(filters * width)
            if block <= LAST and before != after:
                self.put_conv(f"block{block}.skip", before, after, 1, norm=f"block{block}.skipbn")
            middle = {20: int(728 * width), 21: int(1536 * width)}.get(block, after)
            widths = [before, middle, middle if block == 21 else after, after]
            for index in (1, 2, 3):
                inside, outside = widths[index - 1 : index + 1]
                depthwise, norm, pointwise, last = places(style, block, index)
                self.put_conv(depthwise, inside, inside, norm=norm, groups=inside)
                self.put_conv(pointwise, inside, outside, 1, norm=last)
            before = after

    def separable(self, block, index, x, stride, rate, relus):
        depthwise, norm, pointwise, last = places(self.style, block, index)
        x = self.step(depthwise, x, norm=norm, stride=stride, rate=rate, relu=relus and self.style == "bubbliiiing")
        return self.step(pointwise, x, norm=last, relu=relus)

    def forward(self, image):
        x = self.step("conv2", self.step("conv1", image, norm="bn1", stride=2), norm="bn2")
        fine = None
        for block, (_, stride, rates) in enumerate(self.plan[:LAST], 1):
            y, skip = x.relu(), f"block{block}.skip"
            if block == 2 and self.style == "jfzhang95":
                fine = y
            projected = f"{skip}.weight" in self.state_dict()
            # A ReLU that overwrites its input changes what the shortcut reads, unless the shortcut was computed before.
            shortcut = x if self.style == "bubbliiiing" and projected else y
            if projected:
                shortcut = self.step(skip, shortcut, norm=f"{skip}bn", stride=stride, relu=False)
            for index, rate in enumerate(rates, 1):
                y = self.separable(block, index, y.relu(), stride if index == 3 else 1, rate, False)
                if (block, index, self.style) == (2, 2, "bubbliiiing"):
                    fine = y
            x = y + shortcut
        x = x.relu() if self.style == "jfzhang95" else x
        for index, rate in enumerate(self.plan[LAST][2], 1):
            x = self.separable(21, index, x, 1, rate, True)
        return fine, x


FINE = {"jfzhang95": 128, "bubbliiiing": 256}  # channels of the map that the decoder reads
