"""From a photograph to its map of classes."""

import os
import weakref

import keras
import numpy as np
from keras import ops

from tfseg.images import read_image, to_rgb
from tfseg.layers import metadata
from tfseg.prediction.windows import slide, views
from tfseg.preprocessing import preprocess


def predict(model, image, *, preprocessing=None, scales=(1.0,), flip=False, window=None, overlap=1 / 3):
    """The class of every pixel, at the image's own size.

    With `window`, memory is bounded: an image of 20,000 pixels needs no more logits than a window and the rows that
    windows share.

    Args:
        model: segmentation model with logits `(batch, height, width, num_classes)` (the first output counts).
        image: a path, read as `read_image` does; or a PIL image, as it stands; or an array `(height, width, 3)` or
            `(batch, height, width, 3)`, RGB, 0..255.
        preprocessing: as in `tfseg.specs.PREPROCESSING` (a name of it, or such a dictionary); by default, what the
            model carries.
        scales: factors of its sides at which the model sees the image; their probabilities are averaged.
        flip: whether the model sees it mirrored too.
        window: `(height, width)` of what the model sees at once, slid over a larger image; None: all. Windows are
            blended where they overlap, and every window is seen at all scales.
        overlap: of two windows side by side, as a share of their side.
    Returns: integers `(height, width)`, or with the batch axis if the image has one: uint8 up to 256 classes.
    Raises:
        ValueError: an image of another shape, a model that does not say its preprocessing, or one that is no segmenter
            of RGB images; a scale, window or overlap that is none.
    """
    if isinstance(image, str | os.PathLike):
        image = read_image(image)
    elif hasattr(image, "convert"):  # PIL's; its type cannot be named without loading PIL
        image = to_rgb(image, "a Pillow image")
    pixels = np.asarray(image)
    if pixels.ndim not in (3, 4) or pixels.shape[-1] != 3:
        raise ValueError(
            f"An image is (height, width, 3) or (batch, height, width, 3), RGB, 0..255. Received: shape {pixels.shape}"
        )
    classes = class_maps(
        model,
        pixels if pixels.ndim == 4 else pixels[None],
        preprocessing or preprocessing_of(model),
        scales=scales,
        flip=flip,
        window=window,
        overlap=overlap,
    )
    return classes if pixels.ndim == 4 else classes[0]


def class_maps(model, images, preprocessing, *, scales=(1.0,), flip=False, window=None, overlap=1 / 3):
    """As `predict`, of images `(batch, height, width, 3)`: integers `(batch, height, width)`."""
    sides = images.shape[1:3]
    window = window or sides

    def see(part):  # prepared window by window: in floats the whole image would take four times its memory
        return views(logits_function(model), scales, flip)(preprocess(part, preprocessing))

    blocks = slide(see, images, window, overlap, taper=True)  # which computes nothing yet, but refuses bad arguments
    if tuple(scales) == (1.0,) and not flip and all(one >= side for one, side in zip(window, sides, strict=True)):
        return ops.convert_to_numpy(_classes_function(model)(preprocess(images, preprocessing)))
    classes = None
    for rows, columns, values in blocks:
        if classes is None:
            classes = np.empty(images.shape[:3], _integer(values.shape[-1]))
        classes[:, rows, columns] = values.argmax(axis=-1)
    return classes


def preprocessing_of(model):
    """The preprocessing that the model carries, or a ValueError that tells what to do."""
    preprocessing = metadata(model)["preprocessing"]
    if preprocessing is None:
        raise ValueError(
            f'The model {model.name!r} does not say how its input is prepared: pass preprocessing="torch" (RGB, /255, '
            'mean, std), "caffe" (BGR minus mean), or a dictionary as in tfseg.specs.PREPROCESSING.'
        )
    return preprocessing


def check_segmenter(model):
    """Raises ValueError unless the model turns a batch of RGB images into a map of logits, its first output."""
    outputs = model.output if isinstance(model.output, list | tuple) else [model.output]
    shapes = model.input_shape, getattr(outputs[0], "shape", None)
    if any(len(shape or ()) != 4 for shape in shapes) or shapes[0][-1] != 3:
        raise ValueError(
            "A segmentation model turns images (batch, height, width, 3) into logits (batch, height, width, "
            f"num_classes). Received: {model.name!r}, {shapes[0]} to {shapes[1]}"
        )


def logits_function(model):
    """A function of a preprocessed batch, array to array: the model's first output, compiled once a model.

    Raises:
        ValueError: a model that is no segmenter of RGB images; and by the function, a batch of another size than the
            one that the model takes, if it takes but one.
    """
    compiled = _compiled(model, "logits", lambda logits: logits)
    return lambda batch: ops.convert_to_numpy(compiled(batch))


def _classes_function(model):
    """Image batch -> class maps."""
    return _compiled(
        model,
        "classes",
        lambda logits: ops.cast(ops.argmax(logits, axis=-1), _integer(logits.shape[-1])),
    )


def _integer(num_classes):
    return "uint8" if num_classes <= 256 else "int32"


_functions = weakref.WeakKeyDictionary()


def _compiled(model, name, finish):
    """`finish` of the logits, compiled once a model: `model.predict` and a bare call cost a third more."""
    functions = _functions.setdefault(model, {})
    if name not in functions:
        check_segmenter(model)
        reference = weakref.ref(model)  # a strong one would keep the model alive through its own entry

        def function(x):
            output = reference()(x, training=False)
            return finish(output[0] if isinstance(output, list | tuple) else output)

        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            shape = (None, *model.input_shape[1:])
            # The concrete function: TensorFlow would take the traces of several models for endless retracing, and warn.
            function = tf.function(function).get_concrete_function(tf.TensorSpec(shape, "float32"))
        functions[name] = function
    return lambda batch: functions[name](_fitting(model, batch))


def _fitting(model, batch):
    """The batch, or a ValueError: what was traced for any size would compute something, and not tell."""
    sides, found = model.input_shape[1:3], tuple(batch.shape[1:3])
    if any(own not in (None, side) for own, side in zip(sides, found, strict=True)):
        raise ValueError(
            f"The model {model.name!r} takes images of {sides}, height and width. Received: {found}. Resize them, or "
            f"slide a window over larger ones: window={sides}"
        )
    return batch
