"""Training under JAX and PyTorch, each in a process of its own, equals training under TensorFlow."""

import contextlib
import csv
import dataclasses
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from helpers.data_sets import scenes
from helpers.paths import ROOT, TESTS
from helpers.training_models import RECIPE, SHORT_RESNET, small_model_with_aux, small_model_without_dropout

import tfseg
from tfseg import data, losses, training
from tfseg.training import configurations

HERE = pathlib.Path(__file__).parent
pytestmark = pytest.mark.full  # three backends, each in a process that compiles
# Without TensorFlow: what the others need of it would end in an error.
OTHER_PROCESS = """
import os, sys
if os.environ["KERAS_BACKEND"] != "tensorflow":
    sys.modules["tensorflow"] = None
import test_training_backends
from tfseg.training import runs
runs.draw_curves = lambda rows, path, title: None
test_training_backends.compute(sys.argv[1])
"""
BOTTLENECKS = dataclasses.replace(tfseg.specs.RESNETS["resnet50"], blocks=(1, 1, 1, 1))
EPOCHS = 5  # of one step each


class Case(NamedTuple):
    """A training that every backend makes.

    Attributes:
        build: the model.
        changes: fields of the recipe.
        parallel: whether JAX divides the batch between two devices.
        keeps_dropout: whether dropout draws random numbers, each backend its own.
    """

    build: Callable[[], keras.Model]
    changes: dict[str, Any] = {}  # noqa: RUF012
    parallel: bool = False
    keeps_dropout: bool = False


# The statistics of so few pixels magnify rounding: these networks train with frozen BatchNorm, at a low rate.
CALM = {"batch_norm": "frozen", "learning_rate": 2e-5, "head_factor": 10.0}
EVERYTHING: dict[str, Any] = {
    "optimizer": "adamw",
    "learning_rate": 1e-3,
    "head_factor": 3.0,
    "bias_factor": 2.0,
    "loss": "cross_entropy+0.5*dice",
    "class_weights": (1.0, 3.0),
    "clipnorm": 0.5,
    "accumulate": 2,
    "ema": 0.5,
    "warmup": 0.4,
    "frozen": ("conv1_conv/.*",),
    "batch_norm": "synchronized",
    "crop": (15, 21),
}
QUICK = {"everything": Case(small_model_with_aux, EVERYTHING, parallel=True)}
SMALL = {
    "plain": Case(small_model_without_dropout),
    "parallel": Case(small_model_without_dropout, parallel=True),
    "alone": Case(small_model_with_aux, EVERYTHING),
    "void": Case(
        small_model_without_dropout, {"loss": "ohem", "reduction": "sum", "crop": (40, 50), "learning_rate": 1e-5}
    ),
}
NETWORKS = {
    "fcn8s": Case(lambda: tfseg.FCN8s(2, width=1 / 16, padding="same"), {"optimizer": "adamw", "learning_rate": 1e-4}),
    "fcn_resnet": Case(lambda: tfseg.FCN(tfseg.ResNet(SHORT_RESNET, output_stride=8, width=1 / 8), 2, aux=True)),
    "deeplabv3plus": Case(
        lambda: tfseg.DeepLabV3Plus(tfseg.ResNet(BOTTLENECKS, output_stride=16, width=1 / 8), 2), CALM
    ),
    "pspnet": Case(
        lambda: tfseg.PSPNet(tfseg.ResNet(SHORT_RESNET, output_stride=8, width=1 / 8), 2, filters=16, aux=True), CALM
    ),
    "drn": Case(lambda: tfseg.DRNSeg(tfseg.DRN("d_22", width=1 / 16), 2), CALM),
}
CASES = {"quick": QUICK, "small": SMALL, "networks": NETWORKS}
LOSSES = {
    "cross_entropy": losses.CrossEntropy(class_weights=[0.5, 1.0, 2.0, 3.0]),
    "dice": losses.Dice(),
    "focal": losses.Focal(),
    "ohem": losses.OnlineHardExamples(),
    "lovasz": losses.Lovasz(ignore_class=(3, 255)),
}


def ignore(line):
    pass


def train(name: str, case: Case, run: pathlib.Path, **options: Any) -> keras.Model:
    """Trains a case from the weights in a file, which TensorFlow writes."""
    changes = dict(case.changes)
    crop = changes.pop("crop", (16, 16))
    recipe = dataclasses.replace(RECIPE, **changes).with_crop(crop)

    def build() -> keras.Model:
        model, path = case.build(), pathlib.Path(f"{name}.npz")
        for layer in model.layers:
            if isinstance(layer, keras.layers.Dropout) and not case.keeps_dropout:
                layer.rate = 0.0  # backends draw other random numbers
        if keras.config.backend() == "tensorflow":
            np.savez(path, **{variable.path: np.array(variable) for variable in model.weights})
        with np.load(path) as saved:
            for variable in model.weights:
                variable.assign(saved[variable.path])
        return model

    options = {"epochs": EPOCHS, "log": ignore} | options
    return training.train(build, data.folder("data", num_classes=2), run, recipe=recipe, **options)


def read_log(run: pathlib.Path) -> list[dict[str, str]]:
    with open(run / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


def losses_of(name: str, case: Case) -> list[float]:
    """The losses of the steps, and the score after the last one."""
    backend = keras.config.backend()
    run, dataset = pathlib.Path(f"{backend} {name}"), data.folder("data", num_classes=2)
    if case.parallel and backend == "jax":
        keras.distribution.set_distribution(keras.distribution.DataParallel())
    try:
        train(name, case, run, validation=dataset, validate_every=EPOCHS)
    finally:
        if backend == "jax":
            keras.distribution.set_distribution(None)
    rows = read_log(run)
    return [float(row["loss"]) for row in rows] + [float(rows[-1]["pixel_accuracy"])]


def values_of_losses() -> dict[str, float]:
    random = np.random.default_rng(0)
    logits = keras.ops.convert_to_tensor(random.normal(size=(2, 7, 9, 4)).astype("float32") * 3)
    truth = random.choice([0, 1, 2, 255], size=(2, 7, 9)).astype("uint8")
    return {name: float(loss(truth, logits)) for name, loss in LOSSES.items()}


def resumed_differs() -> bool:
    """Whether a run that is interrupted and resumed ends with other weights; its dropout draws random numbers."""
    case = Case(small_model_with_aux, {"ema": 0.9, "accumulate": 2}, keeps_dropout=True)
    backend = keras.config.backend()
    lines: list[str] = []

    def interrupt(line: str) -> None:
        lines.append(line)
        if len(lines) == 2:
            raise KeyboardInterrupt

    whole = train("resumed", case, pathlib.Path(f"{backend} whole"))
    with contextlib.suppress(KeyboardInterrupt):
        train("resumed", case, pathlib.Path(f"{backend} cut"), log=interrupt)
    cut = train("resumed", case, pathlib.Path(f"{backend} cut"))
    return not all(np.array_equal(a, b) for a, b in zip(whole.get_weights(), cut.get_weights(), strict=True))


def compute(group: str) -> None:
    """Writes what this backend computes."""
    results: dict[str, Any] = {name: losses_of(name, case) for name, case in CASES[group].items()}
    if group == "small":
        results |= {"values of losses": values_of_losses(), "resumed differs": resumed_differs()}
    run = pathlib.Path(f"{keras.config.backend()} {next(iter(CASES[group]))}")
    results["configuration"] = json.loads((run / "config.json").read_text())
    pathlib.Path(f"{keras.config.backend()} {group}.json").write_text(json.dumps(results))


class Results:
    """What each backend computed; computed when it is first asked for."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        scenes(folder / "data", 2)

    def __call__(self, backend: str, group: str) -> dict[str, Any]:
        if importlib.util.find_spec(backend) is None:
            pytest.skip(f"{backend} is not installed")
        path = self.folder / f"{backend} {group}.json"
        if not path.exists() and backend == keras.config.backend():
            with contextlib.chdir(self.folder):
                compute(group)
        elif not path.exists():
            done = subprocess.run(
                [sys.executable, "-c", OTHER_PROCESS, group],
                cwd=self.folder,
                env=os.environ
                | {
                    "KERAS_BACKEND": backend,
                    "PYTHONPATH": os.pathsep.join(map(str, (HERE, TESTS, ROOT, *sys.path))),
                    "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
                },
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(path.read_text())


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return Results(tmp_path_factory.mktemp("backends"))


@pytest.fixture(params=["jax", "torch"])
def backend(request):
    return request.param


@pytest.mark.parametrize("group", CASES)
def test_five_steps_have_equal_losses(results, backend, group):
    expected, actual = results("tensorflow", group), results(backend, group)
    for name in CASES[group]:
        np.testing.assert_allclose(actual[name], expected[name], rtol=1e-4, err_msg=name)
        assert len(set(expected[name][:EPOCHS])) == EPOCHS


def test_losses_are_equal(results, backend):
    expected, actual = (results(name, "small")["values of losses"] for name in ("tensorflow", backend))
    for name, value in expected.items():
        assert actual[name] == pytest.approx(value, rel=1e-5), name


def test_an_interrupted_run_resumes_bit_identically(results, backend):
    assert results(backend, "small")["resumed differs"] is False


def test_the_configuration_names_the_backend(results, backend):
    there, here = (results(name, "quick")["configuration"] for name in ("tensorflow", backend))
    assert (here["backend"], there["backend"]) == (backend, "tensorflow")
    assert here["versions"][backend] != "unknown"
    said = f'the backend (KERAS_BACKEND) is "tensorflow" there and "{backend}" here'
    assert configurations.differences(there, here) == said
    del there["backend"]  # as an older version wrote it
    assert configurations.differences(there, here) == said
