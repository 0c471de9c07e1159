"""A run knows what it is: another network is refused, a finished one can be prolonged, a kill at any moment is nothing."""

import csv
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import zipfile

import keras
import numpy as np
import pytest
from helpers.data_set_forms import FORMS, Drawn
from helpers.data_sets import scenes
from helpers.paths import ROOT, TESTS
from helpers.training_models import RECIPE, small_model, small_model_with_aux

from tfseg import data, training
from tfseg.training import averages, configurations


def ignore(line):
    pass


def read_log(run):
    with open(run / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


def weights(model):
    return [np.array(variable) for variable in model.weights]


def other_labels(dataset):
    """The same photographs and masks, whose two classes have changed places."""
    return dataclasses.replace(dataset, labels=data.Labels(2, ids={0: 1, 1: 0}))


def other_masks(dataset):
    """The same photographs with masks of the same names in another directory."""
    moved = [pair._replace(mask=pair.mask.parent.parent / "corrected" / pair.mask.name) for pair in dataset.pairs]
    return dataclasses.replace(dataset, pairs=tuple(moved))


def other_exif(dataset):
    return dataclasses.replace(dataset, photographs=data.Photographs(exif="ignore"))


@pytest.mark.parametrize(
    ("change", "key"), [(other_labels, "mask_values"), (other_masks, "masks"), (other_exif, "exif")]
)
def test_data_that_are_read_in_another_way_are_another_configuration(tmp_path, change, key):
    def configured(dataset):
        return configurations.configuration(RECIPE, dataset, epochs=1, steps=2, seed=0, model=None)

    dataset = scenes(tmp_path / "data")
    (tmp_path / "data").rename(tmp_path / "moved")
    pairs = [
        data.Pair(*(pathlib.Path(str(path).replace("/data/", "/moved/")) for path in pair)) for pair in dataset.pairs
    ]
    assert not configurations.differences(
        configured(dataset), configured(dataclasses.replace(dataset, pairs=tuple(pairs)))
    )
    differing = configurations.differences(configured(dataset), configured(change(dataset)))
    assert differing.startswith((f"{key} is ", f"{key} are others"))
    assert ";" not in differing


def facts(dataset, **options):
    return configurations.configuration(RECIPE, dataset, epochs=1, steps=2, seed=0, model=None, **options)


def test_another_validation_is_another_configuration(tmp_path):
    """Its scores choose the best state; a run without one may get one."""
    dataset, other = scenes(tmp_path / "data"), scenes(tmp_path / "other", 5)
    run = facts(dataset, validation=dataset)
    differing = configurations.differences(run, facts(dataset, validation=other))
    assert "validation.pairs is 4 there and 5 here" in differing
    differing = configurations.differences(run, facts(dataset, validation=other_labels(dataset)))
    assert differing.startswith("validation.mask_values is null there")
    differing = configurations.differences(run, facts(dataset, validation=dataset, validation_window=(16, 16)))
    assert differing == "validation.window is null there and [16, 16] here"
    assert not configurations.differences(run, facts(dataset))
    assert not configurations.differences(facts(dataset), run)
    older = {key: value for key, value in run.items() if key not in ("validation", "annotations", "backend")}
    assert not configurations.differences(older, facts(dataset, validation=other))


@pytest.mark.parametrize("layout", ["labelme", "cvat", "coco_json"])
def test_other_annotations_are_another_configuration(tmp_path, layout):
    """The same pictures and classes; one pixel is drawn in another way, or the whole has been moved."""
    form = next(form for form in FORMS.values() if form.dataset == layout)

    def configured(place, change):
        def truth(index):
            ids = np.arange(54).reshape(6, 9).astype("uint8") % 3
            ids[0, 0] += change
            return ids

        blank = np.zeros((6, 9, 3), "uint8")
        form.write(tmp_path / place / "data", Drawn(2, lambda index: blank, truth, truth))
        return facts(form.opened(tmp_path / place / "data"))

    assert not configurations.differences(configured("a", 0), configured("moved", 0))
    assert configurations.differences(configured("a", 0), configured("b", 1)) == (
        "annotations are others there than here"
    )


@pytest.mark.full
def test_a_longer_run_that_is_killed_before_its_first_state_follows_the_longer_schedule(tmp_path):
    dataset, options = scenes(tmp_path / "data"), {"recipe": RECIPE, "log": ignore}
    training.train(small_model, dataset, tmp_path / "run", epochs=1, **options)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    twice = config | {"epochs": 2, "steps": 2 * config["steps"]}
    (tmp_path / "run" / "config.json").write_text(json.dumps(twice))  # all that such a kill leaves of the longer run
    training.train(small_model, dataset, tmp_path / "run", epochs=2, **options)
    rate = RECIPE.learning_rate * (1 / twice["steps"]) ** RECIPE.power  # of the last step
    assert float(read_log(tmp_path / "run")[-1]["learning_rate"]) == pytest.approx(rate, rel=1e-5)


def test_another_network_in_the_folder_of_a_run_is_refused(tmp_path):
    dataset, options = scenes(tmp_path / "data"), {"recipe": RECIPE, "epochs": 1, "log": ignore}
    training.train(small_model, dataset, tmp_path / "run", **options)
    with pytest.raises(ValueError, match=r"another configuration: model.layers is 11 there and 13 here") as caught:
        training.train(small_model_with_aux, dataset, tmp_path / "run", **options)
    assert "\n" not in str(caught.value)
    training.train(None, dataset, tmp_path / "run", **options)
    renamed = small_model()
    renamed.layers[2].name = "conv2d_17"  # as in a process that has built other networks before
    training.train(renamed, dataset, tmp_path / "run", **options)


def test_the_origin_of_a_model_is_compared(tmp_path):
    dataset, options = scenes(tmp_path / "data"), {"recipe": RECIPE, "epochs": 1, "log": ignore}
    origin = {"name": "fcn8s", "weights": "a1", "weights_from": "here/vgg16.pth"}
    training.train(small_model, dataset, tmp_path / "run", origin=origin, **options)
    training.train(
        small_model, dataset, tmp_path / "run", origin=origin | {"weights_from": "there/vgg16.pth"}, **options
    )
    hashes = {"weights": "0123456789abcdef" * 2, "weights_from": "there/vgg19.pth"}
    assert configurations.differences({"model": origin | hashes}, {"model": origin}) == (
        'model.weights is vgg19.pth (01234567) there and "a1" here'
    )
    with pytest.raises(ValueError, match=r'model.weights is "a1" there and "b2" here'):
        training.train(small_model, dataset, tmp_path / "run", origin=origin | {"weights": "b2"}, **options)
    stored = json.loads((tmp_path / "run" / "config.json").read_text())
    assert stored["model"]["weights"] == "a1"
    assert stored["classes"] == ["dark", "bright"]
    assert stored["versions"]["keras"] == keras.__version__


def test_a_finished_run_says_so_and_is_prolonged(tmp_path):
    dataset, lines = scenes(tmp_path / "data"), []
    options = {"recipe": RECIPE, "log": lines.append, "started": lambda: lines.append("started")}
    training.train(small_model, dataset, tmp_path / "run", epochs=2, **options)
    assert lines[0] == "started"
    state = (tmp_path / "run" / "last.keras").read_bytes()
    del lines[:]
    training.train(small_model, dataset, tmp_path / "run", epochs=2, **options)
    assert lines == [f"{tmp_path / 'run'} is finished: 2 epochs, 4 steps. More epochs (--epochs) prolong it"]
    assert (tmp_path / "run" / "last.keras").read_bytes() == state
    training.train(small_model, dataset, tmp_path / "run", epochs=4, **options)
    assert lines[1] == "prolonged from 4 steps to 8: from step 4 on, the learning rate follows the longer schedule"
    assert lines[2] == "started"
    rows = read_log(tmp_path / "run")
    assert [int(row["step"]) for row in rows] == [2, 4, 6, 8]
    rates = [float(row["learning_rate"]) for row in rows]
    np.testing.assert_allclose(rates[2:], [0.02 * (1 - step / 8) ** 0.9 for step in (5, 7)], rtol=1e-5)
    with pytest.raises(ValueError, match=r"planned for 8 steps \(--epochs=4\).*Received: 6 steps"):
        training.train(small_model, dataset, tmp_path / "run", epochs=3, **options)
    assert lines.count("started") == 1


@pytest.mark.full
def test_a_prolonged_run_resumes_on_its_new_schedule(tmp_path):
    dataset, options = scenes(tmp_path / "data"), {"recipe": RECIPE, "log": ignore}
    for name in ("whole", "cut"):
        training.train(small_model, dataset, tmp_path / name, epochs=1, **options)
    whole = training.train(small_model, dataset, tmp_path / "whole", epochs=3, **options)
    with pytest.raises(KeyboardInterrupt):
        training.train(small_model, dataset, tmp_path / "cut", epochs=3, recipe=RECIPE, log=_interrupt_at_an_epoch)
    resumed = training.train(small_model, dataset, tmp_path / "cut", epochs=3, **options)
    assert all((a == b).all() for a, b in zip(weights(whole), weights(resumed), strict=True))


def _interrupt_at_an_epoch(line):
    if line.startswith("epoch"):
        raise KeyboardInterrupt


@pytest.mark.full
def test_a_run_ends_early_and_stays_ended(tmp_path):
    """A rate of almost 0 changes no prediction, so that the first score stays the best one."""
    dataset, lines = scenes(tmp_path / "data"), []
    options = {
        "recipe": dataclasses.replace(RECIPE, learning_rate=1e-12, batch_norm="frozen"),
        "validation": dataset,
        "patience": 2,
        "log": lines.append,
    }
    training.train(small_model, dataset, tmp_path / "run", epochs=9, **options)
    assert len(read_log(tmp_path / "run")) == 3
    assert lines[-1] == "ended early: 2 validations without a better mean IoU"
    training.train(small_model, dataset, tmp_path / "run", epochs=9, **options)
    assert len(read_log(tmp_path / "run")) == 3
    assert "has ended early" in lines[-1]


@pytest.mark.full
def test_moving_averages_are_what_is_kept_and_returned(tmp_path):
    dataset = scenes(tmp_path / "data")
    recipe = dataclasses.replace(RECIPE, ema=0.5, learning_rate=0.1)
    model = training.train(small_model, dataset, tmp_path / "run", recipe=recipe, epochs=2, log=ignore)
    last = keras.saving.load_model(tmp_path / "run" / "last.keras")
    best = keras.saving.load_model(tmp_path / "run" / "best.keras")
    for returned, kept, averaged in zip(
        model.trainable_variables, best.trainable_variables, last.optimizer._model_variables_moving_average, strict=True
    ):
        np.testing.assert_array_equal(np.array(returned), np.array(kept))
        np.testing.assert_array_equal(np.array(kept), np.array(averaged))
    raw = last.get_layer("logits").kernel
    assert not np.array_equal(raw, best.get_layer("logits").kernel)
    with averages.averaged(last):
        np.testing.assert_array_equal(last.get_layer("logits").kernel, best.get_layer("logits").kernel)
    np.testing.assert_array_equal(last.get_layer("logits").kernel, raw)


@pytest.mark.full
def test_training_with_averages_resumes_bit_identically(tmp_path):
    dataset = scenes(tmp_path / "data")
    options = {"recipe": dataclasses.replace(RECIPE, ema=0.9), "epochs": 2}
    whole = training.train(small_model, dataset, tmp_path / "whole", log=ignore, **options)
    with pytest.raises(KeyboardInterrupt):
        training.train(small_model, dataset, tmp_path / "cut", log=_interrupt_at_an_epoch, **options)
    resumed = training.train(small_model, dataset, tmp_path / "cut", log=ignore, **options)
    assert all((a == b).all() for a, b in zip(weights(whole), weights(resumed), strict=True))


@pytest.mark.full
@pytest.mark.parametrize("loss", ["focal", "ohem", "dice", "lovasz", "cross_entropy+0.5*dice"])
def test_every_loss_trains(tmp_path, loss):
    model, recipe = small_model(), dataclasses.replace(RECIPE, loss=loss, learning_rate=0.05)
    training.train(model, scenes(tmp_path / "data"), tmp_path / "run", recipe=recipe, epochs=8, log=ignore)
    losses = [float(row["loss"]) for row in read_log(tmp_path / "run")]
    assert losses[-1] < 0.9 * losses[0]


KILLED = """
import sys
from helpers.data_set_forms import FORMS, Drawn
from helpers.data_sets import scenes
from helpers.training_models import RECIPE, small_model
from tfseg import training
import pathlib
folder = pathlib.Path(sys.argv[1])
dataset = scenes(folder / ("data" + sys.argv[2]))
training.train(small_model, dataset, folder / sys.argv[2], recipe=RECIPE, epochs=6, validation=dataset)
"""


def _process(tmp_path, name):
    path = os.pathsep.join(map(str, (TESTS, ROOT, *sys.path)))
    with open(tmp_path / "errors.txt", "w") as errors:
        return subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path), name],
            env=os.environ | {"PYTHONPATH": path},
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )


def _step(path):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("run.json"))["step"]


@pytest.mark.full
def test_killed_at_twenty_random_moments_it_ends_as_if_nothing_had_been(tmp_path):
    """SIGKILL, most of them while states are written; then the same command to its end."""
    start = time.monotonic()
    process = _process(tmp_path, "whole")
    assert process.wait() == 0, (tmp_path / "errors.txt").read_text()
    seconds = time.monotonic() - start
    random = np.random.default_rng(0)
    kills = 0
    while kills < 20:
        process = _process(tmp_path, "cut")
        try:
            process.wait(random.uniform(0.3, 1.1) * seconds)
            assert process.returncode == 0, (tmp_path / "errors.txt").read_text()
            _forget(tmp_path / "cut")  # it ended before it was killed: once more, from the beginning
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
    process = _process(tmp_path, "cut")
    assert process.wait() == 0, (tmp_path / "errors.txt").read_text()
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for name in ("last.keras", "best.keras"):
        a, b = (keras.saving.load_model(run / name) for run in (whole, cut))
        assert _step(whole / name) == _step(cut / name)
        for left, right in zip(weights(a), weights(b), strict=True):
            np.testing.assert_array_equal(left, right)
    for left, right in zip(read_log(whole), read_log(cut), strict=True):
        assert {k: v for k, v in left.items() if k != "seconds"} == {k: v for k, v in right.items() if k != "seconds"}
    assert not [path for path in cut.iterdir() if ".partial." in path.name]


def _forget(run: pathlib.Path):
    for path in run.iterdir():
        path.unlink()
