"""A head for other classes: it is new, and nothing else."""

import keras
import numpy as np
import pytest
from helpers.references import images

import tfseg
from tfseg.surgery.renew_head import class_layers
from tfseg.surgery.take_weights import take_weights

HEADS = {
    "fcn32s": ["upscore", "score_fr"],
    "fcn_resnet18": ["logits"],
    "pspnet_resnet18": ["logits"],
    "deeplabv2_resnet18": [f"aspp_logits_{branch}" for branch in range(4)],
    "deeplab_largefov": ["fc8_score"],
}


@pytest.mark.parametrize("network", HEADS)
def test_only_the_head_is_new(network):
    model = tfseg.build(network, num_classes=21, width=1 / 32)
    tfseg.set_metadata(model, classes=[f"c{i}" for i in range(21)])
    renewed = tfseg.renew_head(model, 4)
    assert sorted(class_layers(model)) == sorted(HEADS[network])
    assert renewed.output_shape == (None, None, None, 4)
    assert tfseg.metadata(renewed)["classes"] is None
    assert tfseg.metadata(renewed)["preprocessing"] == tfseg.metadata(model)["preprocessing"]
    for old, new in zip(model.weights, renewed.weights, strict=True):
        assert old.path == new.path
        if old.path.split("/")[0] not in HEADS[network]:
            np.testing.assert_array_equal(old, new)
    assert model.output_shape[-1] == 21


@pytest.mark.parametrize("like", [tfseg.layers.ResizeLike, tfseg.layers.CropLike])
@pytest.mark.parametrize("first", ["normalization", "color"])
def test_what_the_image_passes_is_no_head_for_as_many_classes(like, first):
    """Three classes, three colors: the scores get the size of an image that has passed layers with weights."""
    image = keras.Input((None, None, 3))
    if first == "normalization":
        layer = keras.layers.Normalization(name=first)
        layer.adapt(np.random.default_rng(0).normal(5, 3, (2, 4, 4, 3)))
    else:
        layer = keras.layers.Conv2D(3, 1, name=first)
    x = layer(image)
    features = keras.layers.Conv2D(4, 3, padding="same", name="trunk")(x)
    scores = keras.layers.Conv2D(3, 1, name="classes")(features)
    model = keras.Model(image, like()([scores, x]))
    renewed = tfseg.renew_head(model, 5)
    assert class_layers(model) == ["classes"]
    for name in (first, "trunk"):
        for old, new in zip(model.get_layer(name).weights, renewed.get_layer(name).weights, strict=True):
            np.testing.assert_array_equal(old, new)


def test_features_before_the_head_are_the_same(tmp_path):
    """A network with names of its own, an auxiliary head, and outputs in a dictionary."""
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="trunk")(image)
    out = keras.layers.Softmax()(keras.layers.Conv2D(5, 1, name="seg")(x))
    aux = keras.layers.DepthwiseConv2D(1, name="smooth")(keras.layers.Conv2D(5, 1, name="seg2")(x))
    model = keras.Model(image, {"out": out, "aux": aux, "features": x})
    renewed = tfseg.renew_head(model, 2)
    assert class_layers(model) == ["seg", "smooth", "seg2"]
    assert {key: output.shape[-1] for key, output in renewed.output.items()} == {"out": 2, "aux": 2, "features": 8}
    batch = images(9, 9)
    np.testing.assert_array_equal(model(batch)["features"], renewed(batch)["features"])
    renewed.save(tmp_path / "m.keras")
    assert keras.saving.load_model(tmp_path / "m.keras").output["out"].shape[-1] == 2


@pytest.mark.parametrize("by_operation", [False, True])
def test_scores_in_a_row_are_those_of_the_new_classes(by_operation):
    """The shape of a Reshape names the number of classes."""
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(5, 1, name="scores")(keras.layers.Reshape((8, 8, 3))(image))
    x = keras.ops.reshape(x, (-1, 64, 5)) if by_operation else keras.layers.Reshape((64, 5))(x)
    renewed = tfseg.renew_head(keras.Model(image, keras.layers.Softmax()(x)), 3)
    assert renewed.output_shape == (None, 64, 3)


def test_a_layer_that_cannot_take_the_new_classes_is_named():
    image = keras.Input((8, 8, 3))
    x = keras.layers.GroupNormalization(5, name="groups")(keras.layers.Conv2D(5, 1)(image))
    with pytest.raises(ValueError, match=r"its layer 'groups' \(GroupNormalization\) does not take 3 classes"):
        tfseg.renew_head(keras.Model(image, x), 3)


def test_a_head_that_is_not_found_is_refused():
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(20, 1)(image)
    with pytest.raises(ValueError, match="no convolution that gives the 5 channels of its output"):
        tfseg.renew_head(keras.Model(image, keras.layers.Reshape((16, 16, 5))(x)), 3)
    inner = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(5, 1)], name="inner")
    with pytest.raises(ValueError, match="come from the inner model 'inner'"):
        tfseg.renew_head(keras.Model(image, inner(image)), 3)
    with pytest.raises(ValueError, match=r"a whole number from 1. Received: 0"):
        tfseg.renew_head(inner, 0)


def test_a_trunk_goes_into_another_segmenter_and_to_another_stride():
    fcn = tfseg.build("fcn_resnet18", num_classes=21, width=1 / 16, output_stride=32)
    deeplab = tfseg.build("deeplabv3_resnet18", num_classes=3, width=1 / 16, output_stride=8)
    before = np.array(deeplab.get_layer("head_conv").kernel)
    assert take_weights(deeplab, fcn) == 100
    np.testing.assert_array_equal(
        deeplab.get_layer("conv5_block2_2_conv").kernel, fcn.get_layer("conv5_block2_2_conv").kernel
    )
    np.testing.assert_array_equal(deeplab.get_layer("head_conv").kernel, before)


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        ("fcn_resnet34", {"width": 1 / 16}, "has no weights for 'conv2_block3_1_conv/kernel, .* have other trunks"),
        (
            "fcn_resnet18",
            {"width": 1 / 8},
            r"have other shapes .*Received: \(7, 7, 3, 4\), expected \(7, 7, 3, 8\).*width=0.5",
        ),
    ],
)
def test_another_trunk_is_refused(network, options, message):
    model, source = (
        tfseg.build(network, num_classes=2, **options),
        tfseg.build("fcn_resnet18", num_classes=2, width=1 / 16),
    )
    before = [np.array(variable) for variable in model.weights]
    with pytest.raises(ValueError, match=message):
        take_weights(model, source)
    assert all((old == new).all() for old, new in zip(before, map(np.array, model.weights), strict=True))


def test_a_trunk_of_the_same_shapes_and_another_function_is_refused():
    """Caffe's ResNet-50 strides in other layers; an epsilon is no shape; a leaky network has other activations."""
    source = tfseg.build("fcn_resnet50", num_classes=2, width=1 / 16, output_stride=32)

    def changed(kind, **changes):
        def clone(layer):
            config = layer.get_config()
            return type(layer).from_config(config | changes if isinstance(layer, kind) else config)

        return keras.models.clone_model(source, clone_function=clone)

    with pytest.raises(ValueError, match=r"is another one than .*: epsilon 1e-05 there, 0.001 here"):
        take_weights(changed(keras.layers.BatchNormalization, epsilon=1e-3), source)
    with pytest.raises(ValueError, match=r"is another one than .*: activation relu there, silu here"):
        take_weights(changed(keras.layers.Activation, activation="silu"), source)


def test_strides_in_other_layers_are_refused():
    def net(*strides):
        image = x = keras.Input((None, None, 3))
        for number, stride in enumerate(strides, 1):
            x = keras.layers.Conv2D(4, 3, stride, padding="same", name=f"conv1_{number}")(x)
        return keras.Model(image, x)

    with pytest.raises(ValueError, match=r"strides in other layers than .*Received: conv1_1, expected conv1_2"):
        take_weights(net(1, 2), net(2, 1))
    assert take_weights(net(1, 1), net(2, 1)) == 4
