"""`tfseg.last_maps` of encoders that were built from their programs: the features that their authors give to decoders."""

import keras
import pytest
from helpers.references import images, output, randomized_state, relative
from helpers.smp_decoders import smp

import converters
import tfseg

PUBLIC = "segmentation_models.pytorch's encoders"


@pytest.mark.full
@pytest.mark.parametrize("name", ["mobilenet_v2", "se_resnet50", "vgg11_bn", "mit_b0"])
def test_last_maps_are_the_features_of_the_encoder(name, record):
    get_encoder = smp().encoders.get_encoder
    import torch

    class Deepest(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = get_encoder(name, weights=None)

        def forward(self, image):
            return self.encoder(image)[-1]

    module = randomized_state(Deepest())
    model, _ = converters.convert(module)
    pixels = images(128, 160)
    with torch.no_grad():
        features = module.encoder(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()))
    # By their strides; a map of the image's size, or without channels, stands where there is none.
    expected = {128 // x.shape[2]: x.permute(0, 2, 3, 1).numpy() for x in features if x.shape[1] and x.shape[2] < 128}
    maps = tfseg.last_maps(model)
    assert list(maps) == list(expected)
    values = output(keras.Model(model.inputs[0], list(maps.values())), pixels)
    for stride, value in zip(maps, values, strict=True):
        record(name, relative(value, expected[stride]))
        assert relative(value, expected[stride]) <= 1e-5
    decoder = tfseg.Unet(model, 3, filters=(8, 8, 8, 8, 8))
    assert output(decoder, pixels).shape == (1, 128, 160, 3)
