"""A model of Keras 1 or 2, rebuilt from its configuration: flat, channels last, in layers of Keras 3.

A channels-first map is kept with its channels last. It is only brought into the file's order where a layer reads its
axes one by one.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras

from converters.building.keras.older_options import HARD_SIGMOID, KINDS, activation_name, layer_options
from converters.building.keras.tensorflow_calls import ELEMENTWISE, added, call_tensorflow
from converters.errors import ConversionError
from converters.identification.keras_kernels import channels_before_dense
from converters.programs.keras_layers import AUGMENTATIONS
from converters.reading.keras.configuration import LayerCall, LayerGraph
from tfseg.layers import Metadata

_FIRST = "channels_first"
_MOVED_AXIS = {0: 0, 1: 3, 2: 1, 3: 2, -4: 0, -3: 3, -2: 1, -1: 2}
# Layers that compute each number by itself, and those that combine maps of one order.
_EACH_NUMBER = frozenset(
    "Activation ReLU LeakyReLU ELU Dropout GaussianNoise GaussianDropout AlphaDropout ActivityRegularization".split()
)
_MERGES = frozenset("Add Subtract Multiply Average Maximum Minimum Concatenate".split())
_WITH_AXIS = frozenset("BatchNormalization LayerNormalization Concatenate Softmax Normalization".split())
_CONVOLUTIONS = frozenset("Conv2D DepthwiseConv2D SeparableConv2D Conv2DTranspose".split())
_PASSED_BEFORE_DENSE = frozenset("Dropout Activation ReLU LeakyReLU Identity GaussianNoise GaussianDropout".split())
_ALONG_AN_AXIS = ("softmax", "log_softmax", "sparsemax", "sparse_sigmoid", "glu")


class _Map(NamedTuple):
    """A tensor, and whether it is a channels-first map of the file that is kept with its channels last."""

    tensor: keras.KerasTensor
    moved: bool = False


class OlderModel(NamedTuple):
    """A rebuilt model without weights.

    Attributes:
        model: the model.
        layers: name of each of its layers -> the call in the file that it is from.
        moved_inputs: whether the channels of each input are last in the model, and first in the file.
        moved_outputs: whether the channels of each output are last in the model, and first in the file.
        augmenting: names of the layers that are left out, since they change images in training alone.
    """

    model: keras.Model
    layers: dict[str, LayerCall]
    moved_inputs: list[bool]
    moved_outputs: list[bool]
    augmenting: list[str]


def build_older(graph: LayerGraph, name: str, *, any_size: bool = False, keras_3: bool = False) -> OlderModel:
    """The network that a configuration of Keras 1 or 2 describes.

    Args:
        graph: calls of the model's layers.
        name: name of the model.
        any_size: whether its images may have any size.
        keras_3: whether Keras 3 wrote the file: names of activations then mean what they mean there.
    Raises:
        ConversionError: a layer or an option that is not rebuilt, by its name.
    """
    return _Builder(graph, any_size, keras_3).build(name)


class _Builder:
    def __init__(self, graph: LayerGraph, any_size: bool, keras_3: bool) -> None:
        self.graph, self.any_size = graph, any_size
        self.hard_sigmoid = None if keras_3 else HARD_SIGMOID
        self.maps: list[_Map] = []
        self.layers: dict[str, LayerCall] = {}
        self.augmenting: list[str] = []
        self._made: dict[tuple[str, ...], tuple[keras.layers.Layer, Any]] = {}
        self._taken: set[str] = set()
        self._mended = self._mended_flattens()
        self.channels_first = graph.data_format == _FIRST

    def build(self, name: str) -> OlderModel:
        images = [self.input(index) for index in range(len(self.graph.names))]
        for call in self.graph.calls:
            inputs = [self.maps[result.number] for result in call.inputs]
            if any(result.which for result in call.inputs):
                raise self.refusal(call, "reads one of several results of a layer")
            try:
                self.maps.append(self.run(call, inputs))
            except ConversionError:
                raise
            except Exception as error:  # Keras's own, on a configuration that does not fit
                raise self.refusal(call, f"cannot be built: {' '.join(str(error).split())[:200]}") from error
        ends = [self.maps[result.number] for result in self.graph.outputs]
        outputs = [value.tensor for value in ends]
        model = keras.Model(
            images[0] if len(images) == 1 else images, outputs[0] if len(outputs) == 1 else outputs, name=_plain(name)
        )
        moved = [value.moved for value in self.maps[: len(images)]]
        return OlderModel(model, self.layers, moved, [value.moved for value in ends], self.augmenting)

    def input(self, index: int) -> keras.KerasTensor:
        shape = self.graph.shapes[index]
        if shape is None:
            raise ConversionError(
                f"its configuration does not say the shape of its input {self.graph.names[index]!r}. Load the model in "
                "the Keras that wrote it, call it on an image, and save it again."
            )
        moved = self.channels_first and len(shape) == 4
        sizes = [shape[0], *shape[2:], shape[1]] if moved else [*shape]
        if self.any_size:
            sizes[1:3] = [None, None]
        wanted = "image" if len(self.graph.names) == 1 else self.graph.names[index]
        image = keras.Input(batch_shape=sizes, name=self.free_name(wanted))
        marked = Metadata(name=self.free_name("metadata"))(image) if len(shape) == 4 and index == 0 else image
        self.maps.append(_Map(marked, moved))
        return image

    # ---------------------------------------------------------------------------------------------------------- layers

    def in_file_order(self, value: _Map) -> keras.KerasTensor:
        """The tensor with the file's order of axes."""
        return self.permuted(value.tensor, (3, 1, 2)) if value.moved else value.tensor

    def channels_last(self, value: _Map) -> keras.KerasTensor:
        """A channels-first map with its channels last."""
        return value.tensor if value.moved else self.permuted(value.tensor, (2, 3, 1))

    def permuted(self, tensor: keras.KerasTensor, order: tuple[int, ...]) -> keras.KerasTensor:
        """The map with its axes after the batch in another order, as Keras counts them."""
        return keras.layers.Permute(order, name=self.free_name("permute"))(tensor)

    def run(self, call: LayerCall, inputs: list[_Map]) -> _Map:
        """The result of one call."""
        if call.kind in AUGMENTATIONS:
            self.augmenting.append(call.name)
            return inputs[0]
        if call.kind == "TFOpLambda":
            return self.tensorflow(call, inputs)
        arguments = {key: value for key, value in call.arguments.items() if key not in ("training", "mask")}
        if arguments:
            raise self.refusal(call, f"is called with {', '.join(arguments)}")
        if call.kind not in KINDS:
            raise self.refusal(call, "is not rebuilt from a file of Keras 1 or 2")
        options = layer_options(call.kind, call.name, call.options)
        stated = options.pop("data_format", None)
        if call.kind == "UpSampling2D" and options.get("interpolation", "nearest") not in ("nearest", "bilinear"):
            raise self.refusal(call, f"has interpolation={options['interpolation']!r}")
        if call.kind == "Flatten":
            return self.flatten(call, inputs, stated)
        if call.kind in _EACH_NUMBER or call.kind in _MERGES or call.kind in _WITH_AXIS:
            return self.each_number(call, options, inputs)
        if call.kind == "PReLU" and inputs[0].moved:
            if sorted(options.get("shared_axes") or ()) != [2, 3]:
                raise self.refusal(call, "has other slopes at each pixel of a channels-first map")
            return _Map(self.layer(call, options | {"shared_axes": (1, 2)})(inputs[0].tensor), True)
        if stated == _FIRST:
            return self.map_layer(call, options, [self.channels_last(value) for value in inputs], moved=True)
        if stated is not None:
            options["data_format"] = stated
        return self.map_layer(call, options, [self.in_file_order(value) for value in inputs], moved=False)

    def map_layer(
        self, call: LayerCall, options: dict[str, Any], tensors: Sequence[keras.KerasTensor], *, moved: bool
    ) -> _Map:
        """A layer that reads a map."""
        name = activation_name(options.get("activation"))
        after = None
        if "activation" in options and (
            (name is not None and name == self.hard_sigmoid) or (moved and name in _ALONG_AN_AXIS)
        ):
            after, options = name, options | {"activation": "linear"}
        result = self.layer(call, options)(*tensors)
        value = _Map(result, moved and len(result.shape) == 4)
        return value if after is None else self.activation(call, after, value)

    def each_number(self, call: LayerCall, options: dict[str, Any], inputs: list[_Map]) -> _Map:
        """A layer for which a moved map needs no transpose."""
        moved = all(value.moved for value in inputs)
        tensors = [value.tensor if moved else self.in_file_order(value) for value in inputs]
        if call.kind == "Activation":
            name = activation_name(options["activation"])
            if (name is not None and name == self.hard_sigmoid) or (moved and name in _ALONG_AN_AXIS):
                return self.activation(call, str(name), _Map(tensors[0], moved))
        if moved and call.kind in _WITH_AXIS:
            axis = options.get("axis", -1)
            axes = [_MOVED_AXIS[number] for number in (axis if isinstance(axis, list | tuple) else [axis])]
            if call.kind == "LayerNormalization" and len(axes) > 1:
                raise self.refusal(call, "normalizes several axes of a channels-first map")
            options = options | {"axis": axes if isinstance(axis, list | tuple) else axes[0]}
            if call.kind == "BatchNormalization":
                options["axis"] = axes[0]
        if call.kind == "BatchNormalization" and isinstance(options.get("axis"), list | tuple):
            (options["axis"],) = options["axis"]
        if call.kind == "Add" and len({len(tensor.shape) for tensor in tensors}) == 1 < len({*map(_shape, tensors)}):
            result = functools.reduce(added, tensors)
            result._keras_history.operation.name = self.free_name(call.name)
            return _Map(result, moved)
        layer = self.layer(call, options)
        return _Map(layer(tensors if call.kind in _MERGES else tensors[0]), moved)

    def activation(self, call: LayerCall, name: str, value: _Map) -> _Map:
        """An activation that Keras 3 has not by this name, or not along this axis."""
        if name == HARD_SIGMOID:
            x = keras.layers.Rescaling(0.2, 0.5, name=self.free_name(f"{call.name}_scale"))(value.tensor)
            x = keras.layers.ReLU(max_value=1.0, name=self.free_name(f"{call.name}_hard_sigmoid"))(x)
            return _Map(x, value.moved)
        if name == "softmax":
            layer = keras.layers.Softmax(axis=_MOVED_AXIS[-1], name=self.free_name(f"{call.name}_softmax"))
            return _Map(layer(value.tensor), True)
        raise self.refusal(call, f"has the activation {name} along an axis of a channels-first map")

    def flatten(self, call: LayerCall, inputs: list[_Map], stated: str | None) -> _Map:
        """A vector of a map: in the order that the next layer's weights were brought into, or in the file's."""
        (value,) = inputs
        keep = not value.moved or stated == _FIRST or self._number(call) in self._mended
        tensor = value.tensor if keep else self.in_file_order(value)
        return _Map(self.layer(call, {})(tensor))

    def tensorflow(self, call: LayerCall, inputs: list[_Map]) -> _Map:
        """A call of a function of TensorFlow."""
        function = str(call.options.get("function"))
        ranks = {len(value.tensor.shape) for value in inputs}
        numbers = [value for value in call.arguments.values() if isinstance(value, list) and value != ["y"]]
        moved = function in ELEMENTWISE and len(ranks) == 1 and not numbers and all(value.moved for value in inputs)
        tensors = [value.tensor if moved else self.in_file_order(value) for value in inputs]
        result = call_tensorflow(call.name, function, tensors, call.arguments)
        if all(result is not tensor for tensor in tensors):
            result._keras_history.operation.name = self.free_name(call.name)
        return _Map(result, moved)

    def layer(self, call: LayerCall, options: Mapping[str, Any]) -> keras.layers.Layer:
        """The layer of a call; one that is called twice is one layer."""
        identity = (*call.around, call.name)
        if identity in self._made:
            layer, earlier = self._made[identity]
            if earlier != dict(options):
                raise self.refusal(call, "is called twice, on maps of different orders")
            return layer
        name = self.free_name(call.name)
        trainable = call.options.get("trainable") is not False
        layer = getattr(keras.layers, call.kind)(name=name, dtype="float32", **options)
        layer.trainable = trainable
        self._made[identity] = layer, dict(options)
        self.layers[name] = call
        return layer

    # ----------------------------------------------------------------------------------------------------------- names

    def free_name(self, wanted: str) -> str:
        """A name that no layer has yet; Keras 3 allows no slash in it."""
        stem = name = wanted.replace("/", "_").replace(".", "_")
        number = 0
        while name in self._taken:
            number += 1
            name = f"{stem}_{number}"
        self._taken.add(name)
        return name

    def refusal(self, call: LayerCall, why: str) -> ConversionError:
        """The error for a layer that is not rebuilt."""
        path = "/".join((*call.around, call.name))
        return ConversionError(
            f"its layer {path!r} ({call.kind}) {why}. Load the model in the Keras that wrote it, replace the layer, "
            "and save it again; or save it with Keras 3."
        )

    def _number(self, call: LayerCall) -> int:
        return next(index for index, other in enumerate(self.graph.calls) if other is call)

    def _mended_flattens(self) -> set[int]:
        """The Flatten calls whose readers have their rows in channels-last order already.

        Raises:
            ConversionError: one that has other readers, too.
        """
        reordered = channels_before_dense(self.graph)
        offset = len(self.graph.names)
        readers: dict[int, list[int]] = {}
        for index, call in enumerate(self.graph.calls):
            for result in call.inputs:
                readers.setdefault(result.number - offset, []).append(index)
        mended = set()
        for index, call in enumerate(self.graph.calls):
            if call.kind != "Flatten":
                continue
            ends, waiting = list[int](), [index]
            while waiting:
                number = waiting.pop()
                for reader in readers.get(number, ()):
                    kind = self.graph.calls[reader].kind
                    (waiting if kind in _PASSED_BEFORE_DENSE else ends).append(reader)
            mends = [self.graph.calls[end].name in reordered for end in ends]
            if any(mends) and not all(mends):
                raise self.refusal(call, "has its channels first, and is read by a Dense layer and by others")
            if any(mends):
                mended.add(index)
        return mended


def _plain(name: str) -> str:
    return name.replace("/", "_") or "network"


def _shape(tensor: Any) -> tuple[int | None, ...]:
    return tuple(tensor.shape)
