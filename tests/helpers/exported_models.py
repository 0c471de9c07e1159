"""A small segmenter to export."""

import keras
from helpers.references import randomize

import tfseg

NAMES, COLORS = ["sky", "road", "tree"], [[70, 130, 180], [128, 64, 128], [0, 90, 0]]
FACTS = {"preprocessing": tfseg.specs.PREPROCESSING["caffe"], "classes": NAMES, "colors": COLORS}


def small(facts=FACTS, seed=0):
    """A network of layers that Keras has and some that it lacks, with a second output that is not exported."""
    image = keras.Input((None, None, 3))
    x = tfseg.layers.Metadata(**facts)(image)
    x = keras.layers.Conv2D(4, 3, strides=2, padding="valid", activation="relu", name="first")(x)
    aside = keras.layers.Conv2D(3, 1, name="aside")(x)
    x = keras.layers.Conv2D(4, 3, padding="same", groups=2, name="grouped")(x)
    x = tfseg.layers.ResizeLike()([keras.layers.Conv2D(3, 1, name="scores")(x), image])
    return randomize(keras.Model(image, [x, aside], name="small"), seed=seed)
