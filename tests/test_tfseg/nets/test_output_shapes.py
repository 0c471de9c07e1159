"""Every kind of network returns the documented shapes, at any size and number of channels."""

import numpy as np
import pytest
from helpers.references import images, output
from helpers.small_nets import SMALL, narrow_resnet


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
