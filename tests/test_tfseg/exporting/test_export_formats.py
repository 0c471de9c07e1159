"""Every format of every kind of network, re-opened by its own runtime."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from helpers.exported_models import small_segmenter
from helpers.paths import STREET
from helpers.references import images, output, randomize
from PIL import Image

import converters
import tfseg
from tfseg import exporting, specs
from tfseg.rewrites import slice_convolutions, split_filters, use_winograd, winograd

pytestmark = pytest.mark.full
FLOAT = ("saved_model", "onnx", "openvino", "litert_float32")
INTEGER = ("litert_float16", "litert_dynamic_int8", "litert_int8", "onnx_int8", "openvino_int8")
RESNET, RESNEXT = (
    dataclasses.replace(specs.RESNETS[name], blocks=(1, 1, 1, 1)) for name in ("resnet18", "resnext50_32x4d")
)
NETS = {
    "fcn8s": lambda: tfseg.FCN8s(5, width=1 / 32),
    "fcn_resnet": lambda: tfseg.FCN(tfseg.ResNet(RESNET, width=1 / 8, output_stride=8), 5, aux=True),
    "pspnet": lambda: tfseg.PSPNet(tfseg.ResNet(RESNET, width=1 / 8, output_stride=8), 5, filters=16),
    "resnext": lambda: tfseg.FCN(tfseg.ResNet(RESNEXT, width=1 / 8), 5),
    "gelu": lambda: gelu_segmenter(),
    "optimized_fcn32s": lambda: optimized(tfseg.FCN32s(5, width=1 / 32)),
    "optimized_resnet": lambda: optimized(tfseg.FCN(tfseg.ResNet(RESNET, width=1 / 8, output_stride=8), 5)),
}


def gelu_segmenter():
    """An exact GELU: TensorFlow's complementary error function, which tf2onnx lacks."""
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, activation="gelu")(
        tfseg.layers.Metadata(specs.PREPROCESSING["torch"])(image)
    )
    return keras.Model(image, tfseg.layers.ResizeLike()([keras.layers.Conv2D(5, 1)(x), image]))


def optimized(model, fixed_size=None):
    randomize(model)
    for layer in model.layers:
        if layer.name == "upscore":  # bilinear again, so that it can be rewritten, too
            layer.kernel.assign(tfseg.BilinearInitializer()(layer.kernel.shape))
    rewritten = tfseg.optimize(model, fixed_size=fixed_size)
    assert len(rewritten.layers) != len(model.layers)
    return rewritten


def build(name):
    model = NETS[name]()
    return model if name.startswith("optimized") else randomize(model)


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    with Image.open(STREET) as street:
        for index, (left, top) in enumerate(((0, 0), (100, 60), (300, 200), (40, 200))):
            street.convert("RGB").crop((left, top, left + 160, top + 128)).save(folder / f"{index}.png")
    return folder


def report(path):
    return json.loads((path / "export.json").read_text())


@pytest.mark.parametrize("name", NETS)
def test_float_formats_of_each_network(name, tmp_path, capsys):
    tfseg.export(build(name), tmp_path / name, FLOAT)
    with capsys.disabled():
        print(f"\n{exporting.summary(tmp_path / name)}")
    assert tuple(report(tmp_path / name)) == FLOAT


@pytest.mark.parametrize(
    ("network", "fixed_size"),
    [
        (lambda: tfseg.FCN32s(5, width=1 / 32), None),
        (lambda: tfseg.FCN32s(5, width=1 / 32), (65, 83)),
        (lambda: tfseg.FCN(tfseg.ResNet(RESNET, width=1 / 8, output_stride=8), 5), None),
    ],
)
def test_float_formats_of_all_rewrites(network, fixed_size, monkeypatch, tmp_path):
    """Rewrites with a fixed size, which XLA compiles, are for TensorFlow alone; this takes a minute or two."""
    for module, name, value in (
        (slice_convolutions, "LEAST_CHANNELS_X_FILTERS", 16),
        (slice_convolutions, "LEAST_POINTWISE", 16),
        (split_filters, "FILTERS_PER_PART", 4),
        (use_winograd, "LEAST_CHANNELS", 4),
        (use_winograd, "measured_gain", lambda conv, config: 2.0),
    ):
        monkeypatch.setattr(module, name, value)
    model = optimized(network(), fixed_size)
    kinds = {type(layer) for layer in model.layers}
    assert (winograd.WinogradConv2D if fixed_size else split_filters.SplitConv2D) in kinds
    assert slice_convolutions.SlicedConv2D in kinds
    formats = ("saved_model",) if fixed_size else FLOAT
    assert tuple(report(tfseg.export(model, tmp_path / "model", formats))) == formats


@pytest.mark.parametrize(("name", "size"), [("fcn8s", None), ("fcn8s", (96, 128)), ("pspnet", (96, 128))])
def test_half_and_integer_formats(name, size, photographs, tmp_path, capsys):
    model = build(name)
    path = tfseg.export(model, tmp_path / name, INTEGER, calibration=photographs, size=size)
    with capsys.disabled():
        print(f"\n{exporting.summary(path)}")
    sizes = [entry["bytes"] for entry in report(path).values()]
    network = keras.Model(model.input, keras.tree.flatten(model.output)[0])
    assert min(sizes) > network.count_params()  # at least a byte for each: the files do hold the weights
    assert max(sizes) > 2 * network.count_params()


def test_formats_for_keras_restore_the_model(tmp_path):
    model = small_segmenter()
    path = tfseg.export(model, tmp_path / "model", ["keras", "weights_h5", "safetensors"])
    assert all(entry["max_relative_difference"] == 0 for entry in report(path).values())
    wanted = output(model, images(65, 83))
    for fill in (
        lambda network: converters.import_weights(network, path / "model.safetensors"),
        lambda network: network.load_weights(path / "model.weights.h5"),
    ):
        other = small_segmenter(seed=1)
        fill(other)
        np.testing.assert_array_equal(output(other, images(65, 83))[0], wanted[0])
    loaded = keras.saving.load_model(path / "model.keras")
    np.testing.assert_array_equal(output(loaded, images(65, 83))[0], wanted[0])
