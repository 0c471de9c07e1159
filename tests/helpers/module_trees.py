"""A torch module made of named layers: the twins of repositories keep the names of their files in tables."""

from torch import nn
from torch.nn import functional


class Tree(nn.Module):
    """Layers by dotted names, and the steps that are computed with them."""

    def put(self, path, layer):
        """Adds a layer; its owners become modules without a function."""
        *owners, name = path.split(".")
        place = self
        for owner in owners:
            if owner not in dict(place.named_children()):
                place.add_module(owner, nn.Module())
            place = place.get_submodule(owner)
        place.add_module(name, layer)

    def put_conv(self, path, inside, outside, kernel=3, norm="", bias=False, **options):
        """Adds a convolution, and a norm if its path is given."""
        self.put(path, nn.Conv2d(inside, outside, kernel, bias=bias, **options))
        if norm:
            self.put(norm, nn.BatchNorm2d(outside))

    def step(self, path, x, *, norm="", stride=1, rate=1, padding=None, relu=True):
        """A convolution with as much padding as keeps the size, its norm, and a ReLU."""
        layer = self.get_submodule(path)
        padding = rate * (layer.kernel_size[0] // 2) if padding is None else padding
        x = functional.conv2d(x, layer.weight, layer.bias, stride, padding, rate, layer.groups)
        x = self.get_submodule(norm)(x) if norm else x
        return x.relu() if relu else x


def resized(x, like, *, aligned=True):
    """A map at another's size."""
    return functional.interpolate(x, like.shape[2:], mode="bilinear", align_corners=aligned)


def doubled(x):
    """A map at twice its size, with aligned corners."""
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
