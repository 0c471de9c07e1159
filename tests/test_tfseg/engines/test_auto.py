""" "auto" takes the engine that was fastest, measures it once, and costs a short run nothing."""

import dataclasses
import json
import pathlib
import sys
import time

import keras
import numpy as np
import pytest
from helpers.references import randomize

import tfseg
from tfseg.engines import choices, table
from tfseg.engines.runner import EngineRunner
from tfseg.engines.table import ENGINES

SLEEPS = {"tensorflow": 0.03, "openvino": 0.0, "onnxruntime": 0.03, "litert": 0.03}
BATCH = np.random.default_rng(0).normal(size=(1, 32, 48, 3)).astype("float32")


def segmenter(seed=0):
    image = keras.Input((None, None, 3), name="image")
    x = keras.layers.Conv2D(4, 3, padding="same", name="scores")(image)
    return randomize(keras.Model(image, x, name="segmenter"), seed=seed)


@pytest.fixture(autouse=True)
def built(tmp_path, monkeypatch):
    """The names of the engines that are built: all are TensorFlow, and some sleep."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    names, load_tensorflow = [], ENGINES["tensorflow"].load

    def loader(name):
        def load(job):
            names.append(name)
            run = load_tensorflow(job)("float32")
            return lambda dtype: lambda batch: time.sleep(SLEEPS[name]) or run(batch)

        return load

    for name, engine in list(ENGINES.items()):
        monkeypatch.setitem(table.ENGINES, name, dataclasses.replace(engine, modules=(), load=loader(name)))
    slow = lambda model: lambda batch: time.sleep(0.03) or keras.ops.convert_to_numpy(model(batch))  # noqa: E731
    monkeypatch.setattr("tfseg.engines.choose.as_it_is", slow)
    return names


def runner(model, **options):
    return EngineRunner(model, "auto", **({"patience": 0} | options))


def test_the_fastest_engine_is_chosen_once_and_remembered(built, capsys):
    model = segmenter()
    computed = runner(model, explain=True)
    np.testing.assert_allclose(computed(BATCH), model(BATCH), rtol=1e-4, atol=1e-5)
    assert computed.engine_for(BATCH.shape) == "openvino"
    assert built == list(ENGINES)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("segmenter, float32, about 32x48 pixels, batch 1, ")
    assert lines[0].endswith("cores: openvino")
    assert lines[1].split()[0] == "openvino"
    assert "segmenter: computed by openvino, in float32" in lines
    built.clear()
    runner(segmenter())(BATCH)  # as a later process: another model of the same weights
    assert built == ["openvino"]
    built.clear()
    runner(segmenter(seed=1))(BATCH)
    assert built == list(ENGINES)


@pytest.mark.full
def test_each_class_of_sizes_has_its_choice(built):
    computed = runner(segmenter())
    for side in (32, 33, 128):
        computed(np.zeros((1, side, 48, 3), "float32"))
    assert len(json.loads(choices.path().read_text())) == 2  # 1536 and 1584 pixels are of one class


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("content", ["{", "[]", '{"key": 1}', "\xff"])
def test_a_damaged_file_is_no_error(built, content):
    choices.path().parent.mkdir(parents=True)
    choices.path().write_text(content, encoding="latin-1")
    computed = runner(segmenter())
    computed(BATCH)
    assert computed.engine_for(BATCH.shape) == "openvino"
    assert len(json.loads(choices.path().read_text())) >= 1


@pytest.mark.full
def test_a_damaged_entry_is_measured_again(built):
    runner(segmenter())(BATCH)
    content = json.loads(choices.path().read_text())
    (key,) = content
    for damage in ({"name": "torch"}, {"built": {}}, {"more": 1}):
        choices.path().write_text(json.dumps({key: content[key] | damage}))
        built.clear()
        runner(segmenter())(BATCH)
        assert built == list(ENGINES)


def test_a_place_that_cannot_be_written_is_no_error(built, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    computed = runner(segmenter())
    computed(BATCH)
    assert computed.engine_for(BATCH.shape) == "openvino"


def test_a_short_run_builds_nothing(built):
    computed = runner(segmenter(), patience=20.0)
    for _ in range(3):
        computed(BATCH)
    assert built == []
    assert not choices.path().exists()


def test_an_engine_that_is_hardly_faster_is_not_worth_it(built, monkeypatch):
    monkeypatch.setattr("tfseg.engines.choose.GAIN", 0.0)
    computed = runner(segmenter())
    computed(BATCH)
    assert computed.engine_for(BATCH.shape) is None


def test_the_budget_bounds_what_is_tried(built, monkeypatch, capsys):
    monkeypatch.setattr("tfseg.engines.choose.measured_choice.__defaults__", (0.0,))
    runner(segmenter(), explain=True)(BATCH)
    assert len(built) < len(ENGINES)
    assert "not tried: " in capsys.readouterr().out


def test_what_is_not_installed_is_named_with_what_it_gains(built, monkeypatch, capsys):
    engine = dataclasses.replace(ENGINES["openvino"], modules=("openvino",))
    monkeypatch.setitem(table.ENGINES, "openvino", engine)
    monkeypatch.setitem(sys.modules, "openvino", None)
    runner(segmenter(), explain=True)(BATCH)
    assert f'not installed: pip install "tfseg[openvino]" ({engine.gain}' in capsys.readouterr().out


def test_files_and_evaluations_take_an_engine(built, tmp_path, monkeypatch):
    model = segmenter()
    options = {"preprocessing": "torch", "engine": "litert"}
    folder = tmp_path / "photos"
    folder.mkdir()
    tfseg.drawing.write_mask(folder / "a.png", np.arange(32 * 48, dtype="uint8").reshape(32, 48), None)
    outcome = tfseg.predict_files(model, folder, tmp_path / "maps", progress=False, overlays=False, **options)
    assert (outcome.predicted, outcome.failed, built) == (1, [], ["litert"])
    again = tfseg.predict_files(model, folder, tmp_path / "maps", progress=False, overlays=False, preprocessing="torch")
    assert again.kept == 1  # an engine changes rounding alone
    pair = tfseg.data.Pair(folder / "a.png", pathlib.Path(tmp_path / "maps" / "a.png"))
    dataset = tfseg.data.Dataset("a", (pair,), tfseg.data.Labels(4))
    assert tfseg.evaluation.evaluate(model, dataset, **options).scores["pixel_accuracy"] > 0.999
