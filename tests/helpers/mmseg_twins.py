"""mmsegmentation's HRNet with its FCN, and its SegFormer, in torch, under the names of its files."""

import functools

import pytest
import torch
from helpers.fcn_twins import ConvModule, sized
from helpers.torchvision_cpu import import_torchvision
from torch import nn

from tfseg import specs


def exchanged(module, maps):
    """One of HRNet's modules, which resizes what its fuse layers enlarged by the stride."""
    maps = [branch(x) for branch, x in zip(module.branches, maps, strict=True)]
    sums = []
    for target, (like, layers) in enumerate(zip(maps, module.fuse_layers, strict=True)):
        parts = [like]
        for source, (layer, x) in enumerate(zip(layers, maps, strict=True)):
            if source != target:
                parts += sized([layer(x)], like, False) if source > target else [layer(x)]
        sums.append(sum(parts).relu())
    return sums


class HRNetFCN(nn.Module):
    """timm's HRNet, whose maps are enlarged bilinearly here, and mmsegmentation's FCN.

    Args:
        name: name in timm.
        num_classes: number of classes.
    """

    def __init__(self, name, num_classes=5):
        super().__init__()
        import_torchvision()
        timm = pytest.importorskip("timm")
        net = timm.create_model(name, pretrained=False)
        for module in net.modules():
            if isinstance(module, nn.Upsample):
                module.mode = "bilinear"
            if hasattr(module, "fuse_layers"):
                module.forward = functools.partial(exchanged, module)
        self.backbone = nn.Module()
        for child, module in net.named_children():
            if child not in ("incre_modules", "downsamp_modules", "final_layer", "classifier"):
                self.backbone.add_module(child, module)
        self.net = [net]  # in a list, so that it has no further name
        width = sum(specs.HRNETS[name].filters * 2**branch for branch in range(4))
        self.decode_head = nn.Module()
        self.decode_head.convs = nn.Sequential(ConvModule(width, width, 1))
        self.decode_head.conv_seg = nn.Conv2d(width, num_classes, 1)

    def forward(self, image):
        net = self.net[0]
        x = net.act2(net.bn2(net.conv2(net.act1(net.bn1(net.conv1(image))))))
        maps = net.stages(x)
        x = torch.cat([maps[0], *sized(maps[1:], maps[0], False)], 1)
        return sized([self.decode_head.conv_seg(self.decode_head.convs(x))], image, False)[0]


def _rows(x):
    return x.flatten(2).transpose(1, 2)


def _map(x, like):
    return x.transpose(1, 2).reshape(len(x), -1, *like.shape[2:])


class Attention(nn.Module):
    def __init__(self, filters, heads, reduction):
        super().__init__()
        self.attn = nn.MultiheadAttention(filters, heads, batch_first=True)
        self.sr = nn.Conv2d(filters, filters, reduction, reduction) if reduction > 1 else None
        self.norm = nn.LayerNorm(filters, eps=1e-6) if reduction > 1 else None

    def forward(self, rows, like):
        source = rows if self.sr is None else self.norm(_rows(self.sr(_map(rows, like))))
        return self.attn(rows, source, source)[0]


class MixFFN(nn.Module):
    def __init__(self, filters):
        super().__init__()
        wide = 4 * filters
        layers = nn.Conv2d(filters, wide, 1), nn.Conv2d(wide, wide, 3, padding=1, groups=wide)
        self.layers = nn.Sequential(*layers, nn.GELU(), nn.Dropout(0), nn.Conv2d(wide, filters, 1))

    def forward(self, rows, like):
        return _rows(self.layers(_map(rows, like)))


class Block(nn.Module):
    def __init__(self, filters, heads, reduction):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(filters, eps=1e-6), nn.LayerNorm(filters, eps=1e-6)
        self.attn, self.ffn = Attention(filters, heads, reduction), MixFFN(filters)

    def forward(self, rows, like):
        rows = rows + self.attn(self.norm1(rows), like)
        return rows + self.ffn(self.norm2(rows), like)


class Patches(nn.Module):
    def __init__(self, inside, filters, size, stride):
        super().__init__()
        self.projection = nn.Conv2d(inside, filters, size, stride, size // 2)
        self.norm = nn.LayerNorm(filters, eps=1e-6)


class SegFormer(nn.Module):
    """mmsegmentation's SegFormer; its logits have the image's size.

    Args:
        size: "mit_b0" to "mit_b5".
        num_classes: number of classes.
        filters: channels of the head.
    """

    def __init__(self, size, num_classes=5, filters=32):
        super().__init__()
        spec, inside = specs.MITS[size], 3
        self.backbone, self.decode_head = nn.Module(), nn.Module()
        self.backbone.layers = nn.ModuleList()
        numbers = zip(specs.MIT_PATCHES, spec.filters, spec.blocks, spec.heads, spec.reductions, strict=True)
        for (kernel, stride), width, count, heads, reduction in numbers:
            blocks = nn.ModuleList(Block(width, heads, reduction) for _ in range(count))
            norm = nn.LayerNorm(width, eps=1e-6)
            self.backbone.layers.append(nn.ModuleList([Patches(inside, width, kernel, stride), blocks, norm]))
            inside = width
        self.decode_head.convs = nn.ModuleList(ConvModule(width, filters, 1) for width in spec.filters)
        self.decode_head.fusion_conv = ConvModule(4 * filters, filters, 1)
        self.decode_head.conv_seg = nn.Conv2d(filters, num_classes, 1)

    def forward(self, image):
        x, maps = image, []
        for patches, blocks, norm in self.backbone.layers:
            x = patches.projection(x)
            rows = patches.norm(_rows(x))
            for block in blocks:
                rows = block(rows, x)
            x = _map(norm(rows), x)
            maps.append(x)
        parts = [conv(x) for conv, x in zip(self.decode_head.convs, maps, strict=True)]
        x = self.decode_head.fusion_conv(torch.cat(sized(parts, maps[0], False), 1))
        return sized([self.decode_head.conv_seg(x)], image, False)[0]
