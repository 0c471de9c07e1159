"""Small segmenters that are trained in seconds."""

import dataclasses

import keras

import tfseg
from tfseg import data, training

SHORT_RESNET = dataclasses.replace(tfseg.specs.RESNETS["resnet18"], blocks=(1, 1, 1, 1))

RECIPE = training.Recipe(learning_rate=0.02, batch_size=2, augmentation=data.Augmentation(crop=(16, 16)))


def small_model() -> keras.Model:
    """All kinds of layers of a segmenter, in as few layers as possible, because every test traces them."""
    keras.utils.set_random_seed(1)
    image = keras.Input((None, None, 3))
    x = tfseg.layers.Metadata(tfseg.specs.PREPROCESSING["torch"])(image)
    for stage in (1, 2):
        x = keras.layers.Conv2D(8, 3, 2, padding="same", use_bias=False, name=f"conv{stage}_conv")(x)
        x = keras.layers.BatchNormalization(name=f"conv{stage}_bn")(x)
        x = keras.layers.Activation("relu", name=f"conv{stage}_relu")(x)
    x = keras.layers.Dropout(0.1, name="head_dropout")(x)
    x = keras.layers.Conv2D(2, 1, name="logits")(x)
    return keras.Model(image, tfseg.layers.ResizeLike(name="score", dtype="float32")([x, image]))


def small_model_without_dropout() -> keras.Model:
    """`small_model` for comparisons: devices and dtypes draw different random numbers."""
    model = small_model()
    model.get_layer("head_dropout").rate = 0.0
    return model


def small_model_with_aux() -> keras.Model:
    """`small_model` with an auxiliary head."""
    model = small_model()
    x = keras.layers.Conv2D(2, 1, name="aux_logits")(model.get_layer("conv1_relu").output)
    aux = tfseg.layers.ResizeLike(name="aux_score", dtype="float32")([x, model.input])
    return keras.Model(model.input, [model.output, aux])


def resnet_with_aux() -> keras.Model:
    """A short ResNet with two FCN heads."""
    keras.utils.set_random_seed(1)
    return tfseg.FCN(tfseg.ResNet(SHORT_RESNET, output_stride=8, width=1 / 16), num_classes=2, aux=True)
