"""Runs: that they learn, go on to the bit after a crash, stop with advice, and leave loadable states."""

import csv
import json
import sys

import keras
import numpy as np
import pytest
from helpers.data_sets import pairs, photograph, scenes
from helpers.training_models import RECIPE, small, small_with_both_heads, with_both_heads

import tfseg
from tfseg import data, training
from tfseg.data.pipeline import NONE
from tfseg.training import loop, preparation, runs
from tfseg.training.runs import Run, draw_curves


@pytest.fixture(autouse=True)
def no_curves(monkeypatch):
    """They cost half a second an epoch."""
    monkeypatch.setattr(runs, "draw_curves", lambda rows, path: None)


def weights(model):
    return {variable.path: np.array(variable) for variable in model.weights}


def quiet(line):
    pass


def log(run):
    with open(run / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_learns_and_tells(tmp_path):
    dataset, lines = scenes(tmp_path / "data"), []
    model = training.train(
        small,
        dataset,
        tmp_path / "run",
        recipe=RECIPE,
        epochs=12,
        validation=dataset,
        validate_every=6,
        report=lines.append,
    )
    rows = log(tmp_path / "run")
    assert [int(row["step"]) for row in rows] == list(range(2, 25, 2))
    assert float(rows[-1]["loss"]) < 0.6 * float(rows[0]["loss"])
    assert float(rows[-1]["pixel_accuracy"]) > 0.7
    assert rows[0]["mean_iou"] == ""
    assert "mean_iou" in lines[-1]
    assert float(rows[-1]["learning_rate"]) == pytest.approx(0)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["steps"] == 24
    best = keras.saving.load_model(tmp_path / "run" / "best.keras")
    assert tfseg.metadata(best)["classes"] == ["dark", "bright"]
    assert tfseg.predict(best, photograph()).shape == (24, 32)
    assert all(
        (weights(model)[path] == value).all()
        for path, value in weights(keras.saving.load_model(tmp_path / "run" / "last.keras")).items()
    )


class Crash(Exception):
    pass


@pytest.mark.parametrize("how", [pytest.param("crash", marks=pytest.mark.full), "Ctrl-C"])
def test_an_interrupted_run_ends_as_if_nothing_had_been(tmp_path, how):
    dataset = scenes(tmp_path / "data")
    whole = training.train(small, dataset, tmp_path / "whole", recipe=RECIPE, epochs=4, report=quiet)

    def interrupt(line):
        if how == "Ctrl-C":
            raise KeyboardInterrupt
        raise Crash

    with pytest.raises((Crash, KeyboardInterrupt)):
        training.train(small, dataset, tmp_path / "run", recipe=RECIPE, epochs=4, report=_second(interrupt))
    resumed = training.train(None, dataset, tmp_path / "run", recipe=RECIPE, epochs=4, report=quiet)
    for path, value in weights(whole).items():
        np.testing.assert_array_equal(value, weights(resumed)[path], err_msg=path)
    logs = [log(tmp_path / name) for name in ("whole", "run")]
    assert [row["loss"] for row in logs[0]] == [row["loss"] for row in logs[1]]


def _second(then):
    """A reporter that lets one line pass."""
    seen = []

    def report(line):
        seen.append(line)
        if len(seen) == 2:
            then(line)

    return report


def test_both_heads_are_trained(tmp_path):
    dataset = scenes(tmp_path / "data")
    before = weights(with_both_heads())
    model = training.train(with_both_heads, dataset, tmp_path / "run", recipe=RECIPE, epochs=1, report=quiet)
    assert all((before[path] != value).any() for path, value in weights(model).items() if path.endswith("/kernel"))


@pytest.mark.parametrize("batch_norm", ["frozen", "plain"])
def test_what_is_frozen_stays(tmp_path, batch_norm):
    dataset = scenes(tmp_path / "data")
    before = weights(small())
    recipe = RECIPE._replace(batch_norm=batch_norm, frozen=(r"conv1_.*",))
    model = training.train(small, dataset, tmp_path / "run", recipe=recipe, epochs=1, report=quiet)
    for path, value in weights(model).items():
        moved = (value != before[path]).any()
        stays = path.startswith("conv1_") or (batch_norm == "frozen" and "_bn/" in path)
        assert moved == (not stays), path
    with pytest.raises(ValueError, match=r"No variable is called 'conv1'"):
        training.prepare(model, frozen=["conv1"])


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", pytest.param("mixed_float16", marks=pytest.mark.full)])
def test_mixed_precision(tmp_path, dtype):
    dataset = scenes(tmp_path / "data")
    recipe = RECIPE._replace(learning_rate=0.001, batch_norm="frozen")  # statistics of two pixels magnify rounding

    def certain():  # each type draws dropout's numbers in its own way
        model = small()
        model.get_layer("head_dropout").rate = 0.0
        return model

    model = training.train(certain, dataset, tmp_path / "run", recipe=recipe, epochs=2, dtype=dtype, report=quiet)
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    assert model.get_layer("conv2_conv").compute_dtype == dtype.removeprefix("mixed_")
    assert model.output.dtype == "float32"
    losses = [float(row["loss"]) for row in log(tmp_path / "run")]
    training.train(certain, dataset, tmp_path / "exact", recipe=recipe, epochs=2, report=quiet)
    expected = [float(row["loss"]) for row in log(tmp_path / "exact")]
    # In float16 the first steps are skipped, until the scale of the loss fits.
    np.testing.assert_allclose(losses, expected, rtol=0.05 if dtype == "mixed_bfloat16" else 0.4)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == (dtype == "mixed_float16")


def test_scores_with_a_bias_stay_in_float32():
    """TensorFlow's bfloat16 gradient of a bias overruns its buffer unless channels come in sixteens."""
    model = preparation.with_dtype(tfseg.FCN8s(11, padding="same", width=1 / 4), "mixed_bfloat16")
    kept = {layer.name for layer in model.layers if layer.weights and layer.compute_dtype == "float32"}
    assert kept == {"score_fr", "score_pool4", "score_pool3"}
    assert model.output.dtype == "float32"


def test_tensorboard_reads_a_run(tmp_path):
    loading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = Run(tmp_path / "run", {})
    for step in (1, 2):
        run.log({"epoch": step, "step": step, "loss": 1 / step, "seconds": 1.0})
    events = loading.EventAccumulator(str(tmp_path / "run")).Reload()
    assert [(one.step, float(tf_value(one))) for one in events.Tensors("loss")] == [(1, 1.0), (2, 0.5)]


def tf_value(event):
    import tensorflow as tf

    return tf.make_ndarray(event.tensor_proto)


def test_curves_need_matplotlib(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    rows = [{"epoch": step, "step": step, "loss": 1 / step} for step in (1, 2)] + [{"step": 3, "mean_iou": 0.5}]
    draw_curves(rows, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    draw_curves(rows, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_a_long_epoch_tells_where_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_PATIENCE", 0.0)
    lines = []
    training.train(small, scenes(tmp_path / "data", 8), tmp_path / "run", recipe=RECIPE, epochs=1, report=lines.append)
    assert [line.split("  ")[0] for line in lines[:-1]] == ["step 1 of 4", "step 2 of 4", "step 3 of 4"]
    assert lines[0].endswith("s a step")


def test_a_loss_that_is_not_finite_stops_with_advice(tmp_path):
    dataset = scenes(tmp_path / "data")
    with pytest.raises(ValueError, match=r"loss of step \d+ is (nan|inf).*Try a lower learning rate"):
        training.train(
            small, dataset, tmp_path / "run", recipe=RECIPE._replace(learning_rate=1e25), epochs=5, report=quiet
        )


def test_runs_do_not_mix(tmp_path):
    dataset = scenes(tmp_path / "data")
    training.train(small, dataset, tmp_path / "run", recipe=RECIPE, epochs=1, report=quiet)
    with pytest.raises(
        ValueError, match=r"a run of another configuration: seed. Received: seed=5, where the run has 0"
    ):
        training.train(small, dataset, tmp_path / "run", recipe=RECIPE, epochs=1, seed=5, report=quiet)
    with pytest.raises(ValueError, match="holds files and is no run"):
        training.train(small, dataset, tmp_path / "data", recipe=RECIPE, epochs=1, report=quiet)


def test_models_that_do_not_fit_the_data(tmp_path):
    dataset = data.folder(pairs(tmp_path / "data"), num_classes=3)
    with pytest.raises(ValueError, match=r"has 3 classes, the model '.*' 2. Build it with num_classes=3"):
        training.train(small, dataset, tmp_path / "run", recipe=RECIPE, report=quiet)


def test_a_full_disk_leaves_the_last_good_state(tmp_path, monkeypatch):
    dataset = scenes(tmp_path / "data")
    model = training.train(small, dataset, tmp_path / "run", recipe=RECIPE, epochs=1, report=quiet)
    folder = training.runs.Run(tmp_path / "run", json.loads((tmp_path / "run" / "config.json").read_text()))
    before = folder.last.read_bytes()

    def full(path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model, "save", full)
    with pytest.raises(OSError, match=r"could not be written to .*No space left.* start the same command again"):
        folder.save(model, 3)
    assert folder.last.read_bytes() == before
    assert not [path for path in folder.path.iterdir() if path.name.startswith(".")]


def test_fit_learns_too(tmp_path):
    dataset = scenes(tmp_path / "data")
    model = small_with_both_heads()
    training.compile_model(model, RECIPE, steps=40)
    examples = data.batches(dataset, 2, "torch", augmentation=RECIPE.augmentation, outputs=2)
    history = model.fit(examples, steps_per_epoch=10, epochs=4, shuffle=False, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert any(key.endswith("mean_iou") for key in history)


def test_shares_of_a_batch_are_the_batch(tmp_path):
    """Two processes with two devices each read between them what one would, in the same order."""
    dataset = data.folder(pairs(tmp_path, 5), num_classes=3)
    options = {"seed": 2, "steps": 3, "augmentation": NONE}
    whole = [masks.numpy() for _, masks in data.batches(dataset, 8, "torch", **options)]
    workers = [
        [masks.numpy() for _, masks in data.batches(dataset, 8, "torch", shares=4, worker=(index, 2), **options)]
        for index in range(2)
    ]
    for step, batch in enumerate(whole):
        parts = [share for shares in workers for share in shares[2 * step : 2 * step + 2]]
        np.testing.assert_array_equal(np.concatenate(parts), batch)


def test_rates_rise_and_fall():
    schedule = training.preparation.Poly(0.1, 100, power=0.9, warmup=10)
    rates = [float(schedule(step)) for step in (0, 4, 9, 50, 100, 120)]
    expected = [0.01, 0.05 * 0.96**0.9, 0.1 * 0.91**0.9, 0.1 * 0.5**0.9, 0, 0]
    np.testing.assert_allclose(rates, expected, rtol=1e-5, atol=1e-9)
