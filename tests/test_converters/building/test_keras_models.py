"""Whole Keras files of networks that no family has: exact, or refused by the names of their layers."""

import json
import zipfile

import keras
import numpy as np
import pytest
import torch
from helpers import older_keras_files as older
from keras import layers
from torch.nn import functional

import converters
import tfseg
from converters.building.keras.tensorflow_calls import call_tensorflow

SIDE = 32


def sequential_cnn():
    """The CNN of keras.io's first tutorial."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(12, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )


def nested():
    """Blocks as models inside, one of them called twice, with layers of one name."""
    block = keras.Sequential([layers.Conv2D(4, 3, padding="same", name="conv"), layers.ReLU()], name="block")
    other = keras.Sequential([layers.Conv2D(4, 1, name="conv"), layers.BatchNormalization(name="bn")], name="other")
    image = keras.Input((SIDE, SIDE, 4))
    x = layers.Add()([block(image), other(block(image))])
    return keras.Model(image, x)


def two_inputs():
    image, depth = keras.Input((SIDE, SIDE, 3), name="color"), keras.Input((SIDE, SIDE, 1), name="depth")
    x = layers.Concatenate()([layers.Conv2D(4, 3, padding="same")(image), layers.Conv2D(2, 5, padding="same")(depth)])
    return keras.Model([image, depth], {"mask": layers.Conv2D(2, 1)(x), "class": layers.GlobalMaxPooling2D()(x)})


def unet():
    image = keras.Input((SIDE, SIDE, 3))
    skip = layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    x = layers.MaxPooling2D()(skip)
    x = layers.SeparableConv2D(6, 3, padding="same", use_bias=False)(x)
    x = layers.LeakyReLU(negative_slope=0.2)(layers.BatchNormalization()(x))
    x = layers.Concatenate()([skip, layers.Conv2DTranspose(4, 3, strides=2, padding="same")(x)])
    return keras.Model(image, layers.Conv2D(2, 1, activation="sigmoid")(x))


def transfer_learning():
    """A backbone of keras.applications behind augmentation and preprocessing."""
    image = keras.Input((SIDE, SIDE, 3))
    x = layers.RandomRotation(0.1)(layers.RandomFlip("horizontal")(image))
    x = keras.applications.mobilenet_v2.preprocess_input(x)
    backbone = keras.applications.MobileNetV2(
        input_shape=(SIDE, SIDE, 3), include_top=False, weights=None, alpha=0.35, name="backbone"
    )
    x = layers.GlobalAveragePooling2D()(backbone(x, training=False))
    return keras.Model(image, layers.Dense(3)(layers.Dropout(0.2)(x)))


def preprocessing_layers():
    image = keras.Input((None, None, 3))
    x = layers.Resizing(24, 20)(layers.Rescaling(1 / 127.5, offset=-1)(image))
    x = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", activation="relu6")(x)
    return keras.Model(image, layers.Reshape((-1,))(layers.AveragePooling2D(4)(x)))


def residual_operations():
    """Operators on tensors and functions of keras.ops."""
    image = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(3, 3, padding="same")(1 - image / 255)
    x = keras.ops.relu(x) * 2 + image[:, ::1, :, :]
    weights = keras.ops.mean(x, axis=(1, 2), keepdims=True)
    return keras.Model(image, x * keras.ops.sigmoid(weights))


def half_precision():
    policy = keras.DTypePolicy("mixed_float16")
    image = keras.Input((SIDE, SIDE, 3))
    return keras.Model(image, layers.Conv2D(4, 3, dtype=policy)(layers.Conv2D(4, 3, dtype=policy)(image)))


KINDS = {
    make.__name__: make
    for make in (
        sequential_cnn,
        nested,
        two_inputs,
        unet,
        transfer_learning,
        preprocessing_layers,
        residual_operations,
        half_precision,
    )
}


def lively(model):
    random = np.random.default_rng(0)
    for variable in model.weights:
        if variable.dtype.startswith("float"):
            low = 0.5 if "variance" in variable.name else -0.5
            variable.assign(random.uniform(low, 1.0, variable.shape))
    return model


def pixels(model, size=None):
    random = np.random.default_rng(1)
    return [
        random.uniform(0, 1, (2, *(side or size or SIDE for side in tensor.shape[1:]))).astype("float32")
        for tensor in model.inputs
    ]


def assert_equal(result, reference, tolerance=1e-5):
    for received, expected in zip(keras.tree.flatten(result), keras.tree.flatten(reference), strict=True):
        received, expected = np.asarray(received, "float64"), np.asarray(expected, "float64")
        assert received.shape == expected.shape
        assert np.abs(received - expected).max() <= tolerance * np.abs(expected).max()


# MobileNetV2 alone has a hundred layers.
SLOW = [pytest.param(kind, marks=[pytest.mark.full] if kind == "transfer_learning" else []) for kind in KINDS]


@pytest.mark.parametrize("kind", SLOW)
def test_whole_models_of_keras_3(tmp_path, kind):
    original = lively(KINDS[kind]())
    original.compile("adam", "mse")
    original.save(tmp_path / "net.keras")
    model, receipt = converters.convert(tmp_path / "net.keras")
    images = pixels(original)
    given = images if len(images) > 1 else images[0]
    assert_equal(
        model(given, training=False), original(given, training=False), 3e-2 if kind == "half_precision" else 1e-5
    )
    assert receipt.family == "Keras model"
    assert receipt.parity["max relative difference"] <= (3e-2 if kind == "half_precision" else 1e-5)
    assert {row["key"] for row in receipt.tensors} == set(converters.read(tmp_path / "net.keras"))
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    model.save(tmp_path / "again.keras")
    assert_equal(tfseg.load(tmp_path / "again.keras")(given, training=False), model(given, training=False), 0)


def test_models_of_one_size_take_any_size_where_no_layer_depends_on_it(tmp_path):
    original = lively(unet())
    original.save(tmp_path / "net.h5")
    model, receipt = converters.convert(tmp_path / "net.h5")
    assert model.input_shape == (None, None, None, 3)
    assert any("takes images of 32 x 32 pixels" in note for note in receipt.notes)
    larger = keras.models.clone_model(
        original,
        clone_function=lambda layer: layer.__class__.from_config(layer.get_config()),
        input_tensors=keras.Input((48, 64, 3)),
    )
    larger.set_weights(original.get_weights())
    image = np.random.default_rng(0).normal(size=(1, 48, 64, 3)).astype("float32")
    assert_equal(model(image), larger(image))
    lively(sequential_cnn()).save(tmp_path / "cnn.h5")
    assert converters.convert(tmp_path / "cnn.h5")[0].input_shape == (None, 28, 28, 1)


def test_augmentation_is_left_out_so_that_a_call_is_inference(tmp_path):
    """In Keras 3 a layer that augments lets later layers run in training mode, where no mode is stated."""
    image = keras.Input((8, 8, 3))
    original = lively(keras.Model(image, layers.BatchNormalization()(layers.RandomFlip("horizontal")(image))))
    original.save(tmp_path / "net.keras")
    model, receipt = converters.convert(tmp_path / "net.keras")
    assert_equal(model(pixels(original)[0]), original(pixels(original)[0], training=False))
    assert any("change images in training alone: random_flip" in note for note in receipt.notes)


@keras.saving.register_keras_serializable("somebody")
class Custom(layers.Layer):
    def call(self, inputs):
        return inputs * 2


def test_code_is_refused_by_the_names_of_its_layers(tmp_path):
    image = keras.Input((8, 8, 3))
    x = layers.Lambda(lambda value: value * 2, name="double")(layers.Conv2D(2, 3)(image))
    keras.Model(image, Custom(name="mine")(x)).save(tmp_path / "net.keras")
    way = r"'double' of the class Lambda \(Python code is its function\), 'mine' of the class Custom \(a class of its author"
    with pytest.raises(converters.ConversionError, match=way):
        converters.convert(tmp_path / "net.keras")


@pytest.mark.parametrize(
    ("kind", "module", "why"),
    [
        ("TorchModuleWrapper", "keras.layers", "it holds a pickled torch module"),
        ("TFSMLayer", "keras.layers", "it runs a SavedModel"),
        ("system", "os", "of os"),
        ("Popen", "subprocess", "of subprocess"),
    ],
)
def test_layers_that_would_run_code_are_refused_before_keras_reads_them(tmp_path, kind, module, why):
    original = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(2, 3, name="conv")])
    original.save(tmp_path / "net.keras")
    with zipfile.ZipFile(tmp_path / "net.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    config["config"]["layers"].append(
        {"module": module, "class_name": kind, "config": {"name": "evil"}, "registered_name": None}
    )
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(tmp_path / "net.keras", "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    with pytest.raises(converters.ConversionError, match=rf"'evil' of the class {kind} \({why}\)"):
        converters.convert(tmp_path / "net.keras")


def test_models_that_are_code_are_refused(tmp_path):
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv = layers.Conv2D(2, 3, name="any")

        def call(self, image):
            return self.conv(image)

    net = Net()
    net(np.zeros((1, 8, 8, 3), "float32"))
    net.save(tmp_path / "net.keras")
    with pytest.raises(converters.ConversionError, match=r"its model is code that is not in the file: the class 'Net'"):
        converters.convert(tmp_path / "net.keras")


# ------------------------------------------------------------------------------------------------------- Keras 1 and 2

CONV = {"strides": [1, 1], "padding": "valid", "dilation_rate": [1, 1], "groups": 1, "use_bias": True}


def conv(name, source, filters, first, **options):
    data_format = "channels_first" if first else "channels_last"
    return older.entry(
        "Conv2D",
        name,
        source,
        **{"filters": filters, "kernel_size": [3, 3], "data_format": data_format, **CONV, **options},
    )


def test_channels_first_becomes_channels_last(tmp_path):
    """Convolutions, a concatenation, BatchNorm, pooling, and a Dense layer on a flattened map."""
    first = {"data_format": "channels_first"}
    rows = [
        older.image("image", 3, 10, 12),
        conv("a", "image", 4, True, activation="relu"),
        older.entry(
            "DepthwiseConv2D", "b", "a", kernel_size=[3, 3], depth_multiplier=1, **first, **CONV | {"padding": "same"}
        ),
        older.entry("BatchNormalization", "bn", "b", axis=[1], momentum=0.9, epsilon=1e-3, center=True, scale=True),
        older.entry("Concatenate", "join", "a", "bn", axis=1),
        older.entry("MaxPooling2D", "pool", "join", pool_size=[2, 2], strides=[2, 2], padding="valid", **first),
        older.entry("Flatten", "flat", "pool", data_format="channels_last"),
        older.entry("Dense", "dense", "flat", units=5, activation="linear", use_bias=True),
    ]
    weights = {
        "a": older.numbers(0, kernel=(3, 3, 3, 4), bias=(4,)),
        "b": older.numbers(1, depthwise_kernel=(3, 3, 4, 1), bias=(4,)),
        "bn": older.numbers(2, gamma=(4,), beta=(4,), moving_mean=(4,), moving_variance=(4,)),
        "dense": older.numbers(3, kernel=(8 * 4 * 5, 5), bias=(5,)),
    }
    path = older.write(tmp_path / "net.h5", rows, weights, outputs=["dense"])
    model, receipt = converters.convert(path)
    image = np.random.default_rng(5).normal(size=(2, 10, 12, 3)).astype("float32")
    t = {
        f"{layer}/{name}": torch.from_numpy(array)
        for layer, arrays in weights.items()
        for name, array in arrays.items()
    }
    x = torch.from_numpy(image.transpose(0, 3, 1, 2))
    a = functional.conv2d(x, t["a/kernel"].permute(3, 2, 0, 1), t["a/bias"]).relu()
    b = functional.conv2d(a, t["b/depthwise_kernel"].permute(2, 3, 0, 1), t["b/bias"], padding=1, groups=4)
    b = functional.batch_norm(b, t["bn/moving_mean"], t["bn/moving_variance"], t["bn/gamma"], t["bn/beta"], eps=1e-3)
    joined = functional.max_pool2d(torch.cat([a, b], 1), 2)
    assert_equal(model(image), joined.flatten(1) @ t["dense/kernel"] + t["dense/bias"])
    assert "channels first" in " ".join(receipt.notes)
    assert {row["key"] for row in receipt.tensors} == set(converters.read(path))


def test_channels_first_of_keras_3_becomes_channels_last(tmp_path):
    """Its hard_sigmoid is that of Keras 3."""
    first = {"data_format": "channels_first"}
    image = keras.Input((3, 10, 12))
    x = layers.Conv2D(4, 3, activation="hard_sigmoid", **first)(image)
    x = layers.Flatten()(layers.MaxPooling2D(2, **first)(x))
    original = lively(keras.Model(image, layers.Dense(3, name="dense")(x)))
    original.save(tmp_path / "net.keras")
    model, _ = converters.convert(tmp_path / "net.keras")
    pixel = np.random.default_rng(5).normal(size=(2, 10, 12, 3)).astype("float32")
    kernel, bias, rows, offset = (torch.from_numpy(np.array(weight)) for weight in original.weights)
    x = functional.conv2d(torch.from_numpy(pixel.transpose(0, 3, 1, 2)), kernel.permute(3, 2, 0, 1), bias)
    x = functional.max_pool2d(functional.hardsigmoid(x), 2).flatten(1)
    assert_equal(model(pixel), x @ rows + offset)


def test_hard_sigmoid_of_keras_2_is_not_keras_3s(tmp_path):
    rows = [older.image("image", 8, 8, 3), conv("a", "image", 2, False, activation="hard_sigmoid")]
    weights = {"a": older.numbers(0, kernel=(3, 3, 3, 2), bias=(2,))}
    model, _ = converters.convert(older.write(tmp_path / "net.h5", rows, weights, outputs=["a"]))
    image = np.random.default_rng(5).normal(size=(2, 8, 8, 3)).astype("float32")
    kernel, bias = (torch.from_numpy(weights["a"][name]) for name in ("kernel", "bias"))
    x = functional.conv2d(torch.from_numpy(image.transpose(0, 3, 1, 2)), kernel.permute(3, 2, 0, 1), bias)
    expected = (0.2 * x + 0.5).clamp(0, 1)
    assert_equal(model(image), expected.permute(0, 2, 3, 1))
    assert (expected - functional.hardsigmoid(x)).abs().max() > 0.01


@pytest.mark.parametrize("first", [True, False])
def test_softmax_of_keras_2_is_along_its_last_axis(tmp_path, first):
    shape = (3, 8, 9) if first else (8, 9, 3)
    rows = [older.image("image", *shape), conv("a", "image", 4, first, activation="softmax")]
    weights = {"a": older.numbers(0, kernel=(3, 3, 3, 4), bias=(4,))}
    model, _ = converters.convert(older.write(tmp_path / "net.h5", rows, weights, outputs=["a"]))
    image = np.random.default_rng(5).normal(size=(2, 8, 9, 3)).astype("float32")
    kernel, bias = (torch.from_numpy(weights["a"][name]) for name in ("kernel", "bias"))
    x = functional.conv2d(torch.from_numpy(image.transpose(0, 3, 1, 2)), kernel.permute(3, 2, 0, 1), bias)
    assert_equal(model(image), x.softmax(3 if first else 1).permute(0, 2, 3, 1))


def test_functions_of_tensorflow_in_a_keras_2_model(tmp_path):
    constant = older.entry("TFOpLambda", "tf.math.truediv", function="math.truediv")
    constant["inbound_nodes"] = [["image", 0, 0, {"y": 127.5, "name": None}]]
    reversed_ = older.entry("TFOpLambda", "tf.math.subtract", function="math.subtract")
    reversed_["inbound_nodes"] = [["_CONSTANT_VALUE", -1, 1.0, {"y": ["tf.math.truediv", 0, 0], "name": None}]]
    added = older.entry("TFOpLambda", "tf.__operators__.add", function="__operators__.add")
    added["inbound_nodes"] = [["tf.math.subtract", 0, 0, {"y": ["a", 0, 0], "name": None}]]
    rows = [older.image("image", 8, 8, 3), constant, reversed_]
    rows += [conv("a", "tf.math.subtract", 3, False, padding="same"), added]
    weights = {"a": older.numbers(0, kernel=(3, 3, 3, 3), bias=(3,))}
    path = older.write(tmp_path / "net.h5", rows, weights, outputs=["tf.__operators__.add"])
    model, _ = converters.convert(path)
    image = np.random.default_rng(5).uniform(0, 255, (2, 8, 8, 3)).astype("float32")
    kernel, bias = (torch.from_numpy(weights["a"][name]) for name in ("kernel", "bias"))
    x = 1 - torch.from_numpy(image.transpose(0, 3, 1, 2)) / 127.5
    x = x + functional.conv2d(x, kernel.permute(3, 2, 0, 1), bias, padding=1)
    assert_equal(model(image), x.permute(0, 2, 3, 1))


def test_files_of_keras_2_that_are_not_rebuilt_are_refused_by_name(tmp_path):
    weights = {"a": older.numbers(0, kernel=(3, 3, 3, 2), bias=(2,))}
    start = [older.image("image", 8, 8, 3), conv("a", "image", 2, False)]
    cases = {
        r"'lstm' \(ConvLSTM2D\) is not rebuilt": older.entry("ConvLSTM2D", "lstm", "a"),
        r"'s' \(SeparableConv2D\) has groups=2, which layers of Keras": older.entry(
            "SeparableConv2D", "s", "a", filters=2, kernel_size=[3, 3], groups=2
        ),
        r"'tf.einsum' calls tf.einsum": older.entry("TFOpLambda", "tf.einsum", "a", function="einsum"),
        r"'up' \(UpSampling2D\) has interpolation='bilinear', which TensorFlow 1 and 2": older.entry(
            "UpSampling2D", "up", "a", size=[2, 2], interpolation="bilinear", data_format="channels_last"
        ),
        r"'code' of the class Mine \(no layer of Keras\)": older.entry("Mine", "code", "a"),
    }
    for number, (way, row) in enumerate(cases.items()):
        version = "2.2.4" if "UpSampling2D" in way else "2.9.0"
        path = older.write(tmp_path / f"{number}.h5", [*start, row], weights, outputs=[row["name"]], version=version)
        with pytest.raises(converters.ConversionError, match=way):
            converters.convert(path)
    path = older.write(tmp_path / "lost.h5", start, {}, outputs=["a"])
    with pytest.raises(converters.ConversionError):
        converters.convert(path)


def test_dilation_and_convolutionalization_of_a_tutorials_network(tmp_path):
    image = keras.Input((SIDE, SIDE, 3))
    block = keras.Sequential([layers.Conv2D(6, 3, padding="same", activation="relu"), layers.MaxPooling2D()])
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(block(image))
    x = layers.MaxPooling2D()(x)
    lively(keras.Model(image, layers.Conv2D(3, 3, padding="same")(x))).save(tmp_path / "net.keras")
    model, _ = converters.convert(tmp_path / "net.keras")
    dilated = tfseg.dilate(model, output_stride=2)
    sizes = np.random.default_rng(0).normal(size=(1, 32, 48, 3)).astype("float32")
    assert dilated(sizes).shape[1:3] == (16, 24)
    assert tfseg.check_dilation(model, dilated, sizes).holds
    lively(sequential_cnn()).save(tmp_path / "cnn.keras")
    classifier, _ = converters.convert(tmp_path / "cnn.keras")
    slid = tfseg.convolutionalize(classifier)
    digit = np.random.default_rng(0).normal(size=(1, 28, 28, 1)).astype("float32")
    assert_equal(np.asarray(slid(digit)).reshape(1, 10), classifier(digit, training=False))


@pytest.mark.parametrize("function", ["__operators__.add", "math.add"])
def test_a_sum_with_one_long_axis_is_no_bias_of_the_channels(function):
    """The image has as many rows as channels; a mean over the other axes is added to the rows."""
    images = np.random.default_rng(0).normal(size=(2, 4, 5, 4)).astype("float32")
    rows = images.mean(axis=(0, 2, 3), keepdims=True)
    result = call_tensorflow("sum", function, [keras.ops.array(images), keras.ops.array(rows)], {})
    np.testing.assert_array_equal(result, images + rows)


def test_the_layer_add_repeats_rows_and_is_no_bias_of_the_channels(tmp_path):
    """Gives as many rows as channels: the average of each row is added to it, in an image alone and in a batch."""
    pool = {"pool_size": [1, 3], "strides": [1, 3], "padding": "valid", "data_format": "channels_last"}
    rows = [older.image("image", 6, 5, 3), conv("a", "image", 4, False), conv("b", "image", 1, False)]
    rows += [older.entry("AveragePooling2D", "row", "b", **pool), older.entry("Add", "sum", "a", "row")]
    weights = {
        "a": older.numbers(0, kernel=(3, 3, 3, 4), bias=(4,)),
        "b": older.numbers(1, kernel=(3, 3, 3, 1), bias=(1,)),
    }
    model, _ = converters.convert(older.write(tmp_path / "net.h5", rows, weights, outputs=["sum"]))
    for batch in (1, 2):
        image = np.random.default_rng(batch).normal(size=(batch, 6, 5, 3)).astype("float32")
        x = torch.from_numpy(image.transpose(0, 3, 1, 2))
        kernels = {name: [torch.from_numpy(part) for part in weights[name].values()] for name in weights}
        a, b = (functional.conv2d(x, kernel.permute(3, 2, 0, 1), bias) for kernel, bias in kernels.values())
        assert_equal(model(image), (a + b.mean(3, keepdim=True)).permute(0, 2, 3, 1))
