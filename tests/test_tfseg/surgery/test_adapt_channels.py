"""Networks for other numbers of channels: what stays the same, and what is refused."""

import keras
import numpy as np
import pytest

import tfseg
from tfseg.surgery.adapt_channels import channels_note, spread

TORCH = tfseg.specs.PREPROCESSING["torch"]
STD = 255 * np.array(TORCH["std"], "float32")
MEAN = 255 * np.array(TORCH["mean"], "float32")


def network(preprocessing="torch"):
    """A small network with all that stands between an image and the first convolution, and beside them."""
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    x = tfseg.layers.Metadata(tfseg.specs.PREPROCESSING[preprocessing], ["a", "b", "c"])(image)
    x = keras.layers.ZeroPadding2D(3)(x)
    x = keras.layers.Conv2D(6, 7, 2, bias_initializer="random_normal", name="conv1_conv")(x)
    x = keras.layers.Conv2D(3, 1)(keras.layers.ReLU()(x))
    return keras.Model(image, tfseg.layers.ResizeLike()([x, image]), name="small")


def photograph(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (1, 40, 48, 3)).astype("float32")


def difference(result, expected):
    result, expected = (keras.ops.convert_to_numpy(array) for array in (result, expected))
    return np.abs(result - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("preprocessing", ["torch", "caffe", "fcn"])
@pytest.mark.parametrize("channels", [3, 4, 7])
def test_with_zeros_the_first_three_channels_are_the_photograph(preprocessing, channels):
    """The network of a photograph in its own mean and deviation is, in its first three channels, the one of ImageNet's."""
    model = network(preprocessing)
    adapted = tfseg.adapt_channels(model, channels, first_conv="zero")
    pixels = photograph()
    entries = tfseg.specs.PREPROCESSING[preprocessing]
    mean = np.array(entries["mean"], "float32")[:: 1 if entries["channel_order"] == "RGB" else -1] * entries["divisor"]
    more = np.random.default_rng(1).normal(size=(1, 40, 48, channels - 3)).astype("float32")
    images = np.concatenate([(pixels - mean) / STD, more], axis=-1)
    expected = model(tfseg.preprocess(pixels, entries))
    assert difference(adapted(images), expected) < 1e-5
    assert tfseg.metadata(adapted) == {"preprocessing": None, "classes": ["a", "b", "c"], "colors": None}


@pytest.mark.parametrize(
    ("first_conv", "channels"),
    [*((rule, count) for rule in ("average", "copy") for count in (1, 2, 4, 5, 6, 13)), ("zero", 1), ("zero", 2)],
)
def test_equal_channels_have_the_response_of_a_gray_photograph(first_conv, channels):
    model = network()
    gray = np.random.default_rng(0).normal(size=(1, 40, 48, 1)).astype("float32")
    adapted = tfseg.adapt_channels(model, channels, first_conv=first_conv)
    assert difference(adapted(gray.repeat(channels, -1)), model(gray.repeat(3, -1))) < 1e-5


def test_copies_of_a_channel_share_its_kernel():
    """Any photograph whose further channels are copies of its own in turn has its own response."""
    model = network()
    pixels = np.random.default_rng(0).normal(size=(1, 40, 48, 3)).astype("float32")
    adapted = tfseg.adapt_channels(model, 8, first_conv="copy")
    assert difference(adapted(pixels[..., np.arange(8) % 3]), model(pixels)) < 1e-5


@pytest.mark.parametrize("first_conv", ["average", "copy", "zero"])
def test_rules_keep_the_sum_of_the_kernels(first_conv):
    kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 5))
    for channels in (1, 2, 3, 4, 9):
        wider = spread(kernel, channels, first_conv)
        assert wider.shape == (3, 3, channels, 5)
        np.testing.assert_allclose(wider.sum(axis=2), kernel.sum(axis=2), atol=1e-12)
    assert (spread(kernel, 5, "zero")[:, :, 3:] == 0).all()
    assert len(np.unique(spread(kernel, 5, "average")[:, :, 3:], axis=2)[0, 0]) == 1


def test_nothing_but_the_first_convolution_changes_and_the_result_can_be_saved(tmp_path):
    model = network()
    adapted = tfseg.adapt_channels(
        model, 4, preprocessing={**TORCH, "channel_order": "stored", "mean": [1] * 4, "std": [2] * 4}
    )
    changed = [new.path for old, new in zip(model.weights, adapted.weights, strict=True) if old.shape != new.shape]
    assert changed == ["conv1_conv/kernel"]
    adapted.save(tmp_path / "a.keras")
    loaded = tfseg.load(tmp_path / "a.keras")
    assert tfseg.metadata(loaded)["preprocessing"]["channel_order"] == "stored"
    image = photograph()[0, ..., [0, 1, 2, 0]].transpose(1, 2, 0)
    np.testing.assert_array_equal(tfseg.predict(loaded, image), tfseg.predict(adapted, image))
    # What is adapted already can be adapted again: here the kernels are for mean 0 and deviation 1.
    again = tfseg.adapt_channels(loaded, 5, first_conv="zero")
    np.testing.assert_array_equal(
        again.get_layer("conv1_conv").kernel[:, :, :4], adapted.get_layer("conv1_conv").kernel
    )


@pytest.mark.full
def test_networks_of_every_kind_are_adapted():
    for name in ("fcn8s", "deeplab_largefov", "drn_d_22", "pspnet_resnet50", "deeplabv3plus_resnet18", "vgg16_bn"):
        model = tfseg.build(name, width=1 / 32)
        adapted = tfseg.adapt_channels(model, 5)
        assert adapted.input_shape[-1] == 5
        assert len(adapted.weights) == len(model.weights)


def test_what_else_reads_the_image_is_refused_by_name():
    image = keras.Input((None, None, 3))
    x = tfseg.layers.Metadata(TORCH)(image)
    for layer in (keras.layers.DepthwiseConv2D(3, name="first"), keras.layers.BatchNormalization(name="first")):
        model = keras.Model(image, keras.layers.Conv2D(2, 1)(layer(x)))
        with pytest.raises(ValueError, match=r"The layer 'first' \(\w+\) reads the channels of the image"):
            tfseg.adapt_channels(model, 4)
    both = keras.Model(image, keras.layers.Concatenate(name="first")([keras.layers.Conv2D(2, 1)(x), x]))
    with pytest.raises(ValueError, match=r"The layer 'first' \(Concatenate\) reads the channels"):
        tfseg.adapt_channels(both, 4)


def test_invalid_arguments_are_refused():
    model = network()
    with pytest.raises(ValueError, match=r"first_conv is one of average, copy, zero. Received: 'mean'"):
        tfseg.adapt_channels(model, 4, first_conv="mean")
    with pytest.raises(ValueError, match=r"a whole number from 1. Received: 0"):
        tfseg.adapt_channels(model, 0)
    tfseg.set_metadata(model, preprocessing=None)
    with pytest.raises(ValueError, match=r"does not say how its input is prepared"):
        tfseg.adapt_channels(model, 4)


def test_the_note_says_the_rule():
    model = network()
    assert "4 channels instead of 3" in channels_note(model, 4, "average")
    assert "multiplied by 3/4" in channels_note(model, 4, "average")
    assert "get zeros" in channels_note(model, 4, "zero")
    assert "divided by 1" in channels_note(model, 1, "copy")
