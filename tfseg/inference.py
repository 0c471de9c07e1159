"""From a photograph to its map of classes."""

import os
import weakref

import keras
import numpy as np
from keras import ops

from tfseg import specs
from tfseg.layers import metadata


def predict(model, image, *, preprocessing=None):
    """The class of every pixel, at the image's own size.

    Args:
        model: segmentation model with logits `(batch, height, width, num_classes)` (the first output counts).
        image: a path, read as `read_image` does; or a PIL image, as it stands; or an array `(height, width, 3)` or
            `(batch, height, width, 3)`, RGB, 0..255.
        preprocessing: as in `tfseg.specs.PREPROCESSING` (a name of it, or such a dictionary); by default, what the
            model carries.
    Returns: integers `(height, width)`, or with the batch axis if the image has one: uint8 up to 256 classes.
    Raises:
        ValueError: an image of another shape, a model that does not say its preprocessing, or one that is no segmenter
            of RGB images.
    """
    if isinstance(image, str | os.PathLike):
        image = read_image(image)
    elif hasattr(image, "convert"):  # PIL's; its type cannot be named without loading PIL
        image = image.convert("RGB")
    pixels = np.asarray(image)
    if pixels.ndim not in (3, 4) or pixels.shape[-1] != 3:
        raise ValueError(
            f"An image is (height, width, 3) or (batch, height, width, 3), RGB, 0..255. Received: shape {pixels.shape}"
        )
    x = preprocess(pixels, preprocessing or preprocessing_of(model))
    classes = ops.convert_to_numpy(_classes_function(model)(x if pixels.ndim == 4 else x[None]))
    return classes if pixels.ndim == 4 else classes[0]


_KEYS = {"channel_order", "divisor", "mean", "std"}


def preprocess(pixels, preprocessing):
    """What a network takes: float32, its own channel order, divided, minus mean, by deviation.

    Args:
        pixels: `(..., height, width, 3)`, RGB, 0..255; for a network that sees depth too, "BGRD", the natural logarithm
            of the depth is the fourth channel.
        preprocessing: name or dictionary as in `tfseg.specs.PREPROCESSING`.
    Raises:
        ValueError: an unknown name, a dictionary that lacks something, or pixels of another number of channels.
    """
    if isinstance(preprocessing, str):
        if preprocessing not in specs.PREPROCESSING:
            raise ValueError(
                f"Preprocessing is a dictionary or one of {', '.join(specs.PREPROCESSING)}. Received: {preprocessing!r}"
            )
        preprocessing = specs.PREPROCESSING[preprocessing]
    if not _KEYS.issubset(preprocessing) or preprocessing["channel_order"] not in ("RGB", "BGR", "BGRD"):
        raise ValueError(
            "Preprocessing has channel_order (RGB, BGR or BGRD), divisor, mean and std, as in "
            f"tfseg.specs.PREPROCESSING. Received: {preprocessing}"
        )
    x, order = np.asarray(pixels, "float32"), preprocessing["channel_order"]
    if x.shape[-1] != len(order):
        raise ValueError(f"Pixels for {order} have {len(order)} channels. Received: {x.shape[-1]}")
    if order != "RGB":
        x = x[..., ["RGBD".index(channel) for channel in order]]
    mean, std = (np.asarray(preprocessing[key], "float32") for key in ("mean", "std"))
    return (x / np.float32(preprocessing["divisor"]) - mean) / std


def read_image(path):
    """A picture file as uint8 `(height, width, 3)`, RGB, turned as its EXIF orientation says.

    Grey and palette pictures become RGB, transparency is dropped.

    Raises:
        ValueError: pixels of more than 8 bits, which Pillow would clip to white instead of scaling.
        OSError: no file, or not a whole picture.
    """
    from PIL import Image, ImageOps

    with Image.open(path) as image:
        if image.mode[0] in "IF":
            raise ValueError(f"A photograph has 8 bits a channel: scale it. Received: {path} of mode {image.mode}")
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


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
        ValueError: a model that is no segmenter of RGB images.
    """
    compiled = _compiled(model, "logits", lambda logits: logits)
    return lambda batch: ops.convert_to_numpy(compiled(batch))


def _classes_function(model):
    """Image batch -> class maps."""
    return _compiled(
        model,
        "classes",
        lambda logits: ops.cast(ops.argmax(logits, axis=-1), "uint8" if logits.shape[-1] <= 256 else "int32"),
    )


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

            shape = (None, None, None, model.input_shape[-1])
            # The concrete function: TensorFlow would take the traces of several models for endless retracing, and warn.
            function = tf.function(function).get_concrete_function(tf.TensorSpec(shape, "float32"))
        functions[name] = function
    return functions[name]
