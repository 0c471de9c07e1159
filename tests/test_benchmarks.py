"""The benchmark for accelerators, `benchmarks/gpu`: what it keeps, plans and prints, and every part at tiny size without TensorFlow."""

import ast
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers.data_sets import mask, photograph, save
from helpers.paths import EXAMPLES, ROOT
from helpers.references import randomize

import converters
import tfseg
from tfseg import data, evaluation

sys.path.insert(0, str(ROOT))

from benchmarks.gpu import __main__ as command
from benchmarks.gpu import contenders, parity, plans, processes, records, scoring, segmenters, speed, tables, train_job

GPU = ROOT / "benchmarks" / "gpu"
CASE = speed.Case("training", "fcn8s", "bfloat16", 16, 512)


LOAD = """
import sys
sys.modules["tensorflow"] = None
import numpy as np
import tfseg
for path in sys.argv[1:]:
    print(repr(float(sum(np.abs(value).sum(dtype="float64") for value in tfseg.load(path).get_weights()))))
"""


@pytest.fixture
def results(tmp_path):
    return records.Records(tmp_path / "out" / "results.jsonl")


def test_no_file_imports_tensorflow():
    for path in GPU.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] == "tensorflow" for name in names), path


def loaded_without_tensorflow(*paths):
    """The sum of all weights of the models in files, each without its sign, as JAX loads them and as this process does."""
    env = os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", LOAD, *paths], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    expected = [sum(np.abs(value).sum(dtype="float64") for value in tfseg.load(path).get_weights()) for path in paths]
    return [float(line) for line in done.stdout.split()], expected


@pytest.mark.full
def test_the_sample_is_loaded_without_tensorflow():
    actual, expected = loaded_without_tensorflow(EXAMPLES / "fcn_resnet18_w50_os8_camvid.pth")
    assert actual == pytest.approx(expected, rel=1e-9)


@pytest.mark.full  # JAX compiles a function for every initial value
def test_caffe_and_keras_files_are_loaded_without_tensorflow(tmp_path):
    vgg, paths = tfseg.VGG(16, width=1 / 16), [tmp_path / "vgg.caffemodel", tmp_path / "vgg.keras"]
    converters.export_weights(vgg, paths[0], family="oxford/vgg")
    vgg.save(paths[1])
    actual, expected = loaded_without_tensorflow(*paths)
    assert actual == pytest.approx(expected, rel=1e-9)
    assert actual[0] == pytest.approx(actual[1], rel=1e-9)


def test_a_cut_line_is_left_out_and_swallows_no_other(results):
    results.add("parity", network="a", value=1)
    with open(results.path, "a") as file:
        file.write('{"part": "parity", "netw')
    results.add("parity", network="b", value=2)
    results.add("parity", network="a", value=3)
    assert [record["value"] for record in results.all("parity")] == [1, 2, 3]
    assert results.last("parity", network="a")["value"] == 3
    assert results.last("training", network="a") is None


def test_epochs_fill_the_time_and_no_more():
    pace = {"pass_seconds": 2.0, "save_seconds": 1.0, "validation_seconds": 4.0, "start_seconds": 30.0}
    count = segmenters.planned_epochs(pace, 200, 3, 60)
    needed = 30 + segmenters.FINISH_SECONDS + 2 * 4
    assert needed + count * (3 * 2 + 1 + 4) <= 200 < needed + (count + 1) * (3 * 2 + 1 + 4)
    assert segmenters.planned_epochs(pace, 10_000, 3, 60) == 60
    assert segmenters.planned_epochs(pace, 10, 3, 60) == 1


def test_the_recipes_and_the_networks_exist():
    for name in plans.PLANS:
        settings = train_job.Settings(name, "", None, "", "", (352, 480), 8, "mixed_bfloat16", 1.0, 1024, 3, 0)
        recipe = train_job.recipe_of(settings)
        assert recipe.augmentation.crop == (352, 480)
        assert recipe.dtype == "mixed_bfloat16"
    assert len(set(parity.NETWORKS)) == 25
    assert set(parity.NETWORKS) <= set(tfseg.list_models())


def test_fc_units_begin_again_and_the_rest_keeps_its_weights():
    model = tfseg.FCN8s(5, padding="same", width=1 / 32)
    thin = train_job.with_fc_units(model, 7)
    assert [thin.get_layer(name).filters for name in ("fc6", "fc7", "score_fr", "conv5_3")] == [7, 7, 5, 16]
    for name in ("conv1_1", "conv5_3", "upscore8"):
        assert np.array_equal(thin.get_layer(name).get_weights()[0], model.get_layer(name).get_weights()[0]), name
    assert tfseg.metadata(thin) == tfseg.metadata(model)


def test_maps_have_the_scores_of_evaluate(tmp_path):
    root = camvid(tmp_path, 2)
    dataset = data.camvid(root, "val")
    model = randomize(tfseg.FCN8s(11, padding="same", width=1 / 32), gain=2)
    scoring.write_maps(model, dataset, tmp_path / "plan" / "classes")
    expected = evaluation.evaluate(model, dataset)
    values = scoring.score_maps(dataset, tmp_path / "plan" / "classes")
    assert len(np.unique(evaluation.class_map(model, tfseg.read_image(dataset.pairs[0].image)))) > 1
    assert values["mean_iou"] == expected.scores["mean_iou"]
    saved = json.loads((tmp_path / "plan" / "evaluation.json").read_text())
    assert saved["confusion_matrix"] == expected.matrix.tolist()
    (tmp_path / "plan" / "classes" / "val0.png").unlink()
    with pytest.raises(ValueError, match=r"the map of val0\.jpg is missing"):
        scoring.score_maps(dataset, tmp_path / "plan" / "classes")


def test_differences_see_a_wrong_logit():
    expected = np.random.default_rng(0).normal(size=(1, 4, 5, 3)).astype("float32")
    wrong = expected.copy()
    wrong[0, 1, 2, 0] += 0.5
    values = parity.differences(expected, wrong, expected[..., ::-1])
    assert values["relative_difference"] == pytest.approx(0.5 / np.abs(expected).max(), rel=1e-5)
    assert values["bfloat16_same_class"] < 0.6
    wrong[0, 0, 0, 0] = np.nan
    values = parity.differences(expected, wrong, wrong)
    assert values["relative_difference"] == values["bfloat16_relative_difference"] == np.inf
    with pytest.raises(ValueError, match="do not vary"):
        parity.differences(np.zeros((1, 2, 2, 3)), expected, expected)


class Canned:
    """A contender that answers at once: `seconds` a step, or an error."""

    def __init__(self, seconds=1.0, error=None, parameters=5):
        self.seconds, self.error, self.parameters, self.asked, self.is_alive = seconds, error, parameters, [], True

    def send(self, **request):
        self.asked.append(request)

    def reply(self, timeout):
        request = self.asked[-1]
        if request["do"] == "load":
            return {"error": self.error} if self.error else {"parameters": self.parameters, "load_seconds": 1.0}
        return {"seconds": self.seconds * request.get("steps", 0)}

    def close(self):
        self.is_alive = False


def measure(results, **children):
    """Measures `CASE` with contenders that answer at once."""
    timing = speed.Timing(3, 2.5, [*children], "eager", 1, results.path.parent)
    timing = dataclasses.replace(timing)
    object.__setattr__(timing, "child", lambda name: children[name])
    lines = []
    speed.measure("training", [CASE], timing, results, records.Budget(100), lines.append)
    return lines


def test_speed_is_that_of_the_turns_and_full_memory_is_said(results):
    children = {"tfseg_jax": Canned(0.5), "torch": Canned(error="out of memory"), "torch_compile": Canned(1.0)}
    measure(results, **children)
    (ours,) = results.all("training", contender="tfseg_jax")
    assert (ours["images_per_second"], ours["speed_beside_torch_compile"], ours["steps_of_a_turn"]) == (32, 2.0, 5)
    assert len(ours["turns"]) == 3
    assert results.last("training", contender="torch")["error"] == "out of memory"
    assert measure(results, **{name: Canned() for name in children}) == []  # all has a record
    said = "\n".join(tables.tables(results))
    assert "| fcn8s | bfloat16 | tfseg_jax | 16 | 32.00 | 2.00 |" in said
    assert "out of memory" in said


def test_what_failed_is_measured_again(results):
    measure(results, tfseg_jax=Canned(error="the process ended with code 1"), torch_compile=Canned())
    measure(results, tfseg_jax=Canned(0.25), torch_compile=Canned())
    assert results.last("training", contender="tfseg_jax")["speed_beside_torch_compile"] == 4


def test_contenders_of_other_sizes_are_refused(results):
    with pytest.raises(ValueError, match="other numbers of parameters"):
        measure(results, tfseg_jax=Canned(), torch_compile=Canned(parameters=6))


def test_full_memory_is_known_by_its_messages():
    assert contenders.is_out_of_memory(RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate"))
    assert contenders.is_out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"))
    assert not contenders.is_out_of_memory(ValueError("The loss is nan"))


def test_a_child_that_ends_or_hangs_is_an_error(tmp_path):
    env = processes.environment(None, tmp_path)
    child = processes.Child("records", env=env, log=tmp_path / "log")  # a module that ends at once
    child.send(do="describe")
    assert child.reply(60)["error"] == "the process ended with code 0"
    assert not child.is_alive
    job = processes.run_job("records", env=env, log=tmp_path / "log")
    assert processes.end_jobs([job], 60, 1) == [0]


def test_jobs_that_last_too_long_are_interrupted_together():
    code = "import signal, time; signal.signal(signal.SIGINT, signal.default_int_handler); time.sleep(60)"
    jobs = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) for _ in range(2)]
    begin = time.monotonic()
    assert processes.end_jobs(jobs, 0.5, 60) == [-signal.SIGINT] * 2
    assert time.monotonic() - begin < 30


def test_flags_are_refused_by_name(capsys, tmp_path):
    for words, said in ((["trainig"], "a part is one of prepare"), (["pace"], "--data is missing")):
        with pytest.raises(SystemExit):
            command.main([*words, "--out", str(tmp_path)])
        assert said in capsys.readouterr().err
    with pytest.raises(ValueError, match="Received: 'float16'"):
        command.steps_of("bfloat16:1,float16:2")
    assert command.steps_of("tf32:1,float32:2") == [("tf32", 1), ("float32", 2)]


def camvid(folder: pathlib.Path, count: int) -> pathlib.Path:
    """A data set in the form of CamVid's."""
    for split in ("train", "val"):
        for number in range(count):
            seed = 10 * (split == "val") + number
            save(folder / "images" / split / f"{split}{number}.jpg", photograph(seed, (40, 56)))
            save(folder / "masks" / split / f"{split}{number}.png", mask(seed, (40, 56), (0, 1, 5, 11)))
    return folder


@pytest.mark.full
def test_a_training_that_is_cut_is_scored_and_continues(tmp_path, monkeypatch):
    root, path = camvid(tmp_path / "data", 2), str(tmp_path / "results.jsonl")
    size = {"crop": (32, 48), "batch": 2, "dtype": "float32", "width": 1 / 32, "fc_units": 8, "passes": 1, "epochs": 3}
    settings = train_job.Settings("fcn8s_library", str(root), None, path, str(tmp_path / "plan"), **size)
    train = tfseg.training.train

    def cut(*args, **options):
        def log(line):
            if line.startswith("epoch 1"):
                raise KeyboardInterrupt

        return train(*args, **options, log=log)

    monkeypatch.setattr("tfseg.training.train", cut)
    train_job.main(settings)
    monkeypatch.undo()
    train_job.main(settings)
    first, second = records.Records(path).all("segmenters")
    assert [(record["interrupted"], record["epochs_done"]) for record in (first, second)] == [(True, 1), (False, 3)]
    rows = (tmp_path / "plan" / "log.csv").read_text().splitlines()
    assert len(rows) == 1 + 3
    assert f"{first['last_loss']:.9g}" in rows[1]


@pytest.fixture(scope="module")
def without_tensorflow(tmp_path_factory):
    """Runs the benchmark at tiny size, where TensorFlow cannot be imported; the parts share a folder of results."""
    folder = tmp_path_factory.mktemp("gpu")
    (folder / "block").mkdir()
    (folder / "block" / "sitecustomize.py").write_text('import sys\nsys.modules["tensorflow"] = None\n')
    camvid(folder / "data", 3)
    converters.export_weights(tfseg.VGG(16, width=1 / 16), folder / "vgg16.caffemodel", family="oxford/vgg")
    env = os.environ | {"PYTHONPATH": str(folder / "block"), "XLA_FLAGS": "--xla_backend_optimization_level=0"}

    def run(*words):
        flags = ["--tiny", "--out", folder / "out", "--data", folder / "data", "--vgg16", folder / "vgg16.caffemodel"]
        flags += [f"--{part}_seconds=1500" for part in command.PARTS]
        call = [sys.executable, GPU, *map(str, flags), *words]
        done = subprocess.run(call, env=env, capture_output=True, text=True, timeout=3000)
        logs = {path.name: path.read_text()[-1000:] for path in (folder / "out" / "logs").glob("*")}
        assert done.returncode == 0, done.stderr[-2000:]
        return records.Records(folder / "out" / "results.jsonl"), done.stdout, logs

    return run


@pytest.mark.full
def test_speed_is_measured(without_tensorflow):
    words = ("prepare", "training", "inference", "--training_steps=bfloat16:1", "--inference_steps=float32:1")
    results, said, logs = without_tensorflow(*words, "--networks=fcn8s")
    for part, precision in (("training", "bfloat16"), ("inference", "float32")):
        for name in contenders.CONTENDERS:
            record = results.last(part, contender=name, network="fcn8s", precision=precision)
            assert record["images_per_second"] > 0, (record, logs)
    assert {record["contender"] for record in results.all("prepare")} == {"tfseg_jax", "torch_compile"}
    assert "training, the batch that is best for each" in said


@pytest.mark.full
def test_segmenters_are_trained_and_scored(without_tensorflow):
    words = ("--plans=fcn8s_averaged,deeplabv3plus_sample", "pace", "segmenters", "score")
    results, said, logs = without_tensorflow(*words)
    folder = results.path.parent / "segmenters"
    for plan in ("fcn8s_averaged", "deeplabv3plus_sample"):
        record = results.last("segmenters", plan=plan)
        assert record is not None, logs
        assert record["epochs_done"] == record["epochs"] == results.last("plan", plan=plan)["epochs"]
        assert results.last("score", plan=plan)["mean_iou"] == record["mean_iou"]
        assert {"log.csv", "curves.png", "weights.safetensors"} <= {path.name for path in (folder / plan).iterdir()}
        assert len([*(folder / plan / "classes").glob("*.png")]) == 3
    assert f"| {plan} | 3 |" in said
    again, _, _ = without_tensorflow("--plans=fcn8s_averaged,deeplabv3plus_sample", "pace", "segmenters")
    assert len(again.all("segmenters")) == 2  # what is done is left out


@pytest.mark.full
def test_the_float16_file_computes_the_maps(without_tensorflow):
    results, _, _ = without_tensorflow("--plans=fcn8s_averaged", "--epochs=1", "segmenters")
    folder = results.path.parent / "segmenters" / "fcn8s_averaged"
    model = train_job.with_fc_units(tfseg.FCN8s(11, padding="same", width=1 / 16), command.TINY["fc_units"])
    converters.import_weights(model, folder / "weights.safetensors")
    dataset = data.camvid(results.path.parents[1] / "data", "val")
    values = evaluation.evaluate(model, dataset).scores
    assert values["pixel_accuracy"] == pytest.approx(
        results.last("segmenters", plan="fcn8s_averaged")["pixel_accuracy"], abs=2e-3
    )


@pytest.mark.full
def test_networks_are_compared(without_tensorflow):
    results, said, logs = without_tensorflow("parity", "--parity_networks=fcn8s,segformer_mit_b0")
    for name in ("fcn8s", "segformer_mit_b0"):
        record = results.last("parity", network=name)
        assert record["relative_difference"] < 1e-5, (record, logs)
        assert 0.5 < record["bfloat16_same_class"] <= 1
        assert record["bfloat16_relative_difference"] > 1e-5  # it was in half the bits
    assert "2 of 2 networks" in said
