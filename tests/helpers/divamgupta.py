"""vgg_unet and vgg_segnet of divamgupta's package, narrow and random, under the names of its files."""

import keras
from helpers.references import randomize
from keras import layers

COUNTS = (2, 2, 3, 3)


def vgg(*, skips, named=True, width=1 / 8, classes=5):
    """The network with its scores at half of the image's size; `skips` for the U-Net."""
    x = image = keras.Input((None, None, 3))
    maps = []
    for stage, count in enumerate(COUNTS, 1):
        for index in range(1, count + 1):
            filters = int(64 * 2 ** (stage - 1) * width)
            x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"block{stage}_conv{index}")(x)
        x = layers.MaxPooling2D(2)(x)
        maps.append(x)
    for index, filters in enumerate((512, 256, 128, 64)):
        if index:
            x = layers.UpSampling2D(2)(x)
            x = layers.Concatenate()([x, maps[3 - index]]) if skips else x
        name = "seg_feats" if named and index == 3 else None
        x = layers.ZeroPadding2D(1)(x)
        x = layers.Conv2D(filters, 3, activation="relu" if skips else None, name=name)(x)
        x = layers.BatchNormalization()(x)
    return randomize(keras.Model(image, layers.Conv2D(classes, 3, padding="same")(x)))
