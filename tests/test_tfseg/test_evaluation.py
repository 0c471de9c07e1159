"""Scores of a data set: by hand, over sizes, mirror images and windows."""

import json

import keras
import numpy as np
import pytest
from helpers.data_sets import save
from helpers.scores_by_hand import by_hand

import tfseg
from tfseg import data, evaluation
from tfseg.prediction import windows

SIZE = (24, 33)


def threshold(num_classes=2):
    """Class 1 where a picture is bright: a segmenter that needs no training, the same at every pixel and size."""
    image = keras.Input((None, None, 3))
    x = tfseg.layers.Metadata({"channel_order": "RGB", "divisor": 255.0, "mean": (0.5,) * 3, "std": (1.0,) * 3})(image)
    layer = keras.layers.Conv2D(num_classes, 1)
    model = keras.Model(image, layer(x))
    kernel = np.zeros((1, 1, 3, num_classes), "float32")
    kernel[..., 0], kernel[..., 1] = -1, 1
    layer.set_weights([kernel, np.array([0, 0, *[-9] * (num_classes - 2)], "float32")])
    return model


@pytest.fixture
def dataset(tmp_path):
    """Bright where class 1 is, but for a corner of the second, which deceives."""
    random = np.random.default_rng(0)
    for index in range(3):
        ids = np.kron(random.integers(0, 2, (4, 3)), np.ones((6, 11))).astype("uint8")
        image = np.repeat((ids * 200 + 20)[..., None], 3, axis=-1).astype("uint8")
        if index == 1:
            image[:12, :20] = 255 - image[:12, :20]
        ids[:2] = 255
        save(tmp_path / "images" / f"{index}.png", image)
        save(tmp_path / "masks" / f"{index}.png", ids)
    return data.folder(tmp_path, num_classes=2, classes=("dark", "bright"))


def test_scores_are_those_of_all_pixels(dataset, tmp_path):
    model = threshold()
    found = evaluation.evaluate(model, dataset)
    pairs = [data.loader.load(pair, dataset.labels) for pair in dataset.pairs]
    true, predicted = (np.stack(one) for one in zip(*((m, tfseg.predict(model, i)) for i, m in pairs), strict=True))
    expected = by_hand(true, predicted, 2)
    for name, value in expected.items():
        np.testing.assert_allclose(found.scores[name], value, err_msg=name)
    assert 0.5 < found.scores["mean_iou"] < 1
    assert found.accuracies[0] == found.accuracies[2] == 1
    assert found.worst(1) == [dataset.pairs[1]]
    printed = str(found._replace(published=(63.7, "coco-val2017-voc")))
    assert f"{100 * expected['mean_iou']:.2f}" in printed
    assert "bright" in printed
    assert "63.70  coco-val2017-voc" in printed
    found.save(tmp_path / "found.json")
    saved = json.loads((tmp_path / "found.json").read_text())
    assert saved["mean_iou"] == found.scores["mean_iou"]
    assert saved["confusion_matrix"] == found.matrix.tolist()


@pytest.mark.parametrize(
    "options",
    [
        {"flip": True},
        {"window": (10, 12)},
        {"window": (10, 40), "overlap": 0.5},
        {"window": (64, 64)},
        {"window": (10, 12), "flip": True, "scales": (1.0,)},
    ],
    ids=str,
)
def test_a_model_of_single_pixels_sees_the_same_in_every_way(dataset, options):
    model = threshold()
    image, _ = data.loader.load(dataset.pairs[0], dataset.labels)
    expected = evaluation.class_map(model, image)
    np.testing.assert_array_equal(evaluation.class_map(model, image, **options), expected)


def test_scales_are_averaged():
    """By hand: probabilities at two sizes, resized as Keras does, and their mean."""
    model = threshold()
    image = np.random.default_rng(1).integers(0, 255, (*SIZE, 3)).astype("uint8")
    pixels = tfseg.preprocess(image, tfseg.metadata(model)["preprocessing"])[None]
    half = keras.ops.image.resize(pixels, (12, 16))
    sizes = [keras.ops.softmax(model(one)) for one in (pixels, half)]
    total = sizes[0] + keras.ops.image.resize(sizes[1], SIZE)
    found = evaluation.class_map(model, image, scales=(1.0, 0.5))
    np.testing.assert_array_equal(found, np.argmax(total, axis=-1)[0])


def test_windows_see_every_pixel():
    for length, window, overlap in ((33, 12, 1 / 3), (24, 24, 0.5), (100, 7, 0), (13, 12, 0.9)):
        places = windows.places(length, window, overlap)
        seen = np.zeros(length, int)
        for place in places:
            seen[place : place + window] += 1
        assert seen.min() >= 1
        assert places[0] == 0
        assert places[-1] == length - window


def test_what_does_not_fit_is_told(dataset):
    bright = dataset._replace(labels=data.Labels(1, void=(1, 255)))
    with pytest.raises(ValueError, match=r"has 1 classes, the model .* more: it predicts 1"):
        evaluation.evaluate(threshold(), bright)
    with pytest.raises(ValueError, match=r"overlap is at least 0 and below 1. Received: 1"):
        evaluation.class_map(threshold(), np.zeros((4, 4, 3), "uint8"), overlap=1)


def test_a_picture_of_both(dataset):
    picture = evaluation.overlay(threshold(), dataset.pairs[1], dataset)
    assert picture.width >= 2 * SIZE[1]
