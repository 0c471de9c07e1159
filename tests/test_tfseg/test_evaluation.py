"""Scores of a data set, compared with scores by hand; several sizes, mirror images and windows."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from helpers.data_sets import save
from helpers.scores_by_hand import by_hand

import tfseg
from tfseg import data, evaluation, losses

SIZE = (24, 33)


def threshold(num_classes=2):
    """A segmenter that needs no training: class 1 where the image is bright, whatever is around a pixel."""
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
    """Three photographs, bright where class 1 is, except for a corner of the second one."""
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


def test_scores_are_computed_over_all_pixels(dataset, tmp_path):
    model = threshold()
    result = evaluation.evaluate(model, dataset)
    pairs = [data.loader.load(pair, dataset.labels) for pair in dataset.pairs]
    true, predicted = (np.stack(maps) for maps in zip(*((m, tfseg.predict(model, i)) for i, m in pairs), strict=True))
    expected = by_hand(true, predicted, 2)
    for name, value in expected.items():
        np.testing.assert_allclose(result.scores[name], value, err_msg=name)
    assert 0.5 < result.scores["mean_iou"] < 1
    assert result.accuracies[0] == result.accuracies[2] == 1
    assert result.worst(1) == [dataset.pairs[1]]
    printed = str(dataclasses.replace(result, published=(63.7, "coco-val2017-voc")))
    assert f"{100 * expected['mean_iou']:.2f}" in printed
    assert "bright" in printed
    assert "63.70  coco-val2017-voc" in printed
    result.save(tmp_path / "result.json")
    saved = json.loads((tmp_path / "result.json").read_text())
    assert saved["mean_iou"] == result.scores["mean_iou"]
    assert saved["confusion_matrix"] == result.matrix.tolist()


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
def test_all_views_of_single_pixels_are_the_same(dataset, options):
    model = threshold()
    image, _ = data.loader.load(dataset.pairs[0], dataset.labels)
    expected = evaluation.class_map(model, image)
    np.testing.assert_array_equal(evaluation.class_map(model, image, **options), expected)


def test_scales_are_averaged():
    """The mean of the probabilities at two sizes, resized by Keras."""
    model = threshold()
    image = np.random.default_rng(1).integers(0, 255, (*SIZE, 3)).astype("uint8")
    pixels = tfseg.preprocess(image, tfseg.metadata(model)["preprocessing"])[None]
    half = keras.ops.image.resize(pixels, (12, 16))
    sizes = [keras.ops.softmax(model(images)) for images in (pixels, half)]
    total = sizes[0] + keras.ops.image.resize(sizes[1], SIZE)
    classes = evaluation.class_map(model, image, scales=(1.0, 0.5))
    np.testing.assert_array_equal(classes, np.argmax(total, axis=-1)[0])


def test_the_loss_is_that_of_all_pixels(dataset, tmp_path):
    """Windows give every pixel the logits that the whole photograph gives it; the divisor is that of all photographs."""
    model = threshold()
    pairs = [data.loader.load(pair, dataset.labels) for pair in dataset.pairs]
    images = tfseg.preprocess(np.stack([image for image, _ in pairs]), tfseg.metadata(model)["preprocessing"])
    masks, logits = np.stack([mask for _, mask in pairs]), model(images)
    for loss in (losses.CrossEntropy(), losses.CrossEntropy(class_weights=(1, 3)), 2 * losses.Focal()):
        expected = float(loss(masks, logits))
        for options in ({}, {"window": (10, 12)}, {"window": (64, 64)}):
            result = evaluation.evaluate(model, dataset, loss=loss, **options)
            assert result.loss == pytest.approx(expected, rel=1e-5)
    assert f"{result.loss:.4f}" in str(result)
    result.save(tmp_path / "result.json")
    assert json.loads((tmp_path / "result.json").read_text())["loss"] == result.loss
    summed = evaluation.evaluate(model, dataset, loss=losses.CrossEntropy(reduction="sum"), window=(10, 12)).loss
    assert summed == pytest.approx(float(losses.CrossEntropy(reduction="sum")(masks, logits)) / 3, rel=1e-5)
    dice = [float(losses.Dice()(masks[i : i + 1], logits[i : i + 1])) for i in range(3)]
    assert evaluation.evaluate(model, dataset, loss=losses.Dice()).loss == pytest.approx(np.mean(dice), rel=1e-5)


@pytest.mark.parametrize("options", [{"flip": True}, {"scales": (0.5, 1.0)}], ids=str)
def test_a_loss_of_several_views_is_refused(dataset, options):
    with pytest.raises(ValueError, match="A loss takes the logits of one view"):
        evaluation.evaluate(threshold(), dataset, loss=losses.CrossEntropy(), **options)


def test_progress_counts_photographs(dataset):
    counts = []
    evaluation.evaluate(threshold(), dataset, progress=lambda *count: counts.append(count))
    assert counts == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_model_of_more_classes_is_refused(dataset):
    model = threshold(num_classes=3)
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel, bias + np.array([0, 0, 99])])
    with pytest.raises(ValueError, match=r"has 2 classes, the model .* more. Received: class 2 in a prediction"):
        evaluation.evaluate(model, dataset)


def test_an_invalid_overlap_is_refused():
    with pytest.raises(ValueError, match=r"overlap is at least 0 and below 1. Received: 1"):
        evaluation.class_map(threshold(), np.zeros((4, 4, 3), "uint8"), overlap=1)


def test_draw_pair_shows_predicted_and_true_classes_side_by_side(dataset):
    picture = evaluation.draw_pair(threshold(), dataset.pairs[1], dataset)
    assert picture.width >= 2 * SIZE[1]
    assert picture.height > SIZE[0]
