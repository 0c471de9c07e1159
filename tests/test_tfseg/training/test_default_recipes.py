"""Each network trains by its own recipe, with its weights and at its full width: the loss falls and stays finite."""

import csv
import dataclasses

import numpy as np
import pytest
from helpers.data_sets import scenes

import converters
import tfseg
from tfseg import training

torch = pytest.importorskip("torch")


def program():
    """A network that is built from its program."""
    from torch import nn

    def conv(inputs, outputs, stride=1):
        return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())

    module = nn.Sequential(conv(3, 16, 2), conv(16, 32, 2), nn.Conv2d(32, 2, 1), nn.Upsample(scale_factor=4)).eval()
    model, _ = converters.convert(module, preprocessing="torch")
    return model


NETWORKS = {
    "fcn8s": ("vgg", {"padding": "same"}),
    "deeplabv3plus_resnet18": ("poly", {}),
    "pspnet_resnet18": ("poly", {}),
    "drnseg_drn_d_22": ("poly", {}),
    "program": ("adamw", {}),
}


NARROW = {"filters": (16, 16, 8, 8, 8)}
# Each decoder on a narrow ResNet, and each kind of backbone under a U-Net.
DECODERS = {
    "unet_resnet18": ("poly", NARROW),
    "unetplusplus_resnet18": ("poly", NARROW),
    "linknet_resnet18": ("poly", {"filters": 8}),
    "fpn_resnet18": ("poly", {"pyramid_filters": 16, "filters": 16, "groups": 8}),
    "manet_resnet18": ("poly", NARROW | {"attention_filters": 8}),
    "pan_resnet18": ("poly", {"filters": 8}),
    "upernet_resnet18": ("poly", {"filters": 16}),
    "segformer_resnet18": ("poly", {"filters": 16}),
    "lraspp_resnet18": ("poly", {"filters": 16}),
    "deeplabv3plus_resnet18": ("poly", {"filters": 16, "low_level_filters": 8}),
    "unet_vgg11": ("vgg", NARROW),
    "unet_vgg11_bn": ("poly", NARROW),
    "unet_drn_d_22": ("poly", {"filters": (16, 8, 8)}),
    "unet_mobilenet_v2": ("poly", NARROW),
    "unet_mobilenet_v3_small": ("poly", NARROW),
    "unet_efficientnet_b0": ("poly", NARROW),
    "unet_mit_b0": ("adamw", NARROW),
    "segformer_mit_b0": ("adamw", {"filters": 16}),
    "unet_hrnet_w18": ("poly", NARROW),
    "unet_xception41": ("poly", NARROW),
    "unet_preact_resnet18": ("poly", NARROW),
}


@pytest.mark.full
@pytest.mark.parametrize("network", DECODERS)
def test_every_decoder_trains_by_its_recipe(tmp_path, network):
    name, options = DECODERS[network]
    side = 128 if network.startswith("pan") else 64
    recipe = dataclasses.replace(training.RECIPES[name], batch_size=2).with_crop((side, side))
    dataset = scenes(tmp_path / "data", size=(side, side))

    def model():
        model = tfseg.build(network, num_classes=2, width=1 / 8, **options)
        assert training.default_recipe(model) == name
        return model

    training.train(model, dataset, tmp_path / "run", recipe=recipe, epochs=8, log=lambda line: None)
    losses = read_losses(tmp_path / "run")
    assert np.isfinite(losses).all()
    # With two images in a step, and dropout, a single epoch may be worse than the one before.
    assert np.mean(losses[4:]) < losses[0]


def read_losses(run):
    with open(run / "log.csv", newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def built(network, **options):
    return program() if network == "program" else tfseg.build(network, num_classes=2, **NETWORKS[network][1], **options)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_recipe_is_that_of_the_network(network):
    model = program() if network == "program" else built(network, width=1 / 16)
    assert training.default_recipe(model) == NETWORKS[network][0]


@pytest.mark.full
@pytest.mark.parametrize("network", NETWORKS)
def test_it_does_not_diverge(tmp_path, network):
    recipe = training.RECIPES[NETWORKS[network][0]]
    recipe = dataclasses.replace(recipe, batch_size=2).with_crop((64, 64))
    dataset = scenes(tmp_path / "data", size=(64, 64))
    training.train(lambda: built(network), dataset, tmp_path / "run", recipe=recipe, epochs=8, log=lambda line: None)
    losses = read_losses(tmp_path / "run")
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
