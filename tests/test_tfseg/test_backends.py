"""The networks under the torch backend, without TensorFlow, compute what they compute under TensorFlow."""

import dataclasses
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from helpers.paths import ROOT, TESTS
from helpers.references import images, output, randomize, relative

import tfseg
from tfseg import specs

HERE = pathlib.Path(__file__).parent
SIZES = ((65, 83), (64, 96))
SHORT = dataclasses.replace(specs.RESNETS["resnet50"], blocks=(1, 1, 1, 1))
NETS = {
    "fcn8s": lambda: tfseg.FCN8s(5, width=1 / 16),
    "fcn16s": lambda: tfseg.FCN16s(5, width=1 / 32, padding="same"),
    "fcn8s_atonce": lambda: tfseg.FCN8sAtOnce(5, width=1 / 32, padding="same"),
    "fcn_resnet18": lambda: tfseg.FCN(tfseg.ResNet(18, output_stride=8, width=1 / 8), 5, aux=True),
    "deeplabv2": lambda: tfseg.DeepLabV2(tfseg.ResNet(SHORT, output_stride=8, width=1 / 8), 5, multi_scale=True),
    "pspnet_resnet18": lambda: tfseg.PSPNet(tfseg.ResNet(18, output_stride=8, width=1 / 8), 5, filters=16, aux=True),
    "drnseg": lambda: tfseg.DRNSeg(tfseg.DRN("d_24", width=1 / 8), 5),
    "drnseg align corners": lambda: tfseg.DRNSeg(
        tfseg.DRN("c_26", width=1 / 8), 5, upsampling="bilinear_align_corners"
    ),
    "resnet": lambda: tfseg.ResNet(dataclasses.replace(SHORT, stride_in="1x1"), output_stride=16, width=1 / 8),
    "resnet, SAME": lambda: tfseg.ResNet(
        dataclasses.replace(SHORT, stride_in=("1x1", "1x1", "3x3", "3x3"), stem_pool="same", stem_same=True),
        width=1 / 8,
    ),
    "resnext": lambda: tfseg.ResNet(dataclasses.replace(SHORT, groups=32, group_width=4), output_stride=8, width=1 / 8),
    "resnest": lambda: tfseg.ResNet("resnest14d", output_stride=16, width=1 / 8),
    "resnet classifier": lambda: tfseg.ResNet(SHORT, include_top=True, num_classes=5, width=1 / 8),
    "vgg": lambda: tfseg.VGG(11, batch_norm=True, output_stride=8, width=1 / 16),
    "vgg classifier": lambda: tfseg.VGG(16, include_top=True, num_classes=5, width=1 / 32),
}


def small_classifier(pool):
    parts = [keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu") for _ in range(3)]
    parts += [pool, keras.layers.Dense(9, activation="relu"), keras.layers.Dropout(0.5), keras.layers.Dense(5)]
    for index, part in enumerate(parts):  # both processes must use the same names
        part.name = f"part{index}"
    return keras.Sequential([keras.Input((40, 48, 3)), *parts])


COPIED = {  # for these, and for files, Keras loads TensorFlow if it is installed
    "slid": lambda: tfseg.convolutionalize(small_classifier(keras.layers.Flatten()), 7),
    "slid, dilated": lambda: tfseg.dilate(
        tfseg.convolutionalize(small_classifier(keras.layers.GlobalAveragePooling2D())), 2
    ),
}
SAVED = ("drnseg", "fcn8s_atonce", "fcn_resnet18", "slid")
# Of each layer that is our own, one network; `make test-full` runs all.
QUICK = ("fcn16s", "fcn_resnet18 saved", "slid saved")
OTHER_PROCESS = "import test_backends; test_backends.compute()"


def compute():
    """In the other process: the outputs of every net, filled by path, and of some nets that are read from files."""
    assert keras.backend.backend() == "torch"
    weights, results = np.load("weights.npz"), {}
    names = {key.rpartition(" ")[0] for key in weights}
    for name in (name for name in (NETS | COPIED) if name in names):
        net = (NETS | COPIED)[name]()
        for variable in net.weights:
            variable.assign(weights[f"{name} {variable.path}"])
        results |= named_outputs(name, net)
        assert name in COPIED or "tensorflow" not in sys.modules
    for path in pathlib.Path().glob("*.keras"):
        results |= named_outputs(f"{path.stem} saved", keras.saving.load_model(path))
    np.savez("results.npz", **results)


def named_outputs(name, net):
    return {
        f"{name} {size} {index}": value
        for size in SIZES
        for index, value in enumerate(keras.tree.flatten(output(net, images(*size))))
    }


@pytest.fixture(scope="module")
def chosen(request):
    """The names of the networks that this run of pytest asks for."""
    items = (item for item in request.session.items if item.path == request.path)
    return {item.callspec.params["name"] for item in items if "name" in item.callspec.params}


@pytest.fixture(scope="module")
def nets(chosen):
    names = {name.removesuffix(" saved") for name in chosen}
    return {name: randomize(build()) for name, build in (NETS | COPIED).items() if name in names}


@pytest.fixture(scope="module")
def results(chosen, nets, tmp_path_factory):
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("torch")
    np.savez(
        folder / "weights.npz",
        **{f"{name} {variable.path}": variable for name, net in nets.items() for variable in net.weights},
    )
    for name in nets.keys() & {name.removesuffix(" saved") for name in chosen if name.endswith(" saved")}:
        nets[name].save(folder / f"{name}.keras")
    environment = os.environ | {"KERAS_BACKEND": "torch", "PYTHONPATH": os.pathsep.join(map(str, (HERE, TESTS, ROOT)))}
    subprocess.run([sys.executable, "-c", OTHER_PROCESS], cwd=folder, env=environment, check=True, timeout=300)
    with np.load(folder / "results.npz") as arrays:
        return dict(arrays)


@pytest.mark.quick_variants(*QUICK)
@pytest.mark.parametrize("name", [*NETS, *COPIED, *(f"{name} saved" for name in SAVED)])
def test_torch_and_tensorflow_compute_the_same(name, nets, results):
    for key, expected in named_outputs(name, nets[name.removesuffix(" saved")]).items():
        assert relative(results[key], expected) <= 1e-5


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_training_a_copy_leaves_the_original(backend):
    """Keras's `fit` under JAX gives the memory of the variables away, and under PyTorch changes it in place."""
    pytest.importorskip(backend)
    code = (
        "import keras, numpy as np, tfseg\n"
        "images = np.ones((2, 32, 32, 3), 'float32')\n"
        "for copied in (lambda model: tfseg.dilate(model, 2), lambda model: tfseg.optimize(model, rewrites=())):\n"
        "    layers = [keras.layers.Conv2D(4, 3, strides=2, padding='same') for _ in range(2)]\n"
        "    model = keras.Sequential([keras.Input((None, None, 3)), *layers])\n"
        "    before = keras.ops.convert_to_numpy(model(images)).copy()\n"
        "    copy = copied(model)\n"
        "    copy.compile('sgd', loss=lambda _, maps: keras.ops.mean(maps**2))\n"
        "    copy.fit(images, np.zeros((2, 1, 1, 1)), verbose=0)\n"
        "    assert np.array_equal(keras.ops.convert_to_numpy(model(images)), before)\n"
    )
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
