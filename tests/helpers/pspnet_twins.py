"""The PSPNets of meetps, yassouali and bubbliiiing in torch, written from their description."""

import torch
from helpers.deep_stem_twins import SemsegPSPNet, add_stages, branches, conv_norm_relu, pyramid, run_stages, stem
from helpers.deeplab_twins import STYLES, MobileNet
from torch import nn
from torch.nn.functional import interpolate


class Meetps(SemsegPSPNet):
    """Its pyramid begins with the finest bins."""

    def forward(self, image):
        x = run_stages(self, self.layer0(image))[1]
        bins = pyramid(self.ppm.features, x, True)[:, x.shape[1] :].chunk(4, 1)
        logits = self.cls(torch.cat([x, *reversed(bins)], 1))
        return interpolate(logits, image.shape[2:], mode="bilinear", align_corners=True)


class Yassouali(SemsegPSPNet):
    """Its corners are aligned in the pyramid alone, and the first block of a dilated stage keeps its rate."""

    def __init__(self, depth, num_classes=7, width=1):
        super().__init__(depth, num_classes, width)
        features = add_stages(self, depth, width, dilated=True, new=False)
        inside, filters = features // 2, features // 4
        self.cls = conv_norm_relu(2 * features, filters, 3, nn.Dropout2d(), nn.Conv2d(filters, num_classes, 1))
        self.aux = conv_norm_relu(inside, filters, 3, nn.Dropout2d(), nn.Conv2d(filters, num_classes, 1))

    def forward(self, image):
        x = run_stages(self, self.layer0(image))[1]
        logits = self.cls(pyramid(self.ppm.features, x, True))
        return interpolate(logits, image.shape[2:], mode="bilinear", align_corners=False)


class Lextal(nn.Module):
    """Lextal's: branches without norms, and three steps to the image. It returns the log-softmax of its scores."""

    def __init__(self, depth, num_classes=7, width=1):
        super().__init__()
        self.feats = nn.Module()
        self.feats.conv1 = nn.Conv2d(3, int(64 * width), 7, 2, 3, bias=False)
        self.feats.bn1 = nn.BatchNorm2d(int(64 * width))
        features = add_stages(self.feats, depth, width, dilated=True, new=False, stem_width=64)
        for stage in (self.feats.layer3, self.feats.layer4):  # the first block of a stage has no rate
            for conv in (stage[0].conv1, stage[0].conv2) if depth < 50 else (stage[0].conv2,):
                conv.dilation = conv.padding = (1, 1)
        widths = [int(count * width) for count in (1024, 256, 64, 64)]
        self.psp = nn.Module()
        self.psp.stages = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(bins), nn.Conv2d(features, features, 1, bias=False))
            for bins in (1, 2, 3, 6)
        )
        self.psp.bottleneck = nn.Conv2d(5 * features, widths[0], 1)
        for index in (1, 2, 3):
            inside, outside = widths[index - 1 : index + 1]
            step = nn.Module()
            step.conv = nn.Sequential(nn.Conv2d(inside, outside, 3, padding=1), nn.BatchNorm2d(outside), nn.PReLU())
            self.add_module(f"up_{index}", step)
        self.final = nn.Sequential(nn.Conv2d(widths[-1], num_classes, 1), nn.LogSoftmax(1))
        self.classifier = nn.Sequential(nn.Linear(features // 2, 256), nn.ReLU(), nn.Linear(256, num_classes))

    def forward(self, image):
        x = run_stages(self.feats, self.feats.bn1(self.feats.conv1(image)).relu())[1]
        maps = [interpolate(part(x), x.shape[2:], mode="bilinear") for part in self.psp.stages]
        x = self.psp.bottleneck(torch.cat([*maps, x], 1)).relu()
        for index in (1, 2, 3):
            x = getattr(self, f"up_{index}").conv(interpolate(x, scale_factor=2, mode="bilinear"))
        return self.final(x)


class Trunk(nn.Module):
    """bubbliiiing's ResNet, whose stem lies at the top; at output stride 16 or 8."""

    def __init__(self, width, output_stride):
        super().__init__()
        for index, layer in enumerate(stem(width)):
            self.add_module(f"{('conv', 'bn')[index % 2]}{index // 2 + 1}", layer)
        add_stages(self, 50, width, dilated=output_stride == 8, new=False)
        for index, block in enumerate(self.layer4 if output_stride == 16 else ()):
            if index:
                block.conv2.dilation = block.conv2.padding = (2, 2)
            else:
                block.conv2.stride = block.downsample[0].stride = (1, 1)

    def forward(self, x):
        for index in (1, 2, 3):
            x = getattr(self, f"bn{index}")(getattr(self, f"conv{index}")(x)).relu()
        return run_stages(self, x)[1]


class Bubbliiiing(nn.Module):
    def __init__(self, backbone, output_stride, width=1, num_classes=7):
        super().__init__()
        light = backbone == "mobilenet"
        self.backbone = MobileNet(STYLES["bubbliiiing"], output_stride) if light else Trunk(width, output_stride)
        features, inside = (320, 96) if light else (int(2048 * width), int(1024 * width))
        filters, aux = features // 4, features // 8
        master = nn.Module()
        master.stages = branches(features, filters)
        master.bottleneck = conv_norm_relu(2 * features, filters, 3, nn.Dropout2d())
        self.master_branch = nn.ModuleList([master, nn.Conv2d(filters, num_classes, 1)])
        self.auxiliary_branch = conv_norm_relu(inside, aux, 3, nn.Dropout2d(), nn.Conv2d(aux, num_classes, 1))

    def forward(self, image):
        x = self.backbone(image)
        head, last = self.master_branch
        logits = last(head.bottleneck(pyramid(head.stages, x[1] if isinstance(x, tuple) else x, True)))
        return interpolate(logits, image.shape[2:], mode="bilinear", align_corners=True)
