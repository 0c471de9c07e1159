"""`convolutionalize`: a classifier of images of one size becomes a map of its scores, for images of every size."""

import dataclasses
import itertools

import keras
from keras import layers, ops

from tfseg import graphs
from tfseg.layers import metadata, set_metadata
from tfseg.surgery import dilation_rules, receptive_fields
from tfseg.surgery.survey import Survey, is_shaping, reads_all

WAY_OUT = "Convolutionalize a model that ends before it, and build the rest on the result."
SAY_SIZE = "Say at what image size the classifier was trained: input_size=(height, width)."
ADAPTIVE = "The classifier's own size must be one at which it changes nothing: by input_size=, or the model's input."
ONE = (1, 1)
POOLINGS = {
    name: kind
    for kind, names in (
        (layers.AveragePooling2D, "GlobalAveragePooling2D AdaptiveAveragePooling AdaptiveAveragePooling2D Mean"),
        (layers.MaxPooling2D, "GlobalMaxPooling2D AdaptiveMaxPooling2D Max Amax"),
    )
    for name in names.split()
}
COPIED = {  # rules of layers that mind no size
    dilation_rules.convolution,
    dilation_rules.pooling,
    dilation_rules.border,
    dilation_rules.bare_pad,
    dilation_rules.dense_form,
    dilation_rules.enlarging,
    dilation_rules.resize_like,
    dilation_rules.crop_like,
}
DENSE = """activation use_bias kernel_initializer bias_initializer kernel_regularizer bias_regularizer
activity_regularizer bias_constraint trainable""".split()


def convolutionalize(model, num_classes=None, *, input_size=None, name=None):
    """The classifier at every place of an image of any size: dense layers become convolutions, a vector a map.

    Output `(batch, rows, columns, num_classes)`: 1 x 1, and what the classifier computes, at the classifier's own image
    size. On a larger image it slides: every pixel looks at a window of that size, as many image pixels from the next as
    the network strides. Where no layer pads, that is exactly what the classifier makes of the window; else it differs
    by what the layers see beyond the window, where the classifier saw padding. (NASNet works paddings out for its own
    size when it is built: it takes sizes larger by multiples of its stride.)

    A dense layer behind Flatten becomes a kernel of the size of the last map, those behind it 1x1. A global pooling in
    front of the scores (or an AveragePooling2D of the whole map, in front of Flatten) becomes one of that size at every
    place. One whose result goes back into a map, as in squeeze-and-excite, stays global. AdaptiveAveragePooling in
    front of the scores goes: the classifier's own size is that where it changes nothing. Names and weights are the
    model's, dense kernels reshaped.

    Args:
        model: functional or Sequential classifier, input `(batch, height, width, channels)`. It stays as it is. Models
            inside it are dissolved into their layers.
        num_classes: scores of the result; by default the model's. More: the model's classes come first, with their
            weights, and the rest begins at initial ones. Fewer: all of the last layer begins at initial weights.
        input_size: the classifier's own image size, `(height, width)` or one number: for a model that is built for any
            size and pools globally, that which it was trained at.
        name: of the result; the model's by default.
    Returns: a functional model, input `(batch, height, width, channels)` of any size, not compiled.
    Raises:
        ValueError: a model that is no graph, is no classifier of images or does not tell their size, `num_classes`
            below 1, or a layer that cannot slide, by name.
    Reference: Long et al. 2015, https://arxiv.org/abs/1411.4038, section 3.1.
    """
    graphs.check(model)
    if num_classes is not None and (type(num_classes) is not int or num_classes < 1):
        raise ValueError(f"num_classes must be a whole number from 1, or None. Received: {num_classes!r}")
    survey = Survey(model, _native_shape(model, input_size))
    surgeon = Surgeon(model, survey, num_classes)
    (layer,) = graphs.input_layers(model)
    image = surgeon.copies.of(layer, batch_shape=(None, None, None, survey.shape[3])).output
    results = graphs.replay(model, [Value(image, survey.shape, receptive_fields.IMAGE)], surgeon.call)
    for output, result in zip(graphs.output_names(model), results, strict=True):
        if not result.is_score:
            raise ValueError(
                f"The output {output!r} of the model {model.name!r} is no vector of scores that could slide, but of "
                f"shape {result.native}: build the classifier with its top (include_top=True), and without outputs "
                "that go back into a map, too."
            )
    old = graphs.structure(model)
    new = ([image], [one.tensor for one in results])
    slid = keras.Model(*map(keras.tree.pack_sequence_as, old, new), name=name or model.name)
    surgeon.fill()
    classes = metadata(slid)["classes"]
    if surgeon.last and classes and len(classes) != num_classes:
        set_metadata(slid, classes=None, colors=None)
    return slid


def _native_shape(model, input_size):
    """`(batch, height, width, channels)` of the classifier's own images, None where it is not known."""
    shapes = [tuple(tensor.shape) for tensor in model.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise ValueError(
            "A classifier that slides takes one image, (batch, height, width, channels). Received: the model "
            f"{model.name!r} with {', '.join(map(str, shapes))}"
        )
    _, *own, channels = shapes[0]
    if input_size is None:
        return None, *own, channels
    size = tuple(input_size) if isinstance(input_size, tuple | list) else (input_size, input_size)
    if len(size) != 2 or any(type(side) is not int or side < 1 for side in size):
        raise ValueError(f"input_size must be (height, width), or one number for both. Received: {input_size!r}")
    if any(fixed not in (None, side) for fixed, side in zip(own, size, strict=True)):
        raise ValueError(
            f"The model {model.name!r} is built for images of {_words(own)} pixels. Received: input_size={input_size!r}"
        )
    return None, *size, channels


@dataclasses.dataclass(frozen=True, eq=False)
class Value(graphs.Value):
    """A tensor of the new model.

    Attributes:
        native: the shape of what it stands for in the classifier.
        field: how far its pixels lie apart on the image; no stride of what stays one for the whole image.
        window: rows and columns of it that make one vector of the classifier; None in front of the sliding head.
    """

    native: tuple
    field: receptive_fields.Field
    window: tuple | None = None

    @property
    def size(self):
        """Rows and columns of the classifier's map."""
        return self.native[1:-1]

    @property
    def is_score(self):
        return self.field.stride is not None and (self.window or self.size) == ONE


class Surgeon:
    """Makes the calls of the new model, one by one, and says which cannot be made."""

    def __init__(self, model, survey, num_classes):
        self.model = model
        self.survey = survey
        self.num_classes = num_classes
        self.copies = graphs.Copies(model)
        self.last = self._last() if num_classes else None
        self._indices = itertools.count()

    def _last(self):
        """The last layer that has units. What follows must not mind how many."""
        if len(self.model.outputs) > 1:
            raise ValueError(f"num_classes is that of one output. Received: {self.model.name!r}, which has several.")
        calls = self.survey.calls
        found = [index for index, call in enumerate(calls) if isinstance(call.operation, layers.Dense | layers.Conv2D)]
        if not found:
            raise ValueError(f"The model {self.model.name!r} has no dense layer or convolution to give num_classes.")
        last = calls[found[-1]].operation
        for one in calls[found[-1] + 1 :]:
            if len(one.makers) > 1 or one.call.constants or getattr(one.operation, "weights", None):
                self.refuse(one.operation, f"it stands behind {last.name!r}, whose num_classes change", WAY_OUT)
        return last

    def call(self, operation, args, kwargs, _outputs):
        index = next(self._indices)
        call, surveyed = dilation_rules.Call(operation, args, kwargs), self.survey.calls[index]
        if getattr(operation, "data_format", None) == "channels_first":
            self.refuse(operation, "its channels come first", 'Build the model with data_format="channels_last".')
        if any(one.window for one in call.maps):
            rule = self._in_head
        elif self.survey.stays_global(index):
            rule = self._global
        elif reads_all(operation):
            rule = self._head
        else:
            rule = self._in_front
        tensors, field, window = rule(call, surveyed.shapes[0], index)
        return [Value(tensor, shape, field, window) for tensor, shape in zip(tensors, surveyed.shapes, strict=True)]

    def _in_front(self, call, shape, index):
        """Maps, and what stays global and comes back into them."""
        operation, rule, changes = call.operation, dilation_rules.rule_of(call.operation), {}
        maps = [one for one in call.maps if one.field.stride]
        if rule is dilation_rules.pixelwise:
            if not dilation_rules.works_on_channels(operation) or call.has_placed_constants:
                self.refuse(operation, "its axes, weights or constants belong to maps of one size", WAY_OUT)
            if len({one.size for one in maps if None not in one.size}) > 1:
                self.refuse(operation, "it joins maps of different sizes", WAY_OUT)
        elif rule is dilation_rules.pooling:
            if self.survey.ends_map(index):
                changes = {"strides": ONE, "padding": "valid"}
        elif rule not in COPIED and shape[:-1] != maps[0].native[:-1]:
            self.refuse(operation, "the size of its result is fixed, or follows a rule that is not known", WAY_OUT)
        layer = self._layer(operation, **changes)
        return call.tensors(layer), receptive_fields.behind(layer, [one.field for one in call.maps]), None

    def _global(self, call, _shape, _index):
        """What is made of all of a map, and goes back into one."""
        if call.maps[0].field.stride and is_shaping(call.operation):
            self.refuse(call.operation, "its result is made of maps of one size, and goes back into a map", WAY_OUT)
        return call.tensors(self._layer(call.operation)), receptive_fields.WHOLE, None

    def _head(self, call, shape, _index):
        """From the last map to vectors: each is made of a window of the map, which at its own size is all of it."""
        operation, (one,) = call.operation, call.maps
        name, pixels = type(operation).__name__, shape[1:-1] or ONE
        if name.startswith("Adaptive") and pixels != ONE:
            if None not in one.size and one.size != pixels:
                self.refuse(operation, f"it makes a map of {_words(pixels)} out of {_words(one.size)}", ADAPTIVE)
            return [one.tensor], one.field, None
        if pixels != ONE or not (is_shaping(operation) or name in POOLINGS):
            self.refuse(operation, "it neither lays all of a map out in a vector nor averages it", WAY_OUT)
        if None in one.size:
            self.refuse(operation, "the size of the map that it reads is not known", SAY_SIZE)
        if is_shaping(operation):
            return [one.tensor], one.field, one.size
        if shape[-1] != one.native[-1]:
            self.refuse(operation, "it mixes the channels, too", WAY_OUT)
        dtype = getattr(operation, "dtype_policy", None) or one.tensor.dtype
        pool = self._layer(operation, POOLINGS[name], pool_size=one.size, strides=ONE, dtype=dtype)
        return [pool(one.tensor)], one.field, ONE

    def _in_head(self, call, shape, _index):
        """Vectors, one at every place of the window."""
        operation, rule, (first, *rest) = call.operation, dilation_rules.rule_of(call.operation), call.maps
        if any(_manner(one) != _manner(first) for one in rest):
            self.refuse(operation, "it joins what does not slide in the same steps", WAY_OUT)
        if type(operation) is layers.Dense:
            return self._dense(operation, first)
        if is_shaping(operation) or type(operation).__name__ in POOLINGS:
            if len(shape) > 1 and shape[1:-1] in ((), ONE) and shape[-1] == first.native[-1]:
                return [first.tensor], first.field, first.window
        elif rule is dilation_rules.convolution and first.window == dilation_rules.window_of(operation).extent == ONE:
            return call.tensors(self._layer(operation, strides=ONE)), first.field, ONE
        elif rule is dilation_rules.pixelwise:
            return call.tensors(self._layer(operation, **self._of_channels(call))), first.field, first.window
        return self.refuse(operation, "it does not treat a vector of scores unit by unit", WAY_OUT)

    def _dense(self, layer, one):
        if layer.kernel_constraint:
            self.refuse(layer, "its kernel_constraint is made for a matrix", "Build it without one.")
        options = {key: getattr(layer, key) for key in DENSE} | {"filters": layer.units, "dtype": layer.dtype_policy}
        return [self._layer(layer, layers.Conv2D, kernel_size=one.window, **options)(one.tensor)], one.field, ONE

    def _of_channels(self, call):
        """What changes in a layer of vectors if these are the channels of a map."""
        operation, (first, *_) = call.operation, call.maps
        axes = keras.tree.flatten(getattr(operation, "axis", -1))
        rank = len(first.native)
        if any(axis is None or axis % rank != rank - 1 for axis in axes) or call.has_placed_constants:
            self.refuse(operation, "it works along more than the units of a vector", WAY_OUT)
        if first.window != ONE and (hasattr(operation, "axis") or call.constants or getattr(operation, "weights", ())):
            self.refuse(operation, "it tells units apart that lie side by side on the map", WAY_OUT)
        changes = {"axis": -1} if getattr(operation, "axis", -1) != -1 else {}
        return changes | ({"shared_axes": (1, 2)} if isinstance(operation, layers.PReLU) else {})

    def _layer(self, operation, kind=None, **changes):
        """The layer that takes the operation's place, with `num_classes` units if it is the last."""
        if operation is self.last:
            key = "units" if kind is None and isinstance(operation, layers.Dense) else "filters"
            changes[key] = self.num_classes
        return self.copies.of(operation, kind, **changes)

    def fill(self):
        """Gives every layer its weights, the last as many as it has in both models, or none."""
        self.copies.fill(but=[self.last])
        if self.last:
            units = getattr(self.last, "units", None) or self.last.filters
            for source, target in zip(self.last.variables, self.copies.made(self.last).variables, strict=True):
                if units <= self.num_classes:
                    kept = ops.reshape(source, (*target.shape[:-1], units))
                    target.assign(ops.concatenate([kept, target[..., units:]], axis=-1))

    def refuse(self, operation, why, way_out):
        raise ValueError(
            f"The layer {operation.name!r} ({type(operation).__name__}) of the model {self.model.name!r} cannot slide: "
            f"{why}. {way_out}"
        )


def _manner(one):
    """How a vector slides: what it is made of, and in which steps."""
    return one.window, one.field.stride, len(one.native)


def _words(size):
    return " x ".join(map(str, size))
