"""From images to the class of every pixel, and what a model must be for that."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from tfseg.engines.runner import EngineRunner, checked_runner, runner_of
from tfseg.images import read_image, to_rgb
from tfseg.layers.metadata import metadata
from tfseg.left_out import warn_of_left_out
from tfseg.missing_data import black_border, missing_pixels
from tfseg.outputs import logits_of
from tfseg.prediction.compiled import compiled_once
from tfseg.prediction.pixel_values import check_pixel_values
from tfseg.prediction.probabilities import as_logits, check_probabilities, check_threshold, sure_classes, void_of
from tfseg.prediction.row_blocks import classes_by_rows, has_many_logits
from tfseg.prediction.sizes import checked_size
from tfseg.prediction.windows import Block, slide, softmax, views
from tfseg.preprocessing import channels_of, is_stored, preprocess, preprocessing_entries
from tfseg.stored_channels import read_channels
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
    threshold: float | None = None,
    return_probabilities: bool = False,
    engine: EngineRunner | str | None = None,
    explain: bool = False,
) -> np.ndarray:
    """The class of every pixel, at the image's own size; or the probability of every class.

    With `window`, memory is bounded. For an image 20,000 pixels wide, only the logits of one window are held, and those
    of the rows that windows share.

    Args:
        model: segmentation model with logits `(batch, height, width, num_classes)`; its first output is used.
        image: path of an image file, which is read as `read_image` does; or a Pillow image, whose EXIF orientation is
            ignored; or an array `(height, width, 3)` or `(batch, height, width, 3)`, RGB, 0 to 255. A model of channel
            order "stored" takes its own number of channels, in the numbers of the files: arrays, or paths of `.npy`,
            GeoTIFF and others, whose pixels without data become void.
        preprocessing: a name of `tfseg.specs.PREPROCESSING`, or a dictionary like those in it; by default, the one that
            the model carries.
        scales: factors by which the sides of the image are resized; the probabilities at all scales are averaged.
        flip: whether the model sees the mirrored image, too.
        window: `(height, width)` in pixels of the window that slides over a larger image; None for the whole image.
            Windows are blended where they overlap, and each window is seen at all scales.
        overlap: how much of its side a window shares with the next one, at least 0 and below 1.
        threshold: smallest probability of a class, such as 0.5. Pixels whose most probable class is less probable
            become void: 255, or 65535 if there are more than 255 classes. None: every pixel has a class.
        return_probabilities: whether the probabilities of all classes are returned, not the classes.
        engine: what computes the logits: None, the model itself in Keras's backend; "tensorflow", "openvino",
            "onnxruntime" or "litert", which converts the model first; "auto", the fastest of them, once the model has
            computed for a while; or the result of `tfseg.compile`. Logits are within 1e-5 of the model's.
        explain: whether to print which engine computes, and why.
    Returns: integers `(height, width)`, or `(batch, height, width)` for a batch: uint8 up to 256 classes, else int32.
        With `return_probabilities`, float32 `(height, width, num_classes)`, or `(batch, height, width, num_classes)`.
    Raises:
        ValueError: the image has another shape, or values that no photograph has; the model does not say its
            preprocessing or is no segmenter of RGB images; a scale, the window, the overlap or the threshold is
            invalid; the engine is not installed, or has other weights; or probabilities are wanted of a model whose
            classes do not exclude each other.

    Example:
        >>> model = tfseg.load("street.pth")
        >>> classes = tfseg.predict(model, "street.png")
        >>> classes.shape, classes.dtype
        ((360, 480), dtype('uint8'))
        >>> bool(classes.max() < 11)
        True
        >>> quick = tfseg.predict(model, "street.png", engine="tensorflow")  # or "openvino", "onnxruntime", "litert"
        >>> bool((classes == quick).mean() > 0.999)
        True
    """
    preprocessing, missing = preprocessing or preprocessing_of(model), None
    count = check_channels(model, preprocessing)
    if isinstance(image, str | os.PathLike):
        array = read_channels(image, count) if is_stored(preprocessing) else read_image(image)
        missing = missing_pixels(array) if is_stored(preprocessing) else black_border(image, array)
        if not is_stored(preprocessing):
            warn_of_left_out(image)
    elif not isinstance(image, np.ndarray) and hasattr(image, "convert"):  # naming Pillow's type would load Pillow
        array = np.asarray(to_rgb(image, "a Pillow image"))
    else:
        array = np.asarray(image)
    if array.ndim not in (3, 4) or array.shape[-1] != count:
        kind = "as its file stores it" if is_stored(preprocessing) else "RGB, 0 to 255"
        raise ValueError(
            f"An image is (height, width, {count}) or (batch, height, width, {count}), {kind}. Received: shape "
            f"{array.shape}"
        )
    how: dict[str, Any] = {"scales": scales, "flip": flip, "window": window, "overlap": overlap}
    how["engine"] = checked_runner(model, engine, explain=explain)
    images = array if array.ndim == 4 else array[None]
    if missing is None:
        check_pixel_values(images, preprocessing)
    if return_probabilities:
        check_threshold(threshold)
        result = predict_probabilities(model, images, preprocessing, **how)
    else:
        result = predict_batch(model, images, preprocessing, **how, threshold=threshold)
        result = with_void(result, None if missing is None else missing[None], model)
    return result if array.ndim == 4 else result[0]


def predict_batch(
    model: keras.Model,
    images: np.ndarray,
    preprocessing: Preprocessing,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    window: Size | None = None,
    overlap: float = 1 / 3,
    threshold: float | None = None,
    engine: EngineRunner | str | None = None,
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
        threshold: smallest probability of a class, see `predict`.
        engine: what computes the logits, see `predict`.
    Raises:
        ValueError: an argument is invalid.
    """
    check_threshold(threshold)
    if threshold is not None:
        check_segmenter(model)
        check_probabilities(model)
    size = images.shape[1:3]
    whole = window is None or (window[0] >= size[0] and window[1] >= size[1])
    runner = runner_of(model, engine)
    blocks = _blocks(model, images, preprocessing, scales, flip, window or size, overlap, runner)  # checks arguments
    if whole and tuple(scales) == (1.0,) and not flip and threshold is None:
        return _checked_shape(model, images, _classes_function(model, runner)(preprocess(images, preprocessing)))
    classes = None
    for rows, columns, values in blocks if threshold is None else _probabilities(blocks, scales, flip):
        part = sure_classes(values, threshold)
        if classes is None:
            classes = np.empty(images.shape[:3], part.dtype)
        classes[:, rows, columns] = part
    assert classes is not None  # there is at least one block
    return classes


def predict_probabilities(
    model: keras.Model,
    images: np.ndarray,
    preprocessing: Preprocessing,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    window: Size | None = None,
    overlap: float = 1 / 3,
    engine: EngineRunner | str | None = None,
) -> np.ndarray:
    """Float32 `(batch, height, width, num_classes)`: the probabilities of the classes, of which `predict_batch` says
    the largest.

    Args:
        model: segmentation model.
        images: RGB images of one size, 0 to 255.
        preprocessing: a name of `tfseg.specs.PREPROCESSING`, or a dictionary like those in it.
        scales: factors by which the sides of the images are resized.
        flip: whether the model sees the mirrored images, too.
        window: `(height, width)` in pixels of the window that slides over larger images; None for whole images.
        overlap: how much of its side a window shares with the next one, at least 0 and below 1.
        engine: what computes the logits, see `predict`.
    Raises:
        ValueError: the classes of the model do not exclude each other.
    """
    check_segmenter(model)
    check_probabilities(model)
    probabilities = None
    runner = runner_of(model, engine)
    blocks = _blocks(model, images, preprocessing, scales, flip, window or images.shape[1:3], overlap, runner)
    for rows, columns, values in _probabilities(blocks, scales, flip):
        if probabilities is None:
            probabilities = np.empty((*images.shape[:3], values.shape[-1]), "float32")
        probabilities[:, rows, columns] = values
    assert probabilities is not None  # there is at least one block
    return probabilities


def _blocks(
    model: keras.Model,
    images: np.ndarray,
    preprocessing: Preprocessing,
    scales: Sequence[float],
    flip: bool,
    window: Size,
    overlap: float,
    runner: EngineRunner | None,
) -> Iterator[Block]:
    """Blocks of logits, or of probabilities if several views are averaged; refuses bad arguments at once."""

    def see(part: np.ndarray) -> np.ndarray:
        function = logits_function(model, runner)
        network = as_logits(model, lambda part: _checked_shape(model, part, function(part)))
        # Preprocessed window by window: in floats the whole image would take four times its memory.
        return views(network, scales, flip)(preprocess(part, preprocessing))

    return slide(see, images, window, overlap, taper=True)


def _probabilities(blocks: Iterator[Block], scales: Sequence[float], flip: bool) -> Iterator[Block]:
    """The blocks with probabilities in place of logits."""
    single = tuple(scales) == (1.0,) and not flip
    return ((rows, columns, softmax(values) if single else values) for rows, columns, values in blocks)


def _checked_shape(model: keras.Model, images: np.ndarray, result: np.ndarray) -> np.ndarray:
    """What the model computes for images, or a ValueError if it has another height or width."""
    if result.shape[:3] != images.shape[:3]:
        raise ValueError(
            f"The model {model.name!r} has no logits for every pixel. Received: {images.shape} to "
            f"{result.shape}. Enlarge them: tfseg.layers.ResizeLike()([model.output, model.input]) is the output "
            "of a model that has."
        )
    return result


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
            'mean, std), "caffe" (BGR minus mean), or a dictionary as in tfseg.specs.PREPROCESSING; commands take '
            "--preprocessing=torch."
        )
    return preprocessing


def check_channels(model: keras.Model, preprocessing: Preprocessing) -> int:
    """The number of channels of a model's images, which must be that of its preprocessing.

    Args:
        model: segmentation model.
        preprocessing: how images are prepared.
    Raises:
        ValueError: another number, or a model that is no segmenter.
    """
    check_segmenter(model)
    taken, prepared = model.input_shape[-1], channels_of(preprocessing)
    if preprocessing_entries(preprocessing)["channel_order"] == "BGRD":
        raise ValueError(
            f"The model {model.name!r} takes color and the logarithm of depth: call it on arrays, "
            "model(tfseg.preprocess(images, preprocessing))."
        )
    if taken != prepared:
        raise ValueError(
            f"The model {model.name!r} takes {taken} channels, and its preprocessing is for {prepared}. For images as "
            "they are stored: tfseg.set_metadata(model, preprocessing=inspection.preprocessing), of "
            "tfseg.data.inspect_dataset; or tfseg.adapt_channels, for another number of channels."
        )
    return prepared


def check_images(model: keras.Model, preprocessing: Preprocessing, channels: int | None, name: str) -> None:
    """Refuses a model for photographs on images that are read as they are stored, and the other way around.

    Args:
        model: segmentation model.
        preprocessing: how images are prepared.
        channels: number of channels of the data set's images, as they are stored; None: they are photographs.
        name: name of the data set, for messages.
    Raises:
        ValueError: the model takes other images.
    """
    expected = check_channels(model, preprocessing) if is_stored(preprocessing) else None
    if channels != expected:
        has, takes = (
            f"images of {count} channels, as stored" if count else "photographs" for count in (channels, expected)
        )
        raise ValueError(
            f"The data set {name!r} has {has}, and the model {model.name!r} takes {takes}. Open the data set with "
            f"channels={expected} (--channels), or change the model: tfseg.adapt_channels(model, {channels or 3}, "
            "preprocessing=tfseg.data.inspect_dataset(dataset).preprocessing)."
        )
    check_channels(model, preprocessing)


def with_void(classes: np.ndarray, missing: np.ndarray | None, model: keras.Model) -> np.ndarray:
    """The classes, with void for pixels without data: 255, or 65535 if there are more than 255 classes.

    Args:
        classes: integers `(batch, height, width)`.
        missing: booleans of the same shape; None: all pixels have data.
        model: segmentation model.
    """
    if missing is None:
        return classes
    void = void_of(logits_of(model.output).shape[-1])
    return np.where(missing, void, classes).astype("uint8" if void <= 255 else "int32")


def check_segmenter(model: keras.Model) -> None:
    """Raises ValueError unless the first output of the model is a map of logits for a batch of images.

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
    if len(input_shape) != 4 or len(output_shape) != 4 or input_shape[-1] is None:
        raise ValueError(
            "A segmentation model turns images (batch, height, width, channels) into logits (batch, height, width, "
            f"num_classes). Received: {model.name!r}, {input_shape} to {output_shape}"
        )
    if output_shape[-1] == 1:  # the largest of one number is always the first class
        raise ValueError(
            f"The model {model.name!r} has one score for each pixel, and a mask needs one for each class. Give the "
            "model two: keras.ops.concatenate([keras.ops.zeros_like(y), y], axis=-1), where y is the score before a "
            "sigmoid."
        )


def logits_function(model: keras.Model, engine: EngineRunner | None = None) -> Callable[[np.ndarray], np.ndarray]:
    """A function from a preprocessed batch to the model's first output, compiled once per model.

    If the model takes images of one size only, the function raises ValueError for another size.

    Args:
        model: segmentation model.
        engine: what computes; None for the model itself in Keras's backend.
    Raises:
        ValueError: the model is no segmenter of RGB images.
    """
    if engine is not None:
        check_segmenter(model)
        return engine
    function = _compiled(model, "logits", _unchanged)

    def logits(batch: np.ndarray) -> np.ndarray:
        return ops.convert_to_numpy(function(batch))

    return logits


def _unchanged(logits: Any) -> Any:
    return logits


def _classes_function(model: keras.Model, engine: EngineRunner | None) -> Callable[[np.ndarray], np.ndarray]:
    """A function from a preprocessed batch to the class of every pixel."""
    if engine is not None:
        logits_of_engine = logits_function(model, engine)

        def chosen(batch: np.ndarray) -> np.ndarray:
            logits = logits_of_engine(batch)
            return logits.argmax(axis=-1).astype(_class_dtype(logits.shape[-1]))

        return chosen
    dtype = _class_dtype(logits_of(model.output).shape[-1])

    def of_model(batch: np.ndarray) -> np.ndarray:
        if has_many_logits(model, batch):
            return classes_by_rows(model, checked_size(model, batch), dtype)
        function = _compiled(model, "classes", lambda logits: ops.cast(ops.argmax(logits, axis=-1), dtype))
        return ops.convert_to_numpy(function(batch))

    return of_model


def _class_dtype(num_classes: int) -> str:
    return "uint8" if num_classes <= 256 else "int32"


def _compiled(model: keras.Model, name: str, finish: Callable[[Any], Any]) -> Callable[[np.ndarray], Any]:
    """`finish` of the logits, compiled once per model."""
    check_segmenter(model)
    function = compiled_once(model, name, finish)
    return lambda batch: function(checked_size(model, batch))
