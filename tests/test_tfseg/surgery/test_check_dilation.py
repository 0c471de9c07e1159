"""`tfseg.check_dilation`: the report on the law."""

import dataclasses

import keras
import numpy as np
import pytest
from helpers.chains import conv, halved, squeeze_and_excite, strided_model
from helpers.random_weights import random_image, randomize_weights
from helpers.references import copy_weights
from keras import layers

import tfseg
from tfseg import specs

V1 = dataclasses.replace(specs.RESNETS["resnet50"], stride_in="1x1")


def test_report_of_an_exact_dilation():
    model = randomize_weights(tfseg.ResNet(V1, width=1 / 16))
    report = tfseg.check_dilation(model, tfseg.dilate(model, 8), random_image(97, 129))
    report.assert_holds()
    assert report.holds
    assert report.broken is None
    (row,) = report.outputs
    assert (row.name, row.relative <= 1e-6) == ("conv5_block3_out", True)
    head, line, verdict = str(report).splitlines()
    assert head.split("  ")[0] == "output"
    assert "4 x 5 -> 13 x 17" in line
    assert "32 -> 8" in line
    assert verdict == "The law holds: on the old grid, the new map is the old map."


@pytest.mark.quick_variants("one-conv5_block1_2_conv")
@pytest.mark.parametrize(("convention", "layer"), [("new", "conv4_block1_2_conv"), ("one", "conv5_block1_2_conv")])
def test_report_names_the_first_layer_that_differs(convention, layer):
    model = randomize_weights(tfseg.ResNet(50, width=1 / 16))
    report = tfseg.check_dilation(model, tfseg.dilate(model, 8, convention=convention), random_image(97, 129))
    assert not report.holds
    assert report.broken[0] == layer
    assert report.outputs[0].relative > 0.05
    with pytest.raises(
        AssertionError, match=rf"427 x 427 -> \d+ x \d+(.|\n)*does not hold: {layer} is the first layer"
    ):
        report.assert_holds()


def test_changed_weights_are_reported():
    model = randomize_weights(strided_model(halved, squeeze_and_excite(layers.GlobalAveragePooling2D)))
    dilated = tfseg.dilate(model, 2)
    assert tfseg.check_dilation(model, dilated, random_image(40, 41)).holds
    dilated.get_layer("last").bias.assign_add(np.full(6, 0.1, "float32"))
    assert tfseg.check_dilation(model, dilated, random_image(40, 41)).broken[0] == "last"
    dilated.get_layer("last").bias.assign(np.full(6, np.nan, "float32"))
    assert not tfseg.check_dilation(model, dilated, random_image(40, 41)).holds


def test_maps_of_the_wrong_size_are_reported():
    model = randomize_weights(strided_model())
    image = keras.Input((None, None, 3))
    x = conv(3, strides=2, padding="same", name="first")(layers.ZeroPadding2D(8)(image))
    wide = keras.Model(image, conv(2, name="head")(layers.Conv2D(6, 3, padding="same", name="last")(x)))
    report = tfseg.check_dilation(model, copy_weights(model, wide), random_image(40, 41))
    assert report.outputs[0].relative == np.inf
    assert report.broken == ("first", np.inf)


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize(
    ("build", "size"),
    [
        (lambda: tfseg.VGG(16, width=1 / 32), 212),
        (lambda: tfseg.ResNet(V1, width=1 / 16), 483),
        (
            lambda: keras.applications.MobileNet(
                weights=None, include_top=False, alpha=0.25, input_shape=(None, None, 3)
            ),
            315,
        ),
    ],
    ids=["VGG16", "ResNet50", "MobileNet"],
)
def test_receptive_fields_are_those_published(build, size):
    """Araujo et al. 2019, https://distill.pub/2019/computing-receptive-fields, appendix."""
    model = randomize_weights(build())
    (row,) = tfseg.check_dilation(model, tfseg.dilate(model, 8), random_image(64, 64)).outputs
    assert [field.size for field in row.receptive_fields] == [(size, size)] * 2
    assert [field.stride for field in row.receptive_fields] == [32, 8]
