"""Weights of any kind into a network for one's own classes: the head is replaced, and the receipt says so."""

import keras
import numpy as np
import pytest
from helpers import checkpoints
from torch import nn

import converters
import tfseg
from converters import ConversionError

SEGMENTER = ("torchvision/segmentation", "fcn_resnet18")


def same(model, source, pattern):
    """Whether all layers of a name have the same weights in both."""
    names = [layer.name for layer in source.layers if layer.weights and layer.name.startswith(pattern)]
    assert names
    pairs = [(model.get_layer(name), source.get_layer(name)) for name in names]
    return all(np.array_equal(a, b) for ours, other in pairs for a, b in zip(ours.weights, other.weights, strict=True))


@pytest.fixture(scope="module")
def state():
    return checkpoints.state(*SEGMENTER, num_classes=7)


@pytest.fixture(scope="module")
def whole(state):
    return converters.convert(state)[0]


@pytest.fixture(scope="module")
def own_file(tmp_path_factory, whole):
    """A .keras file of one's own."""
    path = tmp_path_factory.mktemp("own_file") / "street.keras"
    whole.save(path)
    return path


@pytest.mark.full
@pytest.mark.parametrize("network", [None, "deeplabv3_resnet18"])
def test_preprocessing_that_is_given_counts_for_a_file_of_ones_own(own_file, network):
    model, _, _ = converters.warm_start(own_file, 3, network=network, preprocessing="caffe")
    assert tfseg.metadata(model)["preprocessing"]["channel_order"] == "BGR"


@pytest.mark.parametrize("classes", [2, 5])
def test_a_plain_file_of_keras_takes_the_preprocessing_that_is_given(tmp_path, classes):
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="features")(image)
    plain = keras.Model(image, {"out": keras.layers.Conv2D(2, 1, name="scores")(x)}, name="plain")
    plain.save(tmp_path / "plain.keras")
    model, _, _ = converters.warm_start(tmp_path / "plain.keras", classes, preprocessing="torch")
    assert tfseg.metadata(model)["preprocessing"]["mean"] == list(tfseg.specs.PREPROCESSING["torch"]["mean"])
    assert same(model, plain, "features")
    assert model.output["out"].shape[-1] == classes
    if classes == 2:
        pixels = np.random.default_rng(0).normal(size=(1, 5, 6, 3)).astype("float32")
        np.testing.assert_array_equal(model(pixels)["out"], plain(pixels)["out"])


def test_a_plain_file_of_several_inputs_is_refused(tmp_path):
    inputs = [keras.Input((None, None, 3), name="left"), keras.Input((None, None, 3), name="right")]
    keras.Model(inputs, keras.layers.Add()(inputs)).save(tmp_path / "pair.keras")
    with pytest.raises(ValueError, match=r"has 2 inputs.*Received: left, right.*of the image alone"):
        converters.warm_start(tmp_path / "pair.keras", 3, preprocessing="torch")


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("kind", ["state", "own_file"])
def test_the_head_is_replaced_for_other_classes(request, whole, kind):
    model, receipt, notes = converters.warm_start(request.getfixturevalue(kind), 3)
    assert model.output_shape == (None, None, None, 3)
    assert same(model, whole, "conv")
    assert same(model, whole, "head_")
    assert notes == ("head for 7 classes replaced by one for 3: logits",)
    assert (receipt is None) == (kind == "own_file")
    assert receipt is None or notes[0] in str(receipt)


@pytest.mark.full
@pytest.mark.parametrize("classes", [3, 7])
def test_frozen_layers_of_a_file_stay_frozen_and_are_named(tmp_path, whole, classes):
    model = keras.models.clone_model(whole)
    tfseg.training.prepare(model, batch_norm="frozen", frozen=["conv.*", "head_.*"])
    model.save(tmp_path / "frozen.keras")
    start = converters.warm_start(tmp_path / "frozen.keras", classes)
    assert not start.model.get_layer("conv1_conv").trainable
    assert "layers are frozen in the file and stay so: conv1_conv" in start.notes[0]


def test_weights_to_skip_are_refused_for_a_file_of_ones_own(own_file):
    with pytest.raises(ConversionError, match=r"street.keras is a model of your own.*--skip.*Received: head_"):
        converters.warm_start(own_file, 7, skip=["head_.*"])


def test_equal_classes_change_nothing(whole, own_file):
    model, receipt, notes = converters.warm_start(own_file, 7)
    assert (receipt, notes) == (None, ())
    assert same(model, whole, "")


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("kind", ["state", "own_file"])
def test_another_segmenter_takes_the_trunk(request, whole, kind):
    model, _, notes = converters.warm_start(request.getfixturevalue(kind), 3, network="deeplabv3_resnet18")
    assert same(model, whole, "conv")
    assert not same(model, whole, "head_bn")
    assert notes == ("warm start from a fcn_resnet18 with the trunk; new: logits",)


@pytest.mark.full
def test_the_same_network_with_other_options_takes_all_but_the_classes(own_file, whole):
    model, _, notes = converters.warm_start(
        own_file, 3, network="fcn_resnet18", options={"output_stride": 16, "aux": True}
    )
    assert len(model.outputs) == 2
    assert same(model, whole, "conv")
    assert same(model, whole, "head_")
    assert notes == ("warm start from a fcn_resnet18 with all layers that both have; new: logits, aux_logits",)


def test_a_classifier_of_ones_own_becomes_an_fcn(tmp_path):
    """Its dense layers are the convolutions of an FCN."""
    classifier = tfseg.VGG(16, include_top=True, num_classes=5, width=1 / 16, name="vgg16")
    tfseg.set_metadata(classifier, preprocessing=tfseg.specs.PREPROCESSING["torch"])
    classifier.save(tmp_path / "vgg.keras")
    model, _, notes = converters.warm_start(tmp_path / "vgg.keras", 3, network="fcn8s", options={"width": 1 / 16})
    kernel = classifier.get_layer("fc6").kernel
    np.testing.assert_array_equal(
        model.get_layer("fc6").kernel, np.reshape(kernel, model.get_layer("fc6").kernel.shape)
    )
    assert tfseg.metadata(model)["preprocessing"]["channel_order"] == "RGB"
    assert "new: upscore8" in notes[0]


def test_a_network_from_a_program_gets_a_head(tmp_path):
    module = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 5, 1), nn.Upsample(scale_factor=2)).eval()
    model, receipt, notes = converters.warm_start(module, 6)
    assert model.output_shape[-1] == 6
    assert "replaced by one for 6" in notes[0]
    assert notes[0] in receipt.notes
    model.save(tmp_path / "m.keras")
    assert converters.warm_start(tmp_path / "m.keras", 2).model.output_shape[-1] == 2


def test_weights_bring_their_preprocessing_to_a_network_with_options():
    """A VGG16 of torchvision is fed RGB; the FCN of its paper BGR."""
    state = checkpoints.state("torchvision/vgg")
    model, receipt, _ = converters.warm_start(state, 3, network="fcn8s", options={"padding": "same", "width": 1 / 16})
    assert tfseg.metadata(model)["preprocessing"]["channel_order"] == receipt.preprocessing["channel_order"] == "RGB"


def test_what_fits_nowhere_is_refused(own_file, state):
    with pytest.raises(ConversionError, match=r"street.keras cannot be put into fcn_resnet34: .* have other trunks"):
        converters.warm_start(own_file, 3, network="fcn_resnet34")
    with pytest.raises(ConversionError, match="gives one result for a whole image, and masks cannot train it"):
        converters.warm_start(checkpoints.state("torchvision/vgg"), 3)
    with pytest.raises(ConversionError, match=r"of no known|fits no network|strange"):
        converters.warm_start({"strange": np.zeros(3, "float32")}, 3, network="fcn_resnet18")


@pytest.mark.parametrize("classes", [1, 3])
def test_an_activation_at_the_end_goes_with_the_old_head(tmp_path, classes):
    """Training takes logits: a sigmoid after the new head would be refused."""
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="features")(image)
    x = keras.layers.Conv2D(classes, 1, activation="sigmoid" if classes == 1 else "softmax", name="scores")(x)
    keras.Model(image, x, name="mine").save(tmp_path / "mine.keras")
    model, _, notes = converters.warm_start(tmp_path / "mine.keras", 3, preprocessing="torch")
    assert model.get_layer("scores").activation is keras.activations.linear
    assert notes[0].endswith("at the end is left out: training takes the scores before it")
    assert len(notes) == (2 if classes == 1 else 1)


def test_a_trunk_has_no_head_to_replace(tmp_path):
    """Its last stage would be replaced."""
    tfseg.VGG(16, width=1 / 16).save(tmp_path / "trunk.keras")
    with pytest.raises(ConversionError, match=r"vgg16 ends in features, .*--model=fcn_resnet50"):
        converters.warm_start(tmp_path / "trunk.keras", 3)
