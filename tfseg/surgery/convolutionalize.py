"""`convolutionalize`: a classifier of images of one size becomes a map of its scores, for images of every size."""

from collections.abc import Sequence

import keras

from tfseg import graphs
from tfseg.layers.metadata import metadata, set_metadata
from tfseg.surgery.receptive_fields import IMAGE
from tfseg.surgery.sliding_surgeon import SlidingSurgeon, SlidingTensor
from tfseg.surgery.survey import ClassifierSurvey


def convolutionalize(
    model: keras.Model,
    num_classes: int | None = None,
    *,
    input_size: int | Sequence[int] | None = None,
    name: str | None = None,
) -> keras.Model:
    """The classifier at every place of an image of any size: dense layers become convolutions, a vector a map.

    The output is `(batch, rows, columns, num_classes)`. At the classifier's own image size it is 1 x 1, and what the
    classifier computes. On a larger image the classifier slides: every pixel of the output sees a window of its size,
    and the windows are as many image pixels apart as the network strides.

    Where no layer pads, a pixel of the output is exactly what the classifier makes of the window. Otherwise it differs:
    the layers see image pixels beyond the window, where the classifier saw padding. (NASNet computes its paddings for
    its own size when it is built: it takes sizes larger by multiples of its stride.)

    A dense layer after Flatten becomes a kernel of the size of the last map, those after it 1x1 kernels. A global
    pooling in front of the scores becomes a pooling of that size at every place. So does an AveragePooling2D of the
    whole map in front of Flatten. A pooling whose result goes back into a map, as in squeeze-and-excite, stays global.
    AdaptiveAveragePooling in front of the scores is removed: at the classifier's own size it changes nothing. Names and
    weights are the model's, dense kernels reshaped.

    Args:
        model: functional or Sequential classifier, input `(batch, height, width, channels)`; it is not changed. Models
            inside it are dissolved into their layers.
        num_classes: scores of the result; by default the model's. If more, the model's classes come first, with their
            weights, and the rest begins at initial ones. If fewer, all of the last layer begins at initial weights.
        input_size: image size that the classifier was trained at, `(height, width)` or one number. It is needed for a
            model that is built for any size and pools globally.
        name: name of the result; the model's by default.
    Returns: a functional model, input `(batch, height, width, channels)` of any size, not compiled.
    Raises:
        ValueError: the model is a subclass, is no classifier of images or does not say their size; `num_classes` is
            below 1; or a layer cannot slide. The message names the layer.
    Reference: Long et al. 2015, https://arxiv.org/abs/1411.4038, section 3.1.
    Example:
        >>> classifier = tfseg.VGG(11, include_top=True, num_classes=4, width=1 / 32)
        >>> sliding = tfseg.convolutionalize(classifier)
        >>> for height, width in ((224, 224), (256, 320)):
        ...     print(sliding(np.zeros((1, height, width, 3), "float32")).shape)
        (1, 1, 1, 4)
        (1, 2, 4, 4)
    """
    graphs.check(model)
    if num_classes is not None and (type(num_classes) is not int or num_classes < 1):
        raise ValueError(f"num_classes must be a whole number from 1, or None. Received: {num_classes!r}")
    survey = ClassifierSurvey(model, _native_shape(model, input_size))
    surgeon = SlidingSurgeon(model, survey, num_classes)
    (layer,) = graphs.input_layers(model)
    image = surgeon.copies.of(layer, batch_shape=(None, None, None, survey.shape[3])).output
    results = graphs.replay(model, [SlidingTensor(image, tuple(survey.shape), IMAGE)], surgeon.call)
    for output, result in zip(graphs.output_names(model), results, strict=True):
        if not result.is_score:
            raise ValueError(
                f"The output {output!r} of the model {model.name!r} is no vector of scores that could slide, but has "
                f"the shape {result.native}: build the classifier with its top (include_top=True), and without outputs "
                "that go back into a map, too."
            )
    old = graphs.structure(model)
    new = ([image], [result.tensor for result in results])
    sliding = keras.Model(*map(keras.tree.pack_sequence_as, old, new), name=name or model.name)
    surgeon.fill()
    classes = metadata(sliding)["classes"]
    if surgeon.last and classes and len(classes) != num_classes:
        set_metadata(sliding, classes=None, colors=None)
    return sliding


def _native_shape(
    model: keras.Model, input_size: int | Sequence[int] | None
) -> tuple[None, int | None, int | None, int]:
    """`(batch, height, width, channels)` of the classifier's own images, None where it is not known."""
    shapes = [tuple(tensor.shape) for tensor in model.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise ValueError(
            "A classifier that slides takes one image, (batch, height, width, channels). Received: the model "
            f"{model.name!r} with {', '.join(map(str, shapes))}"
        )
    _, rows, columns, channels = shapes[0]
    if input_size is None:
        return None, rows, columns, channels
    size = tuple(input_size) if isinstance(input_size, tuple | list) else (input_size, input_size)
    if len(size) != 2 or any(type(side) is not int or side < 1 for side in size):
        raise ValueError(f"input_size must be (height, width), or one number for both. Received: {input_size!r}")
    if any(fixed not in (None, side) for fixed, side in zip((rows, columns), size, strict=True)):
        raise ValueError(
            f"The model {model.name!r} is built for images of {rows} x {columns} pixels. "
            f"Received: input_size={input_size!r}"
        )
    return None, *size, channels
