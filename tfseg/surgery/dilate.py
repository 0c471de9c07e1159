"""`dilate`: strides become dilations, call by call."""

import functools
from typing import Any

import keras

from tfseg import graphs
from tfseg.specs import CONVENTIONS
from tfseg.surgery.calls import GriddedCall, GriddedTensor
from tfseg.surgery.dilation_rules import convolution, pooling, rule_of
from tfseg.surgery.dilation_surgeon import WAY_OUT, DilationSurgeon
from tfseg.surgery.grids import window_of


def dilate(
    model: keras.Model, output_stride: int, *, convention: str = "previous", name: str | None = None
) -> keras.Model:
    """The same network on a finer grid: strides past `output_stride` become dilations.

    Sampling the result every `old_stride / output_stride` pixels gives the old output, at every image size; see
    `check_dilation`. Vectors for the whole image (squeeze-and-excite, a classifier's logits) are made from the pixels
    of the old grid, and keep their values. Weights, names and variable paths are the model's. A layer that the model
    lacked has the name of the layer that it serves, and the ending `_fill`, `_pad`, `_crop` or `_grid`.

    Args:
        model: functional or Sequential `keras.Model`, input `(batch, height, width, channels)`; it is not changed.
            Models inside it are dissolved into their layers. Your own layer that treats every pixel by itself needs
            `pixelwise = True` on its class.
        output_stride: input pixels per pixel of the deepest map: a power of two, usually 16 or 8.
        convention: rate of a convolution that loses its stride. "previous", its old rate, keeps the law above.
            "new" (old rate x stride) and "one" are the rates that some published networks were trained with.
        name: name of the result; the model's by default.
    Returns: a functional model, not compiled.
    Raises:
        ValueError: the model is a subclass or has no strides; the output stride is no power of two or larger than the
            model's; or a layer cannot be dilated. The message names the layer.
    Reference: Chen et al. 2017, https://arxiv.org/abs/1606.00915, section 3.1.
    Example:
        >>> model = tfseg.ResNet(18, width=1 / 16)
        >>> dilated = tfseg.dilate(model, output_stride=8)
        >>> image = np.zeros((1, 64, 96, 3), "float32")
        >>> print(model(image).shape, dilated(image).shape)
        (1, 2, 3, 32) (1, 8, 12, 32)
    """
    graphs.check(model)
    if not isinstance(output_stride, int) or output_stride < 1 or output_stride & (output_stride - 1):
        raise ValueError(f"output_stride must be a power of two. Received: {output_stride!r}")
    if convention not in CONVENTIONS:
        raise ValueError(f"convention must be one of {', '.join(map(repr, CONVENTIONS))}. Received: {convention!r}")
    surgeon = DilationSurgeon(model, output_stride, convention)
    inputs = [surgeon.copies.of(layer).output for layer in graphs.input_layers(model)]
    results = graphs.replay(model, map(surgeon.image, inputs), functools.partial(_dilate_call, surgeon))
    surgeon.check_stride()
    old = graphs.structure(model)
    new = (inputs, [tracked.tensor for tracked in results])
    dilated = keras.Model(*map(keras.tree.pack_sequence_as, old, new), name=name or model.name)
    surgeon.copies.fill()
    return dilated


def _dilate_call(
    surgeon: DilationSurgeon,
    operation: keras.Operation,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    _outputs: list[keras.KerasTensor],
) -> list[GriddedTensor]:
    """The maps that one call of the original makes in the new model."""
    call = GriddedCall(operation, args, kwargs)
    if not any(tracked.grid for tracked in call.maps):
        _check_place(surgeon, call)
        return call.result(surgeon.copies.of(operation), None)
    if getattr(operation, "data_format", None) == "channels_first":
        surgeon.refuse(call, "its channels come first", 'Build the model with data_format="channels_last".')
    results = rule_of(operation)(surgeon, call)
    surgeon.note_strides(results)
    return results


def _check_place(surgeon: DilationSurgeon, call: GriddedCall) -> None:
    """Refuses a layer that strides over a map whose pixels have no known place: its stride could not be taken."""
    if rule_of(call.operation) not in (convolution, pooling) or not call.maps:
        return
    sizes = tuple(call.maps[0].tensor.shape)[1:-1]
    if len(sizes) == 2 and None in sizes and max(window_of(call.operation).strides) > 1:
        surgeon.refuse(call, "a layer before it took the place on the image from its map", WAY_OUT)
