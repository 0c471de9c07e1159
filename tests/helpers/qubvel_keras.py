"""qubvel's segmentation_models for Keras, where it is installed, and files of weights as Keras 2 wrote them."""

import importlib
import os
import sys
import types
from unittest import mock

import h5py
import keras
import pytest
from helpers.references import randomize
from keras import layers


def segmentation_models():
    """The package, or the test is skipped. It imports scikit-image for a function that no network needs."""
    beside = {}
    if "skimage" not in sys.modules:
        transform = types.ModuleType("skimage.transform")
        transform.resize = None
        beside = {"skimage": types.ModuleType("skimage"), "skimage.transform": transform}
    with mock.patch.dict(sys.modules, beside), mock.patch.dict(os.environ, {"SM_FRAMEWORK": "tf.keras"}):
        try:
            return importlib.import_module("segmentation_models")
        except ImportError as error:
            pytest.skip(f"segmentation_models is not installed: {error}")


def public_segmenter(title, backbone, **options):
    """One of its models with random weights, which returns logits."""
    options = {"classes": 3, "activation": "linear", "encoder_weights": None, **options}
    return randomize(getattr(segmentation_models(), title)(backbone, **options))


def save_weights(model: keras.Model, path):
    """A file of weights alone, in the form of Keras 2: a group for each layer, whose attribute lists its weights."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"2.3.1"
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{_name(layer, variable)}:0" for variable in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, variable in zip(names, layer.weights, strict=True):
                group[name] = variable.numpy()
    return path


def _name(layer, variable):
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D) and variable.name == "kernel"
    return "depthwise_kernel" if depthwise else variable.name


class Twin:
    """A narrow ResNet-18 of his with a decoder, written from the description, for machines without the package."""

    def __init__(self, title, width=1 / 8, classes=3):
        self.width, self.classes, self.epsilon = width, classes, 2e-5
        image = keras.Input((None, None, 3))
        maps = self.encoder(image)
        self.epsilon = 1e-3
        x = {"Unet": self.unet, "Linknet": self.linknet}[title](maps)
        self.model = randomize(keras.Model(image, x))

    def norm(self, x, name, **options):
        return layers.ReLU()(layers.BatchNormalization(epsilon=self.epsilon, name=name, **options)(x))

    def conv(self, x, filters, kernel_size, name, strides=1):
        x = layers.ZeroPadding2D(kernel_size // 2)(x)
        return layers.Conv2D(filters, kernel_size, strides, use_bias=False, name=name)(x)

    def encoder(self, image):
        x = layers.BatchNormalization(epsilon=self.epsilon, scale=False, name="bn_data")(image)
        x = self.norm(self.conv(x, int(64 * self.width), 7, "conv0", 2), "bn0")
        maps = [x]
        x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))
        for stage in range(1, 5):
            filters = int(32 * 2**stage * self.width)
            for unit in (1, 2):
                name, shortcut = f"stage{stage}_unit{unit}_", x
                x = self.norm(x, f"{name}bn1")
                strides = 2 if unit == 1 and stage > 1 else 1
                if strides == 2:
                    maps.append(x)
                if unit == 1:
                    shortcut = self.conv(x, filters, 1, f"{name}sc", strides)
                x = self.norm(self.conv(x, filters, 3, f"{name}conv1", strides), f"{name}bn2")
                x = layers.Add()([self.conv(x, filters, 3, f"{name}conv2"), shortcut])
        return [*maps, self.norm(x, "bn1")]

    def unit(self, x, filters, kernel_size, name):
        return self.norm(self.conv(x, filters, kernel_size, f"{name}_conv"), f"{name}_bn")

    def unet(self, maps):
        *beside, x = maps
        for stage, filters in enumerate((40, 32, 24, 16, 8)):
            x = layers.UpSampling2D()(x)
            if beside:
                x = layers.Concatenate()([x, beside.pop()])
            for letter in "ab":
                x = self.unit(x, filters, 3, f"decoder_stage{stage}{letter}")
        return layers.Conv2D(self.classes, 3, padding="same", name="final_conv")(x)

    def linknet(self, maps):
        *beside, x = maps
        for stage in range(5):
            inside, name = x.shape[-1] // 4, f"decoder_stage{stage}"
            x = layers.UpSampling2D()(self.unit(x, inside, 1, f"{name}a"))
            x = self.unit(x, inside, 3, f"{name}b")
            x = self.unit(x, beside[-1].shape[-1] if beside else 6, 1, f"{name}c")
            if beside:
                x = layers.Add()([x, beside.pop()])
        return layers.Conv2D(self.classes, 3, padding="same", name="conv2d_7")(x)
