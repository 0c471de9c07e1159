"""`tfseg evaluate`: what it writes, and what it refuses before it measures anything."""

import json

import numpy as np
import pytest
from helpers import run_command
from helpers.segmenters import narrow_fcn
from PIL import Image

import tfseg
from tfseg.engines.table import ENGINES

COMMAND = "tfseg_cli.evaluate"
INSTALLED = [engine.name for engine in ENGINES.values() if engine.is_installed]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory with the model `m.keras` and the data set `mine` of two photographs."""
    folder = tmp_path_factory.mktemp("evaluate")
    network = narrow_fcn()
    tfseg.set_metadata(network, preprocessing="torch")
    network.save(folder / "m.keras")
    rng = np.random.default_rng(0)
    for directory, shape, end in (("images", (40, 50, 3), "jpg"), ("masks", (40, 50), "png")):
        (folder / "mine" / directory).mkdir(parents=True)
        for name in "ab":
            pixels = rng.integers(0, 256 if end == "jpg" else 5, shape, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "mine" / directory / f"{name}.{end}")
    return folder


def run(place, *words, **options):
    return run_command.run(COMMAND, *words, "--data=mine", "--num_classes=5", cwd=place, **options)


def test_an_evaluation_prints_scores_and_writes_all_that_is_asked_for(place, tmp_path):
    pytest.importorskip("matplotlib")
    outputs = [f"--json={tmp_path}/a.json", f"--confusion={tmp_path}/c.png", f"--worst={tmp_path}/deep/worst"]
    code, out, err = run(place, "m.keras", "--split=", "--window=32,40", "--scales=1,1.5", *outputs)
    assert code == 0, err
    assert "mean iou" in out
    assert all("photographs" in line for line in err.splitlines())
    assert json.loads((tmp_path / "a.json").read_text())["photographs"] == 2
    assert (tmp_path / "c.png").stat().st_size > 1000
    assert len(list((tmp_path / "deep" / "worst").iterdir())) == 2


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("--confusion=x.txt", "--confusion=x.txt: expected a name that ends in .png or .csv"),
        ("--json=nowhere/x.json", "--json=nowhere/x.json: the directory nowhere does not exist. Create it first"),
        ("--json=mine", "--json=mine: expected a file to write. There is a directory there"),
        ("--worst=m.keras", "--worst=m.keras: expected a directory. There is a file there"),
        ("--worst=m.keras/worst", "--worst=m.keras/worst: m.keras is a file, not a directory"),
        ("--window=32", "--window=32: expected height,width in pixels, such as 320,480"),
        ("--scales=1,big", "--scales=1,big: expected numbers above 0 with commas between them, such as 0.5,1,1.5"),
        ("--overlap=1", "--overlap=1: expected a number of at least 0 and below 1"),
        ("--network=fcn8s", "--network chooses a published score of a protocol: add --protocol=, or leave it out"),
        ("--protocol=camvid-12", "--protocol=camvid-12: expected one of the protocols. Did you mean camvid-11?"),
    ],
)
def test_invalid_flags_are_refused_in_one_line(place, word, message):
    before = sorted(place.rglob("*"))
    code, out, err = run(place, "m.keras", word)
    assert (code, out, err) == (2, "", f"tfseg-evaluate: {message}\n")
    assert sorted(place.rglob("*")) == before


def test_an_unknown_network_of_a_protocol_is_refused(place):
    code, _, err = run(place, "m.keras", "--protocol=camvid-11", "--network=fcn9s")
    assert code == 2
    assert err.startswith("tfseg-evaluate: --network=fcn9s: expected one of the networks. Did you mean fcn8s")


def test_a_confusion_matrix_without_matplotlib_is_refused_at_once(place):
    code, _, err = run(place, "m.keras", "--confusion=c.png", before="sys.modules['matplotlib'] = None")
    assert (code, err) == (1, 'tfseg-evaluate: --confusion needs matplotlib: pip install "tfseg[plots]"\n')


@pytest.mark.full
def test_the_model_says_its_classes_and_the_matrix_is_numbers(place, tmp_path):
    """Without --num_classes; a data set of fewer classes is refused before anything is measured."""
    done = run_command.run(COMMAND, "m.keras", "--data=mine", "--split=", f"--confusion={tmp_path}/c.csv", cwd=place)
    assert done.code == 0, done.err
    rows = (tmp_path / "c.csv").read_text().splitlines()
    assert rows[0] == "true,0,1,2,3,4"
    assert sum(int(number) for row in rows[1:] for number in row.split(",")[1:]) == 2 * 40 * 50
    done = run_command.run(COMMAND, "m.keras", "--data=mine", "--split=", "--num_classes=3", cwd=place)
    assert (done.code, done.out) == (2, "")
    assert "the model has 5 classes, and the data set 3" in done.err
    assert "photographs" not in done.err


def test_a_missing_model_is_refused(place):
    code, _, err = run(place, "none.keras")
    assert code == 2
    assert err.startswith("tfseg-evaluate: --model=none.keras: there is no such file")


@pytest.mark.full
def test_preprocessing_that_the_model_does_not_say_is_given(place):
    network = narrow_fcn()
    tfseg.set_metadata(network, preprocessing=None)
    network.save(place / "bare.keras")
    code, _, err = run(place, "bare.keras", "--split=")
    assert code == 1
    assert "--preprocessing=torch" in err
    named, bare = (run(place, name, "--split=", "--preprocessing=torch") for name in ("m.keras", "bare.keras"))
    assert bare.code == 0, bare.err
    assert bare.out == named.out
    code, _, err = run(place, "bare.keras", "--split=", "--preprocessing=torch", "--mean=1,2,3", "--std=1,1,1")
    assert code == 2
    assert "--preprocessing and --mean both say" in err


@pytest.mark.full
@pytest.mark.parametrize("engine", INSTALLED)
def test_an_engine_gives_the_same_scores(place, tmp_path, engine):
    results = []
    for words in ([f"--engine={engine}", "--explain"], []):
        code, out, err = run(place, "m.keras", "--split=", f"--json={tmp_path}/{len(words)}.json", *words)
        assert code == 0, err
        results.append(json.loads((tmp_path / f"{len(words)}.json").read_text()))
        assert (f": computed by {engine}, in float32" in out) == bool(words)
    assert results[0]["photographs"] == results[1]["photographs"] == 2
    # An engine rounds otherwise, so that few pixels of 4000 may change.
    assert results[0]["pixel_accuracy"] == pytest.approx(results[1]["pixel_accuracy"], abs=2e-3)


def test_an_engine_that_is_not_installed_is_refused_before_anything_is_loaded(place):
    code, out, err = run(place, "m.keras", "--split=", "--engine=openvino", before="sys.modules['openvino'] = None")
    assert (code, out) == (1, "")
    assert err == "tfseg-evaluate: The engine 'openvino' is not installed here: pip install \"tfseg[openvino]\"\n"
