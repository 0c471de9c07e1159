"""Two real processes on loopback, and two devices of one, train as one does; a run whose worker was killed is resumed."""

import csv
import dataclasses
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from helpers.data_sets import scenes
from helpers.paths import ROOT, TESTS

HERE = pathlib.Path(__file__).parent
WORKER = """
import sys
sys.path[:0] = {paths!r}
import test_distributed
test_distributed.work(*sys.argv[1:])
"""


def work(root, epochs, devices):
    """Trains, in each process."""
    import tensorflow as tf

    if int(devices) > 1:  # a machine with several GPUs; TensorFlow counts them before it computes
        logical = [tf.config.LogicalDeviceConfiguration()] * int(devices)
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], logical)
    from helpers.training_models import RECIPE, small_model_without_dropout

    from tfseg import data, evaluation, metrics, training
    from tfseg.data.masks import read_mask
    from tfseg.training.devices import strategy

    several = [f"CPU:{index}" for index in range(int(devices))]
    root = pathlib.Path(root)
    recipe = dataclasses.replace(RECIPE, batch_size=4, batch_norm="synchronized", clipnorm=0.5)
    with (tf.distribute.MirroredStrategy(several) if several[1:] else strategy()).scope():
        dataset = data.folder(root / "data", num_classes=2)
        model = small_model_without_dropout
        model = training.train(model, dataset, root / "run", recipe=recipe, epochs=int(epochs), validation=dataset)
        pixels = evaluation.evaluate(model, dataset).matrix.sum()
        assert pixels == sum((read_mask(pair.mask, dataset.labels) != 255).sum() for pair in dataset.pairs)
        if several[1:]:
            metric, classes = metrics.ConfusionMatrix(2), np.array([0, 1, 1])
            metric.update_classes(classes, classes)
            assert metric.matrix().tolist() == [[1, 0], [0, 2]]


def start(root, epochs, workers, devices=1):
    ports = []
    for _ in range(workers):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            ports.append(free.getsockname()[1])
    cluster = {"worker": [f"localhost:{port}" for port in ports]}
    processes = []
    for index in range(workers):
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2", "OMP_NUM_THREADS": "1"}
        if workers > 1:
            environment["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        command = [sys.executable, "-c", WORKER.format(paths=[str(HERE), str(TESTS)]), str(root), str(epochs)]
        command.append(str(devices))
        with open(root / f"worker{index}.txt", "wb") as output:
            processes.append(subprocess.Popen(command, env=environment, stdout=output, stderr=output, cwd=ROOT))
    return processes


def finish(root, processes, timeout=300):
    try:
        for index, process in enumerate(processes):
            assert process.wait(timeout) == 0, (root / f"worker{index}.txt").read_text()[-3000:]
    finally:
        for process in processes:
            process.kill()
            process.wait(60)


def outcome(root):
    model = keras.saving.load_model(root / "run" / "last.keras", compile=False)
    with open(root / "run" / "log.csv", newline="") as file:
        losses = [[float(row[name]) for name in ("loss", "val_loss")] for row in csv.DictReader(file)]
    return losses, {variable.path: np.array(variable) for variable in model.weights}


def compare(expected, actual):
    np.testing.assert_allclose(actual[0], expected[0], rtol=1e-4)
    for path, value in expected[1].items():
        np.testing.assert_allclose(actual[1][path], value, rtol=1e-3, atol=1e-4, err_msg=path)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    root = tmp_path_factory.mktemp("alone")
    scenes(root / "data", count=8)
    finish(root, start(root, 3, workers=1))
    return outcome(root)


@pytest.mark.full
def test_two_workers_train_as_one(tmp_path, alone):
    scenes(tmp_path / "data", count=8)
    finish(tmp_path, start(tmp_path, 3, workers=2))
    compare(alone, outcome(tmp_path))


def test_two_devices_train_as_one(tmp_path, alone):
    scenes(tmp_path / "data", count=8)
    finish(tmp_path, start(tmp_path, 3, workers=1, devices=2))
    compare(alone, outcome(tmp_path))


@pytest.mark.full
def test_run_with_a_killed_worker_is_resumed(tmp_path, alone):
    scenes(tmp_path / "data", count=8)
    processes = start(tmp_path, 3, workers=2)
    log, deadline = tmp_path / "run" / "log.csv", time.monotonic() + 240
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in reversed(processes):
        process.kill()  # the first process would wait for the second
        process.wait(60)
    assert log.exists(), (tmp_path / "worker0.txt").read_text()[-3000:]
    assert (tmp_path / "run" / "last.keras").exists()
    finish(tmp_path, start(tmp_path, 3, workers=2))
    compare(alone, outcome(tmp_path))
