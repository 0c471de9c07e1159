"""Whole Keras models: their configuration is obeyed, or the file is refused."""

import json

import h5py
import keras
import numpy as np
import pytest
from helpers.references import images, output, randomize, relative
from keras import layers

import converters
import tfseg
from converters import ConversionError

pytestmark = pytest.mark.filterwarnings("ignore")  # Keras calls .h5 a legacy
SIZE = (64, 96)


def vgg(size=SIZE, *, top=False, order="channels_last", flatten="channels_last", end=None, **pool):
    """A narrow VGG16 under the names of keras.applications."""
    channels_first = order == "channels_first"
    x = image = keras.Input((3, *size) if channels_first else (*size, 3))
    for stage, count in enumerate((2, 2, 3, 3, 3), 1):
        for index in range(1, count + 1):
            filters = min(64 * 2 ** (stage - 1), 512) // 16
            x = layers.Conv2D(
                filters, 3, padding="same", activation="relu", data_format=order, name=f"block{stage}_conv{index}"
            )(x)
        x = layers.MaxPooling2D(2, 2, data_format=order, name=f"block{stage}_pool", **pool)(x)
    if top:
        x = layers.Flatten(data_format=flatten, name="flatten")(x)
        for index in (1, 2):
            x = layers.Dense(256, activation="relu", name=f"fc{index}")(x)
        x = layers.Dense(5, activation=end, name="predictions")(x)
    elif end is not None:
        x = end(x)
    return randomize(keras.Model(image, x), gain=2.0)


def saved(model, path):
    model.save(path)
    return path


@pytest.mark.quick_variants(2)
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize(
    "end",
    [layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D, lambda: layers.GlobalAveragePooling2D(keepdims=True)],
)
def test_pooling_after_the_features_is_built(tmp_path, suffix, end):
    public = vgg(end=end())
    model, receipt = converters.convert(saved(public, tmp_path / f"m{suffix}"))
    assert model.name == "vgg16_with_pooling"
    assert relative(output(model, images(*SIZE)), output(public, images(*SIZE))) <= 1e-5
    maps, receipt = converters.convert(tmp_path / f"m{suffix}", include_top=False)
    assert maps.output_shape == (None, None, None, 32)
    assert any("left to the user" in note for note in receipt.notes)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_softmax_after_the_scores_is_built(tmp_path, suffix):
    public = vgg((224, 224), top=True, end="softmax")
    model, _ = converters.convert(saved(public, tmp_path / f"m{suffix}"))
    assert model.name == "vgg16_with_softmax"
    assert relative(output(model, images(224, 224)), output(public, images(224, 224))) <= 1e-5
    fcn, _ = converters.convert(tmp_path / f"m{suffix}", network="fcn32s")
    assert fcn.name == "fcn32s"


def before(layer, model):
    image = keras.Input(model.input_shape[1:])
    return keras.Model(image, model(layer(image)))


def test_layers_of_training_alone_are_left_out(tmp_path):
    augmentation = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)])
    public = before(augmentation, vgg())
    model, receipt = converters.convert(saved(public, tmp_path / "m.keras"))
    assert relative(output(model, images(*SIZE)), public.predict(images(*SIZE), verbose=0)) <= 1e-5
    assert any("in training alone: random_flip" in note for note in receipt.notes)


@pytest.mark.parametrize("layer", [layers.Rescaling(2.0), layers.RandomCrop(*SIZE), layers.Resizing(*SIZE)])
def test_layers_that_change_every_image_are_refused(tmp_path, layer):
    with pytest.raises(ConversionError, match="block1_conv1"):
        converters.convert(saved(before(layer, vgg()), tmp_path / "m.keras"), network="vgg16")


def test_half_precision_is_said(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        public = vgg()
    finally:
        keras.config.set_dtype_policy("float32")
    _, receipt = converters.convert(saved(public, tmp_path / "m.keras"))
    assert any("compute in mixed_float16" in note for note in receipt.notes)


@pytest.mark.parametrize(
    ("pool", "message"),
    [({"padding": "same"}, "block1_pool"), ({"end": layers.Activation("tanh")}, "tanh")],
)
def test_another_function_is_refused(tmp_path, pool, message):
    with pytest.raises(ConversionError, match=message):
        converters.convert(saved(vgg((65, 97), **pool), tmp_path / "m.keras"), network="vgg16")


@pytest.mark.quick_variants(2)
@pytest.mark.parametrize("flatten", ["channels_last", "channels_first"])
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_channels_first_maps_are_flattened_in_either_order(tmp_path, suffix, flatten):
    first = vgg((224, 224), top=True, order="channels_first", flatten=flatten)
    last = vgg((224, 224), top=True)
    for mine, other in zip(last.weights, first.weights, strict=True):
        value = np.asarray(other)
        if mine.path == "fc1/kernel" and flatten == "channels_last":
            value = value.reshape(32, 49, -1).transpose(1, 0, 2).reshape(value.shape)
        mine.assign(value)
    model, receipt = converters.convert(saved(first, tmp_path / f"m{suffix}"))
    assert relative(output(model, images(224, 224)), output(last, images(224, 224))) <= 1e-5
    assert any("fc1/kernel" in note for note in receipt.notes) == (flatten == "channels_last")


def test_kernels_of_theano_are_turned(tmp_path):
    public = vgg()
    public.save(tmp_path / "True.h5")
    with h5py.File(tmp_path / "True.h5", "r+") as file:
        group = file["model_weights"]
        group.attrs["backend"], group.attrs["keras_version"] = b"theano", b"2.1.6"
        for layer in group.values():
            for name in layer.attrs["weight_names"]:
                if layer[name].ndim == 4:
                    layer[name][...] = layer[name][...][::-1, ::-1]
    model, receipt = converters.convert(tmp_path / "True.h5")
    assert relative(output(model, images(*SIZE)), output(public, images(*SIZE))) <= 1e-5
    assert any("turned by 180 degrees" in note for note in receipt.notes)


def test_models_inside_models_are_entered(tmp_path):
    image = keras.Input((*SIZE, 3))
    inner = vgg()
    public = keras.Model(image, inner(image, training=False))
    model, _ = converters.convert(saved(public, tmp_path / "m.keras"))
    assert relative(output(model, images(*SIZE)), output(public, images(*SIZE))) <= 1e-5
    scaled = keras.Model(image, inner(layers.Rescaling(1 / 255)(image)))
    with pytest.raises(ConversionError, match="multiplication"):
        converters.convert(saved(scaled, tmp_path / "scaled.keras"), network="vgg16")
    model, receipt = converters.convert(tmp_path / "scaled.keras")  # what it is, where no network is asked for
    assert receipt.family == "Keras model"
    assert relative(output(model, images(*SIZE)), output(scaled, images(*SIZE))) <= 1e-5


@pytest.mark.full
def test_own_models_are_compared_too(tmp_path):
    options = {"biases": "all", "stride_in": "1x1", "epsilon": 1.001e-5, "width": 1 / 8}
    dilated = tfseg.build("resnet50", output_stride=8, **options)
    path = saved(dilated, tmp_path / "own.keras")
    with pytest.raises(ConversionError, match="dilation"):
        converters.convert(path, network="resnet50")
    model, _ = converters.convert(saved(tfseg.build("resnet50", **options), path), network="resnet50")
    assert model.name == "resnet50"


def test_hostile_configurations_are_refused(tmp_path):
    path = saved(vgg(), tmp_path / "m.h5")
    for text, message in (
        ("[" * 100_000, "is not JSON"),
        (json.dumps({"a": [[]] * (1 << 21)}), "does not describe a model"),
        (json.dumps({"class_name": "Functional", "config": {"layers": [7], "input_layers": 3}}), "cannot be read"),
    ):
        with h5py.File(path, "r+") as file:
            file.attrs["model_config"] = text
        with pytest.raises(ConversionError, match=message):
            converters.convert(path)


@keras.saving.register_keras_serializable("tests")
class Halved(keras.Model):
    """A class of a user around the layers of a VGG: its own call computes something else."""

    def call(self, inputs, training=None, mask=None):
        return super().call(inputs, training=training, mask=mask) / 2


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_model_whose_class_is_code_needs_network(tmp_path, suffix):
    plain = vgg()
    model = Halved(plain.inputs, plain.outputs)
    model.save(tmp_path / f"net{suffix}")
    with pytest.raises(ConversionError, match=r"its model is code.*network="):
        converters.convert(tmp_path / f"net{suffix}")
    converted, receipt = converters.convert(tmp_path / f"net{suffix}", network="vgg16")
    assert relative(output(converted, images(*SIZE)), output(plain, images(*SIZE))) <= 1e-5
    assert any("code" in note for note in receipt.notes)
    target = tfseg.VGG(16, width=1 / 16)
    assert any("code" in note for note in converters.import_weights(target, tmp_path / f"net{suffix}").notes)
