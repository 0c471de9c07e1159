"""bubbliiiing's U-Net and PSPNet for Keras, narrow and random, under the names of his files."""

import keras
import tensorflow as tf
from helpers.bonlime import Resized, mobilenet_features
from helpers.references import randomize
from keras import layers

VGG_CONVS = (2, 2, 3, 3, 3)
BLOCKS = {2: 3, 3: 4, 4: 6, 5: 3}


def _conv(x, filters, kernel_size, name=None, **options):
    return layers.Conv2D(filters, kernel_size, padding="same", name=name, **options)(x)


def _norm(x, name=None, relu=True):
    x = layers.BatchNormalization(name=name)(x)
    return layers.ReLU()(x) if relu else x


def _vgg(x, width):
    maps = []
    for stage, count in enumerate(VGG_CONVS, 1):
        x = layers.MaxPooling2D(2)(x) if stage > 1 else x
        for index in range(1, count + 1):
            filters = int(min(512, 32 * 2**stage) * width)
            x = _conv(x, filters, 3, f"block{stage}_conv{index}", activation="relu")
        maps.append(x)
    return maps


def _resnet(x, width, *, deep, strides=(1, 2, 2, 2), rates=(1, 1, 1, 1)):
    """His ResNet-50: `deep` for that of PSPNet, without biases; its rates are of a stage's blocks but the first."""
    bias, maps = {"use_bias": not deep}, []
    if deep:
        for index, filters in enumerate((64, 64, 128), 1):
            x = layers.ZeroPadding2D(1)(x)
            x = layers.Conv2D(int(filters * width), 3, 2 if index == 1 else 1, name=f"conv{index}", use_bias=False)(x)
            x = _norm(x, f"bn_conv{index}")
    else:
        x = layers.Conv2D(int(64 * width), 7, 2, name="conv1")(layers.ZeroPadding2D(3)(x))
        x = _norm(x, "bn_conv1")
    maps.append(x)
    x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))
    before = 1
    for (stage, count), stride, rate in zip(BLOCKS.items(), strides, rates, strict=True):
        filters = int(64 * 2 ** (stage - 2) * width)
        for block in "abcdef"[:count]:
            name, first = f"{stage}{block}_branch", block == "a"
            step, dilation = (stride, before) if first else (1, rate)
            y = _norm(_conv(x, filters, 1, f"res{name}2a", strides=step, **bias), f"bn{name}2a")
            y = _norm(_conv(y, filters, 3, f"res{name}2b", dilation_rate=dilation, **bias), f"bn{name}2b")
            y = _norm(_conv(y, 4 * filters, 1, f"res{name}2c", **bias), f"bn{name}2c", relu=False)
            if first:
                x = _norm(_conv(x, 4 * filters, 1, f"res{name}1", strides=step, **bias), f"bn{name}1", relu=False)
            x = layers.ReLU()(layers.Add()([y, x]))
        before = rate
        maps.append(x)
    return maps


def unet(backbone, width=1 / 8, classes=21):
    """The U-Net on "vgg" or "resnet50"."""
    image = keras.Input((None, None, 3))
    *fine, x = _vgg(image, width) if backbone == "vgg" else _resnet(image, width, deep=False)
    for filters, skip in zip((512, 256, 128, 64), reversed(fine), strict=True):
        x = layers.Concatenate()([skip, layers.UpSampling2D(2)(x)])
        x = _conv(_conv(x, filters, 3, activation="relu"), filters, 3, activation="relu")
    if backbone != "vgg":
        x = layers.UpSampling2D(2)(x)
        x = _conv(_conv(x, 64, 3, activation="relu"), 64, 3, activation="relu")
    return randomize(keras.Model(image, _conv(x, classes, 1)))


def pspnet(backbone, size=(473, 473), output_stride=16, width=1 / 8, classes=21):
    """The PSPNet on "mobilenet" or "resnet50" with its auxiliary head, for images of a size; its main scores."""
    image = keras.Input((*size, 3))
    if backbone == "mobilenet":
        x, fourth = mobilenet_features(image, output_stride, 13)
        filters = 80
    else:
        kept, rates = {16: ((1, 2, 2, 1), (1, 1, 1, 2)), 8: ((1, 2, 1, 1), (1, 1, 2, 4))}[output_stride]
        *_, fourth, x = _resnet(image, width, deep=True, strides=kept, rates=rates)
        filters = 512
    parts = [x]
    for bins in (1, 2, 3, 6):
        windows = [round(side / bins) for side in x.shape[1:3]]
        y = layers.AveragePooling2D(windows, windows, padding="same")(x)
        y = _norm(_conv(y, x.shape[-1] // 4, 1, use_bias=False))
        parts.append(Resized()([y, x]))
    y = _norm(_conv(layers.Concatenate()(parts), filters, 3, use_bias=False))
    y = Resized()([_conv(y, classes, 1), image])
    aux = _norm(_conv(fourth, 40, 3, "branch_conv1", use_bias=False), "branch_batchnor1")
    aux = Resized()([_conv(aux, classes, 1, "branch_conv2"), image])
    return randomize(keras.Model(image, [aux, y]))


def main_scores(model, pixels):
    """The second result, which is the main one."""
    return tf.convert_to_tensor(model(pixels)[1]).numpy()
