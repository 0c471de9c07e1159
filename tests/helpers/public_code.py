"""Code of networks as users have it beside their files: what `public=` names in tests."""

import torch
from torch import nn


class Segmenter(nn.Module):
    """A small segmenter with a skip, a table of positions that no file holds, and tied projections."""

    def __init__(self, classes=4, width=6, aux=False):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.first = nn.Conv2d(width, width, 1)
        self.second = nn.Conv2d(width, width, 1)
        self.second.weight = self.first.weight
        self.head = nn.Conv2d(width, classes, 1)
        self.aux = nn.Conv2d(width, classes, 1) if aux else None
        self.register_buffer("scale", torch.linspace(0.5, 2, width)[None, :, None, None], persistent=False)

    def forward(self, image):
        x = self.encoder(image)
        x = self.second(self.first(x).relu()) * self.scale
        return nn.functional.interpolate(self.head(x), image.shape[2:], mode="bilinear")


def segmenter(classes=4, **options):
    """A function as packages have it."""
    return Segmenter(classes, **options)


def needs_width(width):
    """A function that needs an argument."""
    return Segmenter(width=width)


def with_processor():
    """A function that returns more than a network."""
    return Segmenter(), "processor"


def broken():
    """A function that fails."""
    raise RuntimeError("the cache has no file")


def downloads(weights_backbone="imagenet", pretrained=True):
    """A function that would download weights."""
    assert weights_backbone is None
    assert pretrained is False
    return Segmenter()


class RandomTable(Segmenter):
    """A network with numbers of its own that every call draws again."""

    def __init__(self):
        super().__init__()
        self.register_buffer("noise", torch.randn(1, 6, 1, 1), persistent=False)


NOT_CALLABLE = 3
