"""Every kind of network returns the documented shapes, at any size and number of channels."""

import numpy as np
import pytest
from helpers.references import images, output
from helpers.small_nets import SMALL, narrow_resnet

import tfseg


@pytest.mark.full
@pytest.mark.parametrize("channels", [1, pytest.param(4, marks=pytest.mark.full)])
def test_outputs_have_the_documented_shapes(channels):
    nets = {kind: build(channels=channels) for kind, build in SMALL.items()}
    nets |= {stride: narrow_resnet(18, output_stride=stride, channels=channels) for stride in (32, 4)}
    for height, width in ((33, 47), (64, 32)):
        pixels = images(height, width, channels=channels, batch=2)
        shapes = {kind: np.shape(output(net, pixels)) for kind, net in nets.items()}
        logits = (2, height, width, 5)
        assert shapes == {
            **{stride: (2, -(-height // stride), -(-width // stride), 64) for stride in (32, 4)},
            "resnet": (2, -(-height // 8), -(-width // 8), 64),
            "vgg": (2, height // 32, width // 32, 32),
            "vgg classifier": (2, 5),
            "resnext classifier": (2, 5),
            "resnest classifier": (2, 5),
            "fcn8s": logits,
            "fcn8s same": logits,
            "fcn8s at once": logits,
            "fcn head": (2, *logits),  # logits and aux_logits
            "deeplabv3plus": logits,
            "drn classifier": (2, 5),
            "drnseg": logits,
        }


@pytest.mark.parametrize(
    ("fc_units", "grid", "layers"),
    [
        ((48, 24), 7, ["fc6", "fc7", "fc8"]),
        ((16,), 2, ["fc6", "fc8"]),
        ((), 1, ["fc8"]),
        (None, 7, ["fc6", "fc7", "fc8"]),
    ],
)
def test_vgg_has_the_units_that_are_asked_for(fc_units, grid, layers):
    model = tfseg.VGG(11, include_top=True, num_classes=5, width=1 / 32, fc_units=fc_units, grid=grid)
    units = [model.get_layer(layer).units for layer in layers]
    assert units == [*((128, 128) if fc_units is None else fc_units), 5]
    assert model.get_layer(layers[0]).kernel.shape[0] == 16 * grid**2
    assert model(np.zeros((1, 40, 70, 3))).shape == (1, 5)


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("head", [tfseg.FCN, tfseg.DeepLabV2, tfseg.DeepLabV3, tfseg.DeepLabV3Plus, tfseg.PSPNet])
def test_the_auxiliary_head_may_have_other_classes(head):
    model = head(tfseg.ResNet(18, output_stride=8, width=1 / 16), 5, aux=True, aux_classes=3)
    assert [shape[-1] for shape in model.output_shape] == [5, 3]
