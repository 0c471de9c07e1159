"""`tfseg.dilate` layer by layer: the law, and what is kept."""

import dataclasses

import keras
import numpy as np
import pytest
from helpers.chains import branches, chain, conv, halved, inner_model, squeeze_and_excite, strided_model
from helpers.random_weights import dilate_and_check, old_grid_difference, random_image, randomize_weights
from helpers.references import copy_weights, output, relative
from keras import layers, ops

import tfseg
from tfseg import specs

SIZES = ((65, 70), (80, 81))
V1 = dataclasses.replace(specs.RESNETS["resnet50"], stride_in="1x1")
SHORT = {
    "basic": dataclasses.replace(specs.RESNETS["resnet18"], blocks=(1, 1, 2, 2)),
    "bottleneck": dataclasses.replace(specs.RESNETS["resnet50"], blocks=(1, 1, 2, 2)),
    "v1": dataclasses.replace(V1, blocks=(1, 1, 2, 2)),
    "resnext": dataclasses.replace(specs.RESNETS["resnext50_32x4d"], blocks=(1, 1, 1, 2)),
}


# ------------------------------------------------------------------------------------------------------------- the law


@pytest.mark.quick_variants(every=3)
@pytest.mark.parametrize(
    "window", [(1, 2, "valid"), (2, 2, "valid"), (3, 2, "same"), ((4, 3), 1, "same"), (5, 2, "valid")], ids=str
)
@pytest.mark.parametrize(
    "kind",
    [
        lambda *window: layers.Conv2D(5, *window),
        lambda *window: layers.SeparableConv2D(5, *window),
        layers.DepthwiseConv2D,
        layers.MaxPooling2D,
        layers.AveragePooling2D,
    ],
    ids=["Conv2D", "SeparableConv2D", "DepthwiseConv2D", "MaxPooling2D", "AveragePooling2D"],
)
def test_strided_windows_become_dilated(kind, window):
    """At output stride 4 the layer is the first to lose its stride; at 2 its map is twice as dense already."""
    model = strided_model(halved, kind(*window))
    for output_stride in (4, 2):
        dilate_and_check(model, output_stride, 8 * window[1] // output_stride, SIZES)


def test_a_stride_can_become_dilation_in_part():
    for padding in ("same", "valid"):
        model = strided_model(conv(4, strides=4, padding=padding), layers.MaxPooling2D(5, 4, padding=padding))
        dilated = dilate_and_check(model, 16, 4, [(200, 231)])
        assert dilated.get_layer("last").strides == (1, 1)


def called_twice(x):
    """One layer, called twice on equally dense maps."""
    layer = layers.Conv2D(4, 3, padding="same")
    return layer(layers.ReLU()(layer(x)))


BETWEEN = {  # after a layer that loses its stride
    "borders": chain(layers.ZeroPadding2D(((2, 0), (1, 3))), layers.Cropping2D(((0, 1), (1, 0)))),
    "dilation": chain(conv(3, dilation_rate=2, padding="same"), conv((1, 4), dilation_rate=2)),
    "groups": conv(3, groups=2, padding="same"),
    "norms": chain(layers.BatchNormalization(), layers.LayerNormalization(), layers.UnitNormalization()),
    "layers of pixels": chain(layers.Dropout(0.5), layers.Dense(4), layers.PReLU(shared_axes=[1, 2])),
    "preprocessing": chain(layers.Rescaling(2.0, 0.1), layers.Normalization(mean=[0.1] * 4, variance=[0.5] * 4)),
    "operations": lambda x: ops.maximum(x * 2 - ops.sigmoid(x), -x / 3.0) + np.ones((1, 1, 4), "float32"),
    "channels": lambda x: ops.concatenate([x - ops.mean(x, axis=-1, keepdims=True), ops.relu(x)], axis=-1),
    "windows as operations": chain(
        lambda x: ops.pad(x, [[0, 0], [1, 0], [0, 2], [0, 0]], constant_values=0.5),
        lambda x: ops.max_pool(x, 3, 1, "same") - ops.average_pool(x, (3, 3), 1, "same"),
    ),
    "squeeze and excite": chain(squeeze_and_excite(layers.GlobalAveragePooling2D, keepdims=True), conv(3)),
    "squeeze to a vector": chain(squeeze_and_excite(layers.GlobalMaxPooling2D), conv(3)),
    "squeeze by an operation": lambda x: x * ops.mean(x, axis=(1, 2), keepdims=True),
    "branches": branches(layers.Concatenate(), conv(3, padding="same"), conv(1), lambda x: x),
    "a model inside": chain(
        inner_model(conv(3), layers.ReLU()), keras.Sequential([layers.Conv2D(4, 3), layers.ReLU()])
    ),
    "a model in a model": inner_model(inner_model(conv(3, name="core"), layers.ReLU()), conv(2)),
    "a model called twice": branches(layers.Add(), *[inner_model(conv(3, padding="same"))] * 2),
    "a layer called twice": called_twice,
    "the size of another": lambda x: (
        tfseg.layers.ResizeLike()([layers.GlobalAveragePooling2D(keepdims=True)(x), x]) + x
    ),
    "the window of another": lambda x: tfseg.layers.CropLike(1)([x, conv(3)(x)]),
}


@pytest.mark.parametrize("step", BETWEEN.values(), ids=BETWEEN)
def test_layers_on_a_dense_map_are_exact(step):
    dilate_and_check(strided_model(halved, step), 2, 4, SIZES)


def test_branches_of_unequal_size_are_cropped():
    """Both read the same pixels of the original, but a kernel of 3 has a place between the last two, on odd sizes."""
    model = strided_model(
        branches(
            layers.Add(),
            conv(3, strides=2),
            chain(layers.Cropping2D(1), conv(1, strides=2)),
            chain(layers.Cropping2D(((1, 1), (0, 0))), layers.Conv2D(4, (1, 3), strides=2)),
        )
    )
    for output_stride in (4, 2, 1):
        dilated = dilate_and_check(model, output_stride, 8 // output_stride, [(82, 80), (81, 84), (79, 77)])
    assert [layer.name for layer in dilated.layers if "crop_" in layer.name or layer.name.endswith("crop")]


def test_unknown_layers_are_copied_in_front_of_the_dense_part():
    centered = layers.Lambda(lambda x: x - ops.mean(x, axis=(1, 2), keepdims=True))
    enlarged = chain(layers.Conv2DTranspose(4, 3, strides=2), halved, layers.UpSampling2D(), halved)
    dilate_and_check(strided_model(layers.RandomFlip(), enlarged, centered), 2, 2, SIZES)
    dilate_and_check(strided_model(layers.GroupNormalization(2), layers.Resizing(40, 50)), 2, 2, SIZES)


@keras.saving.register_keras_serializable("tests")
class Doubled(layers.Layer):
    pixelwise = True

    def call(self, x):
        return 2 * x


def test_custom_layer_with_pixelwise_is_dilated():
    dilate_and_check(strided_model(halved, Doubled()), 2, 4, SIZES)


FIXED = {  # layers that only a map of known size can have
    "flatten": chain(layers.Flatten(), layers.Dense(3)),
    "pooling of all pixels": chain(layers.AveragePooling2D((5, 6)), layers.Flatten(), layers.Dense(3)),
    "one pixel spreads": lambda x: x * layers.Dense(6)(layers.MaxPooling2D((5, 6))(x)),
    "a kernel as large as the map": lambda x: x - layers.DepthwiseConv2D((5, 6))(x),
    "torch's windows": chain(tfseg.layers.AdaptiveAveragePooling(2), layers.Flatten(), layers.Dense(3)),
}


@pytest.mark.parametrize("step", FIXED.values(), ids=FIXED)
def test_layers_that_need_a_known_size_are_exact(step):
    start = strided_model(halved, size=(40, 45))
    model = keras.Model(start.input, step(start.get_layer("last").output))
    randomize_weights(model)
    dilated = tfseg.dilate(model, 2)
    assert old_grid_difference(model, dilated, random_image(40, 45), 4) <= 1e-5


def test_several_inputs_and_outputs_are_exact():
    inputs = {name: keras.Input((None, None, 3), name=name) for name in ("left", "right")}
    first, second = (conv(3, strides=2, padding="same")(image) for image in inputs.values())
    deep = conv(3, strides=2, padding="same")(layers.Add()([first, second]))
    vector = layers.Dense(2)(layers.GlobalAveragePooling2D()(deep))
    model = randomize_weights(keras.Model(inputs, {"deep": deep, "vector": vector, "first": first}))
    dilated = tfseg.dilate(model, 2)
    images = {"left": random_image(33, 40), "right": random_image(33, 40, seed=1)}
    old, new = (network(images) for network in (model, dilated))
    assert relative(new["deep"][:, ::2, ::2], old["deep"]) <= 1e-5
    assert relative(new["vector"], old["vector"]) <= 1e-5
    np.testing.assert_array_equal(new["first"], old["first"])
    assert tfseg.check_dilation(model, dilated, list(images.values())).holds


# ------------------------------------------------------------------------------------------------- the nets of tfseg


@pytest.mark.quick_variants("basic-previous", "basic-new")
@pytest.mark.parametrize("convention", specs.CONVENTIONS)
@pytest.mark.parametrize(
    "spec", [pytest.param(50, marks=pytest.mark.full), *(SHORT[name] for name in SHORT)], ids=["50", *SHORT]
)
def test_dilated_resnet_equals_resnet_built_with_that_output_stride(spec, convention):
    model = randomize_weights(tfseg.ResNet(spec, width=1 / 8))
    for output_stride in (16, 8):
        options = {"output_stride": output_stride, "convention": convention}
        built = copy_weights(model, tfseg.ResNet(spec, width=1 / 8, **options))
        dilated = tfseg.dilate(model, **options)
        np.testing.assert_array_equal(output(dilated, random_image(65, 96)), output(built, random_image(65, 96)))


def test_dilated_vgg_equals_vgg_built_with_that_output_stride():
    model = randomize_weights(tfseg.VGG(16, width=1 / 16))
    for output_stride in (16, 8, 4):
        built = copy_weights(model, tfseg.VGG(16, width=1 / 16, output_stride=output_stride))
        dilated = tfseg.dilate(model, output_stride)
        for size in ((97, 129), (135, 160)):
            np.testing.assert_array_equal(output(dilated, random_image(*size)), output(built, random_image(*size)))


@pytest.mark.quick_variants("VGG16-options1")
@pytest.mark.parametrize(("name", "options"), [("MobileNet", {"alpha": 0.25}), ("VGG16", {})])
def test_dilate_is_idempotent(name, options):
    """In two steps or in one: paddings and poolings with holes can be dilated again."""
    build = getattr(keras.applications, name)
    model = build(weights=None, include_top=False, input_shape=(None, None, 3), **options)
    once = dilate_and_check(model, 8, 4, [(97, 101)])
    twice = tfseg.dilate(tfseg.dilate(model, 16), 8)
    np.testing.assert_array_equal(output(twice, random_image(97, 101)), output(once, random_image(97, 101)))


# -------------------------------------------------------------------------------------------------------- what is kept


@pytest.fixture(scope="module")
def model():
    return randomize_weights(
        keras.applications.MobileNetV3Small(weights=None, include_top=False, input_shape=(None, None, 3))
    )


def test_names_and_weights_survive_and_the_original_is_not_changed(model):
    before = {variable.path: np.array(variable) for variable in model.weights}
    nodes = {layer.name: len(layer._inbound_nodes) for layer in model.layers}
    model.get_layer("conv").trainable = False
    dilated = tfseg.dilate(model, 8)
    model.get_layer("conv").trainable = True
    assert dilated.name == model.name
    assert not dilated.compiled
    assert {variable.path for variable in dilated.weights} == set(before)
    for variable in dilated.weights:
        np.testing.assert_array_equal(variable, before[variable.path])
    for variable in model.weights:
        np.testing.assert_array_equal(variable, before[variable.path])
    assert {layer.name: len(layer._inbound_nodes) for layer in model.layers} == nodes
    assert not dilated.get_layer("conv").trainable
    names = {layer.name for layer in model.layers}
    new = {layer.name for layer in dilated.layers}
    assert names <= new
    assert {name.rpartition("_")[2] for name in new - names} == {"fill", "grid"}
    assert tfseg.dilate(model, 16, name="other").name == "other"


@pytest.mark.full
def test_dilated_model_survives_saving(model, tmp_path):
    dilated = tfseg.dilate(model, 8)
    dilated.save(tmp_path / "dilated.keras")
    loaded = keras.saving.load_model(tmp_path / "dilated.keras")
    np.testing.assert_array_equal(output(loaded, random_image(65, 80)), output(dilated, random_image(65, 80)))
    mixed = randomize_weights(strided_model(halved, *(chain(step, conv(1)) for step in BETWEEN.values())))
    dilated = tfseg.dilate(mixed, 2)
    dilated.save(tmp_path / "mixed.keras")
    loaded = keras.saving.load_model(tmp_path / "mixed.keras")
    np.testing.assert_array_equal(output(loaded, random_image(120, 129)), output(dilated, random_image(120, 129)))


def test_metadata_survives_dilate():
    model = tfseg.ResNet(18, width=1 / 16)
    tfseg.set_metadata(model, classes=["a", "b"])
    assert tfseg.metadata(tfseg.dilate(model, 8)) == tfseg.metadata(model)


@pytest.fixture
def half_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy("float32")


def test_precision_survives_dilate(half_precision):
    def pooled(x):
        return ops.max_pool(x * ops.mean(x, axis=(1, 2), keepdims=True), 2, 2, "valid")

    model = strided_model(
        layers.MaxPooling2D(2, padding="same"), pooled, branches(layers.Add(), halved, conv(2, strides=2))
    )
    keras.config.set_dtype_policy("float32")
    dilated = tfseg.dilate(model, 2)
    assert {layer.compute_dtype for layer in dilated.layers[1:]} == {"bfloat16"}
    assert any(isinstance(layer, tfseg.layers.DilatedPooling) for layer in dilated.layers)


def test_adapted_layers_survive_dilate():
    normal = layers.Normalization()
    normal.adapt(random_image(40, 40) * 3 + 1)
    image = keras.Input((None, None, 3))
    dilate_and_check(keras.Model(image, conv(3, strides=2)(normal(image))), 1, 2, SIZES)


def test_sequential_models_are_dilated():
    model = keras.Sequential(
        [keras.Input((None, None, 3)), *(layers.Conv2D(4, 3, strides=2, padding="same") for _ in range(3))], name="row"
    )
    assert dilate_and_check(model, 4, 2, SIZES).name == "row"
    assert tfseg.check_dilation(model, tfseg.dilate(model, 4), random_image(33, 40)).holds


def test_the_models_output_stride_changes_nothing():
    model = randomize_weights(strided_model())
    same = tfseg.dilate(model, 4)
    np.testing.assert_array_equal(output(same, random_image(33, 40)), output(model, random_image(33, 40)))
