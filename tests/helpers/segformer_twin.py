"""SegFormer under the names of its authors: their head, written from the record, on the copy of their MiT in smp."""

import torch
from helpers.torchvision_cpu import import_torchvision
from torch import nn
from torch.nn.functional import interpolate


class _Projection(nn.Module):
    def __init__(self, inside, outside):
        super().__init__()
        self.proj = nn.Linear(inside, outside)

    def forward(self, x):
        return self.proj(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class _Head(nn.Module):
    def __init__(self, widths, filters, num_classes):
        super().__init__()
        self.conv_seg = nn.Conv2d(filters, num_classes, 1)  # which nothing reads
        for level, width in enumerate(widths, 1):
            self.add_module(f"linear_c{level}", _Projection(width, filters))
        self.linear_fuse = nn.Sequential()
        self.linear_fuse.add_module("conv", nn.Conv2d(4 * filters, filters, 1, bias=False))
        self.linear_fuse.add_module("bn", nn.BatchNorm2d(filters))
        self.linear_pred = nn.Conv2d(filters, num_classes, 1)

    def forward(self, maps):
        size = maps[0].shape[2:]
        parts = [self.get_submodule(f"linear_c{level}")(maps[level - 1]) for level in (4, 3, 2, 1)]
        joined = torch.cat([interpolate(part, size, mode="bilinear") for part in parts], 1)
        return self.linear_pred(self.linear_fuse(joined).relu())


class SegFormer(nn.Module):
    """The authors' SegFormer; its logits have stride 4.

    Args:
        size: "mit_b0" to "mit_b5".
        num_classes: classes of the head.
        filters: channels of the head.
    """

    def __init__(self, size, num_classes=7, filters=256):
        super().__init__()
        import_torchvision()
        from segmentation_models_pytorch.encoders import get_encoder

        self.backbone = get_encoder(size, weights=None)
        self.decode_head = _Head(self.backbone.out_channels[-4:], filters, num_classes)

    def forward(self, image):
        return self.decode_head(self.backbone(image)[-4:])


class MiT(nn.Module):
    """The authors' classifier.

    Args:
        size: "mit_b0" to "mit_b5".
        num_classes: classes of the head.
    """

    def __init__(self, size, num_classes=7):
        super().__init__()
        import_torchvision()
        from segmentation_models_pytorch.encoders import get_encoder

        encoder = get_encoder(size, weights=None)
        for name, module in encoder.named_children():
            self.add_module(name, module)
        self.encode = encoder.forward
        self.head = nn.Linear(encoder.out_channels[-1], num_classes)

    def forward(self, image):
        return self.head(self.encode(image)[-1].mean((2, 3)))
