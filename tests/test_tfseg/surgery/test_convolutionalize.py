"""`tfseg.convolutionalize`: the classifier's scores at its own size, and at every window of a larger image."""

import re

import keras
import numpy as np
import pytest
from helpers.chains import branches, chain
from helpers.random_weights import is_nonconstant, random_image, randomize_weights
from helpers.references import output, relative
from keras import layers, ops

import tfseg

PUBLIC = "the classifier at its own size"
SIZE = (33, 41)  # of the small classifiers here; their last maps are of 6 x 8 pixels


def trunk(x):
    """Of stride 4; nothing pads."""
    x = layers.MaxPooling2D(2)(layers.Conv2D(6, 3, strides=2, activation="relu", name="first")(x))
    return layers.BatchNormalization(name="norm")(layers.Conv2D(8, 3, activation="elu", name="second")(x))


def classifier(*steps, size=SIZE, front=trunk):
    image = keras.Input((*size, 3), name="image")
    return keras.Model(image, chain(front, *steps)(image), name="classifier")


def dense(units, activation=None, **options):
    return lambda x: layers.Dense(units, activation=activation, **options)(x)


def average(**options):
    return lambda x: layers.GlobalAveragePooling2D(**options)(x)


def largest(x):
    return layers.GlobalMaxPooling2D()(x)


def flat(x):
    return layers.Flatten()(x)


HEADS = {
    "flatten": chain(flat, dense(9, "relu"), layers.Dropout(0.5), dense(5, "softmax")),
    "flatten, units alike": chain(flat, layers.ReLU(), layers.Dropout(0.2), dense(5, use_bias=False)),
    "flatten by a reshape": chain(layers.Reshape((-1,)), dense(5)),
    "flatten by an operation": chain(lambda x: ops.reshape(x, (-1, 6 * 8 * 8)), dense(5)),
    "average": chain(average(), dense(5)),
    "average, kept": chain(average(keepdims=True), layers.Dropout(0.1), layers.Conv2D(5, 1), layers.Reshape((5,))),
    "average, kept, flattened": chain(average(keepdims=True), flat, dense(5)),
    "average by an operation": chain(lambda x: ops.mean(x, axis=(1, 2)), dense(5)),
    "maximum": chain(largest, dense(5)),
    "maximum by an operation": chain(
        lambda x: ops.max(x, axis=(1, 2), keepdims=True), lambda x: ops.squeeze(x, (1, 2))
    ),
    "average pooling of all": chain(layers.AveragePooling2D((6, 8)), flat, dense(5)),
    "torch's average": chain(tfseg.layers.AdaptiveAveragePooling(1), flat, dense(5)),
    "torch's average of nothing": chain(layers.AdaptiveAveragePooling2D((6, 8)), flat, dense(5)),
    "scores, then average": chain(layers.Conv2D(5, 1), average(), layers.Softmax()),
    "convolutions": chain(layers.Conv2D(9, (6, 8), activation="relu"), layers.Conv2D(5, 1)),
    "convolutions, flattened": chain(layers.Conv2D(9, (6, 8)), layers.Conv2D(5, 1), flat, layers.Activation("softmax")),
    "norms": chain(
        average(),
        layers.BatchNormalization(axis=1),
        dense(7),
        layers.LayerNormalization(axis=1),
        layers.PReLU(),
        dense(5),
    ),
    "operations": chain(average(), dense(5), lambda x: ops.softmax(2 * x - np.arange(5, dtype="float32"), axis=1)),
    "two poolings": chain(branches(layers.Concatenate(axis=1), average(), largest), dense(5)),
    "two readers": branches(layers.Add(), chain(flat, dense(5)), chain(average(), dense(5))),
    "a skip": chain(average(), branches(layers.Add(), dense(8, "relu"), lambda x: x), dense(5)),
    "features": average(),
}
GATED = {  # what reads all of a larger image, or its padding: only equal at the classifier's own size
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


def convolutionalize_and_check(model, *, size=SIZE, tolerance=1e-6, **options):
    """`tfseg.convolutionalize` of a model with random weights, equal at its own size; returns the result."""
    randomize_weights(model)
    slid = tfseg.convolutionalize(model, **options)
    assert slid.input_shape == (None, None, None, 3)
    theirs, ours = (output(net, random_image(*size)) for net in (model, slid))
    assert is_nonconstant(theirs)
    assert ours.shape == (1, 1, 1, theirs.shape[-1])
    assert relative(ours.reshape(theirs.shape), theirs) <= tolerance
    return slid


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_every_window_of_a_larger_image_is_classified(head):
    model = classifier(head)
    slid = convolutionalize_and_check(model)
    large = random_image(SIZE[0] + 11, SIZE[1] + 8)
    windows = [large[:, row : row + SIZE[0], column : column + SIZE[1]] for row in (0, 4, 8) for column in (0, 4, 8)]
    theirs = output(model, np.concatenate(windows))
    assert relative(output(slid, large), theirs.reshape(1, 3, 3, -1)) <= 2e-6


@pytest.mark.parametrize("head", GATED.values(), ids=GATED)
def test_what_reads_all_of_the_image_still_does(head):
    slid = convolutionalize_and_check(classifier(head))
    assert output(slid, random_image(SIZE[0] + 11, SIZE[1] + 8)).shape == (1, 3, 3, 5)


def test_poolings_of_a_part_of_the_map_keep_their_strides():
    """Those of all of it do not: nobody wants a window every 224 pixels."""
    for pool, shape in (
        (layers.AveragePooling2D((5, 6), 4), (1, 2, 2, 5)),
        (layers.MaxPooling2D((6, 8)), (1, 1, 1, 5)),
        (layers.AveragePooling2D((6, 8)), (1, 5, 5, 5)),
        (layers.AveragePooling2D((6, 8), padding="same"), (1, 5, 5, 5)),
    ):
        slid = convolutionalize_and_check(classifier(chain(pool, flat, dense(5))))
        assert output(slid, random_image(SIZE[0] + 16, SIZE[1] + 16)).shape == shape


def test_models_inside_models():
    inner = classifier(size=(None, None))
    model = keras.Sequential([keras.Input((*SIZE, 3)), layers.Rescaling(0.5), inner, layers.Flatten(), layers.Dense(5)])
    assert "second" in [layer.name for layer in convolutionalize_and_check(model).layers]
    taught = keras.applications.MobileNetV2(
        weights=None, include_top=False, pooling="avg", alpha=0.35, input_shape=(96, 96, 3)
    )
    image = keras.Input((96, 96, 3))
    front = layers.RandomFlip()(keras.applications.mobilenet_v2.preprocess_input(image * 100)[..., ::-1])
    slid = convolutionalize_and_check(keras.Model(image, dense(3)(taught(front))), size=(96, 96))
    assert output(slid, random_image(130, 160)).shape == (1, 2, 3, 3)


def test_images_of_a_size_that_is_told():
    model = classifier(average(), dense(5), size=(None, None))
    convolutionalize_and_check(model, input_size=SIZE)
    slid = convolutionalize_and_check(
        tfseg.ResNet(18, include_top=True, num_classes=4, width=1 / 8), size=(96, 96), input_size=96
    )
    assert slid.get_layer("avg_pool").pool_size == (3, 3)
    told = convolutionalize_and_check(classifier(average(), dense(5)), input_size=SIZE)
    assert told.output_shape == (None, None, None, 5)


# -------------------------------------------------------------------------------------------------- published networks

ALL = """VGG16 ResNet50 ResNet50V2 MobileNet MobileNetV2 MobileNetV3Small DenseNet121 EfficientNetB0 Xception InceptionV3
NASNetMobile ConvNeXtTiny""".split()


@pytest.mark.parametrize(
    ("name", "size", "options"),
    [
        ("MobileNet", 96, {"alpha": 0.25}),
        ("MobileNetV3Small", 96, {}),
        *(pytest.param(name, 299 if "ception" in name else 224, {}, marks=pytest.mark.full) for name in ALL),
    ],
)
def test_applications(name, size, options, record):
    model = getattr(keras.applications, name)(
        **{"weights": None, "classes": 7, "classifier_activation": None, "input_shape": (size, size, 3)} | options
    )
    randomize_weights(model)
    slid = tfseg.convolutionalize(model, input_size=size)
    theirs, ours = (output(net, random_image(size, size)) for net in (model, slid))
    assert is_nonconstant(theirs)
    difference = relative(ours.reshape(theirs.shape), theirs)
    record(f"{name} at {size}", difference)
    assert ours.shape == (1, 1, 1, 7)
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
def test_the_networks_of_this_package(build):
    model = build(include_top=True, num_classes=6)
    slid = convolutionalize_and_check(model, size=(224, 224), tolerance=5e-6, input_size=224)
    rows, columns = output(slid, random_image(260, 290)).shape[1:3]
    assert (rows, columns) in ((2, 3), (3, 4))  # padding makes the last map of ResNet larger


# ----------------------------------------------------------------------------------------------------------- and dilated


def test_vgg_slides_and_is_dilated():
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
def test_what_slides_can_be_dilated(name):
    slid = tfseg.convolutionalize(randomize_weights(classifier(HEADS[name])))
    tfseg.check_dilation(slid, tfseg.dilate(slid, 1), random_image(51, 60)).assert_holds()


def test_a_dilated_classifier_slides():
    model = randomize_weights(classifier(average(), dense(5)))
    dense_one = tfseg.dilate(model, 2)
    slid = tfseg.convolutionalize(dense_one)
    theirs = output(dense_one, random_image(*SIZE))
    assert relative(output(slid, random_image(*SIZE))[:, 0, 0], theirs) <= 1e-6


# -------------------------------------------------------------------------------------------------------- what is kept


def test_names_and_weights_are_kept_and_the_original_is_left_alone():
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


def test_a_sliding_model_is_saved_and_loaded(tmp_path):
    slid = tfseg.convolutionalize(randomize_weights(classifier(HEADS["flatten"])), 7)
    slid.save(tmp_path / "slid.keras")
    loaded = keras.saving.load_model(tmp_path / "slid.keras")
    np.testing.assert_array_equal(output(loaded, random_image(50, 60)), output(slid, random_image(50, 60)))


def test_precision_and_regularizers_travel():
    half = {"dtype": "mixed_bfloat16", "kernel_regularizer": "l2", "trainable": False}
    slid = tfseg.convolutionalize(
        classifier(layers.GlobalAveragePooling2D(dtype="bfloat16"), dense(5, name="d", **half))
    )
    assert slid.layers[-2].compute_dtype == "bfloat16"
    layer = slid.get_layer("d")
    assert (layer.compute_dtype, layer.variable_dtype, layer.trainable) == ("bfloat16", "float32", False)
    assert isinstance(layer.kernel_regularizer, keras.regularizers.L2)


def test_several_outputs():
    image = keras.Input((*SIZE, 3))
    x = trunk(image)
    outputs = {"deep": dense(5)(flat(x)), "early": dense(2)(average()(x))}
    model = randomize_weights(keras.Model(image, outputs))
    theirs, ours = (net(random_image(*SIZE)) for net in (model, tfseg.convolutionalize(model)))
    for name in outputs:
        assert relative(ours[name][:, 0, 0], theirs[name]) <= 1e-6


# --------------------------------------------------------------------------------------------------- numbers of classes


@pytest.mark.parametrize(
    "head", ["flatten", "average, kept", "scores, then average", "convolutions, flattened", "operations of any units"]
)
def test_more_classes_keep_what_is_known(head):
    heads = HEADS | {"operations of any units": chain(average(), dense(5), lambda x: 2 * x)}
    model = randomize_weights(classifier(chain(*([heads[head]]))))
    old, new = tfseg.convolutionalize(model), tfseg.convolutionalize(model, 8)
    assert new.output_shape[-1] == 8
    for one, other in zip(old.weights, new.weights, strict=True):
        units = slice(None) if one.shape == other.shape else slice(5)
        np.testing.assert_array_equal(one, np.array(other)[..., units])
    kernel = np.array(new.weights[-2 if new.weights[-1].path.endswith("bias") else -1])
    assert np.abs(kernel[..., 5:]).min() > 0
    same = tfseg.convolutionalize(model, 5)
    np.testing.assert_array_equal(output(same, random_image(50, 60)), output(old, random_image(50, 60)))


def test_fewer_classes_begin_anew():
    model = randomize_weights(classifier(flat, dense(9), dense(5, name="scores")))
    new = tfseg.convolutionalize(model, 3)
    assert new.output_shape[-1] == 3
    np.testing.assert_array_equal(new.get_layer("first").kernel, model.get_layer("first").kernel)
    np.testing.assert_array_equal(new.get_layer("scores").bias, np.zeros(3))
    old = np.array(model.get_layer("scores").kernel)
    assert not np.isin(np.array(new.get_layer("scores").kernel), old).any()


def test_facts_travel_but_not_those_of_other_classes():
    model = tfseg.VGG(11, include_top=True, num_classes=2, width=1 / 32)
    tfseg.set_metadata(model, classes=["cat", "dog"], colors=[[0, 0, 0], [1, 1, 1]])
    facts = tfseg.metadata(model)
    assert tfseg.metadata(tfseg.convolutionalize(model, 2)) == facts
    assert tfseg.metadata(tfseg.convolutionalize(model, 3)) == facts | {"classes": None, "colors": None}


# ----------------------------------------------------------------------------------------------------- what is refused


class Subclass(keras.Model):
    def call(self, x):
        return x


def two_images():
    images = [keras.Input((*SIZE, 3), name=name) for name in "ab"]
    return keras.Model(images, layers.GlobalAveragePooling2D()(layers.Add()(images)), name="two")


def transformer(x):
    x = layers.Reshape((48, 8), name="tokens")(x)
    x = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    return layers.Dense(5)(layers.GlobalAveragePooling1D()(x))


def back_and_out():
    image = keras.Input((*SIZE, 3))
    x = trunk(image)
    vector = layers.GlobalAveragePooling2D(name="gap", keepdims=True)(x)
    return keras.Model(image, [vector, layers.GlobalMaxPooling2D()(x * vector)], name="two ways")


def shuffled(x):
    """ShuffleNet's, of a map of known size."""
    y = layers.Permute((1, 2, 4, 3))(layers.Reshape((6, 8, 2, 4), name="groups")(x))
    return dense(5)(average()(layers.Reshape((6, 8, 8))(y)))


CANNOT = r"of the model 'classifier' cannot slide: "


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        (lambda: "model.keras", {}, r"Surgery takes a keras.Model. Received: str"),
        (lambda: Subclass(name="sub"), {}, r"The model 'sub' is a subclass \(Subclass\)"),
        (two_images, {}, r"takes one image.*Received: the model 'two' with \(None, 33, 41, 3\), \(None, 33, 41, 3\)"),
        (
            lambda: classifier(),
            {},
            r"output 'norm' of the model 'classifier' is no vector.*\(None, 6, 8, 8\).*include_top=True",
        ),
        (lambda: classifier(flat), {}, r"is no vector of scores"),
        (back_and_out, {}, r"The output 'gap' of the model 'two ways'.*and without outputs that go back into a map"),
        (
            lambda: classifier(layers.GlobalAveragePooling2D(name="gap"), dense(5), size=(None, None)),
            {},
            r"The layer 'gap' \(GlobalAveragePooling2D\) of the model 'classifier' cannot slide: the size of the map that it reads is not known. Say.*input_size=\(height, width\)",
        ),
        (classifier, {"input_size": 64}, r"is built for images of 33 x 41 pixels. Received: input_size=64"),
        (classifier, {"input_size": (0, 3)}, r"input_size must be \(height, width\), or one.*Received: \(0, 3\)"),
        (classifier, {"num_classes": 0}, r"num_classes must be a whole number from 1, or None. Received: 0"),
        (classifier, {"num_classes": 2.0}, r"Received: 2.0"),
        (classifier, {"num_classes": True}, r"Received: True"),
        (classifier, {"input_size": "big"}, r"one number for both. Received: 'big'"),
        (
            lambda: classifier(branches(list, chain(average(), dense(5)), average())),
            {"num_classes": 3},
            r"num_classes belongs to one output. Received: 'classifier', which has 2",
        ),
        (lambda: classifier(HEADS["operations"]), {"num_classes": 3}, rf"\(Subtract\) {CANNOT}it stands after"),
        (
            lambda: classifier(average(), front=lambda x: layers.ReLU()(x)),
            {"num_classes": 3},
            r"The model 'classifier' has no dense layer or convolution to give num_classes",
        ),
        (
            lambda: classifier(average(), dense(5, name="d"), layers.BatchNormalization(name="bn")),
            {"num_classes": 3},
            rf"'bn' \(BatchNormalization\) {CANNOT}it stands after 'd', whose num_classes change",
        ),
        (
            lambda: classifier(HEADS["two readers"]),
            {"num_classes": 3},
            rf"\(Add\) {CANNOT}it stands after",
        ),
        (
            lambda: classifier(layers.AdaptiveAveragePooling2D(2, name="ap"), flat, dense(5)),
            {},
            r"'ap' \(AdaptiveAveragePooling2D\).*it makes a map of 2 x 2 out of 6 x 8. The classifier",
        ),
        (lambda: classifier(transformer), {}, rf"'tokens' \(Reshape\) {CANNOT}it neither lays all of a map out.*Conv"),
        (lambda: classifier(shuffled), {}, rf"'groups' \(Reshape\) {CANNOT}"),
        (
            lambda: classifier(layers.Permute((2, 1, 3), name="p"), flat, dense(5)),
            {},
            r"'p' \(Permute\).*follows a rule that",
        ),
        (
            lambda: classifier(layers.Resizing(6, 6, name="fixed"), flat, dense(5)),
            {},
            rf"'fixed' \(Resizing\) {CANNOT}the size of its result is fixed",
        ),
        (
            lambda: classifier(
                lambda x: x + layers.Reshape((6, 8, 8))(dense(384)(layers.Flatten(name="f")(x))), average()
            ),
            {},
            rf"'f' \(Flatten\) {CANNOT}its result is made of maps of one size, and goes back into a map",
        ),
        (
            lambda: classifier(lambda x: x * layers.MaxPooling2D((6, 8))(x), average()),
            {},
            r"\(Multiply\).*it joins maps of different sizes",
        ),
        (lambda: classifier(layers.PReLU(name="pr"), average()), {}, r"'pr' \(PReLU\).*belong to maps of one size"),
        (
            lambda: classifier(lambda x: x + np.ones((6, 8, 1), "float32"), average()),
            {},
            r"\(Add\).*constants belong to maps of one size",
        ),
        (
            lambda: classifier(flat, layers.BatchNormalization(name="bn"), dense(5)),
            {},
            rf"'bn' \(BatchNormalization\) {CANNOT}it tells units apart that lie side by side on the map",
        ),
        (lambda: classifier(flat, layers.Softmax(name="s")), {}, r"'s' \(Softmax\).*tells units apart"),
        (
            lambda: classifier(average(keepdims=True), layers.Softmax(axis=1, name="s")),
            {},
            r"'s' \(Softmax\).*more than the units of a vector",
        ),
        (lambda: classifier(lambda x: ops.mean(x, axis=(1, 2, 3))), {}, r"\(Mean\).*it mixes the channels, too"),
        (lambda: classifier(lambda x: ops.mean(x, axis=1), flat), {}, r"\(Mean\).*its result is fixed, or follows"),
        (lambda: classifier(lambda x: ops.sum(x, axis=(1, 2))), {}, r"\(Sum\).*neither lays all of a map out"),
        (
            lambda: classifier(average(), dense(5, kernel_constraint="max_norm", name="d")),
            {},
            r"'d' \(Dense\).*its kernel_constraint is made for a matrix",
        ),
        (
            lambda: classifier(average(), layers.RepeatVector(3, name="rv"), flat),
            {},
            r"'rv' \(RepeatVector\).*does not treat a vector of scores unit by unit",
        ),
        (
            lambda: classifier(average(keepdims=True), layers.Conv2D(5, 3, padding="same", name="c"), flat),
            {},
            r"'c' \(Conv2D\).*does not treat a vector",
        ),
        (
            lambda: classifier(
                branches(layers.Concatenate(name="join"), average(), chain(layers.MaxPooling2D(2), average()))
            ),
            {},
            r"'join' \(Concatenate\).*joins tensors that do not slide in the same steps",
        ),
    ],
)
def test_refusals_name_the_layer_and_the_way_out(build, options, message):
    with pytest.raises(ValueError, match=message):
        tfseg.convolutionalize(build(), **options)


def test_channels_that_come_first():
    image = keras.Input((3, 32, 32))
    x = layers.ZeroPadding2D(data_format="channels_first", name="pad")(image)
    model = keras.Model(image, layers.GlobalAveragePooling2D(data_format="channels_first")(x))
    with pytest.raises(ValueError, match=r"'pad' \(ZeroPadding2D\).*its channels come first. Build the model with"):
        tfseg.convolutionalize(model)
