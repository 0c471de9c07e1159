"""`optimize` computes what the network computes, whatever it is made of."""

import keras
import numpy as np
import pytest
from helpers.random_weights import random_image, randomize_weights
from helpers.references import output, relative
from helpers.rewritten import bilinear, eager, kinds, model_of, same
from keras import layers

import tfseg
from tfseg.rewrites.border_layers import ConstantPadding, PastedBorder
from tfseg.rewrites.optimize import REWRITES
from tfseg.rewrites.separate_upsampling import SeparableUpsampling, factors
from tfseg.rewrites.slice_convolutions import SlicedConv2D
from tfseg.rewrites.split_filters import SplitConv2D
from tfseg.training.preparation import with_dtype


@pytest.fixture
def eager_slicing(monkeypatch):
    eager(monkeypatch)


# ------------------------------------------------------------------------------------------------------------ networks


@pytest.fixture(scope="module")
def fcn():
    """A network with two heads and all that the rewrites change, and what becomes of it."""
    with pytest.MonkeyPatch.context() as patch:
        eager(patch)
        model = bilinear(tfseg.FCN8s({"sem": 5, "geo": 3}, width=1 / 32))
        return model, tfseg.optimize(model)


def test_an_fcn_by_all_rewrites(fcn):
    model, optimized = fcn
    assert {SlicedConv2D, SplitConv2D, SeparableUpsampling, PastedBorder} <= kinds(optimized)
    same(model, optimized, [(65, 83), (1, 1), (33, 47)])
    assert tfseg.metadata(optimized) == tfseg.metadata(model)
    assert (optimized.input_shape, optimized.output_shape) == (model.input_shape, model.output_shape)


def test_an_optimized_network_survives_saving(fcn, tmp_path):
    _, model = fcn
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert kinds(loaded) == kinds(model)
    same(model, loaded, [(33, 47)], 0)


def test_an_optimized_network_optimizes_to_itself(fcn, eager_slicing):
    _, once = fcn
    twice = tfseg.optimize(once)
    assert [layer.name for layer in twice.layers] == [layer.name for layer in once.layers]
    same(once, twice, [(33, 47)], 0)


@pytest.mark.parametrize(
    "build",
    [
        lambda: tfseg.dilate(tfseg.VGG(11, batch_norm=True, width=1 / 16), 8),
        pytest.param(lambda: tfseg.dilate(tfseg.ResNet(50, width=1 / 16), 8), marks=pytest.mark.full),
    ],
    ids=["VGG", "ResNet"],
)
def test_a_dilated_network_by_all_rewrites(build, eager_slicing):
    model = randomize_weights(tfseg.FCN(build(), 5))
    optimized = tfseg.optimize(model)
    assert layers.BatchNormalization not in kinds(optimized)
    assert SplitConv2D in kinds(optimized)
    same(model, optimized, [(65, 83)])


@pytest.mark.parametrize(
    ("build", "norms"),
    [
        (lambda: keras.applications.MobileNet(alpha=0.25, include_top=False, weights=None, input_shape=(64, 96, 3)), 0),
        pytest.param(
            lambda: keras.applications.ResNet50(include_top=False, weights=None, input_shape=(64, 96, 3)),
            0,
            marks=pytest.mark.full,
        ),
        # Its BatchNorms stand before the convolutions, mostly.
        pytest.param(
            lambda: keras.applications.ResNet50V2(include_top=False, weights=None, input_shape=(64, 96, 3)),
            17,
            marks=pytest.mark.full,
        ),
    ],
    ids=["MobileNet", "ResNet50", "ResNet50V2"],
)
def test_networks_of_keras(build, norms):
    model = randomize_weights(build())
    optimized = tfseg.optimize(model)
    same(model, optimized, [(64, 96)])
    assert sum(isinstance(layer, layers.BatchNormalization) for layer in optimized.layers) == norms


@pytest.mark.full
@pytest.mark.parametrize(
    "name",
    [
        "deeplab_largefov",
        "deeplabv2_resnet50s",
        "deeplabv3_drn_c_26",
        "deeplabv3plus_seresnet18",
        "drnseg_drn_d_22",
        "fcn_resnest14d",
        "fcn_resnext50_32x4d",
        "pspnet_resnet18d",
    ],
)
def test_one_network_of_each_kind(name, eager_slicing):
    model = randomize_weights(tfseg.build(name, num_classes=5, width=1 / 16))
    same(model, tfseg.optimize(model), [(65, 83)])


@pytest.mark.full
def test_the_widest_fcn_optimizes_and_is_the_same():
    model = bilinear(tfseg.FCN32s(21))
    same(model, tfseg.optimize(model), [(97, 130)])


def test_a_network_in_bfloat16(eager_slicing):
    """As near to the network in float32 as before."""
    model = bilinear(tfseg.FCN32s(5, width=1 / 32))
    rounded = with_dtype(model, "mixed_bfloat16")
    pixels = random_image(33, 47)
    theirs, before, ours = (output(one, pixels) for one in (model, rounded, tfseg.optimize(rounded)))
    assert 1e-4 < relative(ours, theirs) <= 2 * relative(before, theirs)


# ------------------------------------------------------------------------------------------------------------ switches


def small():
    """What each of the rewrites changes, in few layers."""
    return bilinear(
        model_of(
            layers.ZeroPadding2D(16),
            layers.Conv2D(5, 3),
            layers.ReLU(),
            layers.MaxPooling2D(padding="same"),
            layers.Conv2D(6, 3, padding="same"),
            layers.ReLU(),
            layers.MaxPooling2D(padding="same"),
            layers.Conv2D(4, 9),
            layers.BatchNormalization(),
            layers.Conv2DTranspose(4, 4, 2),
        )
    )


@pytest.mark.parametrize("name", REWRITES)
def test_each_rewrite_alone(name, eager_slicing):
    model = small()
    optimized = tfseg.optimize(model, rewrites=(name,))
    added = {
        "fold_batch_norm": set(),
        "skip_constant_border": {ConstantPadding, PastedBorder},
        "slice_convolutions": {SlicedConv2D},
        "split_filters": {SplitConv2D},
        "separate_upsampling": {SeparableUpsampling},
        "use_winograd": set(),  # without a fixed size
    }
    assert kinds(optimized) - kinds(model) == added[name]
    assert (layers.BatchNormalization in kinds(optimized)) == (name != "fold_batch_norm")
    same(model, optimized, [(20, 31)])


def test_the_original_stays_as_it_is(eager_slicing):
    model = small()
    before, config = [np.array(one) for one in model.weights], model.get_config()
    tfseg.optimize(model)
    assert model.get_config() == config
    assert all(np.array_equal(*pair) for pair in zip(before, model.weights, strict=True))
    assert all(len(layer._inbound_nodes) == 1 for layer in model.layers)
    assert kinds(tfseg.optimize(model, rewrites=())) == kinds(model)


def test_explain_prints_what_was_done(capsys, eager_slicing):
    model = small()
    tfseg.optimize(model, explain=True)
    tfseg.optimize(model_of(layers.Conv2D(2, 1)), explain=True)
    printed = capsys.readouterr().out
    for part in ("1 of its layers: conv2d", "2 of its layers: max_pooling2d", "times faster", "nothing to change"):
        assert part in printed


def test_unknown_rewrites_and_models():
    model = model_of(layers.Conv2D(2, 1))
    for wrong in (("fold",), "fold_batch_norm"):
        with pytest.raises(ValueError, match=r"out of fold_batch_norm, skip_constant_border.*Received: .*fold"):
            tfseg.optimize(model, rewrites=wrong)
    with pytest.raises(ValueError, match=r"takes a keras\.Model\. Received: int"):
        tfseg.optimize(3)


# ------------------------------------------------------------------------------------------------------------- folding


@pytest.mark.parametrize("conv", [layers.Conv2D(6, 3, groups=2), layers.DepthwiseConv2D(3, depth_multiplier=2)])
@pytest.mark.parametrize("options", [{}, {"center": False, "scale": False}])
def test_folding(conv, options):
    model = model_of(type(conv).from_config(conv.get_config()), layers.BatchNormalization(**options))
    optimized = tfseg.optimize(model)
    assert len(optimized.layers) == 2
    same(model, optimized, [(9, 14)])


def test_what_cannot_be_folded_stays():
    image = keras.Input((None, None, 4))
    read_twice = layers.Conv2D(4, 1)(image)
    shared = layers.BatchNormalization()
    results = [
        layers.BatchNormalization()(layers.Conv2D(4, 1, activation="relu")(image)),
        layers.BatchNormalization()(read_twice),
        read_twice,
        shared(layers.Conv2D(4, 1)(image)),
        shared(layers.Conv2D(4, 1)(image)),
        layers.BatchNormalization(axis=1)(layers.Conv2D(4, 1)(keras.layers.Resizing(5, 5)(image))),
    ]
    model = randomize_weights(keras.Model(image, results))
    optimized = tfseg.optimize(model)
    assert len(optimized.layers) == len(model.layers)
    same(model, optimized, [(9, 14)])


# ------------------------------------------------------------------------------------------------ slicing and splitting


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(
    ("kind", "kernel_size", "dilation_rate"),
    [(SlicedConv2D, size, rate) for size in ((5, 5), (4, 7)) for rate in (1, (2, 3))]
    + [(SplitConv2D, 3, 1), (SplitConv2D, (3, 1), 1), (SplitConv2D, 3, (2, 3)), (SplitConv2D, 3, 4)],
)
def test_slicing_and_splitting(kind, padding, kernel_size, dilation_rate, eager_slicing):
    """9 filters: as two parts of 4, and one of 1."""
    options = {"padding": padding, "dilation_rate": dilation_rate, "activation": "relu"}
    model = model_of(layers.Conv2D(9, kernel_size, **options), channels=24)
    optimized = tfseg.optimize(model)
    assert type(optimized.layers[-1]) is kind
    assert optimized.layers[-1].kernel.path.endswith(model.layers[-1].kernel.path)
    same(model, optimized, [(25, 30)])


def test_only_what_pays_is_sliced_or_split(eager_slicing):
    image = keras.Input((None, None, 32))
    made = [layers.Conv2D(32, 1), layers.Conv2D(8, 5), layers.Conv2D(8, 3)]
    made += [layers.Conv2D(8, 3, **options) for options in ({"strides": 2}, {"groups": 2})]
    made += [layers.Conv2D(8, 1), layers.Conv2D(4, 3)]
    optimized = tfseg.optimize(keras.Model(image, [one(image) for one in made]))
    expected = [SlicedConv2D, SlicedConv2D, SplitConv2D] + 4 * [layers.Conv2D]
    assert [type(layer) for layer in optimized.layers[1:]] == expected


# ---------------------------------------------------------------------------------------------------------- upsampling


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("size", "strides"), [(4, 2), ((5, 7), (3, 2)), (2, 3), ((1, 4), 1)])
@pytest.mark.parametrize("use_bias", [False, True])
def test_upsampling(padding, size, strides, use_bias):
    model = model_of(layers.Conv2DTranspose(4, size, strides, padding=padding, use_bias=use_bias))
    (kernel, *_) = model.layers[-1].weights
    random = np.random.default_rng(0)
    column, row, scale = (random.normal(size=length) for length in (*kernel.shape[:2], 4))
    kernel.assign(np.einsum("i,j,c,cd->ijcd", column, row, scale, np.eye(4)))
    optimized = tfseg.optimize(model)
    assert type(optimized.layers[-1]) is SeparableUpsampling
    same(model, optimized, [(1, 1), (5, 8)])


def test_other_kernels_stay_dense():
    kernel = np.asarray(tfseg.BilinearInitializer()((4, 4, 3, 3)))
    assert [len(one) for one in factors(kernel)] == [4, 4, 3]
    inseparable, mixing = kernel.copy(), kernel.copy()
    inseparable[0, 0, 1, 1] += 1e-3
    mixing[0, 0, 0, 1] = 1e-3
    for other in (inseparable, mixing, 0 * kernel, kernel[..., :2]):
        assert factors(other) is None
    model = model_of(layers.Conv2DTranspose(4, 4, 2))
    assert kinds(tfseg.optimize(model)) == kinds(model)
