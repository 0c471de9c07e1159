"""The folder of a run: one configuration, whole files, TensorBoard's events, curves."""

import dataclasses
import json
import sys

import pytest
from helpers.training_models import RECIPE, small_model

from tfseg import training
from tfseg.training.curves import draw_curves
from tfseg.training.runs import RunFolder


def begun(path, config):
    """A run with a logged step."""
    folder = RunFolder(path, config)
    with folder.created():
        folder.add_row({"epoch": 1, "step": 1, "loss": 1.0})
    return folder


def test_run_of_another_configuration_is_refused(tmp_path):
    config = {"recipe": RECIPE.as_config(), "seed": 0}
    begun(tmp_path / "run", config)
    RunFolder(tmp_path / "run", config)
    with pytest.raises(ValueError, match=r"another configuration: seed. Received: seed=5, but the run has 0"):
        RunFolder(tmp_path / "run", config | {"seed": 5})
    other = dataclasses.replace(RECIPE, power=0.5).with_crop((8, 8))
    with pytest.raises(ValueError, match=r"configuration: recipe.augmentation.crop, recipe.power. Received: "):
        RunFolder(tmp_path / "run", config | {"recipe": other.as_config()})


def test_run_without_a_step_leaves_nothing(tmp_path):
    with RunFolder(tmp_path / "run", {"seed": 0}).created():
        assert (tmp_path / "run" / "config.json").exists()
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    with RunFolder(tmp_path / "run", {"seed": 0}).created():
        pass
    assert list((tmp_path / "run").iterdir()) == []


def test_configuration_of_a_run_without_a_step_is_replaced(tmp_path):
    """It is there if the process was killed before its first state."""
    (tmp_path / "config.json").write_text(json.dumps({"seed": 0}))
    assert json.loads((begun(tmp_path, {"seed": 5}).path / "config.json").read_text()) == {"seed": 5}


def test_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="holds files and is no run"):
        RunFolder(tmp_path, {})


def test_configuration_of_version_0_1_is_read(tmp_path):
    """Then the class weights, clipnorm, accumulate and dtype stood beside the recipe."""
    recipe = dataclasses.replace(RECIPE, batch_norm="synchronized", clipnorm=1.0)
    old = recipe.as_config() | {"batch_norm": "synchronised"}
    beside = {name: old.pop(name) for name in ("class_weights", "clipnorm", "accumulate", "dtype")}
    (tmp_path / "config.json").write_text(json.dumps({"recipe": old, "seed": 0, **beside}))
    (tmp_path / "log.csv").touch()
    RunFolder(tmp_path, {"recipe": recipe.as_config(), "seed": 0})


def test_full_disk_leaves_the_last_good_state(tmp_path, monkeypatch):
    model, folder = small_model(), begun(tmp_path / "run", {})
    training.compile_model(model, RECIPE, 4)
    model.optimizer.build(model.trainable_variables)
    folder.save(model, 2)
    before = folder.last.read_bytes()

    def fill_disk(path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model, "save", fill_disk)
    with pytest.raises(OSError, match=r"could not be written to .*No space left.* start the same command again"):
        folder.save(model, 3)
    assert folder.last.read_bytes() == before
    assert not [path for path in folder.path.iterdir() if path.name.startswith(".")]
    assert folder.restore()[1] == 2


def test_row_replaces_rows_of_later_steps(tmp_path):
    folder = begun(tmp_path / "run", {})
    for step, loss in ((1, 3.0), (2, 2.0), (3, 1.0), (2, 1.5)):
        folder.add_row({"epoch": step, "step": step, "loss": loss})
    assert [(row["step"], row["loss"]) for row in folder.rows] == [(1, 3.0), (2, 1.5)]


def test_tensorboard_reads_a_run(tmp_path):
    import tensorflow as tf

    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    (tmp_path / "run").mkdir()
    folder = RunFolder(tmp_path / "run", {})
    for step in (1, 2):
        folder.add_row({"epoch": step, "step": step, "loss": 1 / step, "seconds": 1.0})
    events = event_accumulator.EventAccumulator(str(tmp_path / "run")).Reload().Tensors("loss")
    assert [(event.step, float(tf.make_ndarray(event.tensor_proto))) for event in events] == [(1, 1.0), (2, 0.5)]


def test_curves_are_drawn_only_with_matplotlib(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    rows = [{"epoch": step, "step": step, "loss": 1 / step} for step in (1, 2)] + [{"step": 3, "mean_iou": 0.5}]
    draw_curves(rows, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    draw_curves(rows, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
