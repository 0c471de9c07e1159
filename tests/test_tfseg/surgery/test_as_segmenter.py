"""What training takes: logits for every pixel, with the weights of the model."""

import keras
import numpy as np
import pytest
from helpers.references import images

import tfseg
from tfseg.surgery.as_segmenter import as_segmenter, gives_features

layers = keras.layers


def features():
    image = keras.Input((32, 48, 3))
    return image, layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="features")(image)


def softmax_after_resizing():
    image, x = features()
    x = layers.UpSampling2D(2, interpolation="bilinear")(layers.Conv2D(5, 1, name="scores")(x))
    return keras.Model(image, layers.Softmax()(x))


def sigmoid_before_resizing():
    image, x = features()
    x = layers.Conv2D(5, 1, activation="sigmoid", name="scores")(x)
    return keras.Model(image, layers.UpSampling2D(2)(x))


def row_of_pixels():
    image, x = features()
    x = layers.Reshape((16 * 24, 5))(layers.Conv2D(5, 1, name="scores")(x))
    return keras.Model(image, layers.Activation("softmax")(x))


def row_by_operations():
    image, x = features()
    x = keras.ops.reshape(layers.Conv2D(5, 1, name="scores")(x), (-1, 16 * 24, 5))
    return keras.Model(image, keras.ops.softmax(x))


def small_sum_of_two():
    image, x = features()
    return keras.Model(image, layers.Add()([layers.Conv2D(5, 1, name=name)(x) for name in ("scores", "other")]))


@pytest.mark.parametrize(
    ("build", "notes"),
    [
        (softmax_after_resizing, ["the softmax at the end is left out"]),
        (sigmoid_before_resizing, ["the sigmoid at the end is left out"]),
        (row_of_pixels, ["the softmax at", "the last Reshape, which puts all pixels in a row", "logits of 1/2 of"]),
        (row_by_operations, ["the softmax at", "the last Reshape, which puts all pixels in a row", "logits of 1/2 of"]),
        (small_sum_of_two, ["logits of 1/2 of the image's size are enlarged"]),
    ],
)
def test_the_logits_of_every_pixel_are_the_output(tmp_path, build, notes):
    model = build()
    segmenter = as_segmenter(model)
    for note, start in zip(segmenter.notes, notes, strict=True):
        assert note.startswith(start)
    assert segmenter.model.output_shape == (None, 32, 48, 5)
    for old, new in zip(model.weights, segmenter.model.weights, strict=True):
        assert old.path == new.path
        np.testing.assert_array_equal(old, new)
    batch = images(32, 48)
    names = [name for name in ("scores", "other") if name in {layer.name for layer in model.layers}]
    linear = keras.Model(model.input, [model.get_layer(name).output for name in names])
    if build is sigmoid_before_resizing:
        model.get_layer("scores").activation = keras.activations.linear
    scores = sum(map(np.array, keras.tree.flatten(linear(batch))))
    logits = np.array(segmenter.model(batch))
    if build is sigmoid_before_resizing:
        np.testing.assert_array_equal(logits, scores.repeat(2, 1).repeat(2, 2))
    else:  # both resizings have the mean of four pixels there
        np.testing.assert_allclose(
            logits[:, 1:-1, 1:-1].reshape(1, 15, 2, 23, 2, 5).mean((2, 4)), _between(scores), atol=1e-5
        )
    segmenter.model.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "m.keras")(batch), logits)


def _between(scores):
    """The mean of the four scores around each corner."""
    return (scores[:, 1:, 1:] + scores[:, 1:, :-1] + scores[:, :-1, 1:] + scores[:, :-1, :-1]) / 4


def test_a_segmenter_stays_what_it_is():
    model = tfseg.build("fcn_resnet18", num_classes=3, width=1 / 16)
    segmenter = as_segmenter(model)
    assert segmenter.model is model
    assert segmenter.notes == ()


def test_trunks_are_not_enlarged():
    trunk = tfseg.ResNet(18, width=1 / 16)
    assert gives_features(trunk)
    assert as_segmenter(trunk).model is trunk


def test_other_outputs_stay():
    image, x = features()
    out = layers.Activation("sigmoid")(layers.Conv2D(5, 1, name="scores")(layers.UpSampling2D(2)(x)))
    segmenter = as_segmenter(keras.Model(image, {"out": out, "features": x}))
    assert segmenter.notes == ("the sigmoid at the end is left out: training takes the scores before it",)
    batch = images(32, 48)
    np.testing.assert_array_equal(segmenter.model(batch)["features"], np.maximum(segmenter.model(batch)["features"], 0))
    assert np.array(segmenter.model(batch)["out"]).min() < 0
