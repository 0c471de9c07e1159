"""`tfseg.convolutionalize`: the classifier's scores at its own size, and at every window of a larger image."""

import re

import keras
import numpy as np
import pytest
from helpers.chains import branches, chain
from helpers.random_weights import is_nonconstant, random_image, randomize_weights
from helpers.references import output, relative
from helpers.sliding_classifiers import (
    HEADS,
    SIZE,
    average,
    classifier,
    convolutionalize_and_check,
    dense,
    flat,
    largest,
    trunk,
)
from keras import layers, ops

import tfseg

PUBLIC = "the classifier at its own size"
GATED = {  # heads that read all of a larger image, or its padding: only equal at the classifier's own size
    "squeeze and excite": chain(
        branches(layers.Multiply(), lambda x: x, chain(average(), layers.Reshape((1, 1, 8)), layers.Conv2D(8, 1))),
        average(),
        dense(5),
    ),
    "squeeze by operations": chain(
        lambda x: x * ops.expand_dims(ops.expand_dims(ops.mean(x, axis=(1, 2)), 1), 1), flat, dense(5)
    ),
    "context": chain(
        branches(
            layers.Concatenate(), lambda x: x, lambda x: tfseg.layers.ResizeLike()([average(keepdims=True)(x), x])
        ),
        flat,
        dense(5),
    ),
    "padding": chain(layers.Conv2D(8, 3, padding="same"), layers.ZeroPadding2D(1), layers.Conv2D(8, 3), flat, dense(5)),
    "statistics": chain(layers.GroupNormalization(2), largest, dense(5)),
}


@pytest.mark.quick_variants(every=3)
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_every_window_of_a_larger_image_is_classified(head):
    model = classifier(head)
    slid = convolutionalize_and_check(model)
    large = random_image(SIZE[0] + 11, SIZE[1] + 8)
    windows = [large[:, row : row + SIZE[0], column : column + SIZE[1]] for row in (0, 4, 8) for column in (0, 4, 8)]
    expected = output(model, np.concatenate(windows))
    assert relative(output(slid, large), expected.reshape(1, 3, 3, -1)) <= 2e-6


@pytest.mark.parametrize("head", GATED.values(), ids=GATED)
def test_gates_and_padding_are_exact_at_the_native_size(head):
    slid = convolutionalize_and_check(classifier(head))
    assert output(slid, random_image(SIZE[0] + 11, SIZE[1] + 8)).shape == (1, 3, 3, 5)


def test_poolings_of_a_part_of_the_map_keep_their_strides():
    """Poolings of the whole map do not: a window every 224 pixels is of no use."""
    for pool, shape in (
        (layers.AveragePooling2D((5, 6), 4), (1, 2, 2, 5)),
        (layers.MaxPooling2D((6, 8)), (1, 1, 1, 5)),
        (layers.AveragePooling2D((6, 8)), (1, 5, 5, 5)),
        (layers.AveragePooling2D((6, 8), padding="same"), (1, 5, 5, 5)),
    ):
        slid = convolutionalize_and_check(classifier(chain(pool, flat, dense(5))))
        assert output(slid, random_image(SIZE[0] + 16, SIZE[1] + 16)).shape == shape


def test_inner_models_are_dissolved():
    core = classifier(size=(None, None))
    model = keras.Sequential([keras.Input((*SIZE, 3)), layers.Rescaling(0.5), core, layers.Flatten(), layers.Dense(5)])
    assert "second" in [layer.name for layer in convolutionalize_and_check(model).layers]
    taught = keras.applications.MobileNetV2(
        weights=None, include_top=False, pooling="avg", alpha=0.35, input_shape=(96, 96, 3)
    )
    image = keras.Input((96, 96, 3))
    front = layers.RandomFlip()(keras.applications.mobilenet_v2.preprocess_input(image * 100)[..., ::-1])
    slid = convolutionalize_and_check(keras.Model(image, dense(3)(taught(front))), size=(96, 96))
    assert output(slid, random_image(130, 160)).shape == (1, 2, 3, 3)


def test_input_size_gives_the_size_of_a_model_for_any_size():
    model = classifier(average(), dense(5), size=(None, None))
    convolutionalize_and_check(model, input_size=SIZE)
    slid = convolutionalize_and_check(
        tfseg.ResNet(18, include_top=True, num_classes=4, width=1 / 8), size=(96, 96), input_size=96
    )
    assert slid.get_layer("avg_pool").pool_size == (3, 3)
    fixed = convolutionalize_and_check(classifier(average(), dense(5)), input_size=SIZE)
    assert fixed.output_shape == (None, None, None, 5)


# -------------------------------------------------------------------------------------------------- published networks

ALL = """VGG16 ResNet50 ResNet50V2 MobileNet MobileNetV2 MobileNetV3Small DenseNet121 EfficientNetB0 Xception InceptionV3
NASNetMobile ConvNeXtTiny""".split()


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize(
    ("name", "size", "options"),
    [
        ("MobileNet", 96, {"alpha": 0.25}),
        ("MobileNetV3Small", 96, {}),
        *(pytest.param(name, 299 if "ception" in name else 224, {}, marks=pytest.mark.full) for name in ALL),
    ],
)
def test_keras_applications(name, size, options, record):
    model = getattr(keras.applications, name)(
        **{"weights": None, "classes": 7, "classifier_activation": None, "input_shape": (size, size, 3)} | options
    )
    randomize_weights(model)
    slid = tfseg.convolutionalize(model, input_size=size)
    expected, scores = (output(network, random_image(size, size)) for network in (model, slid))
    assert is_nonconstant(expected)
    difference = relative(scores.reshape(expected.shape), expected)
    record(f"{name} at {size}", difference)
    assert scores.shape == (1, 1, 1, 7)
    assert difference <= 1e-5
    assert output(slid, random_image(size + 64, size + 32)).shape == (1, 3, 2, 7)
    assert paths(slid) == {"/".join(path.split("/")[-2:]) for path in paths(model)}  # inner models are dissolved


def paths(model):
    return {re.sub(r"variable_\d+", "variable", variable.path) for variable in model.weights}


@pytest.mark.parametrize(
    "build",
    [
        lambda **options: tfseg.VGG(16, width=1 / 16, **options),
        lambda **options: tfseg.ResNet(18, width=1 / 8, **options),
        pytest.param(lambda **options: tfseg.VGG(16, **options), marks=pytest.mark.full),
        pytest.param(lambda **options: tfseg.ResNet(50, **options), marks=pytest.mark.full),
    ],
    ids=["narrow VGG", "narrow ResNet", "VGG16", "ResNet50"],
)
def test_tfseg_classifiers(build):
    model = build(include_top=True, num_classes=6)
    slid = convolutionalize_and_check(model, size=(224, 224), tolerance=5e-6, input_size=224)
    rows, columns = output(slid, random_image(260, 290)).shape[1:3]
    assert (rows, columns) in ((2, 3), (3, 4))  # padding makes the last map of ResNet larger


# ----------------------------------------------------------------------------------------------------------- and dilated


def test_sliding_vgg_can_be_dilated():
    """The front end of DeepLab-LargeFOV, but with all 7 x 7 weights of fc6."""
    model = randomize_weights(tfseg.VGG(16, include_top=True, num_classes=6, width=1 / 32))
    slid = tfseg.convolutionalize(model)
    dense = tfseg.dilate(slid, 8)
    assert dense.get_layer("fc6").dilation_rate == (4, 4)
    assert dense.get_layer("fc6").kernel_size == (7, 7)
    report = tfseg.check_dilation(slid, dense, random_image(260, 300))
    report.assert_holds()
    assert "2 x 3" in str(report)
    np.testing.assert_allclose(
        output(dense, random_image(224, 224))[:, 0, 0], output(model, random_image(224, 224)), rtol=1e-4
    )


@pytest.mark.parametrize("name", ["average", "maximum", "average pooling of all", "two poolings", "norms"])
def test_sliding_classifier_can_be_dilated(name):
    slid = tfseg.convolutionalize(randomize_weights(classifier(HEADS[name])))
    tfseg.check_dilation(slid, tfseg.dilate(slid, 1), random_image(51, 60)).assert_holds()


def test_dilated_classifier_slides():
    model = randomize_weights(classifier(average(), dense(5)))
    dilated = tfseg.dilate(model, 2)
    slid = tfseg.convolutionalize(dilated)
    expected = output(dilated, random_image(*SIZE))
    assert relative(output(slid, random_image(*SIZE))[:, 0, 0], expected) <= 1e-6


# -------------------------------------------------------------------------------------------------------- what is kept


def test_names_and_weights_survive_and_the_original_is_not_changed():
    model = randomize_weights(classifier(HEADS["flatten"]))
    model.get_layer("second").trainable = False
    nodes = [len(layer._inbound_nodes) for layer in model.layers]
    before = {variable.path: np.array(variable) for variable in model.weights}
    slid = tfseg.convolutionalize(model)
    assert (slid.name, slid.compiled) == ("classifier", False)
    assert tfseg.convolutionalize(model, name="other").name == "other"
    assert [len(layer._inbound_nodes) for layer in model.layers] == nodes
    assert not slid.get_layer("second").trainable
    assert {variable.path for variable in slid.weights} == set(before)
    for variable in slid.weights:
        np.testing.assert_array_equal(np.reshape(variable, before[variable.path].shape), before[variable.path])
    for variable in model.weights:
        np.testing.assert_array_equal(variable, before[variable.path])
    first, second = (slid.get_layer(layer.name) for layer in model.layers if isinstance(layer, layers.Dense))
    assert (first.kernel.shape, second.kernel.shape) == ((6, 8, 8, 9), (1, 1, 9, 5))
    assert second.activation is keras.activations.softmax


def test_sliding_model_survives_saving(tmp_path):
    slid = tfseg.convolutionalize(randomize_weights(classifier(HEADS["flatten"])), 7)
    slid.save(tmp_path / "slid.keras")
    loaded = keras.saving.load_model(tmp_path / "slid.keras")
    np.testing.assert_array_equal(output(loaded, random_image(50, 60)), output(slid, random_image(50, 60)))


def test_precision_and_regularizers_survive_convolutionalize():
    half = {"dtype": "mixed_bfloat16", "kernel_regularizer": "l2", "trainable": False}
    slid = tfseg.convolutionalize(
        classifier(layers.GlobalAveragePooling2D(dtype="bfloat16"), dense(5, name="d", **half))
    )
    assert slid.layers[-2].compute_dtype == "bfloat16"
    layer = slid.get_layer("d")
    assert (layer.compute_dtype, layer.variable_dtype, layer.trainable) == ("bfloat16", "float32", False)
    assert isinstance(layer.kernel_regularizer, keras.regularizers.L2)


def test_several_outputs_are_exact():
    image = keras.Input((*SIZE, 3))
    x = trunk(image)
    outputs = {"deep": dense(5)(flat(x)), "early": dense(2)(average()(x))}
    model = randomize_weights(keras.Model(image, outputs))
    expected, scores = (network(random_image(*SIZE)) for network in (model, tfseg.convolutionalize(model)))
    for name in outputs:
        assert relative(scores[name][:, 0, 0], expected[name]) <= 1e-6


# --------------------------------------------------------------------------------------------------- numbers of classes


@pytest.mark.parametrize(
    "head", ["flatten", "average, kept", "scores, then average", "convolutions, flattened", "operations of any units"]
)
def test_more_classes_keep_the_known_weights(head):
    heads = HEADS | {"operations of any units": chain(average(), dense(5), lambda x: 2 * x)}
    model = randomize_weights(classifier(chain(*([heads[head]]))))
    old, new = tfseg.convolutionalize(model), tfseg.convolutionalize(model, 8)
    assert new.output_shape[-1] == 8
    for before, after in zip(old.weights, new.weights, strict=True):
        units = slice(None) if before.shape == after.shape else slice(5)
        np.testing.assert_array_equal(before, np.array(after)[..., units])
    kernel = np.array(new.weights[-2 if new.weights[-1].path.endswith("bias") else -1])
    assert np.abs(kernel[..., 5:]).min() > 0
    same = tfseg.convolutionalize(model, 5)
    np.testing.assert_array_equal(output(same, random_image(50, 60)), output(old, random_image(50, 60)))


def test_fewer_classes_begin_at_initial_weights():
    model = randomize_weights(classifier(flat, dense(9), dense(5, name="scores")))
    new = tfseg.convolutionalize(model, 3)
    assert new.output_shape[-1] == 3
    np.testing.assert_array_equal(new.get_layer("first").kernel, model.get_layer("first").kernel)
    np.testing.assert_array_equal(new.get_layer("scores").bias, np.zeros(3))
    old = np.array(model.get_layer("scores").kernel)
    assert not np.isin(np.array(new.get_layer("scores").kernel), old).any()


def test_metadata_survives_convolutionalize_unless_classes_change():
    model = tfseg.VGG(11, include_top=True, num_classes=2, width=1 / 32)
    tfseg.set_metadata(model, classes=["cat", "dog"], colors=[[0, 0, 0], [1, 1, 1]])
    metadata = tfseg.metadata(model)
    assert tfseg.metadata(tfseg.convolutionalize(model, 2)) == metadata
    assert tfseg.metadata(tfseg.convolutionalize(model, 3)) == metadata | {"classes": None, "colors": None}
