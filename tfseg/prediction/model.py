"""From images to the class of every pixel, and what a model must be for that."""

import os
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from tfseg.images import read_image, to_rgb
from tfseg.layers.metadata import metadata
from tfseg.outputs import logits_of
from tfseg.prediction.windows import slide, views
from tfseg.preprocessing import preprocess
from tfseg.types import Path, Preprocessing, Size

if TYPE_CHECKING:
    from PIL import Image


def predict(
    model: keras.Model,
    image: "Path | Image.Image | np.ndarray",
    *,
    preprocessing: Preprocessing | None = None,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    window: Size | None = None,
    overlap: float = 1 / 3,
) -> np.ndarray:
    """The class of every pixel, at the image's own size.

    With `window`, memory is bounded. For an image 20,000 pixels wide, only the logits of one window are held, and those
    of the rows that windows share.

    Args:
        model: segmentation model with logits `(batch, height, width, num_classes)`; its first output is used.
        image: path of an image file, which is read as `read_image` does; or a Pillow image, whose EXIF orientation is
            ignored; or an array `(height, width, 3)` or `(batch, height, width, 3)`, RGB, 0 to 255.
        preprocessing: a name of `tfseg.specs.PREPROCESSING`, or a dictionary like those in it; by default, the one that
            the model carries.
        scales: factors by which the sides of the image are resized; the probabilities at all scales are averaged.
        flip: whether the model sees the mirrored image, too.
        window: `(height, width)` in pixels of the window that slides over a larger image; None for the whole image.
            Windows are blended where they overlap, and each window is seen at all scales.
        overlap: how much of its side a window shares with the next one, at least 0 and below 1.
    Returns: integers `(height, width)`, or `(batch, height, width)` for a batch: uint8 up to 256 classes, else int32.
    Raises:
        ValueError: the image has another shape; the model does not say its preprocessing or is no segmenter of RGB
            images; or a scale, the window or the overlap is invalid.

    Example:
        >>> model = tfseg.load("street.pth")
        >>> classes = tfseg.predict(model, "street.png")
        >>> classes.shape, classes.dtype
        ((360, 480), dtype('uint8'))
        >>> bool(classes.max() < 11)
        True
    """
    if isinstance(image, str | os.PathLike):
        array = read_image(image)
    elif not isinstance(image, np.ndarray) and hasattr(image, "convert"):  # naming Pillow's type would load Pillow
        array = np.asarray(to_rgb(image, "a Pillow image"))
    else:
        array = np.asarray(image)
    if array.ndim not in (3, 4) or array.shape[-1] != 3:
        raise ValueError(
            f"An image is (height, width, 3) or (batch, height, width, 3), RGB, 0 to 255. Received: shape {array.shape}"
        )
    classes = predict_batch(
        model,
        array if array.ndim == 4 else array[None],
        preprocessing or preprocessing_of(model),
        scales=scales,
        flip=flip,
        window=window,
        overlap=overlap,
    )
    return classes if array.ndim == 4 else classes[0]


def predict_batch(
    model: keras.Model,
    images: np.ndarray,
    preprocessing: Preprocessing,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    window: Size | None = None,
    overlap: float = 1 / 3,
) -> np.ndarray:
    """Integers `(batch, height, width)`: what `predict` returns for images `(batch, height, width, 3)`.

    Args:
        model: segmentation model.
        images: RGB images of one size, 0 to 255.
        preprocessing: a name of `tfseg.specs.PREPROCESSING`, or a dictionary like those in it.
        scales: factors by which the sides of the images are resized.
        flip: whether the model sees the mirrored images, too.
        window: `(height, width)` in pixels of the window that slides over larger images; None for whole images.
        overlap: how much of its side a window shares with the next one, at least 0 and below 1.
    """
    size = images.shape[1:3]
    window = window or size

    def see(part: np.ndarray) -> np.ndarray:
        # Preprocessed window by window: in floats the whole image would take four times its memory.
        return views(logits_function(model), scales, flip)(preprocess(part, preprocessing))

    blocks = slide(see, images, window, overlap, taper=True)  # computes nothing yet, but refuses bad arguments
    if tuple(scales) == (1.0,) and not flip and window[0] >= size[0] and window[1] >= size[1]:
        result = ops.convert_to_numpy(_classes_function(model)(preprocess(images, preprocessing)))
        if result.shape != images.shape[:3]:
            raise ValueError(
                f"The model {model.name!r} has no logits for every pixel. Received: {images.shape} to "
                f"{result.shape}. Enlarge them: tfseg.layers.ResizeLike()([model.output, model.input]) is the output "
                "of a model that has."
            )
        return result
    classes = None
    for rows, columns, values in blocks:
        if classes is None:
            classes = np.empty(images.shape[:3], _class_dtype(values.shape[-1]))
        classes[:, rows, columns] = values.argmax(axis=-1)
    assert classes is not None  # there is at least one block
    return classes


def preprocessing_of(model: keras.Model) -> Preprocessing:
    """The preprocessing that the model carries.

    Args:
        model: any Keras model.
    Raises:
        ValueError: the model does not say its preprocessing.
    """
    preprocessing = metadata(model)["preprocessing"]
    if preprocessing is None:
        raise ValueError(
            f'The model {model.name!r} does not say how its input is prepared: pass preprocessing="torch" (RGB, /255, '
            'mean, std), "caffe" (BGR minus mean), or a dictionary as in tfseg.specs.PREPROCESSING.'
        )
    return preprocessing


def check_segmenter(model: keras.Model) -> None:
    """Raises ValueError unless the first output of the model is a map of logits for a batch of RGB images.

    Args:
        model: any Keras model.
    """
    output = getattr(model, "output", None)  # a model that was never called has none
    output = logits_of(output)
    inputs = getattr(model, "inputs", None) or ()
    if len(inputs) > 1:
        raise ValueError(
            f"A segmentation model takes one image, and {model.name!r} takes {len(inputs)} inputs: "
            f"{', '.join(tensor.name for tensor in inputs)}. Call it on arrays, model([...]), or put a functional "
            "model of one image around it."
        )
    input_shape: Any = getattr(model, "input_shape", ())
    output_shape: Any = getattr(output, "shape", ())
    if len(input_shape) != 4 or len(output_shape) != 4 or input_shape[-1] != 3:
        raise ValueError(
            "A segmentation model turns images (batch, height, width, 3) into logits (batch, height, width, "
            f"num_classes). Received: {model.name!r}, {input_shape} to {output_shape}"
        )


def logits_function(model: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """A function from a preprocessed batch to the model's first output, compiled once per model.

    If the model takes images of one size only, the function raises ValueError for another size.

    Args:
        model: segmentation model.
    Raises:
        ValueError: the model is no segmenter of RGB images.
    """
    compiled = _compiled(model, "logits", lambda logits: logits)
    return lambda batch: ops.convert_to_numpy(compiled(batch))


def _classes_function(model: keras.Model) -> Callable[[np.ndarray], Any]:
    """A function from a preprocessed batch to the class of every pixel."""
    return _compiled(
        model,
        "classes",
        lambda logits: ops.cast(ops.argmax(logits, axis=-1), _class_dtype(logits.shape[-1])),
    )


def _class_dtype(num_classes: int) -> str:
    return "uint8" if num_classes <= 256 else "int32"


_functions: weakref.WeakKeyDictionary[keras.Model, dict[str, Callable[[Any], Any]]] = weakref.WeakKeyDictionary()


def _compiled(model: keras.Model, name: str, finish: Callable[[Any], Any]) -> Callable[[np.ndarray], Any]:
    """`finish` of the logits, compiled once per model: `model.predict` and a bare call take a third longer."""
    functions = _functions.setdefault(model, {})
    if name not in functions:
        check_segmenter(model)
        reference = weakref.ref(model)  # a strong reference would keep the model alive through its own entry

        def function(x: Any) -> Any:
            alive = reference()
            assert alive is not None  # the caller holds it
            return finish(logits_of(alive(x, training=False)))

        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            shape = (None, *model.input_shape[1:])
            # The concrete function: for the traces of several models, TensorFlow would warn of endless retracing.
            function = tf.function(function).get_concrete_function(tf.TensorSpec(shape, "float32"))
        functions[name] = function
    return lambda batch: functions[name](_checked_size(model, batch))


def _checked_size(model: keras.Model, batch: np.ndarray) -> np.ndarray:
    """The batch, or a ValueError: a function traced for any size would compute something, and not complain."""
    expected_size, size = model.input_shape[1:3], tuple(batch.shape[1:3])
    if any(expected not in (None, side) for expected, side in zip(expected_size, size, strict=True)):
        raise ValueError(
            f"The model {model.name!r} takes images of {expected_size}, height and width. Received: {size}. Resize "
            f"them, or slide a window over larger ones: window={expected_size}"
        )
    return batch
