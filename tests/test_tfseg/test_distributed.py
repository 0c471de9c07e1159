"""Two real processes on loopback train as one does, and a run whose worker was killed goes on."""

import csv
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


def work(root, epochs):
    """What every process does."""
    from helpers.training_models import RECIPE, small

    from tfseg import data, training
    from tfseg.training.devices import strategy

    def certain():  # every device draws dropout's numbers for its own share
        model = small()
        model.get_layer("head_dropout").rate = 0.0
        return model

    root = pathlib.Path(root)
    recipe = RECIPE._replace(batch_size=4, batch_norm="synchronised")
    with strategy().scope():
        dataset = data.folder(root / "data", num_classes=2)
        training.train(certain, dataset, root / "run", recipe=recipe, epochs=int(epochs))


def start(root, epochs, workers):
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
        with open(root / f"worker{index}.txt", "wb") as output:
            processes.append(subprocess.Popen(command, env=environment, stdout=output, stderr=output, cwd=ROOT))
    return processes


def finish(root, processes, timeout=300):
    for index, process in enumerate(processes):
        assert process.wait(timeout) == 0, (root / f"worker{index}.txt").read_text()[-3000:]


def outcome(root):
    model = keras.saving.load_model(root / "run" / "last.keras")
    with open(root / "run" / "log.csv", newline="") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    return losses, {variable.path: np.array(variable) for variable in model.weights}


def compare(one, two):
    np.testing.assert_allclose(one[0], two[0], rtol=1e-4)
    for path, value in one[1].items():
        np.testing.assert_allclose(two[1][path], value, rtol=1e-3, atol=1e-4, err_msg=path)


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


@pytest.mark.full
def test_a_killed_worker_costs_no_more_than_an_epoch(tmp_path, alone):
    scenes(tmp_path / "data", count=8)
    processes = start(tmp_path, 3, workers=2)
    log, deadline = tmp_path / "run" / "log.csv", time.monotonic() + 240
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    processes[1].kill()
    for process in processes:
        process.kill()  # the first waits for the second, until whoever runs the cluster ends it
        process.wait(60)
    assert (tmp_path / "run" / "last.keras").exists()
    finish(tmp_path, start(tmp_path, 3, workers=2))
    compare(alone, outcome(tmp_path))
