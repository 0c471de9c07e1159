"""The scores against sets counted by hand: on random maps, on adversarial ones, in batches, and inside `fit`."""

import keras
import numpy as np
import pytest
from helpers.scores_by_hand import by_hand
from helpers.torchvision_cpu import import_torchvision

from tfseg import metrics

NAN = float("nan")


def maps(seed, num_classes, *, ids=None):
    random = np.random.default_rng(seed)
    ids = list(range(num_classes)) if ids is None else ids
    true = random.choice([*ids, 255], size=(2, 13, 17)).astype("uint8")
    return true, random.integers(0, num_classes, size=true.shape)


CASES = {
    "random": maps(0, 5),
    "one class in the truth": maps(1, 5, ids=[3]),
    "classes absent from both": (maps(2, 9, ids=[0, 2])[0], maps(2, 9, ids=[0, 2])[1] % 2 * 2),
    "nothing counts": (np.full((2, 4, 4), 255, "uint8"), np.zeros((2, 4, 4), int)),
    "all wrong": (np.zeros((1, 5, 5), "uint8"), np.ones((1, 5, 5), int)),
    "all right": (np.arange(9).reshape(1, 3, 3).astype("uint8"), np.arange(9).reshape(1, 3, 3)),
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_scores_are_the_papers_formulas(case):
    true, predicted = CASES[case]
    metric = metrics.ConfusionMatrix(9)
    metric.update_classes(true, predicted)
    scores, expected = metrics.scores(metric.matrix()), by_hand(true, predicted, 9)
    assert scores.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(scores[name], value, rtol=1e-15, err_msg=name)
    np.testing.assert_array_equal(metrics.confusion_matrix(true, predicted, 9), metric.matrix())
    logged = metric.result()
    for name in metrics.SCORES:
        np.testing.assert_allclose(logged[name], expected[name], rtol=1e-12, err_msg=name)


def test_scores_equal_torchmetrics():
    torch = pytest.importorskip("torch")
    import_torchvision()  # torchmetrics imports it too
    torchmetrics = pytest.importorskip("torchmetrics.classification")
    true, predicted = CASES["random"]
    metric = metrics.ConfusionMatrix(5)
    metric.update_classes(true, predicted)
    truth, classes = torch.from_numpy(true.astype("int64")), torch.from_numpy(predicted)
    reference = torchmetrics.MulticlassConfusionMatrix(5, ignore_index=255)(classes, truth)
    np.testing.assert_array_equal(metric.matrix(), reference.numpy())
    iou = torchmetrics.MulticlassJaccardIndex(5, average=None, ignore_index=255)(classes, truth)
    np.testing.assert_allclose(metrics.scores(metric.matrix())["iou"], iou.numpy(), rtol=1e-6)


def test_batches_add_up_until_a_reset():
    true, predicted = CASES["random"]
    whole, parts = metrics.ConfusionMatrix(5), metrics.ConfusionMatrix(5)
    logits = np.eye(5, dtype="float32")[predicted]
    whole.update_state(true[..., None], logits)
    for index in range(len(true)):
        parts.update_state(true[index : index + 1], logits[index : index + 1])
    np.testing.assert_array_equal(whole.matrix(), parts.matrix())
    parts.reset_state()
    assert parts.matrix().sum() == 0


def test_confusion_matrix_survives_serialization():
    config = metrics.ConfusionMatrix(5, ignore_class=(0, 255)).get_config()
    copy = metrics.ConfusionMatrix.from_config(config)
    assert (copy.num_classes, copy.ignore_class) == (5, (0, 255))


def test_several_ids_can_be_ignored():
    true = np.array([[[0, 1, 254, 255, 2]]], "uint8")
    metric = metrics.ConfusionMatrix(3, ignore_class=(2, 254, 255))
    metric.update_classes(true, np.zeros_like(true))
    np.testing.assert_array_equal(metric.matrix(), [[1, 0, 0], [1, 0, 0], [0, 0, 0]])
    counted = metrics.confusion_matrix(true, np.zeros_like(true), 3, (2, 254, 255))
    np.testing.assert_array_equal(counted, metric.matrix())


def test_counts_are_exact_beyond_float32():
    """2^24 + 1 pixels: a float32 would not see the last one."""
    metric = metrics.ConfusionMatrix(2)
    many = np.zeros(1 << 24, "uint8")
    metric.update_classes(many, many)
    metric.update_classes(many[:1], many[:1])
    assert metric.matrix()[0, 0] == (1 << 24) + 1


def test_ids_that_are_neither_class_nor_ignored_are_refused():
    metric = metrics.ConfusionMatrix(3)
    metric.update_classes(np.array([0, 7, -1]), np.array([0, 1, 1]))
    assert np.isnan(metric.result()["mean_iou"])
    for matrix in (metric.matrix, lambda: metrics.confusion_matrix(np.array([0, 7, -1]), np.array([0, 1, 1]), 3)):
        with pytest.raises(
            ValueError, match=r"neither a class \(0 to 2\) nor ignored \(255\). Received: 2 such pixels"
        ):
            matrix()


def test_predictions_that_are_no_class_are_refused():
    with pytest.raises(ValueError, match=r"numbers from 0 to 2. Received: -1 to 3"):
        metrics.confusion_matrix(np.array([0, 1, 2]), np.array([3, -1, 0]), 3)


def test_sample_weights_are_refused():
    metric = metrics.ConfusionMatrix(3)
    with pytest.raises(ValueError, match="counted, not weighted"):
        metric.update_state(np.zeros((1, 1)), np.zeros((1, 1, 3)), sample_weight=1.0)


def test_fit_logs_the_scores():
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(3, 1)])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=[metrics.ConfusionMatrix(3)])
    x, y = np.zeros((2, 4, 4, 3), "float32"), np.zeros((2, 4, 4), "int32")
    history = model.fit(x, y, validation_data=(x, y), verbose=0).history
    assert {*metrics.SCORES, *(f"val_{name}" for name in metrics.SCORES)} <= set(history)
