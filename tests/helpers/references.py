"""Public networks with weights that hide no error, seeded images, and the relative difference of two results."""

import functools
import gc
import importlib
import importlib.util
import math
import sys
import types

import keras
import numpy as np
import pytest
from helpers.torchvision_cpu import import_torchvision

SIZES = ((65, 83), (96, 128), (97, 129), (224, 224))


def relative(ours, reference):
    """The largest difference, divided by the reference's largest value."""
    ours, reference = np.asarray(ours, "float64"), np.asarray(reference, "float64")
    assert ours.shape == reference.shape
    return float(np.abs(ours - reference).max() / np.abs(reference).max())


def images(height, width, *, channels=3, batch=1, seed=0):
    """Unit-normal pixels `(batch, height, width, channels)`."""
    return np.random.default_rng(seed).normal(size=(batch, height, width, channels)).astype("float32")


# --------------------------------------------------------------------------------------------------------------- torch


def torchvision_net(name, *, seed=0, **options):
    """A classifier or segmenter of torchvision in evaluation mode, its weights and statistics far from the defaults."""
    models = import_torchvision().models
    if name.startswith(("fcn_", "deeplabv3_")):
        options["weights_backbone"] = None
        models = models.segmentation
    # At gain 1 a branch of three convolutions keeps a quarter of the variance: even fifty blocks do not explode.
    return filled_module(getattr(models, name), seed, 2.0 if name.startswith("vgg") else 1.0, weights=None, **options)


def timm_net(name, *, seed=0, **options):
    """A classifier of timm in evaluation mode, filled in the same way."""
    import_torchvision()
    timm = pytest.importorskip("timm")
    return filled_module(functools.partial(timm.create_model, name), seed, 1.0, pretrained=False, **options)


def torchfcn_net(name, *, seed=0, width=1):
    """`FCN32s`, `FCN16s`, `FCN8s` or `FCN8sAtOnce` of torchfcn in evaluation mode, none of its weights zero."""
    models = torchfcn_models()
    module = filled_module(lambda: narrow_vgg(getattr(models, name)(), width), seed, 2.0)
    if name == "FCN8sAtOnce":  # without this the scaled poolings would vanish beside fc7's scores
        module.score_pool4.weight *= 100
        module.score_pool3.weight *= 10000
    return module


def narrow_vgg(module, width):
    """The module with narrower convolutions; scores and images keep their channels."""
    from torch import nn

    for name, part in list(module.named_children()):
        if isinstance(part, nn.Conv2d):
            inside = part.in_channels if name == "conv1_1" else int(part.in_channels * width)
            outside = part.out_channels if name.startswith("score") else int(part.out_channels * width)
            setattr(module, name, nn.Conv2d(inside, outside, part.kernel_size, padding=part.padding))
    return module


def torch_output(module, pixels):
    """The output of a torch module for `(batch, height, width, channels)`, with the channels last again."""
    import torch

    with torch.no_grad():
        result = module(torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))))
    return result.permute(0, 2, 3, 1).numpy() if result.ndim == 4 else result.numpy()


def filled_module(builder, seed, gain, **options):
    """`builder(**options)` in evaluation mode, with every parameter and statistic drawn again.

    Args:
        builder: function or class that gives a torch module.
        seed: seed of the draws.
        gain: variance of a layer's output over that of its input: 2 before a ReLU, 1 in residual branches.
        options: keywords of the builder.
    """
    import torch
    from torch import nn

    gc.collect()  # the networks before this one hang in reference cycles, half a gigabyte each
    with torch.device("meta"):  # their own initial weights would cost seconds
        module = builder(**options)
    module.to_empty(device="cpu").eval().requires_grad_(False)
    random = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.weight.uniform_(0.5, 1.5, generator=random)
            part.bias.normal_(0, 0.2, generator=random)
            part.running_mean.normal_(0, 0.3, generator=random)
            part.running_var.uniform_(0.5, 2, generator=random)
            part.num_batches_tracked.zero_()
        elif hasattr(part, "init_non_persistent_buffers"):  # timm's blur, whose filter the meta device left empty
            part.init_non_persistent_buffers()
        elif getattr(part, "weight", None) is not None:
            # Every pixel of an upscore, whose kernel is twice its stride, sees 2 x 2 pixels.
            fan_in = 4 * part.in_channels if isinstance(part, nn.ConvTranspose2d) else math.prod(part.weight.shape[1:])
            part.weight.normal_(0, math.sqrt(gain / fan_in), generator=random)
            if part.bias is not None:
                part.bias.normal_(0, 0.1, generator=random)
    return module


def randomized_state(module, seed=0):
    """A module of any layers in evaluation mode, its state dictionary drawn at random; returns the module."""
    import torch

    random = torch.Generator().manual_seed(seed)
    for name, value in module.state_dict().items():
        if not value.dtype.is_floating_point:
            continue
        if "running_var" in name:
            value.uniform_(0.5, 1.5, generator=random)
        elif value.ndim == 1:
            value.normal_("weight" in name, 0.1, generator=random)
        elif value.ndim:
            value.normal_(0, math.sqrt(1.4 / value[0].numel()), generator=random)
    return module.eval()


@functools.cache
def torchfcn_models():
    """`torchfcn.models` alone: the package's own import asks for the libraries of its data sets and its trainer."""
    spec = importlib.util.find_spec("torchfcn")
    if spec is None:
        pytest.skip("torchfcn is not installed")
    import_torchvision()  # their VGG16 asks for it
    sys.modules.setdefault("fcn", types.ModuleType("fcn"))  # their downloader, which no network calls
    sys.modules["torchfcn"] = importlib.util.module_from_spec(spec)
    return importlib.import_module("torchfcn.models")


# --------------------------------------------------------------------------------------------------------------- Keras


def randomize(model, *, seed=0, gain=1.0):
    """Draws every weight of a Keras model again, as in the torch networks above; returns the model."""
    random = np.random.default_rng(seed)
    draws = {
        "gamma": lambda shape: random.uniform(0.5, 1.5, shape),
        "beta": lambda shape: random.normal(0, 0.2, shape),
        "moving_mean": lambda shape: random.normal(0, 0.3, shape),
        "moving_variance": lambda shape: random.uniform(0.5, 2, shape),
        "bias": lambda shape: random.normal(0, 0.1, shape),
        "kernel": lambda shape: random.normal(0, math.sqrt(gain / math.prod(shape[:-1])), shape),
    }
    for layer in model.layers:
        transposed = isinstance(layer, keras.layers.Conv2DTranspose)
        for variable in layer.weights:
            if variable.name in draws:  # the counters of random generators stay
                values = draws[variable.name](tuple(variable.shape))
                variable.assign(values * variable.shape[0] / 2 if transposed else values)
    return model


def copy_weights(source, target):
    """Copies all variables of one Keras model into another, by `path`; returns the target."""
    values = {variable.path: variable for variable in source.weights}
    assert {variable.path for variable in target.weights} == set(values)
    for variable in target.weights:
        variable.assign(values[variable.path])
    return target


def output(model, pixels):
    """The output of a Keras model for an array: an array, or a list of them."""
    result = model(pixels, training=False)
    convert = keras.ops.convert_to_numpy
    return [convert(tensor) for tensor in result] if isinstance(result, list) else convert(result)
