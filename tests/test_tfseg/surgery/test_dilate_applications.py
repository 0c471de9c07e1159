"""`tfseg.dilate` on the networks of keras.applications: exact at every size, classifiers too."""

import functools
import re

import keras
import pytest
from helpers.random_weights import dilate_and_check, old_grid_difference, random_image, randomize_weights

import tfseg

BACKBONES = """ResNet50 ResNet101 ResNet50V2 VGG16 VGG19 DenseNet121 MobileNet MobileNetV2 MobileNetV3Small
MobileNetV3Large EfficientNetB0 EfficientNetV2B0 Xception InceptionV3 InceptionResNetV2 NASNetMobile
ConvNeXtTiny""".split()
QUICK = {"ResNet50", "MobileNetV3Small"}
PUBLIC = "the original on the old grid"
SIZES = ((129, 129), (128, 96))
FIXED = {"NASNetMobile": (160, 160)}  # its paddings are computed when it is built


@functools.lru_cache(1)
def backbone(name, size):
    # The names of EfficientNet's augmenting layers count up; nothing else depends on what was built before.
    return randomize_weights(getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(*size, 3)))


def paths(model):
    return {re.sub(r"variable_\d+", "variable", variable.path) for variable in model.weights}


@pytest.mark.quick_variants("MobileNetV3Small-8")
@pytest.mark.parametrize(
    ("name", "output_stride"),
    [
        pytest.param(name, stride, marks=() if name in QUICK and stride == 8 else pytest.mark.full)
        for name in BACKBONES
        for stride in (16, 8)
    ],
)
def test_dilated_backbone_has_the_old_map_on_the_old_grid(name, output_stride, record):
    fixed = FIXED.get(name)
    model = backbone(name, fixed or (None, None))
    dilated = tfseg.dilate(model, output_stride)
    # Without the names of inner models, which are dissolved, and the numbers of ConvNeXt's nameless variables.
    assert paths(dilated) == {"/".join(path.split("/")[-2:]) for path in paths(model)}
    for height, width in [fixed] if fixed else SIZES:
        image = random_image(height, width)
        difference = old_grid_difference(model, dilated, image, 32 // output_stride)
        record(f"{name} at output stride {output_stride}", difference)
        assert difference <= 1e-5
    # The map is as large as the image says, except where "valid" stems cut pixels off.
    if not name.startswith(("Inception", "Xception")):
        assert dilated(image).shape[1:3] == (-(-height // output_stride), -(-width // output_stride))


@pytest.mark.parametrize(
    "name", ["MobileNet", *(pytest.param(name, marks=pytest.mark.full) for name in ("ResNet50", "NASNetMobile"))]
)
def test_dilated_classifier_has_the_old_logits(name):
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(96, 96, 3), classes=7, classifier_activation=None
    )
    dilate_and_check(model, 8, 1, [(96, 96)])
