"""A classifier of Image-Parsing in both dilation conventions, and in a segmenter.

Reference: https://github.com/manutdzou/Image-Parsing, PSPnet_backbone and PSPNet-Sync-master.
"""

import keras
import numpy as np
import pytest
from helpers import kaffe_nets
from helpers.random_weights import random_image
from helpers.references import output, relative

import converters
import tfseg


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The narrow classifier, in a file with the names of Image-Parsing."""
    net = kaffe_nets.KaffeNet()
    kaffe_nets.classifier(net, random_image(64, 64))
    return net, net.save(tmp_path_factory.mktemp("image_parsing") / "classifier.npy")


@pytest.mark.full
def test_image_parsing_classifier_converts_in_both_conventions(checkpoint):
    net, path = checkpoint
    classifier, receipt = converters.convert(path, include_top=False)
    assert (receipt.family, receipt.network) == ("manutdzou/Image-Parsing", "resnet50")
    new, previous = (
        converters.convert(path, include_top=False, output_stride=8, convention=convention)[0]
        for convention in ("new", "previous")
    )
    image = random_image(96, 128)
    expected = kaffe_nets.features(net, image, 50, 1 / 8, (None, "1x1", None, None), (1, 1, 2, 4))
    assert relative(output(new, image), expected) <= 1e-6
    report = tfseg.check_dilation(classifier, new, image)
    assert not report.holds
    assert report.broken[0] == "conv4_block1_2_conv"  # the file's conv4_1_3x3
    tfseg.check_dilation(classifier, previous, image).assert_holds()


@pytest.mark.full
def test_image_parsing_classifier_is_a_warm_start_of_pspnet(checkpoint):
    _, path = checkpoint
    options = {"output_stride": 8, "convention": "new"}
    model, receipt = converters.convert(path, network="pspnet_resnet50", num_classes=3, **options)
    assert receipt.transplant == "a ResNet classifier into a segmenter"
    assert all(name.startswith(("ppm_", "head_", "logits/")) for name in receipt.untouched)
    features, _ = converters.convert(path, include_top=False, **options)
    image = random_image(96, 80)
    assert model(image).shape == (1, 96, 80, 3)
    trunk = keras.Model(model.input, model.get_layer("conv5_block3_out").output)
    np.testing.assert_array_equal(output(trunk, image), output(features, image))
