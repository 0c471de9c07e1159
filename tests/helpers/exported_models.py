"""A small segmenter to export."""

from collections.abc import Mapping
from typing import Any

import keras
from helpers.references import randomize

import tfseg

NAMES, COLORS = ["sky", "road", "tree"], [[70, 130, 180], [128, 64, 128], [0, 90, 0]]
METADATA = {"preprocessing": tfseg.specs.PREPROCESSING["caffe"], "classes": NAMES, "colors": COLORS}


def small_segmenter(metadata: Mapping[str, Any] = METADATA, seed: int = 0) -> keras.Model:
    """A network with layers of Keras and of tfseg, and with a second output that is not exported."""
    image = keras.Input((None, None, 3))
    x = tfseg.layers.Metadata(**metadata)(image)
    x = keras.layers.Conv2D(4, 3, strides=2, padding="valid", activation="relu", name="first")(x)
    second = keras.layers.Conv2D(3, 1, name="second")(x)
    x = keras.layers.Conv2D(4, 3, padding="same", groups=2, name="grouped")(x)
    x = tfseg.layers.ResizeLike()([keras.layers.Conv2D(3, 1, name="scores")(x), image])
    return randomize(keras.Model(image, [x, second], name="small"), seed=seed)
