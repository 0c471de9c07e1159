"""`tfseg.load` opens Keras files, exported folders and checkpoints, and says what else a path is."""

import struct

import keras
import numpy as np
import pytest
from helpers import checkpoints
from helpers.exported_models import METADATA
from helpers.paths import EXAMPLES
from helpers.segmenters import narrow_fcn

import converters
import tfseg


@pytest.fixture(scope="module")
def model():
    network = narrow_fcn()
    tfseg.set_metadata(network, **{**METADATA, "classes": [*"abcde"], "colors": [[level] * 3 for level in range(5)]})
    return network


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def assert_same(loaded, model, image, **options):
    assert tfseg.metadata(loaded) == tfseg.metadata(model)
    assert loaded.name == model.name
    np.testing.assert_array_equal(tfseg.predict(loaded, image, **options), tfseg.predict(model, image, **options))


def mean_logit(classes, logits):
    """A loss that Keras does not load, because it is not registered."""
    return keras.ops.mean(logits)


def test_keras_file_is_loaded_without_its_optimizer(model, image, tmp_path):
    compiled = keras.models.clone_model(model)
    compiled.set_weights(model.get_weights())
    compiled.compile("adam", loss=mean_logit)
    compiled.save(tmp_path / "street.keras")
    loaded = tfseg.load(tmp_path / "street.keras")
    assert_same(loaded, model, image)
    assert getattr(loaded, "optimizer", None) is None


@pytest.mark.full  # every export is reopened in a process of its own
@pytest.mark.parametrize("format", ["saved_model", "keras"])
@pytest.mark.parametrize("options", [{}, {"window": (20, 20), "flip": True}], ids=["whole", "windows"])
def test_exported_folder_predicts_what_its_model_did(model, image, tmp_path, format, options):
    tfseg.export(model, tmp_path / "exported", formats=(format,))
    assert_same(tfseg.load(tmp_path / "exported"), model, image, **options)


@pytest.mark.full
def test_folder_exported_for_one_size_refuses_others(model, image, tmp_path):
    loaded = tfseg.load(tfseg.export(model, tmp_path / "exported", size=(33, 47)))
    assert_same(loaded, model, image[:33, :47])
    with pytest.raises(ValueError, match=r"'fcn32s' takes images of \(33, 47\), .* Received: \(40, 50\)"):
        tfseg.predict(loaded, image)
    assert tfseg.predict(loaded, image, window=(33, 47)).shape == (40, 50)


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("as_text", [False, True])
def test_checkpoint_is_converted(tmp_path, as_text):
    path = tmp_path / "fcn.pth"
    checkpoints.save(path, checkpoints.state("torchvision/segmentation", "fcn_resnet18", num_classes=7, width=1 / 8))
    loaded, expected = tfseg.load(str(path) if as_text else path), converters.convert(path)[0]
    assert tfseg.metadata(loaded) == tfseg.metadata(expected)
    for variable, value in zip(loaded.weights, expected.get_weights(), strict=True):
        np.testing.assert_array_equal(variable, value)


def test_sample_predicts_classes():
    loaded = tfseg.load(EXAMPLES / "fcn_resnet18_w50_os8_camvid.pth")
    assert tfseg.predict(loaded, EXAMPLES / "street.png").shape == (360, 480)


@pytest.mark.quick_variants(every=3)
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.keras", r"There is no model '.*none.keras'"),
        ("none.pth", r"none.pth: there is no such file"),
        (
            "model.keras",
            r"The model '.*model.keras' does not load: it is not a whole .keras archive. Received: 8 bytes",
        ),
        ("truncated.keras", r"The model '.*truncated.keras' does not load: it is not a whole .keras archive"),
        ("one_of_several.keras", r"one_of_several.keras' does not load: it is not a whole .keras archive"),
        ("folder.keras", r"folder.keras' is a directory. Expected a .keras file"),
        ("model.pth", r"model.pth: is plain text"),
        ("fcn.weights.h5", r"fcn.weights.h5.*build the network.*load_weights"),
        ("saved", r"saved' is a SavedModel.*give the folder around it"),
        ("empty", r"empty: is a directory"),
        ("damaged", r"damaged.metadata.json' is not what tfseg.export writes: KeyError"),
        (
            "onnx_only",
            r"onnx_only' has no SavedModel in a directory 1: export with the format saved_model. Received: metad",
        ),
        ("corrupt", r"The exported model '.*corrupt.1' does not load: "),
    ],
)
def test_path_without_a_model_is_refused(model, tmp_path, name, message):
    for folder in ("saved", "empty", "damaged", "onnx_only", "corrupt/1", "folder.keras"):
        (tmp_path / folder).mkdir(parents=True)
    for folder in ("saved", "corrupt/1"):
        (tmp_path / folder / "saved_model.pb").write_bytes(b"no model")
    (tmp_path / "damaged" / "metadata.json").write_text("{}")
    for folder in ("onnx_only", "corrupt"):
        (tmp_path / folder / "metadata.json").write_text(
            '{"name": "x", "num_classes": 3, "classes": null, "colors": null}'
        )
    for file in ("model.pth", "model.keras"):
        (tmp_path / file).write_bytes(b"no model")
    several = struct.pack("<4sLQL", b"PK\x06\x07", 1, 0, 2) + struct.pack("<4s18x", b"PK\x05\x06")
    (tmp_path / "one_of_several.keras").write_bytes(bytes(100) + several)
    model.save_weights(tmp_path / "fcn.weights.h5")
    model.save(tmp_path / "whole.keras")
    archive = (tmp_path / "whole.keras").read_bytes()
    (tmp_path / "truncated.keras").write_bytes(archive[: len(archive) // 2])
    with pytest.raises(ValueError, match=message):
        tfseg.load(tmp_path / name)


def test_suffix_in_capital_letters_is_known(tmp_path):
    model = tfseg.build("fcn_resnet18", num_classes=3, width=0.125)
    model.save(tmp_path / "net.keras")
    (tmp_path / "net.keras").rename(tmp_path / "NET.KERAS")
    loaded = tfseg.load(tmp_path / "NET.KERAS")
    assert all(np.array_equal(*pair) for pair in zip(loaded.get_weights(), model.get_weights(), strict=True))
