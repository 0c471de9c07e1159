"""Two steps of training under torch and jax, where installed, have the losses that they have under TensorFlow."""

import dataclasses
import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from helpers.paths import ROOT, TESTS
from helpers.references import images

HERE = pathlib.Path(__file__).parent
OTHER_PROCESS = "import sys, test_training_backends as t; print(t.losses(sys.argv[1]))"
RECIPES = ("poly", "adamw")


def losses(path):
    """Of two steps by each recipe, from the weights in a file that is written if it is not there."""
    import tfseg
    from tfseg import training

    path = pathlib.Path(path)
    found = {}
    for name in RECIPES:
        keras.utils.set_random_seed(0)
        short = dataclasses.replace(tfseg.specs.RESNETS["resnet18"], blocks=(1, 1, 1, 1))
        model = tfseg.FCN(tfseg.ResNet(short, output_stride=8, width=1 / 8), 3, aux=True)
        for layer in model.layers:
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = 0.0
        if not path.exists():
            np.savez(path, **{variable.path: np.array(variable) for variable in model.weights})
        with np.load(path) as saved:
            for variable in model.weights:
                variable.assign(saved[variable.path])
        training.compile_model(model, training.RECIPES[name]._replace(learning_rate=0.01), steps=10)
        masks = np.random.default_rng(1).choice([0, 1, 2, 255], size=(2, 33, 41))
        pixels = images(33, 41, batch=2)
        steps = [model.train_on_batch(pixels, [masks, masks], return_dict=True) for _ in range(2)]
        found[name] = [float(step["loss"]) for step in steps]
    return json.dumps(found)


@pytest.mark.full
@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_backends_train_alike(tmp_path, backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    ours = json.loads(losses(tmp_path / "weights.npz"))
    done = subprocess.run(
        [sys.executable, "-c", OTHER_PROCESS, str(tmp_path / "weights.npz")],
        env=os.environ
        | {"KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(map(str, (HERE, TESTS, ROOT, *sys.path)))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout.splitlines()[-1])
    for name in RECIPES:
        np.testing.assert_allclose(theirs[name], ours[name], rtol=1e-4, err_msg=name)
        assert ours[name][0] != ours[name][1]
