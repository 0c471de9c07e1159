"""Small foreign checkpoints of every family: narrow networks with random weights, under the public names."""

import functools

import numpy as np
from helpers.references import randomize

import tfseg
from converters.weights.foreign_weights import foreign_weights

BUILDS = {
    "torchvision/vgg": ("vgg16", {"include_top": True, "num_classes": 7, "width": 1 / 16}),
    "torchvision/resnet": ("resnet50", {"include_top": True, "num_classes": 7, "width": 1 / 8}),
    "torchvision/segmentation": ("fcn_resnet50", {"num_classes": 7, "width": 1 / 8, "aux": True}),
    "wkentaro/pytorch-fcn": ("fcn8s", {"num_classes": 7, "width": 1 / 16}),
}


@functools.cache
def model(name, **options):
    """A network of ours with random weights and statistics; shared between tests, not to be changed."""
    built = tfseg.build(name, **options)
    randomize(built)
    return built


def state(family, network=None, **options):
    """A network's weights by the family's keys, as a fresh dictionary of arrays."""
    name, defaults = BUILDS[family]
    return {key: np.array(value) for key, value in _weights(family, network or name, **(options or defaults)).items()}


@functools.cache
def _weights(family, name, **options):
    return foreign_weights(model(name, **options), family)


def save(path, content):
    """A dictionary (of dictionaries) of arrays as a `.pth`."""
    import torch

    def tensors(value):
        if isinstance(value, dict):
            return {key: tensors(item) for key, item in value.items()}
        return torch.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value

    torch.save(tensors(content), path)
    return path
