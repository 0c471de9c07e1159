"""A `.keras` whose weights are written once holds what Keras's own file holds."""

import io
import json
import re
import zipfile

import h5py
import keras
import numpy as np
import pytest
from helpers.references import randomize

import tfseg
from tfseg.exporting import keras_file


def attention():
    """A model whose layers have layers of their own, and a generator of random numbers."""
    tokens = keras.Input((6, 8))
    x = keras.layers.MultiHeadAttention(2, 4)(tokens, tokens)
    x = keras.layers.Bidirectional(keras.layers.LSTM(3))(keras.layers.Dropout(0.3, seed=1)(x))
    return keras.Model(tokens, keras.layers.Dense(2)(x))


def trained():
    """A compiled model whose optimizer has a state."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0)
    return model


def halves():
    """A model with variables in bfloat16."""
    return keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, dtype="bfloat16")])


MODELS = {
    "segmenter": lambda: randomize(tfseg.FCN(tfseg.ResNet(18, output_stride=8, width=1 / 8), 5, aux=True)),
    "attention": attention,
    "trained": trained,
    "bfloat16": halves,
}


def content(path):
    """Names of the members, the configuration, and all groups, arrays and attributes of the weights."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        config = re.sub(r'"shared_object_id": \d+', "", archive.read("config.json").decode())
        items = {}
        with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:

            def visit(name, item):
                items[name] = dict(item.attrs)
                if isinstance(item, h5py.Dataset):
                    items[f"{name} values"] = (item.dtype, item.shape, item[()].tobytes())

            file.visititems(visit)
        return archive.namelist(), json.loads(config.replace(", }", "}").replace("{, ", "{")), items


@pytest.mark.quick_variants("attention", "bfloat16")
@pytest.mark.parametrize("name", MODELS)
def test_the_content_is_that_of_keras_s_own_file(name, tmp_path):
    model = MODELS[name]()
    model.save(tmp_path / "keras.keras")
    keras_file.save_keras(model, tmp_path / "ours.keras")
    assert content(tmp_path / "ours.keras") == content(tmp_path / "keras.keras")
    again = keras.saving.load_model(tmp_path / "ours.keras")
    for loaded, variable in zip(again.weights, model.weights, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(loaded), keras.ops.convert_to_numpy(variable))
    assert "save_own_variables" not in vars(model.layers[-1])  # the model is as it was


def test_a_large_variable_is_written_once(tmp_path, monkeypatch):
    """No more bytes are written than the file has, but for the marks."""
    written = []
    write = keras_file._Window.write
    monkeypatch.setattr(keras_file._Window, "write", lambda self, data: written.append(len(data)) or write(self, data))
    model = keras.Sequential([keras.Input((1024,)), keras.layers.Dense(1024)])
    keras_file.save_keras(model, tmp_path / "ours.keras")
    size = (tmp_path / "ours.keras").stat().st_size
    assert 4 * 1024**2 < sum(written) < size + 10_000
