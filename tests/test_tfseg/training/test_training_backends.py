"""Two training steps have the same losses under torch and jax, where installed, as under TensorFlow."""

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


def losses(path: str | pathlib.Path) -> str:
    """The losses of two steps by each recipe, as JSON. The initial weights are those in a file, which is written once."""
    import tfseg
    from tfseg import training

    path = pathlib.Path(path)
    losses_of = {}
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
        training.compile_model(model, dataclasses.replace(training.RECIPES[name], learning_rate=0.01), steps=10)
        masks = np.random.default_rng(1).choice([0, 1, 2, 255], size=(2, 33, 41))
        batch = images(33, 41, batch=2)
        steps = [model.train_on_batch(batch, [masks, masks], return_dict=True) for _ in range(2)]
        losses_of[name] = [float(step["loss"]) for step in steps]
    return json.dumps(losses_of)


@pytest.mark.full
@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_backends_have_equal_losses(tmp_path, backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    expected = json.loads(losses(tmp_path / "weights.npz"))
    done = subprocess.run(
        [sys.executable, "-c", OTHER_PROCESS, str(tmp_path / "weights.npz")],
        env=os.environ
        | {"KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(map(str, (HERE, TESTS, ROOT, *sys.path)))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    actual = json.loads(done.stdout.splitlines()[-1])
    for name in RECIPES:
        np.testing.assert_allclose(actual[name], expected[name], rtol=1e-4, err_msg=name)
        assert expected[name][0] != expected[name][1]
