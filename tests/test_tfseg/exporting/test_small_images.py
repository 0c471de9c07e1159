"""Small images: a map inside a network can have no pixels. TensorFlow computes with it, and does not complain."""

import json

import numpy as np
import pytest
import tensorflow as tf

import tfseg
from tfseg.exporting.job import ExportJob
from tfseg.layers.metadata import set_size_multiple
from tfseg.prediction.sizes import least_side, sizes_like
from tfseg.serving.errors import Refused
from tfseg.serving.exported import ExportedModel

LEAST = 113  # pixels: PAN pools a map of stride 16 three times, so it needs 8 rows


@pytest.fixture(scope="module")
def network():
    return tfseg.PAN(tfseg.ResNet(18, output_stride=16, width=1 / 16), 5, filters=8)


@pytest.mark.full
def test_exported_folders_say_the_least_side_and_refuse_smaller_images(network, tmp_path):
    folder = tfseg.export(network, tmp_path / "pan", preprocessing="torch", formats=("saved_model",))
    assert json.loads((folder / "metadata.json").read_text())["least_side"] == LEAST
    signature = tf.saved_model.load(str(folder / "1")).signatures["classes"]
    served = ExportedModel(folder)
    for size in ((LEAST - 1, 200), (200, LEAST - 1)):
        image = np.zeros((*size, 3), "uint8")
        with pytest.raises(tf.errors.InvalidArgumentError, match="leave a map without any"):
            signature(images=tf.constant(image[None]))
        with pytest.raises(Refused, match=f"at least {LEAST} x {LEAST} pixels.* Received: {size[0]} x {size[1]}"):
            served.segment(image)
    assert served.segment(np.zeros((LEAST, LEAST, 3), "uint8")).shape == (LEAST, LEAST)


def test_the_least_side_of_networks():
    vgg = tfseg.VGG(11, width=1 / 16)
    assert least_side(tfseg.Unet(vgg, 5)) == 32
    assert least_side(tfseg.FCN(tfseg.ResNet(18, width=1 / 16), 5)) == 1
    assert ExportJob(tfseg.Unet(vgg, 5), size=(64, 64)).least_side == 32


def test_sizes_like_others_are_large_enough_multiples(network):
    assert sizes_like(network, [(65, 83), (97, 128)], (None, None)) == [(113, 131), (145, 176)]
    assert sizes_like(network, [(65, 83), (97, 128)], (None, 200)) == [(113, 200), (145, 200)]
    two = tfseg.FCN(tfseg.ResNet(18, width=1 / 16), 5)
    set_size_multiple(two, 32)
    assert sizes_like(two, [(65, 83), (66, 84)], (None, None)) == [(96, 96)]
