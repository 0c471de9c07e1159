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
    with open(tmp_path / "run" / "log.csv", newline="") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
