"""What `tfseg.convolutionalize` refuses, with the layer's name and the way out."""

import keras
import numpy as np
import pytest
from helpers.chains import branches, chain
from helpers.sliding_classifiers import (
    HEADS,
    SIZE,
    average,
    classifier,
    dense,
    flat,
    trunk,
)
from keras import layers, ops

import tfseg


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
    """ShuffleNet's shuffling of channels, on a map of known size."""
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
def test_convolutionalize_names_the_layer_and_the_way_out(build, options, message):
    with pytest.raises(ValueError, match=message):
        tfseg.convolutionalize(build(), **options)


def test_channels_first_is_refused():
    image = keras.Input((3, 32, 32))
    x = layers.ZeroPadding2D(data_format="channels_first", name="pad")(image)
    model = keras.Model(image, layers.GlobalAveragePooling2D(data_format="channels_first")(x))
    with pytest.raises(ValueError, match=r"'pad' \(ZeroPadding2D\).*its channels come first. Build the model with"):
        tfseg.convolutionalize(model)
