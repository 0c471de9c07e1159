"""A half-width ResNet-18 FCN at output stride 8 in plain PyTorch, under torchvision's names."""

import torch
from torch import nn
from torch.nn import functional

WIDTHS = (32, 64, 128, 256)


class Block(nn.Module):
    """A basic block; its two convolutions have dilation rates `rate1` and `rate2`."""

    def __init__(self, inputs: int, outputs: int, stride: int, rate1: int, rate2: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, rate1, rate1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, rate2, rate2, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride > 1 or inputs != outputs:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


class Backbone(nn.Module):
    """ResNet-18 at output stride 8."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        inputs, rate = WIDTHS[0], 1
        for stage, outputs in enumerate(WIDTHS):
            stride, rate_before = (2 if stage == 1 else 1), rate
            rate *= 2 if stage > 1 else 1
            blocks = [Block(inputs, outputs, stride, rate_before, rate), Block(outputs, outputs, 1, rate, rate)]
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
            inputs = outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


class FCN(nn.Module):
    """The backbone with an FCN head, without dropout."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.backbone = Backbone()
        conv = nn.Conv2d(WIDTHS[-1], WIDTHS[-1] // 4, 3, 1, 1, bias=False)
        last = nn.Conv2d(WIDTHS[-1] // 4, num_classes, 1)
        norm = nn.BatchNorm2d(WIDTHS[-1] // 4)
        self.classifier = nn.Sequential(conv, norm, nn.ReLU(), nn.Identity(), last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.classifier(self.backbone(x))
        return functional.interpolate(y, x.shape[2:], mode="bilinear", align_corners=False)
