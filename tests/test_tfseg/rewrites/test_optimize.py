"""`optimize` computes what the network computes, whatever it is made of."""

import keras
import numpy as np
import pytest
from helpers.optimized_models import (
    assert_same_outputs,
    layer_classes,
    lower_thresholds,
    model_of_layers,
    randomize_with_bilinear_upsampling,
)
from helpers.random_weights import random_image, randomize_weights
from helpers.references import output, relative
from keras import layers

import tfseg
from tfseg.rewrites.border_layers import ConstantPadding, PastedBorder
from tfseg.rewrites.optimize import REWRITES
from tfseg.rewrites.separate_upsampling import SeparableUpsampling
from tfseg.rewrites.slice_convolutions import SlicedConv2D
from tfseg.rewrites.split_filters import SplitConv2D
from tfseg.training.precision import with_dtype
from tfseg.variable_views import view


@pytest.fixture
def low_thresholds(monkeypatch):
    lower_thresholds(monkeypatch)


# ------------------------------------------------------------------------------------------------------------ networks


@pytest.fixture(scope="module")
def fcn():
    """A network with two heads and all that the rewrites change, and what becomes of it."""
    with pytest.MonkeyPatch.context() as patch:
        lower_thresholds(patch)
        model = randomize_with_bilinear_upsampling(tfseg.FCN8s({"sem": 5, "geo": 3}, width=1 / 32))
        return model, tfseg.optimize(model)


def test_all_rewrites_of_an_fcn_are_exact(fcn):
    model, optimized = fcn
    assert {SlicedConv2D, SplitConv2D, SeparableUpsampling, PastedBorder} <= layer_classes(optimized)
    assert_same_outputs(model, optimized, [(65, 83), (1, 1), (33, 47)])
    assert tfseg.metadata(optimized) == tfseg.metadata(model)
    assert (optimized.input_shape, optimized.output_shape) == (model.input_shape, model.output_shape)


def test_optimized_network_survives_saving(fcn, tmp_path):
    _, model = fcn
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert layer_classes(loaded) == layer_classes(model)
    assert_same_outputs(model, loaded, [(33, 47)], 0)


def test_optimize_is_idempotent(fcn, low_thresholds):
    _, once = fcn
    twice = tfseg.optimize(once)
    assert [layer.name for layer in twice.layers] == [layer.name for layer in once.layers]
    assert_same_outputs(once, twice, [(33, 47)], 0)


@pytest.mark.parametrize(
    "build",
    [
        lambda: tfseg.dilate(tfseg.VGG(11, batch_norm=True, width=1 / 16), 8),
        pytest.param(lambda: tfseg.dilate(tfseg.ResNet(50, width=1 / 16), 8), marks=pytest.mark.full),
    ],
    ids=["VGG", "ResNet"],
)
def test_all_rewrites_of_a_dilated_network_are_exact(build, low_thresholds):
    model = randomize_weights(tfseg.FCN(build(), 5))
    optimized = tfseg.optimize(model)
    assert layers.BatchNormalization not in layer_classes(optimized)
    assert SplitConv2D in layer_classes(optimized)
    assert_same_outputs(model, optimized, [(65, 83)])


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
def test_keras_applications_are_exact(build, norms):
    model = randomize_weights(build())
    optimized = tfseg.optimize(model)
    assert_same_outputs(model, optimized, [(64, 96)])
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
def test_built_networks_are_exact(name, low_thresholds):
    model = randomize_weights(tfseg.build(name, num_classes=5, width=1 / 16))
    assert_same_outputs(model, tfseg.optimize(model), [(65, 83)])


@pytest.mark.full
def test_full_width_fcn_is_exact():
    model = randomize_with_bilinear_upsampling(tfseg.FCN32s(21))
    assert_same_outputs(model, tfseg.optimize(model), [(97, 130)])


def test_bfloat16_keeps_its_accuracy(low_thresholds):
    """It is as near to the network in float32 as before."""
    model = randomize_with_bilinear_upsampling(tfseg.FCN32s(5, width=1 / 32))
    rounded = with_dtype(model, "mixed_bfloat16")
    image = random_image(33, 47)
    models = (model, rounded, tfseg.optimize(rounded))
    exact, before, after = (output(network, image) for network in models)
    assert 1e-4 < relative(after, exact) <= 2 * relative(before, exact)


# ------------------------------------------------------------------------------------------------------------ switches


def model_of_all_rewrites():
    """A model of few layers that every rewrite but Winograd's changes."""
    return randomize_with_bilinear_upsampling(
        model_of_layers(
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
def test_each_rewrite_alone_is_exact(name, low_thresholds):
    model = model_of_all_rewrites()
    optimized = tfseg.optimize(model, rewrites=(name,))
    added = {
        "fold_batch_norm": set(),
        "skip_constant_border": {ConstantPadding, PastedBorder},
        "slice_convolutions": {SlicedConv2D},
        "split_filters": {SplitConv2D},
        "separate_upsampling": {SeparableUpsampling},
        "use_winograd": set(),  # without a fixed size
    }
    assert layer_classes(optimized) - layer_classes(model) == added[name]
    assert (layers.BatchNormalization in layer_classes(optimized)) == (name != "fold_batch_norm")
    assert_same_outputs(model, optimized, [(20, 31)])


def test_original_is_not_changed(low_thresholds):
    model = model_of_all_rewrites()
    before, config = [np.array(variable) for variable in model.weights], model.get_config()
    tfseg.optimize(model)
    assert model.get_config() == config
    assert all(np.array_equal(*pair) for pair in zip(before, model.weights, strict=True))
    assert all(len(layer._inbound_nodes) == 1 for layer in model.layers)
    assert layer_classes(tfseg.optimize(model, rewrites=())) == layer_classes(model)


def test_kernels_share_memory_until_one_changes():
    model = model_of_layers(layers.Conv2D(2, 3, kernel_initializer="he_normal"), layers.Dense(3))
    copy = tfseg.optimize(model, rewrites=())
    assert [layer.get_config() for layer in copy.layers] == [layer.get_config() for layer in model.layers]
    for old, new in zip(model.weights, copy.weights, strict=True):
        assert np.array_equal(old, new)
        assert old.name != "kernel" or np.shares_memory(view(old), view(new))
    before = [np.array(variable) for variable in model.weights]
    for variable in copy.weights:
        variable.assign_add(np.ones(variable.shape, "float32"))
    assert all(np.array_equal(*pair) for pair in zip(before, model.weights, strict=True))
    for variable in model.weights:
        variable.assign_sub(np.ones(variable.shape, "float32"))
    assert all(np.allclose(value + 1, variable) for value, variable in zip(before, copy.weights, strict=True))


@keras.saving.register_keras_serializable("test_optimize")
class FactorConv(layers.Conv2D):
    """It draws other weights than a kernel, with the same initializer."""

    def build(self, input_shape):
        self.point = self.add_weight((1, 1, input_shape[-1], self.filters), initializer=self.kernel_initializer)

    def call(self, x):
        return keras.ops.conv(x, self.point)


def test_layers_that_are_derived_from_others_keep_their_weights():
    image = keras.Input((16, 16, 4))
    model = keras.Model(image, layers.Conv2D(3, 1)(FactorConv(4, 3)(image)))
    images = random_image(16, 16, channels=4)
    np.testing.assert_allclose(output(tfseg.optimize(model, rewrites=()), images), output(model, images), atol=1e-6)


@pytest.mark.full
def test_explain_prints_changes_and_gains(capsys, low_thresholds):
    model = model_of_all_rewrites()
    tfseg.optimize(model, explain=True)
    tfseg.optimize(model_of_layers(layers.Conv2D(2, 1)), explain=True)
    printed = capsys.readouterr().out
    for part in ("1 of its layers: conv2d", "2 of its layers: max_pooling2d", "times faster", "nothing to change"):
        assert part in printed


@pytest.mark.parametrize("rewrites", [("fold",), "fold_batch_norm"], ids=["unknown name", "text instead of a tuple"])
def test_unknown_rewrites_are_refused(rewrites):
    model = model_of_layers(layers.Conv2D(2, 1))
    with pytest.raises(ValueError, match=r"out of fold_batch_norm, skip_constant_border.*Received: .*fold"):
        tfseg.optimize(model, rewrites=rewrites)


def test_objects_that_are_no_models_are_refused():
    with pytest.raises(ValueError, match=r"takes a keras\.Model\. Received: int"):
        tfseg.optimize(3)
