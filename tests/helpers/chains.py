"""Small models of a few steps, for surgery."""

import keras
from keras import layers


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


def squeezed(pool, **options):
    """A gate for every channel, of the whole image."""

    def step(x):
        y = layers.Reshape((1, 1, 4))(pool(**options)(x))
        return layers.Multiply()([x, conv(1, activation="sigmoid")(y)])

    return step


def inner(*steps, name=None):
    """A model, to be called inside another."""
    image = keras.Input((None, None, 4))
    return keras.Model(image, chain(*steps)(image), name=name)
