"""Small models of a few steps, for surgery. A step is a function from a tensor to a tensor."""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

Step = Callable[[Any], Any]


def chain(*steps: Step) -> Step:
    """One step that does all of them in turn."""

    def run(x: Any) -> Any:
        for step in steps:
            x = step(x)
        return x

    return run


def branches(join: Callable[[list[Any]], Any], *steps: Step) -> Step:
    """One step that joins the results of several."""
    return lambda x: join([step(x) for step in steps])


def conv(*options: Any, **more: Any) -> Step:
    return lambda x: layers.Conv2D(4, *options, **more)(x)


def halved(x: Any) -> Any:
    return layers.AveragePooling2D(2, padding="same")(x)


def strided_model(*steps: Step, size: tuple[int | None, int | None] = (None, None)) -> keras.Model:
    """A model called "net": these steps between two convolutions of stride 2."""
    image = keras.Input((*size, 3), name="image")
    x = chain(conv(3, strides=2, padding="same", name="first"), *steps)(image)
    x = layers.Conv2D(6, 3, strides=2, padding="same", name="last")(x)
    return keras.Model(image, conv(2, name="head")(x), name="net")


def squeeze_and_excite(pool: type[keras.Layer], **options: Any) -> Step:
    """A gate for every channel, made from the whole image."""

    def run(x: Any) -> Any:
        y = layers.Reshape((1, 1, 4))(pool(**options)(x))
        return layers.Multiply()([x, conv(1, activation="sigmoid")(y)])

    return run


def inner_model(*steps: Step, name: str | None = None) -> keras.Model:
    """A model, to be called inside another."""
    image = keras.Input((None, None, 4))
    return keras.Model(image, chain(*steps)(image), name=name)
