"""Classes that are computed some rows at a time are those of the whole map."""

import gc
import weakref

import keras
import numpy as np
import pytest
from helpers.references import images, randomize
from helpers.segmenters import narrow_fcn

import tfseg
from tfseg import specs
from tfseg.prediction import row_blocks


def segmenter(interpolation="bilinear", num_classes=7):
    """Scores on every fourth pixel, and auxiliary ones, enlarged to the image."""
    image = keras.Input((None, None, 3))
    x = tfseg.layers.Metadata(specs.PREPROCESSING["torch"])(image)
    x = keras.layers.Conv2D(8, 3, strides=4, padding="same", activation="relu")(x)
    outputs = [tfseg.layers.ResizeLike(interpolation)([keras.layers.Conv2D(num_classes, 1)(x), image])]
    outputs.append(tfseg.layers.ResizeLike()([keras.layers.Conv2D(num_classes, 1)(x), image]))
    return randomize(keras.Model(image, outputs, name="segmenter"), seed=0)


@pytest.mark.quick_variants("bilinear")
@pytest.mark.parametrize("interpolation", specs.INTERPOLATIONS)
def test_some_rows_are_those_of_the_whole_map(interpolation):
    layer, scores = tfseg.layers.ResizeLike(interpolation), images(7, 9)
    whole = keras.ops.convert_to_numpy(layer([scores, images(33, 41)]))
    for rows in ((0, 1), (5, 20), (31, 33)):
        part = keras.ops.convert_to_numpy(layer.some_rows(scores, (33, 41), rows))
        np.testing.assert_allclose(part, whole[:, slice(*rows)], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("interpolation", ["bilinear", pytest.param("nearest", marks=pytest.mark.full)])
def test_classes_are_those_of_the_whole_map(interpolation, monkeypatch):
    model, batch = segmenter(interpolation), np.concatenate([images(37, 53), images(37, 53, seed=1)])
    logits = keras.ops.convert_to_numpy(model(batch)[0])
    assert not row_blocks.has_many_logits(model, batch)
    monkeypatch.setattr(row_blocks, "LARGEST", 1000)
    monkeypatch.setattr(row_blocks, "BLOCK", 4 * 2 * 53 * 7 * 5)  # five rows, and two at the end
    assert row_blocks.has_many_logits(model, batch)
    classes = row_blocks.classes_by_rows(model, batch, "uint8")
    assert (classes.dtype, classes.shape) == ("uint8", (2, 37, 53))
    # Two classes may have equal scores but for rounding.
    chosen = np.take_along_axis(logits, classes[..., None].astype(int), -1)[..., 0]
    np.testing.assert_allclose(chosen, logits.max(-1), rtol=1e-5, atol=1e-6)
    assert (classes == logits.argmax(-1)).mean() > 0.999


def test_predict_computes_no_map_of_all_logits(monkeypatch):
    model, image = segmenter(), np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype="uint8")
    expected = tfseg.predict(model, image)
    monkeypatch.setattr(row_blocks, "LARGEST", 1000)
    monkeypatch.setattr("tfseg.prediction.model._compiled", None)
    assert (tfseg.predict(model, image) == expected).mean() > 0.999


def test_a_model_with_new_weights_computes_with_them(monkeypatch):
    monkeypatch.setattr(row_blocks, "LARGEST", 1000)
    model, batch = segmenter(), images(24, 32)
    before = row_blocks.classes_by_rows(model, batch, "uint8")
    randomize(model, seed=1)
    after = row_blocks.classes_by_rows(model, batch, "uint8")
    assert (after != before).mean() > 0.1
    assert (after == keras.ops.convert_to_numpy(model(batch)[0]).argmax(-1)).mean() > 0.999


def test_the_model_is_not_kept_alive():
    model = segmenter()
    reference = weakref.ref(model)
    row_blocks.classes_by_rows(model, images(24, 32), "uint8")
    del model
    gc.collect()
    assert reference() is None


def of_another_image():
    image = keras.Input((None, None, 3))
    half = keras.layers.AveragePooling2D(2)(image)
    scores = keras.layers.Conv2D(4, 3, padding="same")(half)
    return keras.Model(image, tfseg.layers.ResizeLike()([scores, half]))


def with_softmax():
    model = segmenter()
    return keras.Model(model.input, keras.layers.Softmax()(model.output[0]))


@pytest.mark.parametrize("build", [narrow_fcn, of_another_image, with_softmax])
def test_a_model_that_ends_otherwise_is_computed_as_a_whole(build):
    assert row_blocks.coarse_model(build()) is None
