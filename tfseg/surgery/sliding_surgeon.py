"""The calls of a classifier that slides: which layer takes the place of each, and which cannot slide."""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any, NoReturn

import keras
from keras import layers, ops

from tfseg import graphs
from tfseg.surgery import dilation_rules
from tfseg.surgery.calls import TrackedCall
from tfseg.surgery.grids import window_of
from tfseg.surgery.receptive_fields import WHOLE, ReceptiveField, field_after
from tfseg.surgery.survey import ClassifierSurvey, is_shaping, reads_all

WAY_OUT = "Convolutionalize a model that ends before it, and build the rest on the result."
SAY_SIZE = "Say at what image size the classifier was trained: input_size=(height, width)."
ADAPTIVE = "The classifier's own size must be one at which it changes nothing: by input_size=, or the model's input."
ONE_PIXEL = (1, 1)
POOLINGS = {
    name: kind
    for kind, names in (
        (
            layers.AveragePooling2D,
            "GlobalAveragePooling GlobalAveragePooling2D AdaptiveAveragePooling AdaptiveAveragePooling2D Mean",
        ),
        (layers.MaxPooling2D, "GlobalMaxPooling2D AdaptiveMaxPooling2D Max Amax"),
    )
    for name in names.split()
}
SIZELESS = {  # rules of layers that take maps of any size
    dilation_rules.convolution,
    dilation_rules.pooling,
    dilation_rules.border,
    dilation_rules.bare_pad,
    dilation_rules.dilated_before,
    dilation_rules.upsampling,
    dilation_rules.resize_like,
    dilation_rules.crop_like,
}
DENSE = """activation use_bias kernel_initializer bias_initializer kernel_regularizer bias_regularizer
activity_regularizer bias_constraint trainable""".split()
Shape = tuple[Any, ...]
"""Sizes of the axes of a tensor; None where a size is not known."""


@dataclasses.dataclass(frozen=True, eq=False)
class SlidingTensor(graphs.TrackedTensor):
    """A tensor of the new model.

    Attributes:
        native: shape of the classifier's tensor that it stands for.
        field: receptive field of its pixels; without a stride if there is one value for the whole image.
        window: rows and columns of it that make one vector of the classifier; None in front of the sliding head.
    """

    native: Shape
    field: ReceptiveField
    window: Shape | None = None

    @property
    def size(self) -> Shape:
        """Rows and columns of the classifier's map."""
        return self.native[1:-1]

    @property
    def is_score(self) -> bool:
        """Whether each of its pixels is a vector of the classifier."""
        return self.field.stride is not None and (self.window or self.size) == ONE_PIXEL


Replacement = tuple[list[Any], ReceptiveField | None, Shape | None]
"""What a call becomes: its results in the new model, their receptive field, and their window."""


class SlidingSurgeon:
    """Makes the calls of the new model, one by one, and refuses those that cannot be made.

    Args:
        model: classifier.
        survey: what its calls do at its own image size.
        num_classes: units of the last layer; None keeps them.
    """

    def __init__(self, model: keras.Model, survey: ClassifierSurvey, num_classes: int | None):
        self.model = model
        self.survey = survey
        self.num_classes = num_classes
        self.copies = graphs.LayerCopies(model)
        self.last = self._last_with_units() if num_classes else None
        self._indices = itertools.count()

    def _last_with_units(self) -> keras.Layer:
        """The last layer that has units. The layers after it must take any number of them."""
        if len(self.model.outputs) > 1:
            raise ValueError(
                f"num_classes belongs to one output. Received: {self.model.name!r}, which has {len(self.model.outputs)}"
            )
        calls = self.survey.calls
        indices = [
            index for index, call in enumerate(calls) if isinstance(call.operation, layers.Dense | layers.Conv2D)
        ]
        if not indices:
            raise ValueError(f"The model {self.model.name!r} has no dense layer or convolution to give num_classes.")
        last = calls[indices[-1]].operation
        for follower in calls[indices[-1] + 1 :]:
            if len(follower.makers) > 1 or follower.call.constants or getattr(follower.operation, "weights", None):
                self.refuse(follower.operation, f"it stands after {last.name!r}, whose num_classes change", WAY_OUT)
        return last

    def call(
        self, operation: keras.Operation, args: tuple[Any, ...], kwargs: dict[str, Any], _outputs: Any
    ) -> list[SlidingTensor]:
        """The results of the next call in the new model; see `graphs.replay`."""
        index = next(self._indices)
        call, surveyed = TrackedCall(operation, args, kwargs), self.survey.calls[index]
        if getattr(operation, "data_format", None) == "channels_first":
            self.refuse(operation, "its channels come first", 'Build the model with data_format="channels_last".')
        if any(tracked.window for tracked in call.maps):
            rule: Callable[[TrackedCall, Shape, int], Replacement] = self._in_head
        elif self.survey.stays_global(index):
            rule = self._global
        elif reads_all(operation):
            rule = self._head
        else:
            rule = self._in_front
        tensors, field, window = rule(call, surveyed.shapes[0], index)
        return [
            SlidingTensor(tensor, shape, field or WHOLE, window)
            for tensor, shape in zip(tensors, surveyed.shapes, strict=True)
        ]

    def _in_front(self, call: TrackedCall, shape: Shape, index: int) -> Replacement:
        """Maps, and vectors of the whole image that come back into maps."""
        operation, rule = call.operation, dilation_rules.rule_of(call.operation)
        changes: dict[str, Any] = {}
        maps = [tracked for tracked in call.maps if tracked.field.stride]
        if rule is dilation_rules.pixelwise:
            if not dilation_rules.works_on_channels(operation) or call.has_placed_constants:
                self.refuse(operation, "its axes, weights or constants belong to maps of one size", WAY_OUT)
            if len({tracked.size for tracked in maps if None not in tracked.size}) > 1:
                self.refuse(operation, "it joins maps of different sizes", WAY_OUT)
        elif rule is dilation_rules.pooling:
            if self.survey.ends_map(index):
                changes = {"strides": ONE_PIXEL, "padding": "valid"}
        elif rule not in SIZELESS and shape[:-1] != maps[0].native[:-1]:
            self.refuse(operation, "the size of its result is fixed, or follows a rule that is not known", WAY_OUT)
        layer = self._layer(operation, **changes)
        return call.tensors(layer), field_after(layer, [tracked.field for tracked in call.maps]), None

    def _global(self, call: TrackedCall, _shape: Shape, _index: int) -> Replacement:
        """A result made of all of a map that goes back into a map."""
        if call.maps[0].field.stride and is_shaping(call.operation):
            self.refuse(call.operation, "its result is made of maps of one size, and goes back into a map", WAY_OUT)
        return call.tensors(self._layer(call.operation)), WHOLE, None

    def _head(self, call: TrackedCall, shape: Shape, _index: int) -> Replacement:
        """From the last map to vectors, each made of a window of the map. At the own size the window is all of it."""
        operation, (source,) = call.operation, call.maps
        name, pixels = type(operation).__name__, shape[1:-1] or ONE_PIXEL
        if name.startswith("Adaptive") and pixels != ONE_PIXEL:
            if None not in source.size and source.size != pixels:
                self.refuse(operation, f"it makes a map of {_words(pixels)} out of {_words(source.size)}", ADAPTIVE)
            return [source.tensor], source.field, None
        if pixels != ONE_PIXEL or not (is_shaping(operation) or name in POOLINGS):
            self.refuse(operation, "it neither lays all of a map out in a vector nor averages it", WAY_OUT)
        if None in source.size:
            self.refuse(operation, "the size of the map that it reads is not known", SAY_SIZE)
        if is_shaping(operation):
            return [source.tensor], source.field, source.size
        if shape[-1] != source.native[-1]:
            self.refuse(operation, "it mixes the channels, too", WAY_OUT)
        dtype = getattr(operation, "dtype_policy", None) or source.tensor.dtype
        pool = self._layer(operation, POOLINGS[name], pool_size=source.size, strides=ONE_PIXEL, dtype=dtype)
        return [pool(source.tensor)], source.field, ONE_PIXEL

    def _in_head(self, call: TrackedCall, shape: Shape, _index: int) -> Replacement:
        """Vectors, one for every place of the window."""
        operation, rule, (first, *rest) = call.operation, dilation_rules.rule_of(call.operation), call.maps
        if any(_steps(tracked) != _steps(first) for tracked in rest):
            self.refuse(operation, "it joins tensors that do not slide in the same steps", WAY_OUT)
        if type(operation) is layers.Dense:
            return self._dense(operation, first)
        if is_shaping(operation) or type(operation).__name__ in POOLINGS:
            if len(shape) > 1 and shape[1:-1] in ((), ONE_PIXEL) and shape[-1] == first.native[-1]:
                return [first.tensor], first.field, first.window
        elif rule is dilation_rules.convolution and first.window == window_of(operation).extent == ONE_PIXEL:
            return call.tensors(self._layer(operation, strides=ONE_PIXEL)), first.field, ONE_PIXEL
        elif rule is dilation_rules.pixelwise:
            return call.tensors(self._layer(operation, **self._channel_changes(call))), first.field, first.window
        return self.refuse(operation, "it does not treat a vector of scores unit by unit", WAY_OUT)

    def _dense(self, layer: keras.layers.Dense, source: SlidingTensor) -> Replacement:
        if layer.kernel_constraint:
            self.refuse(layer, "its kernel_constraint is made for a matrix", "Build it without one.")
        options = {key: getattr(layer, key) for key in DENSE} | {"filters": layer.units, "dtype": layer.dtype_policy}
        conv = self._layer(layer, layers.Conv2D, kernel_size=source.window, **options)
        return [conv(source.tensor)], source.field, ONE_PIXEL

    def _channel_changes(self, call: TrackedCall) -> dict[str, Any]:
        """Changes of a layer of vectors if the vectors become the channels of a map."""
        operation, (first, *_) = call.operation, call.maps
        axes = keras.tree.flatten(getattr(operation, "axis", -1))
        rank = len(first.native)
        if any(axis is None or axis % rank != rank - 1 for axis in axes) or call.has_placed_constants:
            self.refuse(operation, "it works along more than the units of a vector", WAY_OUT)
        tells_apart = hasattr(operation, "axis") or call.constants or getattr(operation, "weights", None)
        if first.window != ONE_PIXEL and tells_apart:
            self.refuse(operation, "it tells units apart that lie side by side on the map", WAY_OUT)
        changes: dict[str, Any] = {"axis": -1} if getattr(operation, "axis", -1) != -1 else {}
        return changes | ({"shared_axes": (1, 2)} if isinstance(operation, layers.PReLU) else {})

    def _layer(
        self, operation: keras.Operation, kind: type[keras.Layer] | None = None, **changes: Any
    ) -> keras.Operation:
        """The layer that takes the operation's place, with `num_classes` units if it is the last."""
        if operation is self.last:
            key = "units" if kind is None and isinstance(operation, layers.Dense) else "filters"
            changes[key] = self.num_classes
        return self.copies.of(operation, kind, **changes)

    def fill(self) -> None:
        """Gives every layer its weights; the last layer gets those of the units that both models have, or none."""
        self.copies.fill(but=[self.last])
        if self.last and self.num_classes:
            units = getattr(self.last, "units", None) or self.last.filters
            for source, target in zip(self.last.variables, self.copies.made(self.last).variables, strict=True):
                if units <= self.num_classes:
                    kept = ops.reshape(source, (*target.shape[:-1], units))
                    target.assign(ops.concatenate([kept, target[..., units:]], axis=-1))

    def refuse(self, operation: keras.Operation, why: str, way_out: str) -> NoReturn:
        """Raises ValueError that names the layer, the reason and the way out."""
        raise ValueError(
            f"The layer {operation.name!r} ({type(operation).__name__}) of the model {self.model.name!r} cannot slide: "
            f"{why}. {way_out}"
        )


def _steps(tracked: SlidingTensor) -> tuple[Any, ...]:
    """How a vector slides: its window, its steps on the image, and how many axes it had."""
    return tracked.window, tracked.field.stride, len(tracked.native)


def _words(size: Shape) -> str:
    return " x ".join(map(str, size))
