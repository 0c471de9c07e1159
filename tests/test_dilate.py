"""`tfseg.dilate` layer by layer: the law, what is kept, what is refused; and the report on the law."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from lively import dilated_exactly, law_difference, lively, scene
from references import copy_weights, output, relative

import tfseg
from tfseg import specs

SIZES = ((65, 70), (80, 81))
V1 = specs.RESNETS["resnet50"]._replace(stride_in="1x1")
SHORT = {
    "basic": specs.RESNETS["resnet18"]._replace(blocks=(1, 1, 2, 2)),
    "bottleneck": specs.RESNETS["resnet50"]._replace(blocks=(1, 1, 2, 2)),
    "v1": V1._replace(blocks=(1, 1, 2, 2)),
    "resnext": specs.RESNETS["resnext50_32x4d"]._replace(blocks=(1, 1, 1, 2)),
}


def chain(*steps):
    def step(x):
        for one in steps:
            x = one(x)
        return x

    return step


def branches(join, *steps):
    return lambda x: join([step(x) for step in steps])


def conv(*options, **more):
    return lambda x: layers.Conv2D(4, *options, **more)(x)


def halved(x):
    return layers.AveragePooling2D(2, padding="same")(x)


def net(*steps, size=(None, None)):
    """A model of `tensor -> tensor` steps between two convolutions of stride 2."""
    image = keras.Input((*size, 3), name="image")
    x = chain(conv(3, strides=2, padding="same", name="first"), *steps)(image)
    x = layers.Conv2D(6, 3, strides=2, padding="same", name="last")(x)
    return keras.Model(image, conv(2, name="behind")(x), name="net")


# ------------------------------------------------------------------------------------------------------------- the law


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
def test_windows(kind, window):
    """At output stride 4 it is the first layer to lose its stride; at 2 its map is twice as dense already."""
    model = net(halved, kind(*window))
    for output_stride in (4, 2):
        dilated_exactly(model, output_stride, 8 * window[1] // output_stride, SIZES)


def test_a_stride_is_lost_in_part():
    for padding in ("same", "valid"):
        model = net(conv(4, strides=4, padding=padding), layers.MaxPooling2D(5, 4, padding=padding))
        dilated = dilated_exactly(model, 16, 4, [(200, 231)])
        assert dilated.get_layer("last").strides == (1, 1)


def squeezed(pool, **options):
    """A gate for every channel, of the whole image."""

    def step(x):
        y = layers.Reshape((1, 1, 4))(pool(**options)(x))
        return layers.Multiply()([x, conv(1, activation="sigmoid")(y)])

    return step


def again(x):
    """One layer, called twice on equally dense maps."""
    layer = layers.Conv2D(4, 3, padding="same")
    return layer(layers.ReLU()(layer(x)))


def inner(*steps, name=None):
    """A model, to be called inside another."""
    image = keras.Input((None, None, 4))
    return keras.Model(image, chain(*steps)(image), name=name)


BETWEEN = {  # behind a layer that loses its stride
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
    "squeeze and excite": chain(squeezed(layers.GlobalAveragePooling2D, keepdims=True), conv(3)),
    "squeeze to a vector": chain(squeezed(layers.GlobalMaxPooling2D), conv(3)),
    "squeeze by an operation": lambda x: x * ops.mean(x, axis=(1, 2), keepdims=True),
    "branches": branches(layers.Concatenate(), conv(3, padding="same"), conv(1), lambda x: x),
    "a model inside": chain(inner(conv(3), layers.ReLU()), keras.Sequential([layers.Conv2D(4, 3), layers.ReLU()])),
    "a model in a model": inner(inner(conv(3, name="core"), layers.ReLU()), conv(2)),
    "a model called twice": branches(layers.Add(), *[inner(conv(3, padding="same"))] * 2),
    "a layer called twice": again,
    "the size of another": lambda x: (
        tfseg.layers.ResizeLike()([layers.GlobalAveragePooling2D(keepdims=True)(x), x]) + x
    ),
    "the window of another": lambda x: tfseg.layers.CropLike(1)([x, conv(3)(x)]),
}


@pytest.mark.parametrize("step", BETWEEN.values(), ids=BETWEEN)
def test_what_stands_between(step):
    dilated_exactly(net(halved, step), 2, 4, SIZES)


def test_branches_that_a_denser_grid_makes_unequal():
    """Both read the same pixels of the original, but a kernel of 3 has a place between the last two, on odd sizes."""
    model = net(
        branches(
            layers.Add(),
            conv(3, strides=2),
            chain(layers.Cropping2D(1), conv(1, strides=2)),
            chain(layers.Cropping2D(((1, 1), (0, 0))), layers.Conv2D(4, (1, 3), strides=2)),
        )
    )
    for output_stride in (4, 2, 1):
        dilated = dilated_exactly(model, output_stride, 8 // output_stride, [(82, 80), (81, 84), (79, 77)])
    assert [layer.name for layer in dilated.layers if "crop_" in layer.name or layer.name.endswith("crop")]


def test_in_front_of_the_dense_part_the_unknown_may_stand():
    centred = layers.Lambda(lambda x: x - ops.mean(x, axis=(1, 2), keepdims=True))
    enlarged = chain(layers.Conv2DTranspose(4, 3, strides=2), halved, layers.UpSampling2D(), halved)
    dilated_exactly(net(layers.RandomFlip(), enlarged, centred), 2, 2, SIZES)
    dilated_exactly(net(layers.GroupNormalization(2), layers.Resizing(40, 50)), 2, 2, SIZES)


@keras.saving.register_keras_serializable("tests")
class Doubled(layers.Layer):
    pixelwise = True

    def call(self, x):
        return 2 * x


def test_a_layer_that_says_what_it_is():
    dilated_exactly(net(halved, Doubled()), 2, 4, SIZES)


FIXED = {  # what only a map of known size can have
    "flatten": chain(layers.Flatten(), layers.Dense(3)),
    "pooling of all pixels": chain(layers.AveragePooling2D((5, 6)), layers.Flatten(), layers.Dense(3)),
    "one pixel spreads": lambda x: x * layers.Dense(6)(layers.MaxPooling2D((5, 6))(x)),
    "a kernel as large as the map": lambda x: x - layers.DepthwiseConv2D((5, 6))(x),
    "torch's windows": chain(tfseg.layers.AdaptiveAveragePooling(2), layers.Flatten(), layers.Dense(3)),
}


@pytest.mark.parametrize("step", FIXED.values(), ids=FIXED)
def test_maps_of_known_size(step):
    start = net(halved, size=(40, 45))
    model = keras.Model(start.input, step(start.get_layer("last").output))
    lively(model)
    dilated = tfseg.dilate(model, 2)
    assert law_difference(model, dilated, scene(40, 45), 4) <= 1e-5


def test_several_inputs_and_outputs():
    images = {name: keras.Input((None, None, 3), name=name) for name in ("left", "right")}
    first, second = (conv(3, strides=2, padding="same")(image) for image in images.values())
    deep = conv(3, strides=2, padding="same")(layers.Add()([first, second]))
    vector = layers.Dense(2)(layers.GlobalAveragePooling2D()(deep))
    model = lively(keras.Model(images, {"deep": deep, "vector": vector, "first": first}))
    dilated = tfseg.dilate(model, 2)
    pixels = {"left": scene(33, 40), "right": scene(33, 40, seed=1)}
    old, new = (net(pixels) for net in (model, dilated))
    assert relative(new["deep"][:, ::2, ::2], old["deep"]) <= 1e-5
    assert relative(new["vector"], old["vector"]) <= 1e-5
    np.testing.assert_array_equal(new["first"], old["first"])
    assert tfseg.check_dilation(model, dilated, list(pixels.values())).holds


# ------------------------------------------------------------------------------------------------- the nets of tfseg


@pytest.mark.parametrize("convention", specs.CONVENTIONS)
@pytest.mark.parametrize(
    "spec", [pytest.param(50, marks=pytest.mark.full), *(SHORT[name] for name in SHORT)], ids=["50", *SHORT]
)
def test_a_dilated_resnet_is_the_resnet_that_is_built_so(spec, convention):
    model = lively(tfseg.ResNet(spec, width=1 / 8))
    for output_stride in (16, 8):
        options = {"output_stride": output_stride, "convention": convention}
        built = copy_weights(model, tfseg.ResNet(spec, width=1 / 8, **options))
        dilated = tfseg.dilate(model, **options)
        np.testing.assert_array_equal(output(dilated, scene(65, 96)), output(built, scene(65, 96)))


def test_a_dilated_vgg_is_the_vgg_that_is_built_so():
    model = lively(tfseg.VGG(16, width=1 / 16))
    for output_stride in (16, 8, 4):
        built = copy_weights(model, tfseg.VGG(16, width=1 / 16, output_stride=output_stride))
        dilated = tfseg.dilate(model, output_stride)
        for size in ((97, 129), (135, 160)):
            np.testing.assert_array_equal(output(dilated, scene(*size)), output(built, scene(*size)))


@pytest.mark.parametrize(("name", "options"), [("MobileNet", {"alpha": 0.25}), ("VGG16", {})])
def test_twice_is_once(name, options):
    """A dilated net can be dilated in its turn, its paddings and its poolings with holes, too."""
    build = getattr(keras.applications, name)
    model = build(weights=None, include_top=False, input_shape=(None, None, 3), **options)
    once = dilated_exactly(model, 8, 4, [(97, 101)])
    twice = tfseg.dilate(tfseg.dilate(model, 16), 8)
    np.testing.assert_array_equal(output(twice, scene(97, 101)), output(once, scene(97, 101)))


# -------------------------------------------------------------------------------------------------------- what is kept


@pytest.fixture(scope="module")
def model():
    return lively(keras.applications.MobileNetV3Small(weights=None, include_top=False, input_shape=(None, None, 3)))


def test_names_and_weights_are_kept_and_the_original_is_left_alone(model):
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


def test_a_dilated_model_is_saved_and_loaded(model, tmp_path):
    dilated = tfseg.dilate(model, 8)
    dilated.save(tmp_path / "dilated.keras")
    loaded = keras.saving.load_model(tmp_path / "dilated.keras")
    np.testing.assert_array_equal(output(loaded, scene(65, 80)), output(dilated, scene(65, 80)))
    mixed = lively(net(halved, *(chain(step, conv(1)) for step in BETWEEN.values())))
    dilated = tfseg.dilate(mixed, 2)
    dilated.save(tmp_path / "mixed.keras")
    loaded = keras.saving.load_model(tmp_path / "mixed.keras")
    np.testing.assert_array_equal(output(loaded, scene(120, 129)), output(dilated, scene(120, 129)))


def test_facts_travel():
    model = tfseg.ResNet(18, width=1 / 16)
    tfseg.set_metadata(model, classes=["a", "b"])
    assert tfseg.metadata(tfseg.dilate(model, 8)) == tfseg.metadata(model)


@pytest.fixture
def half_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy("float32")


def test_precision_travels(half_precision):
    def pooled(x):
        return ops.max_pool(x * ops.mean(x, axis=(1, 2), keepdims=True), 2, 2, "valid")

    model = net(layers.MaxPooling2D(2, padding="same"), pooled, branches(layers.Add(), halved, conv(2, strides=2)))
    keras.config.set_dtype_policy("float32")
    dilated = tfseg.dilate(model, 2)
    assert {layer.compute_dtype for layer in dilated.layers[1:]} == {"bfloat16"}
    assert any(isinstance(layer, tfseg.layers.DilatedPooling) for layer in dilated.layers)


def test_adapted_layers_compute_what_they_computed():
    normal = layers.Normalization()
    normal.adapt(scene(40, 40) * 3 + 1)
    image = keras.Input((None, None, 3))
    dilated_exactly(keras.Model(image, conv(3, strides=2)(normal(image))), 1, 2, SIZES)


def test_models_that_are_sequential():
    model = keras.Sequential(
        [keras.Input((None, None, 3)), *(layers.Conv2D(4, 3, strides=2, padding="same") for _ in range(3))], name="row"
    )
    assert dilated_exactly(model, 4, 2, SIZES).name == "row"
    assert tfseg.check_dilation(model, tfseg.dilate(model, 4), scene(33, 40)).holds


def test_the_models_own_stride_changes_nothing():
    model = lively(net())
    same = tfseg.dilate(model, 4)
    np.testing.assert_array_equal(output(same, scene(33, 40)), output(model, scene(33, 40)))


# ----------------------------------------------------------------------------------------------------- what is refused


class Unknown(layers.Layer):
    def call(self, x):
        return x - ops.mean(x, axis=(1, 2), keepdims=True)


class Subclass(keras.Model):
    def call(self, x):
        return x


class OwnCall(keras.Model):
    """Built as a graph, but the graph is not what it computes."""

    def call(self, x):
        return 2 * super().call(x)


def own_call():
    image = keras.Input((None, None, 3))
    return OwnCall(image, conv(3, strides=2)(image), name="own")


def called_at_two_rates():
    shared = layers.Conv2D(4, 3, padding="same", name="shared")
    return net(shared, halved, shared)


def two_of_one_name():
    return net(halved, inner(conv(3, name="same"), name="a"), inner(conv(3, name="same"), name="b"))


def two_densities():
    left, right = keras.Input((None, None, 4), name="left"), keras.Input((None, None, 4), name="right")
    x = conv(3, strides=2, padding="same")(left)
    return keras.Model([left, right], layers.Add(name="meet")([x, right]))


def channels_first():
    image = keras.Input((3, 32, 32))
    return keras.Model(image, layers.ZeroPadding2D(data_format="channels_first", name="pad")(image))


def no_configuration():
    class Closed(layers.Layer):
        def __init__(self, function):
            super().__init__(name="closed")
            self.function = function

        def call(self, x):
            return self.function(x)

    return net(Closed(ops.relu))


@pytest.mark.parametrize(
    ("build", "output_stride", "message"),
    [
        (net, 3, r"output_stride must be a power of two. Received: 3"),
        (net, 0, r"power of two. Received: 0"),
        (net, 8.0, r"power of two. Received: 8.0"),
        (
            net,
            8,
            r"The model 'net' has output stride 4: dilation makes it smaller, never larger. Received: output_stride=8",
        ),
        (lambda: "net.keras", 8, r"Surgery takes a keras.Model. Received: str"),
        (
            lambda: Subclass(name="sub"),
            8,
            r"The model 'sub' is a subclass \(Subclass\).*keras.Model\(inputs, outputs\)",
        ),
        (own_call, 1, r"The model 'own' is a subclass \(OwnCall\)"),
        (lambda: keras.Sequential([layers.Conv2D(4, 3)], name="row"), 8, r"'row' has no input yet: put keras.Input"),
        (lambda: inner(conv(3), name="flat"), 1, r"The model 'flat' has no stride to lose"),
        (lambda: keras.Sequential([keras.Input((8,)), layers.Dense(2)], name="d"), 2, r"'d' has no stride to lose"),
        (
            lambda: net(conv((3, 3), strides=(2, 1), name="odd")),
            2,
            r"layer 'odd' \(Conv2D\) of the model 'net' cannot be dilated: its strides differ: \(2, 1\). Dilate a model that ends before it",
        ),
        (
            lambda: net(conv(3, strides=3, name="three")),
            4,
            r"'three'.*from output stride 2 to 6, and 4 is no step between. Choose",
        ),
        (
            lambda: net(halved, Unknown(name="mine")),
            2,
            r"'mine' \(Unknown\).*not known to treat every pixel by itself. If it does, set `pixelwise = True` on its class. Else: Dilate a model",
        ),
        (
            lambda: net(halved, layers.GroupNormalization(2, name="gn")),
            2,
            r"'gn' \(GroupNormalization\).*none of those that treat every pixel by itself. Dilate a model",
        ),
        (
            lambda: net(halved, layers.LayerNormalization(axis=[1, 2, 3], name="ln"), size=(32, 32)),
            2,
            r"'ln'.*it works along more than the channels",
        ),
        (lambda: net(halved, layers.PReLU(name="pr"), size=(32, 32)), 2, r"'pr'.*along more than the channels"),
        (
            lambda: net(halved, lambda x: x + np.ones((8, 1, 1), "float32"), size=(32, 32)),
            2,
            r"\(Add\).*its constants have rows or columns",
        ),
        (
            lambda: net(halved, lambda x: x - ops.mean(x, axis=1, keepdims=True)),
            2,
            r"\(Mean\).*it reduces over axis=\[1\]",
        ),
        (
            lambda: net(halved, lambda x: ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="reflect")),
            2,
            r"\(Pad\).*does not pad rows and columns with a constant",
        ),
        (
            lambda: net(halved, layers.UpSampling2D(name="up")),
            2,
            r"'up' \(UpSampling2D\).*it enlarges a map that is denser already",
        ),
        (
            lambda: net(halved, layers.Conv2DTranspose(4, 3, strides=2, name="up")),
            2,
            r"'up' \(Conv2DTranspose\).*it enlarges",
        ),
        (
            lambda: net(halved, layers.Reshape((64, 4), name="rs"), layers.Reshape((8, 8, 4)), size=(32, 32)),
            2,
            r"'rs' \(Reshape\)",
        ),
        (lambda: net(halved, layers.Lambda(lambda x: x, name="la")), 2, r"'la' \(Lambda\)"),
        (
            lambda: net(layers.Lambda(lambda x: x[:, ::2, ::2], name="la")),
            2,
            r"'la' \(Lambda\).*what it does to the size of a map is not known",
        ),
        (
            lambda: net(
                halved, lambda x: x + layers.Reshape((8, 8, 4))(layers.Dense(256)(layers.Flatten()(x))), size=(32, 32)
            ),
            2,
            r"\(Add\).*a tensor whose place on the image is not known",
        ),
        (
            called_at_two_rates,
            2,
            r"The layer 'shared' of the model 'net' is called more than once, and its calls would need different configurations: unchanged, and strides=.*dilation_rate=\(2, 2\). Give each call a layer of its own",
        ),
        (two_of_one_name, 2, r"Two layers of the model 'net' bear the name 'same'.*rename one of them"),
        (
            two_densities,
            1,
            r"'meet' \(Add\).*joins maps that differ: one of stride 2, 2 times denser, and one of stride 1, 1 times denser",
        ),
        (channels_first, 1, r"'pad'.*its channels come first. Build the model with data_format=\"channels_last\""),
        (
            lambda: tfseg.FCN(tfseg.ResNet(18, width=1 / 16), 3),
            8,
            r"'score' \(ResizeLike\).*interpolates between pixels of the original map",
        ),
        (no_configuration, 2, r"The layer 'closed' \(Closed\) cannot be copied: it needs a get_config"),
    ],
)
def test_refusals_name_the_layer_and_the_way_out(build, output_stride, message):
    with pytest.raises(ValueError, match=message):
        tfseg.dilate(build(), output_stride)


def test_a_convention_that_nobody_knows():
    with pytest.raises(ValueError, match=r"convention must be one of 'previous', 'new', 'one'. Received: 'old'"):
        tfseg.dilate(net(), 2, convention="old")


# ---------------------------------------------------------------------------------------------------------- the report


def test_the_report_of_a_law_that_holds():
    model = lively(tfseg.ResNet(V1, width=1 / 16))
    report = tfseg.check_dilation(model, tfseg.dilate(model, 8), scene(97, 129))
    report.assert_holds()
    assert report.holds
    assert report.broken is None
    (row,) = report.outputs
    assert (row.name, row.relative <= 1e-6) == ("conv5_block3_out", True)
    head, line, verdict = str(report).splitlines()
    assert head.split("  ")[0] == "output"
    assert "4 x 5 -> 13 x 17" in line
    assert "32 -> 8" in line
    assert verdict == "The law holds: on the old grid, the new map is the old map."


@pytest.mark.parametrize(("convention", "layer"), [("new", "conv4_block1_2_conv"), ("one", "conv5_block1_2_conv")])
def test_the_report_of_a_law_that_does_not_hold(convention, layer):
    model = lively(tfseg.ResNet(50, width=1 / 16))
    report = tfseg.check_dilation(model, tfseg.dilate(model, 8, convention=convention), scene(97, 129))
    assert not report.holds
    assert report.broken[0] == layer
    assert report.outputs[0].relative > 0.05
    with pytest.raises(
        AssertionError, match=rf"427 x 427 -> \d+ x \d+(.|\n)*does not hold: {layer} is the first layer"
    ):
        report.assert_holds()


def test_weights_that_were_changed_are_found():
    model = lively(net(halved, squeezed(layers.GlobalAveragePooling2D)))
    dilated = tfseg.dilate(model, 2)
    assert tfseg.check_dilation(model, dilated, scene(40, 41)).holds
    dilated.get_layer("last").bias.assign_add(np.full(6, 0.1, "float32"))
    assert tfseg.check_dilation(model, dilated, scene(40, 41)).broken[0] == "last"
    dilated.get_layer("last").bias.assign(np.full(6, np.nan, "float32"))
    assert not tfseg.check_dilation(model, dilated, scene(40, 41)).holds


def test_maps_of_the_wrong_size_are_no_dilated_maps():
    model = lively(net())
    image = keras.Input((None, None, 3))
    x = conv(3, strides=2, padding="same", name="first")(layers.ZeroPadding2D(8)(image))
    wide = keras.Model(image, conv(2, name="behind")(layers.Conv2D(6, 3, padding="same", name="last")(x)))
    report = tfseg.check_dilation(model, copy_weights(model, wide), scene(40, 41))
    assert report.outputs[0].relative == np.inf
    assert report.broken == ("first", np.inf)


@pytest.mark.parametrize(
    ("build", "size"),
    [
        (lambda: tfseg.VGG(16, width=1 / 32), 212),
        (lambda: tfseg.ResNet(V1, width=1 / 16), 483),
        (
            lambda: keras.applications.MobileNet(
                weights=None, include_top=False, alpha=0.25, input_shape=(None, None, 3)
            ),
            315,
        ),
    ],
    ids=["VGG16", "ResNet50", "MobileNet"],
)
def test_receptive_fields_are_the_published_ones(build, size):
    """Araujo et al. 2019, https://distill.pub/2019/computing-receptive-fields, appendix."""
    model = lively(build())
    (row,) = tfseg.check_dilation(model, tfseg.dilate(model, 8), scene(64, 64)).outputs
    assert [field.size for field in row.fields] == [(size, size)] * 2
    assert [field.stride for field in row.fields] == [32, 8]


def test_what_cannot_be_compared():
    model = net()
    with pytest.raises(ValueError, match=r"Both models have the same outputs. Received: 1 of 'net', 2 of 'two'"):
        tfseg.check_dilation(model, keras.Model(model.input, [model.output] * 2, name="two"), scene(20, 20))
    with pytest.raises(ValueError, match=r"The model 'sub' is a subclass"):
        tfseg.check_dilation(model, Subclass(name="sub"), scene(20, 20))
