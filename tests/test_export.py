"""An exported SavedModel is the network, in a process that has neither this package nor Keras."""

import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from references import images, output, randomize, relative

import tfseg
from tfseg import specs

tf = pytest.importorskip("tensorflow")
if keras.backend.backend() != "tensorflow":
    pytest.skip("SavedModels come from TensorFlow", allow_module_level=True)

SIZES = ((64, 96), (65, 83), (40, 33))
NETS = {
    "fcn8s": lambda: tfseg.FCN8s(5, width=1 / 32),
    "fcn_resnet18": lambda: tfseg.FCN(tfseg.ResNet(18, width=1 / 8, output_stride=8), 5, aux=True),
    "pspnet_resnet18": lambda: tfseg.PSPNet(tfseg.ResNet(18, width=1 / 8, output_stride=8), 5, filters=16),
    "drnseg": lambda: tfseg.DRNSeg(tfseg.DRN("d_22", width=1 / 8), 5),
    "resnext": lambda: tfseg.ResNet(specs.RESNETS["resnext50_32x4d"]._replace(blocks=(1, 1, 1, 1)), width=1 / 8),
    "vgg16": lambda: tfseg.VGG(16, width=1 / 32, include_top=True, num_classes=5),
}
SCRIPT = """
import sys

sys.modules |= dict.fromkeys(["tfseg", "converters", "keras", "torch"])  # None: whoever imports them fails
import numpy as np
import tensorflow as tf

images = np.load("images.npz")
results = {}
for name in sys.argv[1:]:
    model = tf.saved_model.load(name)
    for size, pixels in images.items():
        for index, value in enumerate(tf.nest.flatten(model.serve(pixels))):
            results[f"{name} {size} {index}"] = value.numpy()
np.savez("results.npz", **results)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("exported")


@pytest.fixture(scope="module")
def nets(folder):
    return {name: randomize(build()) for name, build in NETS.items()}


@pytest.fixture(scope="module")
def results(nets, folder):
    """What the other process computes: `<net> <size> <output>` -> array."""
    for name, net in nets.items():
        assert tfseg.export(net, folder / name) == folder / name
    np.savez(folder / "images.npz", **{str(size): images(*size, batch=2) for size in SIZES})
    subprocess.run([sys.executable, "-I", "-c", SCRIPT, *nets], cwd=folder, check=True, timeout=300)
    with np.load(folder / "results.npz") as found:
        return dict(found)


@pytest.mark.parametrize("name", NETS)
def test_a_process_without_the_package_computes_the_same(name, nets, results):
    for size in SIZES:
        for index, theirs in enumerate(keras.tree.flatten(output(nets[name], images(*size, batch=2)))):
            ours = results.pop(f"{name} {size} {index}")
            assert ours.dtype == np.float32
            assert relative(ours, theirs) <= 5e-6
    assert not [key for key in results if key.startswith(f"{name} ")]


def small():
    image = keras.Input((None, None, 3))
    return keras.Model(image, keras.layers.Conv2D(2, 1)(image))


def test_nothing_is_replaced(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(ValueError, match=r"target '.*taken' exists: remove it or choose another"):
        tfseg.export(small(), tmp_path / "taken")
    with pytest.raises(ValueError, match=r"target '.*missing/model' lies in a directory that does not exist"):
        tfseg.export(small(), tmp_path / "missing" / "model")
    assert [path.name for path in tmp_path.rglob("*")] == ["taken"]


def failing(error):
    """An export that dies with half of its files written."""

    def export(self, path, **options):
        pathlib.Path(path).mkdir()
        (pathlib.Path(path) / "saved_model.pb").write_bytes(b"half")
        raise error

    return export


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (RuntimeError("died"), RuntimeError, "^died$"),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
        (tf.errors.ResourceExhaustedError(None, None, "No space"), OSError, "/model cannot be written: No space$"),
    ],
)
def test_a_failed_export_leaves_nothing(error, expected, message, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.Model, "export", failing(error))
    with pytest.raises(expected, match=message):
        tfseg.export(small(), tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_nothing_lies_beside_an_export(tmp_path):
    assert (tfseg.export(small(), tmp_path / "model") / "saved_model.pb").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
