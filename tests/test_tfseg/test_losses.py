"""The losses and their gradients against PyTorch's, and against the formulas of the papers in NumPy."""

import keras
import numpy as np
import pytest
from helpers.references import relative
from helpers.torchvision_cpu import import_torchvision

from tfseg import losses

torch = pytest.importorskip("torch")
tf = pytest.importorskip("tensorflow")

CLASSES = 4
WEIGHTS = (0.5, 1.0, 2.0, 3.0)


def batch(seed=0):
    random = np.random.default_rng(seed)
    logits = random.normal(size=(2, 5, 7, CLASSES)).astype("float32") * 3
    true = random.choice([0, 1, 2, 255], size=(2, 5, 7)).astype("int32")  # 3 is a class that no pixel has
    return true, logits


def gradient(loss, true, logits):
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(true, logits)
    return float(value), tape.gradient(value, logits).numpy()


def torch_gradient(function, true, logits):
    logits = torch.tensor(logits, requires_grad=True)
    value = function(logits.permute(0, 3, 1, 2), torch.tensor(true).long())
    value.backward()
    return value.item(), logits.grad.numpy()


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
def test_cross_entropy_is_pytorchs(weights, reduction):
    true, logits = batch()
    reference = torch.nn.CrossEntropyLoss(
        ignore_index=255, reduction=reduction, weight=None if weights is None else torch.tensor(weights)
    )
    expected, expected_gradient = torch_gradient(reference, true, logits)
    ours = losses.CrossEntropy(class_weights=weights, reduction=reduction)
    value, slopes = gradient(ours, true[..., None], logits)
    assert value == pytest.approx(expected, rel=1e-6)
    assert relative(slopes, expected_gradient) <= 1e-6


def test_online_hard_examples_keeps_the_largest_losses():
    true, logits = batch()
    each = torch.nn.functional.cross_entropy(
        torch.tensor(logits).permute(0, 3, 1, 2), torch.tensor(true).long(), ignore_index=255, reduction="none"
    ).numpy()[true != 255]
    kept = int(np.ceil(0.3 * each.size))
    value, slopes = gradient(losses.OnlineHardExamples(0.3), true, logits)
    assert value == pytest.approx(np.sort(each)[-kept:].mean(), rel=1e-6)
    assert (np.abs(slopes).sum(axis=-1) > 0).sum() == kept
    whole, _ = gradient(losses.OnlineHardExamples(1.0), true, logits)
    assert whole == pytest.approx(each.mean(), rel=1e-6)


def probabilities(true, logits):
    exponents = np.exp(logits.astype("float64") - logits.max(axis=-1, keepdims=True))
    p = exponents / exponents.sum(axis=-1, keepdims=True)
    return p, np.take_along_axis(p, np.where(true == 255, 0, true)[..., None], axis=-1)[..., 0]


def test_focal_is_the_papers_formula():
    true, logits = batch()
    _, p = probabilities(true, logits)
    p = p[true != 255]
    expected = ((1 - p) ** 2 * -np.log(p)).mean()
    assert gradient(losses.Focal(), true, logits)[0] == pytest.approx(expected, rel=1e-5)
    plain, zero = (gradient(loss, true, logits) for loss in (losses.CrossEntropy(), losses.Focal(gamma=0)))
    assert zero[0] == pytest.approx(plain[0], rel=1e-6)
    assert relative(zero[1], plain[1]) <= 1e-6


def test_focal_gradient_is_finite_at_zero_loss():
    """A pixel whose loss rounds to zero must not make the gradient of its power undefined."""
    true, logits = np.zeros((1, 1, 1), "int32"), np.array([[[[200.0, 0, 0, 0]]]], "float32")
    for gamma in (0.5, 1.0, 2.0):
        value, slopes = gradient(losses.Focal(gamma=gamma), true, logits)
        assert value == pytest.approx(0, abs=1e-12)
        assert np.isfinite(slopes).all()


def test_dice_is_the_papers_formula():
    true, logits = batch()
    p, _ = probabilities(true, logits)
    counted = true != 255
    expected = []
    for index in range(3):
        inside, predicted = (true == index)[counted], p[..., index][counted]
        expected.append(1 - (2 * predicted[inside].sum() + 1) / (inside.sum() + predicted.sum() + 1))
    assert gradient(losses.Dice(), true, logits)[0] == pytest.approx(np.mean(expected), rel=1e-6)


LOSSES = {
    "cross-entropy": losses.CrossEntropy(class_weights=WEIGHTS),
    "hard": losses.OnlineHardExamples(0.5, ignore_class=(3, 255)),
    "focal": losses.Focal(gamma=1.5, reduction="sum"),
    "dice": losses.Dice(smooth=0.5, class_weights=WEIGHTS),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_ignored_pixels_have_no_loss_and_no_gradient(loss):
    true, logits = batch()
    value, slopes = gradient(loss, true, logits)
    assert (slopes[true == 255] == 0).all()
    logits[true == 255] += np.float32(5)
    assert gradient(loss, true, logits)[0] == value
    nothing, slopes = gradient(loss, np.full_like(true, 255), logits)
    assert nothing == 0
    assert (slopes == 0).all()


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_losses_survive_serialization(loss):
    true, logits = batch()
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert float(copy(true, logits)) == float(loss(true, logits))


@pytest.mark.parametrize("name", ["cross-entropy", "focal"])  # the others look at all of a call's pixels together
def test_totals_of_two_halves_add_up(name):
    """A training step on two devices adds sums and divisors, and divides at the end."""
    loss = LOSSES[name]
    true, logits = batch()
    halves = [loss.totals(true[index : index + 1], logits[index : index + 1]) for index in range(2)]
    total, divisor = (sum(map(float, parts)) for parts in zip(*halves, strict=True))
    whole, below = loss.totals(true, logits)
    assert total == pytest.approx(float(whole), rel=1e-6)
    if loss.get_config()["reduction"] == "mean":
        assert divisor == pytest.approx(float(below), rel=1e-6)


def test_half_precision_logits_are_summed_in_single():
    true, logits = batch()
    half = logits.astype("float16")
    assert float(losses.CrossEntropy()(true, half)) == float(losses.CrossEntropy()(true, half.astype("float32")))


def test_class_weights_are_the_papers_formulas():
    counts = np.array([10, 40, 50, 0])
    np.testing.assert_allclose(losses.median_frequency_weights(counts), [4, 1, 0.8, 0])
    np.testing.assert_allclose(losses.median_frequency_weights(counts, images_with=[50, 100, 100, 0]), [2, 1, 0.8, 0])
    np.testing.assert_allclose(losses.enet_weights([1, 3]), 1 / np.log([1.27, 1.77]))


def test_another_number_of_class_weights_is_refused():
    true, logits = batch()
    with pytest.raises(ValueError, match=r"a number for each of the 4 classes. Received: 2"):
        losses.CrossEntropy(class_weights=(1, 2))(true, logits)


def test_an_unknown_reduction_is_refused():
    with pytest.raises(ValueError, match=r'reduction is "mean" or "sum". Received: \'none\''):
        losses.Dice(reduction="none")


@pytest.mark.parametrize("fraction", [0, 1.5])
def test_a_fraction_outside_its_range_is_refused(fraction):
    with pytest.raises(ValueError, match=rf"fraction is above 0 and at most 1. Received: {fraction}"):
        losses.OnlineHardExamples(fraction)


ALL_LOSSES = [losses.CrossEntropy(), losses.Focal(), losses.OnlineHardExamples(), losses.Dice()]


@pytest.mark.parametrize("loss", ALL_LOSSES, ids=lambda loss: loss.name)
@pytest.mark.parametrize("shape", [(2, 5, 7), (2, 5, 7, 1), (2,), (2, 1)])
def test_sample_weights_of_one_change_nothing(loss, shape):
    true, logits = batch()
    assert float(loss(true, logits, sample_weight=np.ones(shape, "float32"))) == float(loss(true, logits))


def test_sample_weights_are_factors_of_the_pixels_losses():
    true, logits = batch()
    factors = np.random.default_rng(1).uniform(0, 3, true.shape).astype("float32")
    each = torch.nn.functional.cross_entropy(
        torch.tensor(logits).permute(0, 3, 1, 2), torch.tensor(true).long(), ignore_index=255, reduction="none"
    ).numpy()
    expected = (each * factors).sum() / (true != 255).sum()
    np.testing.assert_allclose(losses.CrossEntropy()(true, logits, sample_weight=factors), expected, rtol=1e-6)
    with pytest.raises(ValueError, match=r"sample_weight is .batch,.*Received: an array of shape \(2, 5\)"):
        losses.CrossEntropy()(true, logits, sample_weight=np.ones((2, 5)))


@pytest.mark.quick_variants(3)
@pytest.mark.parametrize("loss", ALL_LOSSES, ids=lambda loss: loss.name)
@pytest.mark.parametrize("strange", [-1, CLASSES, 7])
def test_ids_that_are_no_classes_are_an_error(loss, strange):
    true, logits = batch()
    true[0, 0, 0] = strange
    with pytest.raises(ValueError, match=rf"neither one of the 4 classes.*Received: {strange}"):
        loss(true, logits)
    with pytest.raises(tf.errors.InvalidArgumentError, match="neither one of the 4 classes"):
        tf.function(lambda *arguments: loss(*arguments))(true, logits)
    assert np.isnan(tf.function(lambda *arguments: loss(*arguments), jit_compile=True)(true, logits))
    widened = type(loss)(ignore_class=(255, strange))
    ignored = np.where(true == strange, 255, true)
    np.testing.assert_allclose(widened(true, logits), loss(ignored, logits), rtol=1e-6)


@pytest.mark.parametrize("loss", ALL_LOSSES, ids=lambda loss: loss.name)
def test_one_hot_truth_is_refused_with_the_way(loss):
    true, logits = batch()
    with pytest.raises(ValueError, match=r"class ids.*\(2, 5, 7, 4\), which looks like one-hot.*np.argmax"):
        loss(np.eye(CLASSES)[np.where(true == 255, 0, true)], logits)


def test_losses_add_up(tmp_path):
    true, logits = batch()
    parts = losses.Dice(), losses.CrossEntropy(class_weights=WEIGHTS), losses.Focal()
    both = parts[0] + 0.5 * parts[1] + parts[2] * 2
    expected = sum(factor * float(part(true, logits)) for factor, part in zip((1, 0.5, 2), parts, strict=True))
    np.testing.assert_allclose(both(true, logits), expected, rtol=1e-6)
    model = keras.Sequential([keras.Input((5, 7, 3)), keras.layers.Conv2D(CLASSES, 1)])
    model.compile("sgd", both)
    model.fit(np.ones((2, 5, 7, 3)), true, sample_weight=np.ones(2), verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras").loss
    np.testing.assert_allclose(again(true, logits), expected, rtol=1e-6)


@pytest.mark.parametrize("ignored", [0.0, 0.3])
def test_lovasz_is_that_of_segmentation_models(ignored):
    """Their loss of one batch, as their multiclass mode computes it: over the classes that are there."""
    import_torchvision()  # theirs imports it
    smp = pytest.importorskip("segmentation_models_pytorch.losses")
    random = np.random.default_rng(3)
    logits = random.normal(size=(2, 9, 11, 5)).astype("float32")
    truth = random.integers(0, 4, (2, 9, 11))  # class 4 never occurs
    truth[random.random(truth.shape) < ignored] = 255
    inputs = torch.from_numpy(logits).permute(0, 3, 1, 2).requires_grad_()
    expected = smp.LovaszLoss("multiclass", ignore_index=255)(inputs, torch.from_numpy(truth))
    expected.backward()
    actual, slope = gradient(losses.Lovasz(), truth, logits)
    np.testing.assert_allclose(actual, expected.detach().numpy(), rtol=1e-5)
    np.testing.assert_allclose(slope, inputs.grad.permute(0, 2, 3, 1).numpy(), atol=1e-7)


KINDS = (losses.CrossEntropy, losses.Focal, losses.OnlineHardExamples, losses.Dice)


@pytest.mark.parametrize("loss", KINDS)
@pytest.mark.parametrize(
    ("truth", "message"),
    [
        (np.zeros((2, 5, 4), "int32"), r"\(batch, height, width\) = \(2, 4, 5\). Received: \(2, 5, 4\)"),
        (np.zeros((2, 3, 5), "int32"), r"Received: \(2, 3, 5\)"),
        (np.zeros((2, 20), "int32"), r"Received: \(2, 20\)"),
        (np.full((2, 4, 5), 0.5), "neither one of the 3 classes"),
        (np.full((2, 4, 5), np.nan), "neither one of the 3 classes"),
    ],
)
def test_truth_that_is_none_of_the_logits_is_refused(loss, truth, message):
    """A transposed mask has as many pixels, and the fraction of an id was cut off."""
    with pytest.raises(ValueError, match=message):
        loss()(truth, np.zeros((2, 4, 5, 3), "float32"))


@pytest.mark.parametrize("loss", KINDS)
def test_class_weights_may_be_a_dictionary_as_keras_has_it(loss):
    """Its numbers weigh the classes: in a list of the dictionary, the classes themselves did."""
    random = np.random.default_rng(0)
    truth, logits = random.integers(0, 3, (2, 4, 5)), random.normal(size=(2, 4, 5, 3)).astype("float32")
    expected = float(loss(class_weights=[5, 1, 2])(truth, logits))
    assert float(loss(class_weights={2: 2, 0: 5, 1: 1})(truth, logits)) == expected
    for weights, message in (
        ({0: 1, 2: 1}, "Received a dictionary of 0, 2"),
        ([1, -1, 1], "from 0 on"),
        ([np.nan] * 3, "from 0 on"),
    ):
        with pytest.raises(ValueError, match=message):
            loss(class_weights=weights)


def test_logits_of_one_class_are_refused():
    with pytest.raises(ValueError, match=r"one class has nothing to learn.*num_classes=2"):
        losses.CrossEntropy()(np.zeros((1, 2, 2), int), np.zeros((1, 2, 2, 1), "float32"))


def test_the_sum_of_a_list_of_losses():
    random = np.random.default_rng(0)
    truth, logits = random.integers(0, 3, (2, 4, 5)), random.normal(size=(2, 4, 5, 3)).astype("float32")
    both = sum([losses.Dice(), losses.CrossEntropy()])
    np.testing.assert_allclose(both(truth, logits), losses.Dice()(truth, logits) + losses.CrossEntropy()(truth, logits))
