"""Files of keras.applications against keras.applications itself; ResNet-50 of its early years against a twin."""

import warnings

import keras
import numpy as np
import pytest
from helpers.qubvel_keras import save_weights
from helpers.references import images, output, randomize, relative
from keras import layers

import converters
import tfseg
from tfseg import specs

PUBLIC = "keras.applications"
TOLERANCE = 1e-5
SIZES = ((65, 83), (96, 128))
OLD, OLDEST = "keras-team/keras-applications", "fchollet/deep-learning-models"
TRUNK = {"biases": "all", "epsilon": 1.001e-5, "stride_in": "1x1"}


def application(name, **options):
    """A network of keras.applications, none of its weights and statistics what they begin with."""
    model = getattr(keras.applications, name)(weights=None, **options)
    return randomize(model, gain=2.0 if name.startswith("VGG") else 1.0)


def save(model, path):
    """Saves a model as the suffix says: `.weights.h5`, `.keras`, or the older `.h5`."""
    with warnings.catch_warnings(action="ignore"):  # Keras calls the older form a legacy
        model.save_weights(path) if path.name.endswith(".weights.h5") else model.save(path)
    return path


def check(public, model, sizes, record, name):
    for size in sizes:
        pixels = images(*size)
        difference = relative(output(model, pixels), output(public, pixels))
        record(name, difference)
        assert difference <= TOLERANCE


def check_round_trip(model, receipt, path, tmp_path):
    """What is written under the family's names has the bits of the file."""
    back = tmp_path / "back.safetensors"
    converters.export_weights(model, back, family=receipt.family)
    again, first = converters.read(back), converters.read(path)
    assert set(again) == set(first) == {row["key"] for row in receipt.tensors}
    for key in first:
        assert np.array_equal(again[key], first[key]), key


def test_vgg16(tmp_path, record):
    public = application("VGG16", include_top=False)
    path = save(public, tmp_path / "vgg16.h5")
    model, receipt = converters.convert(path)
    assert (receipt.family, receipt.network, receipt.untouched) == ("keras/vgg", "vgg16", {})
    assert receipt.preprocessing == specs.PREPROCESSING["caffe"]
    check(public, model, SIZES, record, "VGG16")


@pytest.mark.full
@pytest.mark.parametrize("size", SIZES, ids=["odd", "even"])
def test_mobilenet_v2(size, tmp_path, record):
    """Built for a size, it pads odd maps on both sides, and even ones after them alone."""
    public = application("MobileNetV2", input_shape=(*size, 3), classes=7, classifier_activation=None)
    path = save_weights(public, tmp_path / "mobilenet_v2.h5")
    model, receipt = converters.convert(path)
    assert (receipt.family, receipt.network, receipt.untouched) == ("keras/mobilenet_v2", "mobilenet_v2", {})
    assert receipt.preprocessing == specs.PREPROCESSING["inception"]
    check(public, model, [size], record, "MobileNetV2")
    check_round_trip(model, receipt, path, tmp_path)


@pytest.mark.full
def test_resnet50(tmp_path, record):
    public = application("ResNet50", include_top=False)
    model, receipt = converters.convert(save(public, tmp_path / "resnet50.keras"))
    assert (receipt.family, receipt.network, receipt.untouched) == ("keras/resnet", "resnet50", {})
    ours = {variable.path: variable for variable in model.weights}
    assert len(ours) == len(public.weights)
    for variable in public.weights:
        assert np.array_equal(ours[variable.path], variable), variable.path
    check(public, model, SIZES, record, "ResNet50")


# ------------------------------------------------------------------------------------------------------ narrow twins


def vgg16(width=1 / 16, classes=7, size=224):
    """VGG16 with its top under the names of keras.applications, which builds one width only."""
    x = image = keras.Input((size, size, 3))
    for stage, count in enumerate((2, 2, 3, 3, 3), 1):
        filters = int(min(64 * 2 ** (stage - 1), 512) * width)
        for index in range(1, count + 1):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"block{stage}_conv{index}")(x)
        x = layers.MaxPooling2D(2, name=f"block{stage}_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    for index in (1, 2):
        x = layers.Dense(int(4096 * width), activation="relu", name=f"fc{index}")(x)
    return randomize(keras.Model(image, layers.Dense(classes, name="predictions")(x)), gain=2.0)


def old_resnet50(zeros, width=1 / 8, classes=7):
    """ResNet-50 as Keras had it from 2016 to 2019; `zeros` are about its first pooling, since August 2018."""

    def normalised(x, filters, size, names, **options):
        x = layers.Conv2D(filters, size, name=names[0], **options)(x)
        return layers.BatchNormalization(epsilon=1e-3, name=names[1])(x)

    x = image = keras.Input((None, None, 3))
    x = layers.ZeroPadding2D(3)(x)
    x = layers.Activation("relu")(normalised(x, int(64 * width), 7, ("conv1", "bn_conv1"), strides=2))
    x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(zeros)(x))
    for stage, count in enumerate((3, 4, 6, 3), 2):
        filters = int(64 * 2 ** (stage - 2) * width)
        for letter in "abcdef"[:count]:
            strides = 2 if letter == "a" and stage > 2 else 1
            names = [
                (f"res{stage}{letter}_branch{branch}", f"bn{stage}{letter}_branch{branch}")
                for branch in ("1", "2a", "2b", "2c")
            ]
            y = layers.Activation("relu")(normalised(x, filters, 1, names[1], strides=strides))
            y = layers.Activation("relu")(normalised(y, filters, 3, names[2], padding="same"))
            y = normalised(y, 4 * filters, 1, names[3])
            shortcut = normalised(x, 4 * filters, 1, names[0], strides=strides) if letter == "a" else x
            x = layers.Activation("relu")(layers.Add()([y, shortcut]))
    x = layers.GlobalAveragePooling2D()(x)
    return randomize(keras.Model(image, layers.Dense(classes, name="fc1000")(x)))


def test_vgg16_with_its_top(tmp_path, record):
    twin = vgg16()
    path = save(twin, tmp_path / "vgg16.h5")
    model, receipt = converters.convert(path)
    assert (receipt.network, model.output_shape, receipt.untouched) == ("vgg16", (None, 7), {})
    check(twin, model, [(224, 224)], record, "VGG16 with top (twin)")
    check_round_trip(model, receipt, path, tmp_path)


def test_vgg16_goes_into_an_fcn(tmp_path):
    twin = vgg16()
    path = save(twin, tmp_path / "vgg16.h5")
    fcn = tfseg.FCN8s(width=1 / 16)
    receipt = converters.import_weights(fcn, path)
    assert receipt.transplant == "a VGG16 classifier into an FCN"
    assert len(receipt.tensors) == 2 * (13 + 2)
    fc1 = np.asarray(twin.get_layer("fc1").kernel)
    assert np.array_equal(fcn.get_layer("fc6").kernel, fc1.reshape(7, 7, -1, fc1.shape[1]))
    model, receipt = converters.convert(path, network="fcn32s")
    assert (model.name, receipt.transplant) == ("fcn32s", "a VGG16 classifier into an FCN")
    notop = keras.Model(twin.input, twin.get_layer("block5_pool").output)
    receipt = converters.import_weights(fcn, save(notop, tmp_path / "notop.keras"))
    assert receipt.transplant == "the convolutions of a VGG16 into an FCN"


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """The network with zeros around its first pooling, and its file."""
    twin = old_resnet50(1)
    return twin, save(twin, tmp_path_factory.mktemp("old") / "resnet50.h5")


@pytest.mark.full
def test_the_resnet50_of_the_early_years(old, tmp_path, record):
    twin, path = old
    model, receipt = converters.convert(path)
    assert (receipt.family, receipt.network, receipt.untouched) == (OLD, "resnet50", {})
    assert len(receipt.others) == 1
    assert receipt.others[0].startswith(f"{OLDEST} resnet50: no zeros around the first pooling")
    check(twin, model, SIZES, record, "ResNet50 of 2018 (twin)")
    check_round_trip(model, receipt, path, tmp_path)
    identified = converters.identify(path)
    assert (identified.family, identified.num_classes, identified.width, identified.channels) == (OLD, 7, 1 / 8, 3)


@pytest.mark.full
def test_the_resnet50_of_the_first_years(old, tmp_path, record):
    _, other = old
    twin = old_resnet50(0)
    path = save(twin, tmp_path / "resnet50.h5")
    with pytest.raises(converters.ConversionError, match=r"max_pooling2d.*pad 1; in the network 0"):
        converters.convert(other, family=OLDEST)
    with pytest.raises(converters.ConversionError, match=r"max_pooling2d.*pad 0; in the network 1"):
        converters.convert(path, family=OLD)
    model, receipt = converters.convert(path)  # the file's configuration decides
    assert (receipt.family, receipt.network, receipt.untouched) == (OLDEST, "resnet50", {})
    check(twin, model, SIZES, record, "ResNet50 of 2016 (twin)")


@pytest.mark.full
@pytest.mark.parametrize("output_stride", [pytest.param(16, marks=pytest.mark.full), 8])
def test_dilated_it_has_its_old_map_on_the_old_grid(output_stride, old, record):
    twin, path = old
    features = keras.Model(twin.input, twin.layers[-3].output)
    model, _ = converters.convert(path, output_stride=output_stride, include_top=False)
    step, pixels = 32 // output_stride, images(*SIZES[output_stride == 8])
    difference = relative(output(model, pixels)[:, ::step, ::step], output(features, pixels))
    record(f"ResNet50 of 2018 (twin), output stride {output_stride}", difference)
    assert difference <= TOLERANCE


@pytest.mark.full
def test_keras_resnet_into_a_segmenter(old):
    _, path = old
    model, receipt = converters.convert(path, network="fcn_resnet50", num_classes=5, output_stride=8)
    assert (receipt.family, receipt.transplant) == (OLD, "a ResNet classifier into a segmenter")
    assert model.output_shape == (None, None, None, 5)
    assert {key: receipt.options[key] for key in TRUNK} == TRUNK | {"epsilon": 1e-3}


@pytest.mark.full
def test_keras_names_that_equal_layer_names_of_tfseg(tmp_path):
    """tfseg's ResNets have the names of keras.applications; a model without biases is not taken for one of them."""
    biased = tfseg.build("resnet50", include_top=True, num_classes=7, width=1 / 8, **TRUNK)
    path = save(randomize(biased), tmp_path / "biased.keras")
    model, receipt = converters.convert(path, network="fcn_resnet50", num_classes=5)
    assert (receipt.family, receipt.transplant) == ("keras/resnet", "a ResNet classifier into a segmenter")
    receipt = converters.import_weights(model, path)
    assert (receipt.family, receipt.transplant) == ("keras/resnet", "a ResNet classifier into a segmenter")
    before = {variable.path.replace("predictions", "probs"): np.asarray(variable) for variable in biased.weights}
    identified = converters.identify(before)  # the top as the published files call it
    assert (identified.family, identified.num_classes, identified.include_top) == ("keras/resnet", 7, True)
    plain = tfseg.build("resnet50", width=1 / 8)
    with pytest.raises(converters.ConversionError, match=r"Unexpected: 55\n  conv1_conv/bias"):
        converters.import_weights(plain, path)
    with pytest.raises(converters.ConversionError, match=r"keras/resnet resnet50, but .*without biases"):
        converters.convert({variable.path: np.asarray(variable) for variable in plain.weights})
    with pytest.raises(
        converters.ConversionError, match=r"conv1_conv: bias no; in the network yes|bias no; in the network yes"
    ):
        converters.convert(save(plain, tmp_path / "plain.keras"), network="resnet50")


# ----------------------------------------------------------------------------------------------------------- full size


@pytest.mark.full
@pytest.mark.parametrize("name", ["VGG16", "VGG19", "ResNet50", "ResNet101", "ResNet152"])
def test_every_network_with_its_top(name, tmp_path, record):
    public = application(name, classifier_activation=None, input_shape=(224, 224, 3))
    path = save(public, tmp_path / f"{name}.h5")
    model, receipt = converters.convert(path)
    assert (receipt.network, model.output_shape) == (name.lower(), (None, 1000))
    check(public, model, [(224, 224)], record, f"{name} with top")
    if name == "ResNet50":  # at 225 pixels the pooling's last window is another
        odd = application(name, classifier_activation=None, input_shape=(225, 225, 3))
        check(odd, model, [(225, 225)], record, f"{name} with top")
    check_round_trip(model, receipt, path, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("name", ["VGG16", "VGG19", "ResNet50", "ResNet101", "ResNet152"])
def test_every_feature_map(name, tmp_path, record):
    public = application(name, include_top=False)
    for form in ("h5", "weights.h5", "keras"):
        model, receipt = converters.convert(save(public, tmp_path / f"{name}.{form}"))
        assert (receipt.network, receipt.untouched) == (name.lower(), {})
    check(public, model, (*SIZES, (97, 129), (224, 224)), record, name)
    if name.startswith("ResNet"):
        for output_stride in (16, 8):
            dilated, _ = converters.convert(tmp_path / f"{name}.h5", output_stride=output_stride)
            for size in SIZES:
                step = 32 // output_stride
                difference = relative(output(dilated, images(*size))[:, ::step, ::step], output(public, images(*size)))
                record(f"{name}, output stride {output_stride}", difference)
                assert difference <= TOLERANCE
