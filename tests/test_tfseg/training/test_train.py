"""Training runs: they learn, resume bit-identically, stop with advice, and leave loadable states."""

import csv
import dataclasses
import fractions
import json
import math
import re
import signal

import keras
import numpy as np
import pytest
from helpers.data_sets import pairs, photograph, scenes
from helpers.references import images, relative
from helpers.training_models import RECIPE, resnet_with_aux, small_model, small_model_without_dropout

import tfseg
from tfseg import data, training
from tfseg.training import devices, loop, reporting
from tfseg.training.precision import with_dtype
from tfseg.training.preparation import adapt_to_dataset


def weights(model):
    return {variable.path: np.array(variable) for variable in model.weights}


def ignore(line):
    pass


def read_log(run):
    with open(run / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_run_learns_and_writes_log_and_states(tmp_path):
    dataset, lines = scenes(tmp_path / "data"), []
    model = training.train(
        small_model,
        dataset,
        tmp_path / "run",
        recipe=RECIPE,
        epochs=12,
        validation=dataset,
        validate_every=6,
        log=lines.append,
    )
    rows = read_log(tmp_path / "run")
    assert [int(row["step"]) for row in rows] == list(range(2, 25, 2))
    assert float(rows[-1]["loss"]) < 0.6 * float(rows[0]["loss"])
    assert float(rows[-1]["pixel_accuracy"]) > 0.7
    assert rows[0]["mean_iou"] == rows[0]["val_loss"] == ""
    measured = tfseg.evaluation.evaluate(model, dataset, loss=tfseg.losses.CrossEntropy())
    assert float(rows[-1]["val_loss"]) == pytest.approx(measured.loss, rel=1e-5)
    assert "val_loss" in lines[-1]
    assert "mean_iou" in lines[-1]
    rates = [float(row["learning_rate"]) for row in rows]  # of the last step of each epoch: none is 0
    np.testing.assert_allclose(rates, 0.02 * (1 - (2 * np.arange(1, 13) - 1) / 24) ** 0.9, rtol=1e-5)
    assert {"iou dark", "iou bright"} <= rows[-1].keys()
    assert "iou dark" not in lines[-1]
    assert json.loads((tmp_path / "run" / "config.json").read_text())["steps"] == 24
    best = keras.saving.load_model(tmp_path / "run" / "best.keras")
    assert tfseg.metadata(best)["classes"] == ["dark", "bright"]
    assert tfseg.predict(best, photograph()).shape == (24, 32)
    last = weights(keras.saving.load_model(tmp_path / "run" / "last.keras"))
    assert all((weights(model)[path] == value).all() for path, value in last.items())


class CrashError(Exception):
    pass


def raise_on_second_line(error):
    """A log function."""
    lines = []

    def log(line):
        lines.append(line)
        if len(lines) == 2:
            raise error

    return log


@pytest.mark.parametrize("error", [pytest.param(CrashError, marks=pytest.mark.full), KeyboardInterrupt])
def test_interrupted_run_resumes_bit_identically(tmp_path, error):
    dataset = scenes(tmp_path / "data")
    options = {"recipe": RECIPE, "epochs": 4}
    whole = training.train(small_model, dataset, tmp_path / "whole", log=ignore, **options)
    with pytest.raises(error):
        training.train(small_model, dataset, tmp_path / "run", log=raise_on_second_line(error), **options)
    resumed = training.train(None, dataset, tmp_path / "run", log=ignore, **options)
    for path, value in weights(whole).items():
        np.testing.assert_array_equal(value, weights(resumed)[path], err_msg=path)
    losses = [[row["loss"] for row in read_log(tmp_path / name)] for name in ("whole", "run")]
    assert losses[0] == losses[1]


@pytest.mark.full
def test_ctrl_c_ends_the_first_step_at_once_and_later_ones_afterwards(tmp_path, monkeypatch):
    """The first one is compiled, which takes long, and nothing would be lost."""
    dataset, make_step, events = scenes(tmp_path / "data"), loop.make_step, []
    options = {"recipe": RECIPE, "epochs": 4, "log": ignore}
    whole = training.train(small_model, dataset, tmp_path / "whole", **options)

    def make(*arguments, **more):
        step = make_step(*arguments, **more)

        def interrupted(example, done):
            loss = step(example, done)
            if int(done) in interrupts:
                interrupts.remove(int(done))
                signal.raise_signal(signal.SIGINT)
            events.append(int(done))
            return loss

        return interrupted

    monkeypatch.setattr(loop, "make_step", make)
    interrupts = [0]
    with pytest.raises(KeyboardInterrupt):
        training.train(small_model, dataset, tmp_path / "run", **options)
    assert (events, (tmp_path / "run").exists()) == ([], False)
    for step in (3, 4, 5):  # the second of an epoch; the first since the state; the second since it
        interrupts.append(step)
        with pytest.raises(KeyboardInterrupt):
            training.train(small_model, dataset, tmp_path / "run", **options)
    assert events == [0, 1, 2, 3, 4, 5]
    resumed = training.train(small_model, dataset, tmp_path / "run", **options)
    for path, value in weights(whole).items():
        np.testing.assert_array_equal(value, weights(resumed)[path], err_msg=path)


@pytest.mark.full
def test_a_run_that_is_interrupted_while_it_validates_loses_no_row(tmp_path, monkeypatch):
    dataset, validate = scenes(tmp_path / "data"), loop.validate
    options = {"recipe": RECIPE, "epochs": 2, "validation": dataset, "log": ignore}
    training.train(small_model, dataset, tmp_path / "whole", **options)
    calls = []

    def interrupt_every_other(*arguments):
        calls.append(arguments)
        if len(calls) % 2:
            raise KeyboardInterrupt
        return validate(*arguments)

    monkeypatch.setattr(loop, "validate", interrupt_every_other)
    for _ in range(2):  # in the first epoch, and in the last one
        with pytest.raises(KeyboardInterrupt):
            training.train(small_model, dataset, tmp_path / "run", **options)
    training.train(small_model, dataset, tmp_path / "run", **options)
    whole, cut = ([row | {"seconds": ""} for row in read_log(tmp_path / name)] for name in ("whole", "run"))
    assert whole == cut


@pytest.mark.full
def test_a_run_whose_layers_are_partly_frozen_resumes_bit_identically(tmp_path):
    """The file of a state says of layers whether they are trained, not of their variables."""
    dataset = scenes(tmp_path / "data")
    recipe = dataclasses.replace(RECIPE, frozen=(".*_bn/gamma", "logits/bias"), ema=0.5)
    options = {"recipe": recipe, "epochs": 4}
    whole = training.train(small_model, dataset, tmp_path / "whole", log=ignore, **options)
    with pytest.raises(KeyboardInterrupt):
        training.train(small_model, dataset, tmp_path / "run", log=raise_on_second_line(KeyboardInterrupt), **options)
    resumed = training.train(small_model, dataset, tmp_path / "run", log=ignore, **options)
    for path, value in weights(whole).items():
        np.testing.assert_array_equal(value, weights(resumed)[path], err_msg=path)


def test_new_run_needs_a_model(tmp_path):
    with pytest.raises(ValueError, match="no state to resume: pass a model"):
        training.train(None, scenes(tmp_path / "data"), tmp_path / "run", recipe=RECIPE)


@pytest.mark.full
def test_both_heads_are_trained(tmp_path):
    dataset = scenes(tmp_path / "data")
    before = weights(resnet_with_aux())
    model = training.train(resnet_with_aux, dataset, tmp_path / "run", recipe=RECIPE, epochs=1, log=ignore)
    assert all((before[path] != value).any() for path, value in weights(model).items() if path.endswith("/kernel"))


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("batch_norm", ["frozen", "plain"])
def test_frozen_variables_do_not_change(tmp_path, batch_norm):
    dataset = scenes(tmp_path / "data")
    before = weights(small_model())
    recipe = dataclasses.replace(RECIPE, batch_norm=batch_norm, frozen=(r"conv1_.*",))
    model = training.train(small_model, dataset, tmp_path / "run", recipe=recipe, epochs=1, log=ignore)
    for path, value in weights(model).items():
        changed = (value != before[path]).any()
        frozen = path.startswith("conv1_") or (batch_norm == "frozen" and "_bn/" in path)
        assert changed == (not frozen), path


@pytest.mark.full
@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_has_the_losses_of_float32(tmp_path, dtype):
    dataset = scenes(tmp_path / "data")
    # With statistics of two pixels, BatchNorm would magnify the rounding.
    exact = dataclasses.replace(RECIPE, learning_rate=0.001, batch_norm="frozen")
    rounded = dataclasses.replace(exact, dtype=dtype)
    build, options = small_model_without_dropout, {"epochs": 2, "log": ignore}
    model = training.train(build, dataset, tmp_path / "run", recipe=rounded, **options)
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    assert model.get_layer("conv2_conv").compute_dtype == dtype.removeprefix("mixed_")
    assert model.output.dtype == "float32"
    losses = [float(row["loss"]) for row in read_log(tmp_path / "run")]
    training.train(build, dataset, tmp_path / "exact", recipe=exact, **options)
    expected = [float(row["loss"]) for row in read_log(tmp_path / "exact")]
    # In float16 the first steps are skipped, until the loss scale fits.
    np.testing.assert_allclose(losses, expected, rtol=0.05 if dtype == "mixed_bfloat16" else 0.4)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == (dtype == "mixed_float16")


def test_long_epoch_logs_its_steps(tmp_path, monkeypatch):
    monkeypatch.setattr(reporting, "_SECONDS_BETWEEN_LINES", 0.0)
    dataset, lines = scenes(tmp_path / "data", 8), []
    training.train(small_model, dataset, tmp_path / "run", recipe=RECIPE, epochs=1, log=lines.append)
    assert [line.split("  ")[0] for line in lines[:-1]] == ["step 1 of 4", "step 2 of 4", "step 3 of 4"]
    assert re.search(r"loss [\d.]+  learning_rate 0.02  [\d.]+ s per step  \d:\d\d:\d\d left$", lines[0])


def test_diverged_loss_stops_with_advice(tmp_path):
    dataset = scenes(tmp_path / "data")
    recipe = dataclasses.replace(RECIPE, learning_rate=1e25)
    with pytest.raises(ValueError, match=r"loss of step \d+ is (nan|inf).*diverged. Try a lower learning rate"):
        training.train(small_model, dataset, tmp_path / "run", recipe=recipe, epochs=5, log=ignore)


def test_gathered_gradients_on_several_devices_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "device_count", lambda: 2)
    recipe = dataclasses.replace(RECIPE, accumulate=2)
    with pytest.raises(ValueError, match=r"accumulate=2 on 2 devices.*raise batch_size"):
        training.train(small_model, scenes(tmp_path / "data"), tmp_path / "run", recipe=recipe, epochs=1)
    assert not (tmp_path / "run").exists()


def test_gradients_of_more_steps_than_there_are_are_refused(tmp_path):
    recipe = dataclasses.replace(RECIPE, accumulate=3)
    with pytest.raises(
        ValueError, match=r"every 3 steps \(accumulate\), and the training has 2: they would never change"
    ):
        training.train(small_model, scenes(tmp_path / "data"), tmp_path / "run", recipe=recipe, epochs=1)
    assert not (tmp_path / "run").exists()


def test_the_last_steps_that_change_nothing_are_told(tmp_path):
    lines, recipe = [], dataclasses.replace(RECIPE, accumulate=3)
    training.train(small_model, scenes(tmp_path / "data"), tmp_path / "run", recipe=recipe, epochs=2, log=lines.append)
    assert "the last 1 steps change no weights: the gradients of 3 are gathered" in lines


@pytest.mark.parametrize(
    ("photographs", "batch", "epochs", "ends"),
    [
        (8, 4, 3, [None, 1, None, 2, None, 3]),
        (5, 4, 5, [None, 1, 2, 3, 4, None, 5]),
        (5, 4, 4, [None, 1, 2, 3, 4]),
        (3, 4, 4, [1, 2, 4]),
        (1, 4, 6, [4, 6]),
        (7, 3, 3, [None, None, 1, None, 2, None, 3]),
    ],
)
def test_epochs_end_with_the_step_that_completes_them(photographs, batch, epochs, ends):
    per_epoch = fractions.Fraction(photographs, batch)
    steps = math.ceil(per_epoch * epochs)
    plan = loop._Plan(steps, epochs, per_epoch, None, keeps_last=False)
    assert [plan.ended_epoch(done) for done in range(1, steps + 1)] == ends


def test_a_network_within_a_network_is_prepared(tmp_path):
    """A usual form in Keras: `backbone(image)`."""
    backbone = small_model_without_dropout()
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Identity(name="all", dtype="float32")(backbone(image)))
    training.prepare(model, batch_norm="frozen", frozen=["conv1_conv/kernel"])
    norms = [layer for layer in backbone.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert not any(layer.trainable for layer in norms)
    assert not backbone.get_layer("conv1_conv").trainable
    half = with_dtype(model, "mixed_bfloat16")
    inner = next(layer for layer in half.layers if isinstance(layer, keras.Model))
    assert inner.get_layer("conv1_conv").dtype_policy.name == "mixed_bfloat16"
    assert relative(half(pixels := images(16, 16)), model(pixels)) < 0.02


def test_model_with_another_number_of_classes_is_refused(tmp_path):
    dataset = data.folder(pairs(tmp_path / "data"), num_classes=3)
    with pytest.raises(ValueError, match=r"has 3 classes, the model '.*' 2. Give it a head for them: tfseg.renew_head"):
        training.train(small_model, dataset, tmp_path / "run", recipe=RECIPE, log=ignore)


@pytest.mark.parametrize("ending", ["softmax", "sigmoid"])
def test_model_without_logits_is_refused(tmp_path, ending):
    def built():
        model = small_model()
        return keras.Model(model.input, keras.layers.Activation(ending)(model.output), name="ended")

    with pytest.raises(ValueError, match=rf"'ended' ends with a {ending}, and losses take logits"):
        training.train(built, scenes(tmp_path / "data"), tmp_path / "run", recipe=RECIPE, log=ignore)


@pytest.mark.parametrize(
    ("aux", "message"),
    [
        (keras.layers.Conv2D(3, 1, activation="sigmoid"), "ends with a sigmoid"),
        (keras.layers.Conv2D(3, 1, strides=2, padding="same"), "no logits for every pixel: 128 x 128"),
        (keras.layers.Conv2D(1, 1), "has 3 classes, the model 'two' 1"),
    ],
    ids=["sigmoid", "small", "classes"],
)
def test_an_auxiliary_output_that_no_loss_can_take_is_refused(tmp_path, aux, message):
    image = keras.Input((None, None, 3))
    x = tfseg.layers.Metadata(tfseg.specs.PREPROCESSING["torch"])(image)
    model = keras.Model(image, [keras.layers.Conv2D(3, 1)(x), aux(x)], name="two")
    dataset = data.folder(pairs(tmp_path), num_classes=3)
    with pytest.raises(ValueError, match=message):
        adapt_to_dataset(model, dataset)


def test_model_with_logits_smaller_than_the_image_is_refused(tmp_path):
    def built():
        model = small_model()
        return keras.Model(model.input, model.get_layer("logits").output, name="small")

    with pytest.raises(ValueError, match=r"'small' has no logits for every pixel: 64 x 64 of.* 256 x 256.*ResizeLike"):
        training.train(built, scenes(tmp_path / "data"), tmp_path / "run", recipe=RECIPE, log=ignore)


@pytest.mark.full
def test_parameters_of_version_0_1_become_fields_of_the_recipe(tmp_path):
    dataset, lines = scenes(tmp_path / "data"), []
    old = {"batch_size": 4, "crop": (8, 8), "clipnorm": 1.0, "class_weights": np.array([1, 2]), "report": lines.append}
    with pytest.warns(DeprecationWarning, match=r"batch_size, .*report: use the fields of the recipe"):
        training.train(small_model, dataset, tmp_path / "run", recipe=RECIPE, epochs=1, **old)
    recipe = json.loads((tmp_path / "run" / "config.json").read_text())["recipe"]
    assert (recipe["batch_size"], recipe["augmentation"]["crop"]) == (4, [8, 8])
    assert (recipe["clipnorm"], recipe["class_weights"]) == (1.0, [1.0, 2.0])
    assert lines[0].startswith("epoch 1  step 1")
