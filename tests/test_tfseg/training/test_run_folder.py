"""The folder of a run: one configuration, whole files, TensorBoard's events, curves."""

import dataclasses
import errno
import json
import sys
import zipfile

import pytest
from helpers.training_models import RECIPE, small_model

from tfseg import training
from tfseg.training.curves import draw_curves
from tfseg.training.runs import Progress, RunFolder


@pytest.fixture(scope="module")
def model():
    model = small_model()
    training.compile_model(model, RECIPE, 4)
    model.optimizer.build(model.trainable_variables)
    return model


def step_of(path):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("run.json"))["step"]


def row(step, **scores):
    return {"epoch": step, "step": step, "loss": 1 / step, "seconds": 1.0, **scores}


def configured(path, config):
    folder = RunFolder(path)
    folder.configure(config)
    return folder


def begun(path, config, model):
    """A run with a state and a logged step."""
    folder = configured(path, config)
    with folder.created():
        folder.save(model, Progress(1, (row(1),)))
    return folder


def test_run_of_another_configuration_is_refused(tmp_path, model):
    config = {"recipe": RECIPE.as_config(), "seed": 0, "classes": ["road", "car"]}
    begun(tmp_path / "run", config, model)
    configured(tmp_path / "run", config)
    with pytest.raises(ValueError, match=r"another configuration: seed is 0 there and 5 here\. Resume it"):
        configured(tmp_path / "run", config | {"seed": 5})
    other = dataclasses.replace(RECIPE, power=0.5).with_crop((8, 8))
    with pytest.raises(
        ValueError, match=r"crop is \[16, 16\] there and \[8, 8\] here; recipe.power is 0.9 there and 0.5"
    ):
        configured(tmp_path / "run", config | {"recipe": other.as_config()})
    with pytest.raises(ValueError, match=r'classes is \["road", "car"\] there and \["road", "bus"\] here'):
        configured(tmp_path / "run", config | {"classes": ["road", "bus"]})


def test_many_differences_are_one_line(tmp_path, model):
    begun(tmp_path / "run", dict.fromkeys("abcdef", 0) | {"versions": {"keras": "3.0"}}, model)
    with pytest.raises(ValueError, match=r"c is 0 there and 1 here; and d, e, f differ, too") as caught:
        configured(tmp_path / "run", dict.fromkeys("abcdef", 1) | {"versions": {"keras": "4.0"}})
    assert "\n" not in str(caught.value)


def test_a_part_of_the_recipe_that_a_run_did_not_know_had_its_default(tmp_path, model):
    config = {"recipe": RECIPE.as_config()}
    older = {"recipe": {key: value for key, value in config["recipe"].items() if key not in ("loss", "ema")}}
    begun(tmp_path / "run", older, model)
    configured(tmp_path / "run", config)
    with pytest.raises(ValueError, match=r'recipe.loss is "cross_entropy" there and "dice" here'):
        configured(tmp_path / "run", {"recipe": dataclasses.replace(RECIPE, loss="dice").as_config()})


def test_run_without_a_step_leaves_nothing(tmp_path):
    with configured(tmp_path / "run", {"seed": 0}).created():
        assert (tmp_path / "run" / "config.json").exists()
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    with configured(tmp_path / "run", {"seed": 0}).created():
        pass
    assert list((tmp_path / "run").iterdir()) == []


def test_configuration_of_a_run_without_a_step_is_replaced(tmp_path, model):
    """It is there if the process was killed before its first state."""
    (tmp_path / "config.json").write_text(json.dumps({"seed": 0}))
    assert json.loads((begun(tmp_path, {"seed": 5}, model).path / "config.json").read_text()) == {"seed": 5}


def test_what_a_kill_left_behind_is_made_up_for(tmp_path, model):
    """Only the last state is there; it has the best score, too."""
    folder = begun(tmp_path / "run", {}, model)
    rows = (row(1, mean_iou=0.5), row(2, mean_iou=0.75))
    folder.save(model, Progress(1, rows[:1], 1))
    log, best = folder.path / "log.csv", folder.best.read_bytes()
    older = log.read_text()
    folder.save(model, Progress(2, rows, 2))
    whole = log.read_text()
    log.write_text(older)
    folder.best.write_bytes(best)
    _, progress = RunFolder(folder.path).restore()
    assert (progress.step, progress.best_step, list(progress.rows)) == (2, 2, list(rows))
    assert log.read_text() == whole
    assert step_of(folder.best) == step_of(folder.last) == 2
    log.unlink()
    folder.best.unlink()
    RunFolder(folder.path).restore()
    assert (log.read_text(), step_of(folder.best)) == (whole, 2)


def test_a_state_of_an_older_version_takes_its_rows_from_the_log(tmp_path, model):
    folder = begun(tmp_path / "run", {}, model)
    folder.save(model, Progress(2, (row(1, mean_iou=0.5), row(2, mean_iou=0.25)), 1))
    with zipfile.ZipFile(folder.last) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(folder.last, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, json.dumps({"step": 2}) if name == "run.json" else content)
    _, progress = RunFolder(folder.path).restore()
    assert ([each["step"] for each in progress.rows], progress.best_step) == ([1, 2], 1)


def test_a_validation_that_one_call_does_not_have_is_still_known(tmp_path, model):
    """A run that continues without its validation, and then with another one."""
    path = begun(tmp_path / "run", {"validation": {"dataset": "a"}}, model).path
    folder = configured(path, {"validation": None})
    with folder.created():
        pass
    configured(path, {"validation": {"dataset": "a"}})
    with pytest.raises(ValueError, match=r'validation.dataset is "a" there and "b" here'):
        configured(path, {"validation": {"dataset": "b"}})


@pytest.mark.parametrize("content", [b"", b"PK", "half", "other"])
def test_a_damaged_state_names_the_ways_out(tmp_path, model, content):
    folder = begun(tmp_path / "run", {}, model)
    folder.save(model, Progress(2, (row(1), row(2, mean_iou=0.5)), 2))
    if content == "other":
        model.save(folder.last)  # a model is no state
    else:
        whole = folder.last.read_bytes()
        folder.last.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    with pytest.raises(
        ValueError, match=r"last.keras is damaged.*remove .*run; .*of step 2.*best.keras \(--weights=\)"
    ):
        RunFolder(folder.path).restore()


@pytest.mark.parametrize("content", ['{"seed": ', "[1]"])
def test_a_damaged_configuration_names_the_way_out(tmp_path, model, content):
    folder = begun(tmp_path / "run", {}, model)
    (folder.path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config.json is damaged.*from .*last.keras \(--weights=\)"):
        RunFolder(folder.path)


@pytest.mark.skipif(sys.platform == "win32", reason="directories have no locks there")
def test_two_trainings_in_one_folder_are_refused(tmp_path, model):
    folder = begun(tmp_path / "run", {"seed": 0}, model)
    with (
        folder.created(),
        pytest.raises(ValueError, match="run is in use: another process trains there"),
        configured(folder.path, {"seed": 0}).created(),
    ):
        pass
    with configured(folder.path, {"seed": 0}).created():
        assert (folder.path / "last.keras").exists()


def test_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="holds files and is no run"):
        RunFolder(tmp_path)


def test_configuration_of_version_0_1_is_read(tmp_path):
    """Then the class weights, clipnorm, accumulate and dtype stood beside the recipe."""
    recipe = dataclasses.replace(RECIPE, batch_norm="synchronized", clipnorm=1.0)
    old = recipe.as_config() | {"batch_norm": "synchronised"}
    beside = {name: old.pop(name) for name in ("class_weights", "clipnorm", "accumulate", "dtype")}
    (tmp_path / "config.json").write_text(json.dumps({"recipe": old, "seed": 0, **beside}))
    (tmp_path / "log.csv").touch()
    configured(tmp_path, {"recipe": recipe.as_config(), "seed": 0})


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG])
def test_a_state_that_cannot_be_unpacked_is_told_from_one_that_cannot_be_read(tmp_path, monkeypatch, model, number):
    begun(tmp_path / "run", {}, model)

    def fill_disk(path, frozen):
        raise OSError(number, "No room")

    monkeypatch.setattr("tfseg.training.runs.load_state", fill_disk)
    with pytest.raises(OSError, match=r"unpacked to .*No room.*The state is whole: free some space.*TMPDIR"):
        RunFolder(tmp_path / "run").restore()


def test_full_disk_leaves_the_last_good_state(tmp_path, monkeypatch, model):
    folder = begun(tmp_path / "run", {}, model)
    folder.save(model, Progress(2))
    before = folder.last.read_bytes()

    def fill_disk(path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model, "save", fill_disk)
    with pytest.raises(OSError, match=r"could not be written to .*No space left.* start the same command again"):
        folder.save(model, Progress(3))
    assert folder.last.read_bytes() == before
    assert not [path for path in folder.path.iterdir() if path.name.startswith(".")]
    assert folder.restore()[1].step == 2


def test_tensorboard_reads_a_run(tmp_path, model):
    import tensorflow as tf

    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    folder = begun(tmp_path / "run", {}, model)
    folder.save(model, Progress(2, (row(1), row(2))))
    events = event_accumulator.EventAccumulator(str(tmp_path / "run")).Reload().Tensors("loss")
    assert [(event.step, float(tf.make_ndarray(event.tensor_proto))) for event in events] == [(1, 1.0), (2, 0.5)]


def test_curves_are_drawn_only_with_matplotlib(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    rows = [{"epoch": step, "step": step, "loss": 1 / step} for step in (1, 2)]
    rows += [{"epoch": 3, "step": 3, "mean_iou": 0.5, "iou car": 0.5}]
    draw_curves(rows, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    draw_curves(rows, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
