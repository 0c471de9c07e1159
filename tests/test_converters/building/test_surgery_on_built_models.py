"""`dilate` on networks that were built from live modules: its law holds on the last map, and nothing is left out."""

import keras
import pytest
import torch
from helpers.references import images, randomized_state
from helpers.torchvision_cpu import import_torchvision
from torch import nn

import tfseg
from converters.building.build import build_from_module

pytestmark = pytest.mark.filterwarnings("ignore")  # torch.export's own
CLASSIFIERS = """
    mobilenet_v3_large efficientnet_b0 regnet_y_400mf densenet121 shufflenet_v2_x0_5 mnasnet1_0 squeezenet1_1 googlenet
    convnext_tiny resnet18
""".split()


def features(model):
    """The network up to its last map whose size is the image's."""
    maps = [
        layer.output for layer in model.layers if getattr(layer.output, "ndim", 0) == 4 and not layer.output.shape[1]
    ]
    return keras.Model(model.input, maps[-1])


def check(model):
    network = features(model)
    dilated = tfseg.dilate(network, output_stride=8)
    pixels = images(96, 128)
    assert dilated(pixels).shape[1:3] == (12, 16) or network(pixels).shape[1] == 5  # SqueezeNet pads nothing
    assert dilated(pixels).shape[1] > network(pixels).shape[1]
    assert tfseg.check_dilation(network, dilated, pixels).holds
    assert tfseg.check_dilation(model, tfseg.dilate(model, output_stride=8), pixels).holds


@pytest.mark.full
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_dilation_of_public_classifiers(name):
    model, _ = build_from_module(randomized_state(getattr(import_torchvision().models, name)(weights=None)))
    check(model)


class Shuffled(nn.Module):
    """A channel shuffle as ShuffleNet writes it, a scale as ConvNeXt's, and strides before and after."""

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(
            [nn.Conv2d(inputs, 8, 3, 2, padding=1) for inputs in (3, 8, 8, 8)] + [nn.Conv2d(8, 8, 3, 2, 1, groups=8)]
        )
        self.scale = nn.Parameter(torch.rand(8, 1, 1) + 0.5)

    def forward(self, image):
        x = image
        for conv in self.convs:
            x = conv(x).relu() * self.scale
            batch, channels, height, width = x.shape
            x = x.view(batch, 2, channels // 2, height, width).transpose(1, 2).contiguous()
            x = x.view(batch, channels, height, width)
        return x


@pytest.mark.full
def test_dilation_of_shuffled_channels_and_scales():
    model, _ = build_from_module(randomized_state(Shuffled()))
    assert [type(layer).__name__ for layer in model.layers].count("ShuffleChannels") == 5
    assert not any(type(layer).__name__ in ("ReshapeLike", "Transpose") for layer in model.operations)
    check(model)


def test_a_stride_on_a_map_without_a_place_is_refused():
    """Rows that became batches and back have no place on the image: dilation must not leave the stride after them."""
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, strides=2)(image)
    x = tfseg.layers.ReshapeLike([[0, 1], [0, 2], 2, 2])(x)
    x = keras.ops.sum(x, axis=-1)
    model = keras.Model(image, keras.layers.Conv2D(4, 3, strides=2, name="second")(x))
    with pytest.raises(ValueError, match=r"'second'.*place on the image"):
        tfseg.dilate(model, output_stride=2)
