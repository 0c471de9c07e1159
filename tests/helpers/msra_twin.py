"""MSRA's ResNet as Detectron and detectron2 compute it, in torch, written from its description."""

from helpers.deep_stem_twins import add_stages
from helpers.references import filled_module
from torch import nn
from torch.nn import functional


class MsraResNet(nn.Module):
    """A ResNet whose first 1x1 convolution of a stage strides; with `folded`, its norms are a factor and a number."""

    def __init__(self, depth=50, width=1, num_classes=10):
        super().__init__()
        stem = int(64 * width)
        self.conv1, self.bn1 = nn.Conv2d(3, stem, 7, 2, 3, bias=False), nn.BatchNorm2d(stem)
        features = add_stages(self, depth, width, dilated=False, new=False, stem_width=64)
        for stage in (self.layer2, self.layer3, self.layer4):
            stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
        self.fc = nn.Linear(features, num_classes)

    def forward(self, image):
        x = functional.max_pool2d(self.bn1(self.conv1(image)).relu(), 3, 2, 1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return self.fc(x.mean((2, 3)))


def msra_resnet(folded, **options):
    module = filled_module(lambda: MsraResNet(**options), 0, 1.0)
    for part in module.modules():
        if folded and isinstance(part, nn.BatchNorm2d):
            part.running_mean.zero_()
            part.running_var.fill_(1 - part.eps)
    return module
