"""What `tfseg.dilate` and `tfseg.check_dilation` refuse, with the layer's name and the way out."""

import keras
import numpy as np
import pytest
from helpers.chains import conv, halved, inner_model, strided_model
from helpers.random_weights import random_image
from keras import layers, ops

import tfseg


class Unknown(layers.Layer):
    def call(self, x):
        return x - ops.mean(x, axis=(1, 2), keepdims=True)


class Subclass(keras.Model):
    def call(self, x):
        return x


class OverriddenCall(keras.Model):
    """Built as a graph, but the graph is not what it computes."""

    def call(self, x):
        return 2 * super().call(x)


def overridden_call():
    image = keras.Input((None, None, 3))
    return OverriddenCall(image, conv(3, strides=2)(image), name="own")


def called_at_two_rates():
    shared = layers.Conv2D(4, 3, padding="same", name="shared")
    return strided_model(shared, halved, shared)


def two_of_one_name():
    return strided_model(
        halved, inner_model(conv(3, name="same"), name="a"), inner_model(conv(3, name="same"), name="b")
    )


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

    return strided_model(Closed(ops.relu))


@pytest.mark.parametrize(
    ("build", "output_stride", "message"),
    [
        (strided_model, 3, r"output_stride must be a power of two. Received: 3"),
        (strided_model, 0, r"power of two. Received: 0"),
        (strided_model, 8.0, r"power of two. Received: 8.0"),
        (
            strided_model,
            8,
            r"The model 'net' has output stride 4: dilation makes it smaller, never larger. Received: output_stride=8",
        ),
        (lambda: "net.keras", 8, r"Surgery takes a keras.Model. Received: str"),
        (
            lambda: Subclass(name="sub"),
            8,
            r"The model 'sub' is a subclass \(Subclass\).*keras.Model\(inputs, outputs\)",
        ),
        (overridden_call, 1, r"The model 'own' is a subclass \(OverriddenCall\)"),
        (lambda: keras.Sequential([layers.Conv2D(4, 3)], name="row"), 8, r"'row' has no input yet: put keras.Input"),
        (lambda: inner_model(conv(3), name="flat"), 1, r"The model 'flat' has no stride to lose"),
        (lambda: keras.Sequential([keras.Input((8,)), layers.Dense(2)], name="d"), 2, r"'d' has no stride to lose"),
        (
            lambda: strided_model(conv((3, 3), strides=(2, 1), name="odd")),
            2,
            r"layer 'odd' \(Conv2D\) of the model 'net' cannot be dilated: its strides differ: \(2, 1\). Dilate a model that ends before it",
        ),
        (
            lambda: strided_model(conv(3, strides=3, name="three")),
            4,
            r"'three'.*from output stride 2 to 6, and 4 is no step between. Choose",
        ),
        (
            lambda: strided_model(halved, Unknown(name="mine")),
            2,
            r"'mine' \(Unknown\).*not known to treat every pixel by itself. If it does, set `pixelwise = True` on its class. Else: Dilate a model",
        ),
        (
            lambda: strided_model(halved, layers.GroupNormalization(2, name="gn")),
            2,
            r"'gn' \(GroupNormalization\).*not a layer that treats every pixel by itself. Dilate a model",
        ),
        (
            lambda: strided_model(halved, layers.LayerNormalization(axis=[1, 2, 3], name="ln"), size=(32, 32)),
            2,
            r"'ln'.*it works along more than the channels",
        ),
        (
            lambda: strided_model(halved, layers.PReLU(name="pr"), size=(32, 32)),
            2,
            r"'pr'.*along more than the channels",
        ),
        (
            lambda: strided_model(halved, lambda x: x + np.ones((8, 1, 1), "float32"), size=(32, 32)),
            2,
            r"\(Add\).*its constants have rows or columns",
        ),
        (
            lambda: strided_model(halved, lambda x: x - ops.mean(x, axis=1, keepdims=True)),
            2,
            r"\(Mean\).*it reduces over axis=\[1\]",
        ),
        (
            lambda: strided_model(halved, lambda x: ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="reflect")),
            2,
            r"\(Pad\).*does not pad rows and columns with a constant",
        ),
        (
            lambda: strided_model(halved, layers.UpSampling2D(name="up")),
            2,
            r"'up' \(UpSampling2D\).*it enlarges a map that is denser already",
        ),
        (
            lambda: strided_model(halved, layers.Conv2DTranspose(4, 3, strides=2, name="up")),
            2,
            r"'up' \(Conv2DTranspose\).*it enlarges",
        ),
        (
            lambda: strided_model(halved, layers.Reshape((64, 4), name="rs"), layers.Reshape((8, 8, 4)), size=(32, 32)),
            2,
            r"'rs' \(Reshape\)",
        ),
        (lambda: strided_model(halved, layers.Lambda(lambda x: x, name="la")), 2, r"'la' \(Lambda\)"),
        (
            lambda: strided_model(layers.Lambda(lambda x: x[:, ::2, ::2], name="la")),
            2,
            r"'la' \(Lambda\).*what it does to the size of a map is not known",
        ),
        (
            lambda: strided_model(
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
        (two_of_one_name, 2, r"Two layers of the model 'net' have the name 'same'.*rename one of them"),
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
def test_dilate_names_the_layer_and_the_way_out(build, output_stride, message):
    with pytest.raises(ValueError, match=message):
        tfseg.dilate(build(), output_stride)


def test_unknown_convention_is_refused():
    with pytest.raises(ValueError, match=r"convention must be one of 'previous', 'new', 'one'. Received: 'old'"):
        tfseg.dilate(strided_model(), 2, convention="old")


def test_models_with_different_outputs_are_not_compared():
    model = strided_model()
    with pytest.raises(ValueError, match=r"Both models have the same outputs. Received: 1 of 'net', 2 of 'two'"):
        tfseg.check_dilation(model, keras.Model(model.input, [model.output] * 2, name="two"), random_image(20, 20))


def test_subclassed_models_are_not_compared():
    with pytest.raises(ValueError, match=r"The model 'sub' is a subclass"):
        tfseg.check_dilation(strided_model(), Subclass(name="sub"), random_image(20, 20))
