"""An excerpt of a note on moving a classifier's weights into a segmenter, rebuilt: it uses the convention "new".

The classifier strides in the 3x3 of the first block, `conv4_1_3x3`. The segmenter dilates that layer and those after it.
The author's networks are https://github.com/manutdzou/Image-Parsing: PSPnet_backbone and PSPNet-Sync-master.
"""

import keras
import numpy as np
import pytest
from helpers.random_weights import old_grid_difference, random_image, randomize_weights
from helpers.references import copy_weights, output, relative
from keras import layers

import tfseg


def excerpt(*, stride=2, dilation_rate=1, stride_in="3x3"):
    """`conv4_1` and `conv4_2` of its ResNet, narrow, after a convolution of stride 8 instead of `conv1` to `conv3`."""
    image = keras.Input((None, None, 3), name="image")
    x = layers.Conv2D(24, 8, strides=8, activation="relu", name="conv3_4")(image)
    for unit in (1, 2):
        strides = stride if unit == 1 else 1
        name, shortcut, in_1x1 = f"conv4_{unit}", x, stride_in == "1x1"
        y = conv_norm(x, 8, 1, f"{name}_1x1_reduce", relu=True, strides=strides if in_1x1 else 1)
        y = layers.ZeroPadding2D(dilation_rate, name=f"padding{7 + unit}")(y)
        options = {"dilation_rate": dilation_rate} if dilation_rate > 1 else {"strides": 1 if in_1x1 else strides}
        y = conv_norm(y, 8, 3, f"{name}_3x3", relu=True, **options)
        y = conv_norm(y, 32, 1, f"{name}_1x1_increase")
        if unit == 1:
            shortcut = conv_norm(x, 32, 1, f"{name}_1x1_proj", strides=strides)
        x = layers.ReLU(name=f"{name}_relu")(layers.Add(name=name)([shortcut, y]))
    return keras.Model(image, x, name="excerpt")


def conv_norm(x, filters, kernel_size, name, *, relu=False, **options):
    x = layers.Conv2D(filters, kernel_size, use_bias=False, name=name, **options)(x)
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if relu else x


@pytest.fixture(scope="module")
def classifier():
    return randomize_weights(excerpt())


@pytest.mark.parametrize("size", [(128, 160), (136, 152), (200, 168)])
def test_the_excerpt_is_dilated_by_the_new_convention(classifier, size):
    written = copy_weights(classifier, excerpt(stride=1, dilation_rate=2))
    ours = tfseg.dilate(classifier, 8, convention="new")
    for name in ("conv4_1_3x3", "conv4_2_3x3"):
        assert ours.get_layer(name).dilation_rate == written.get_layer(name).dilation_rate == (2, 2)
        assert ours.get_layer(name).strides == (1, 1)
    assert relative(output(ours, random_image(*size)), output(written, random_image(*size))) <= 1e-6


def test_only_the_previous_convention_keeps_the_excerpts_map(classifier):
    new, previous = (tfseg.dilate(classifier, 8, convention=convention) for convention in ("new", "previous"))
    report = tfseg.check_dilation(classifier, new, random_image(128, 160))
    assert not report.holds
    assert report.broken[0] == "conv4_1_3x3"
    assert report.outputs[0].relative > 0.1
    assert "conv4_1_3x3 is the first layer to break it" in str(report)
    tfseg.check_dilation(classifier, previous, random_image(128, 160)).assert_holds()
    rates = [previous.get_layer(f"conv4_{unit}_3x3").dilation_rate for unit in (1, 2)]
    assert rates == [(1, 1), (2, 2)]


def test_both_conventions_keep_the_map_if_the_1x1_strides():
    """Caffe's ResNets stride there: then the 3x3 of the first block comes after the stride, and conventions do not differ."""
    classifier = randomize_weights(excerpt(stride_in="1x1"))
    for convention in ("new", "previous"):
        dilated = tfseg.dilate(classifier, 8, convention=convention)
        assert dilated.get_layer("conv4_1_3x3").dilation_rate == (2, 2)
        tfseg.check_dilation(classifier, dilated, random_image(136, 168)).assert_holds()


@pytest.mark.full
def test_a_handmade_fcn_on_a_dilated_resnet50_keeps_its_map():
    classifier = randomize_weights(keras.applications.ResNet50(weights=None, classes=7))
    dilated = tfseg.dilate(tfseg.convolutionalize(classifier), 8)
    x = layers.Conv2D(512, 3, padding="same", use_bias=False)(dilated.get_layer("conv5_block3_out").output)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Conv2D(21, 1, name="logits")(layers.Dropout(0.1)(x))
    model = keras.Model(dilated.input, tfseg.layers.ResizeLike()([x, dilated.input]))
    assert model(random_image(97, 129)).shape == (1, 97, 129, 21)
    assert keras.Model(model.input, x)(random_image(97, 129)).shape == (1, 13, 17, 21)
    ends = [keras.Model(net.input, net.get_layer("conv5_block3_out").output) for net in (classifier, dilated)]
    assert old_grid_difference(*ends, random_image(224, 224), 4) <= 1e-5
    np.testing.assert_allclose(
        output(dilated, random_image(224, 224))[:, 0, 0], output(classifier, random_image(224, 224)), rtol=1e-4
    )
