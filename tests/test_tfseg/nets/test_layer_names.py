"""Layers have the names that people know: those of `keras.applications` and of the FCN paper."""

import dataclasses

import keras
import numpy as np
import pytest
from helpers.references import images, output, randomize, relative
from helpers.small_nets import V1

import tfseg

VGG16_CONVS = {
    f"conv{stage}_{index}" for stage, count in enumerate((2, 2, 3, 3, 3), 1) for index in range(1, count + 1)
}
TRUNK = VGG16_CONVS | {"fc6", "fc7", "score_fr"}


@pytest.mark.full
def test_resnet50_has_the_names_and_values_of_keras_applications():
    """Keras has version 1: strides in the 1x1, another epsilon, and biases, which are set to zero here."""
    reference = randomize(keras.applications.ResNet50(weights=None, include_top=False))
    ours = tfseg.ResNet(dataclasses.replace(V1, epsilon=1.001e-5))
    values = {variable.path: variable for variable in reference.weights}
    biases = {path for path in values if path.endswith("conv/bias")}
    assert {variable.path for variable in ours.weights} == set(values) - biases
    for path in biases:
        values[path].assign(np.zeros(values[path].shape))
    for variable in ours.weights:
        variable.assign(values[variable.path])
    for size in ((65, 83), (96, 128)):
        assert relative(output(ours, images(*size)), output(reference, images(*size))) <= 1e-5


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vgg16", VGG16_CONVS),
        ("vgg16_bn", VGG16_CONVS | {f"{conv}_bn" for conv in VGG16_CONVS}),
        ("fcn32s", TRUNK | {"upscore"}),
        ("fcn16s", TRUNK | {"upscore2", "score_pool4", "upscore16"}),
        ("fcn8s", TRUNK | {"upscore2", "score_pool4", "upscore_pool4", "score_pool3", "upscore8"}),
        ("fcn8s_atonce", TRUNK | {"upscore2", "score_pool4", "upscore_pool4", "score_pool3", "upscore8"}),
    ],
)
def test_vgg_and_fcn_layers_have_the_papers_names(name, expected):
    model = tfseg.build(name, width=1 / 64)
    assert {layer.name for layer in model.layers if layer.weights} == expected
    assert {f"pool{stage}" for stage in range(1, 6)} < {layer.name for layer in model.layers}
