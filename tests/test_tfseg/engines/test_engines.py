"""Every engine computes the model's logits, or the model itself computes and a line says why."""

import dataclasses
import gc
import pathlib
import sys
import tempfile
import warnings
import weakref

import keras
import numpy as np
import pytest
from helpers.references import randomize
from helpers.segmenters import narrow_fcn
from helpers.small_nets import fcn_resnet18, narrow_resnet

import tfseg
from tfseg.engines import table
from tfseg.engines.runner import EngineRunner, EngineWarning
from tfseg.engines.table import DTYPES, ENGINES, NAMES
from tfseg_cli import engine_flags

INSTALLED = [engine.name for engine in ENGINES.values() if engine.is_installed]


@pytest.fixture(autouse=True)
def keras_home(tmp_path, monkeypatch):
    """Where choices are kept."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


def segmenter(seed=0):
    """A BatchNorm, a dilated convolution and a resize; its sides are halved, rounded up."""
    image = keras.Input((None, None, 3))
    x = tfseg.layers.Metadata(tfseg.specs.PREPROCESSING["torch"])(image)
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.Conv2D(8, 3, dilation_rate=2, padding="same", activation="relu")(x)
    scores = keras.layers.Conv2D(5, 1)(x)
    return randomize(keras.Model(image, tfseg.layers.ResizeLike()([scores, image]), name="segmenter"), seed=seed)


@pytest.fixture(scope="module")
def model():
    return segmenter()


def images(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=(*shape, 3)).astype("float32")


def logits_by_keras(model, batch):
    return keras.ops.convert_to_numpy(tfseg.outputs.logits_of(model(batch, training=False)))


def relative(computed, expected):
    return np.abs(computed - expected).max() / np.abs(expected).max()


def replaced(monkeypatch, name, change):
    """Puts a runtime in the place of an engine's: TensorFlow, with `change(run)` around it."""

    def load(job):
        at = ENGINES["tensorflow"].load(job)
        return lambda dtype: change(at(dtype))

    monkeypatch.setitem(table.ENGINES, name, dataclasses.replace(ENGINES[name], modules=(), load=load))


# ----------------------------------------------------------------------------------------------------------- parity


@pytest.mark.quick_variants("openvino")
@pytest.mark.parametrize("name", INSTALLED)
def test_logits_are_the_models_at_several_sizes_and_batches(model, name):
    network = EngineRunner(model, name)
    for shape in ((1, 33, 47), (3, 33, 47), (1, 64, 96)):
        batch = images(*shape)
        assert relative(network(batch), logits_by_keras(model, batch)) <= 1e-5
        assert network.engine_for(batch.shape) == name
    assert not list(pathlib.Path(tempfile.gettempdir()).glob("tfseg-engine-*/*.xml"))


NETS = {
    "fcn32s padded": lambda: tfseg.FCN32s(5, width=1 / 16),
    "fcn32s same": narrow_fcn,
    "dilated resnet, two outputs": fcn_resnet18,
    "unet": lambda: tfseg.Unet(narrow_resnet(18), 5),
}


@pytest.mark.full
@pytest.mark.parametrize("size", [None, (64, 96)], ids=["any size", "one size"])
@pytest.mark.parametrize("name", INSTALLED)
@pytest.mark.parametrize("net", NETS)
def test_every_engine_computes_every_kind_of_network(net, name, size):
    network = randomize(NETS[net](), seed=0)
    run = tfseg.compile(network, engine=name, size=size)
    for shape in ((1, 64, 96), (2, 64, 96)) if size else ((1, 64, 96), (2, 64, 96), (1, 160, 128)):
        batch = images(*shape)
        assert relative(run(batch), logits_by_keras(network, batch)) <= 1e-5
        assert run.engine_for(batch.shape) == name


@pytest.mark.full
@pytest.mark.parametrize("name", [name for name in INSTALLED if "bfloat16" in ENGINES[name].rewrites])
def test_bfloat16_changes_few_classes(name):
    """Also after a resize by 8 to a size that bfloat16 cannot count to."""
    network, batch = randomize(fcn_resnet18(), seed=0), images(1, 384, 520)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", EngineWarning)
        run = tfseg.compile(network, engine=name, dtype="bfloat16")
    if any("does not compute in bfloat16" in str(entry.message) for entry in seen):
        pytest.skip("this processor has no bfloat16")
    computed, expected = run(batch), logits_by_keras(network, batch)
    assert run.engine_for(batch.shape) == name
    assert 1e-5 < relative(computed, expected) < 0.03
    assert (computed.argmax(-1) == expected.argmax(-1)).mean() > 0.99


def test_predictions_in_windows_at_scales_and_mirrored_go_through_the_engine(monkeypatch):
    model, calls = segmenter(), []
    replaced(monkeypatch, "openvino", lambda run: lambda batch: calls.append(batch.shape) or run(batch))
    image = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype="uint8")
    network = EngineRunner(model, "openvino")
    for options in ({}, {"window": (32, 32)}, {"scales": (1.0, 1.5), "flip": True}, {"threshold": 0.4}):
        calls.clear()
        classes = tfseg.predict(model, image, engine=network, **options)
        assert (classes == tfseg.predict(model, image, **options)).mean() > 0.999
        assert classes.dtype == "uint8"
        assert calls
        if "threshold" not in options:
            computed = tfseg.predict(model, image, engine=network, return_probabilities=True, **options)
            expected = tfseg.predict(model, image, return_probabilities=True, **options)
            np.testing.assert_allclose(computed, expected, atol=1e-5)


# ---------------------------------------------------------------------------------------------------------- fallback


def wrong(run):
    return lambda batch: run(batch) * 1.001


def wrong_if_large(run):
    return lambda batch: run(batch) * (1.001 if batch.shape[1] > 100 else 1)


def broken(run):
    def fail(batch):
        raise RuntimeError("no such kernel\nand more")

    return fail


@pytest.mark.quick_variants("wrong", "broken")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (wrong, r"its logits differ by 1\.\de-03 of the largest at 33x47 pixels \(at most 1e-05 expected in float32\)"),
        (broken, "it fails at 33x47 pixels: no such kernel$"),
        (lambda run: lambda batch: run(batch)[:, 1:], "its logits have the shape"),
        (lambda run: lambda batch: run(batch) * np.float32("nan"), "its logits differ by nan"),
    ],
    ids=["wrong", "broken", "another shape", "NaN"],
)
def test_the_model_computes_where_an_engine_does_not(monkeypatch, change, reason):
    network, batch = segmenter(), images(1, 33, 47)
    replaced(monkeypatch, "openvino", change)
    with pytest.warns(EngineWarning, match=f"segmenter computes as it is, without the engine openvino: {reason}"):
        logits = EngineRunner(network, "openvino")(batch)
    np.testing.assert_allclose(logits, logits_by_keras(network, batch), rtol=1e-4, atol=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("error", EngineWarning)  # one line is enough
        runner = EngineRunner(network, "openvino")
        runner(batch)
    assert runner.engine_for(batch.shape) is None


def test_a_size_at_which_an_engine_differs_is_found_later(monkeypatch):
    network = segmenter()
    replaced(monkeypatch, "openvino", wrong_if_large)
    runner = EngineRunner(network, "openvino")
    runner(images(1, 33, 47))
    batch = images(1, 128, 47)
    with pytest.warns(EngineWarning, match="at 128x47 pixels"):
        logits = runner(batch)
    np.testing.assert_allclose(logits, logits_by_keras(network, batch), rtol=1e-4, atol=1e-5)


def test_a_network_that_no_converter_takes_computes_as_it_is():
    class Odd(keras.Model):
        def call(self, x):
            return super().call(x)

    image = keras.Input((None, None, 3))
    odd = Odd(image, keras.layers.Conv2D(3, 1)(image), name="odd")
    with pytest.warns(EngineWarning, match="odd computes as it is, without the engine tensorflow: its network cannot"):
        assert tfseg.compile(odd, engine="tensorflow")(images(1, 16, 16)).shape == (1, 16, 16, 3)


def test_a_network_in_half_precision_computes_as_it_is():
    image = keras.Input((None, None, 3))
    half = keras.Model(image, keras.layers.Conv2D(3, 1, dtype="mixed_bfloat16")(image), name="half")
    with pytest.warns(EngineWarning, match="the model itself computes in bfloat16"):
        tfseg.compile(half, engine="tensorflow")


# ---------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [("openvino", "openvino", "openvino"), ("onnxruntime", "tf2onnx", "onnx"), ("litert", "ai_edge_litert", "litert")],
)
def test_an_engine_that_is_not_installed_names_its_extra(model, monkeypatch, name, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    message = rf"The engine '{name}' is not installed here: pip install \"tfseg\[{extra}\]\""
    for call in (
        lambda: tfseg.predict(model, np.zeros((8, 8, 3), "uint8"), engine=name),
        lambda: tfseg.compile(model, engine=name),
        lambda: tfseg.predict_files(model, "nowhere", "maps", engine=name, progress=False),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_unknown_names_and_precisions_are_refused(model):
    with pytest.raises(ValueError, match=r"engine is one of auto, tensorflow, openvino, .*Received: 'torch'"):
        tfseg.compile(model, engine="torch")
    with pytest.raises(ValueError, match=r"dtype is one of float32, bfloat16. Received: 'int8'"):
        tfseg.compile(model, engine="tensorflow", dtype="int8")
    with pytest.raises(ValueError, match=r"'litert' computes in float32. For bfloat16 there are: tensorflow, openvino"):
        tfseg.compile(model, engine="litert", dtype="bfloat16")


def test_an_engine_of_another_model_or_another_size_is_refused(model):
    network = tfseg.compile(model, engine="tensorflow", size=(32, 48))
    with pytest.raises(ValueError, match=r"This function takes images of \(32, 48\). Received: \(32, 32\)"):
        network(images(1, 32, 32))
    with pytest.raises(ValueError, match="compiled for another model, 'segmenter', not 'segmenter'"):
        tfseg.predict(segmenter(), np.zeros((32, 48, 3), "uint8"), engine=network)


def test_commands_know_the_engines():
    assert engine_flags.ENGINES == NAMES
    assert set(DTYPES) == {dtype for engine in ENGINES.values() for dtype in engine.rewrites}


# ------------------------------------------------------------------------------------------------- weights and memory


def test_an_engine_follows_the_weights():
    network, batch = segmenter(), images(1, 32, 48)
    EngineRunner(network, "tensorflow")(batch)
    kernel = network.layers[-2].kernel
    kernel.assign(kernel.numpy()[..., ::-1])
    computed = EngineRunner(network, "tensorflow")(batch)
    assert relative(computed, logits_by_keras(network, batch)) <= 1e-5


def test_a_compiled_model_with_other_weights_is_refused():
    network, image = segmenter(), np.zeros((32, 48, 3), "uint8")
    compiled = EngineRunner(network, "tensorflow")
    tfseg.predict(network, image, engine=compiled)
    network.layers[-2].bias.assign(np.ones(5))
    with pytest.raises(ValueError, match=r"weights of 'segmenter' have changed since tfseg.compile: compile the model"):
        tfseg.predict(network, image, engine=compiled)


def test_a_model_is_freed_with_its_engines():
    network = segmenter()
    tfseg.predict(network, np.zeros((32, 48, 3), "uint8"), engine="tensorflow")
    freed = weakref.ref(network)
    del network
    gc.collect()
    assert freed() is None
