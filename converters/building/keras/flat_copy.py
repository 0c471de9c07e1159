"""A flat copy of a Keras model: models inside are dissolved, layers have new names only where two have one."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np

from converters.errors import ConversionError
from converters.programs.keras_layers import AUGMENTATIONS
from tfseg import graphs
from tfseg.layers import Metadata

# Layers whose result at a pixel depends on pixels around it, and on no size of the map. Only these, and operations with
# no axis of a map among their arguments, are the same network at another size.
_ANY_SIZE = frozenset(
    "Conv2D DepthwiseConv2D SeparableConv2D Conv2DTranspose Dense BatchNormalization LayerNormalization Activation "
    "ReLU PReLU LeakyReLU ELU Softmax Dropout SpatialDropout2D GaussianNoise GaussianDropout AlphaDropout MaxPooling2D "
    "AveragePooling2D GlobalAveragePooling2D GlobalMaxPooling2D ZeroPadding2D Cropping2D UpSampling2D Add Subtract "
    "Multiply Average Maximum Minimum Concatenate Rescaling Normalization Identity ActivityRegularization TrueDivide "
    "Divide Relu Relu6 "
    "Sigmoid Silu Gelu HardSigmoid HardSilu Tanh Negative Power Sqrt Clip Metadata".split()
)


class FlatCopy(NamedTuple):
    """A flat model and where its layers are from.

    Attributes:
        model: the model.
        names: name of its layer -> names of the models around the original and of the original, with slashes.
        layers: name of its layer -> the layer of the original.
        augmenting: names of the layers that are left out, since they change images in training alone.
    """

    model: keras.Model
    names: dict[str, str]
    layers: dict[str, keras.Operation]
    augmenting: list[str]


def flat_copy(original: keras.Model, *, any_size: bool) -> FlatCopy:
    """The same network as one flat model in single precision, with a layer for metadata after each image.

    Args:
        original: functional or Sequential model.
        any_size: whether its images may have any size.
    Raises:
        ConversionError: a layer that does not come back from its own configuration.
    """
    copier = _Copier(original)
    images = [copier.input(tensor, any_size=any_size) for tensor in original.inputs]
    first, marked = True, []
    for image in images:
        is_image = first and len(image.shape) == 4
        marked.append(Metadata(name=copier.free_name("metadata"))(image) if is_image else image)
        first = first and not is_image
    outputs = graphs.replay(original, marked, copier.call)
    _, structure = graphs.structure(original)
    packed = keras.tree.pack_sequence_as(structure, outputs)
    inputs, _ = graphs.structure(original)
    model = keras.Model(keras.tree.pack_sequence_as(inputs, images), packed, name=original.name)
    copier.fill()
    return FlatCopy(model, copier.names, copier.originals, copier.augmenting)


def takes_any_size(original: keras.Model) -> bool:
    """Whether no layer of a model depends on the size of its only image.

    Args:
        original: functional or Sequential model.
    """
    kinds: list[bool] = []

    def call(operation: keras.Operation, args: Any, kwargs: Any, outputs: list[Any]) -> list[Any]:
        kind = type(operation).__name__
        leaves = [leaf for leaf in keras.tree.flatten((args, kwargs)) if not isinstance(leaf, keras.KerasTensor)]
        is_local = kind in _ANY_SIZE and not _has_map_axis(operation) and all(np.ndim(leaf) < 2 for leaf in leaves)
        kinds.append(kind in AUGMENTATIONS or is_local)
        return outputs

    shapes = [tensor.shape for tensor in original.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][-1] is None:
        return False
    graphs.replay(original, original.inputs, call)
    return all(kinds)


def _has_map_axis(operation: keras.Operation) -> bool:
    """Whether the layer joins maps, normalizes or shares weights along another axis than that of the channels."""
    axis = getattr(operation, "axis", -1)
    axes = axis if isinstance(axis, list | tuple) else [axis]
    if isinstance(operation, keras.layers.PReLU):
        return set(operation.shared_axes or ()) != {1, 2}
    return any(number not in (-1, 3, None) for number in axes)


class _Copier:
    def __init__(self, original: keras.Model) -> None:
        self.original = original
        self.names: dict[str, str] = {}
        self.originals: dict[str, keras.Operation] = {}
        self.augmenting: list[str] = []
        self._copies: dict[int, keras.Operation] = {}
        self._taken: set[str] = set()
        self._paths = dict(_paths(original, ""))

    def free_name(self, wanted: str) -> str:
        """A name that no layer has yet; Keras allows no slash in it."""
        stem = name = wanted.replace("/", "_")
        number = 0
        while name in self._taken:
            number += 1
            name = f"{stem}_{number}"
        self._taken.add(name)
        return name

    def input(self, tensor: keras.KerasTensor, *, any_size: bool) -> keras.KerasTensor:
        shape = list(tensor.shape)
        if any_size:
            shape[1:3] = [None, None]
        name = self.free_name("image" if len(self.original.inputs) == 1 else tensor.name)
        return keras.Input(batch_shape=shape, dtype=tensor.dtype, name=name)

    def call(
        self, operation: keras.Operation, args: tuple[Any, ...], kwargs: Mapping[str, Any], outputs: list[Any]
    ) -> list[Any]:
        if type(operation).__name__ in AUGMENTATIONS:
            self.augmenting.append(operation.name)
            return keras.tree.flatten(args)[:1]
        copy = self._copies.get(id(operation)) or self._copied(operation)
        return keras.tree.flatten(copy(*args, **kwargs))

    def _copied(self, operation: keras.Operation) -> keras.Operation:
        path = self._paths.get(id(operation), operation.name)
        name = self.free_name(operation.name)
        config = {**operation.get_config(), "name": name}
        if isinstance(operation, keras.layers.Layer):
            config["dtype"] = "float32"
        try:
            copy = type(operation).from_config(config)
            copy.name = name  # some bare operations ignore the name in the configuration
        except Exception as error:  # Keras's own
            raise ConversionError(
                f"its layer {path!r} ({type(operation).__name__}) does not come back from its own configuration: "
                f"{type(error).__name__}: {str(error)[:200]}"
            ) from error
        self._copies[id(operation)] = copy
        self.names[name], self.originals[name] = path, operation
        return copy

    def fill(self) -> None:
        """Gives every copy the weights of its original."""
        for name, operation in self.originals.items():
            copy = self._copies[id(operation)]
            old, new = ([*getattr(layer, "variables", ())] for layer in (operation, copy))
            if [tuple(variable.shape) for variable in old] != [tuple(variable.shape) for variable in new]:
                raise ConversionError(f"its layer {name!r} does not come back from its configuration with its weights.")
            for source, target in zip(old, new, strict=True):
                target.assign(source)
            if hasattr(copy, "finalize_state"):  # adapted layers compute with what they derive from their weights
                copy.finalize_state()


def _paths(model: keras.Model, around: str) -> list[tuple[int, str]]:
    rows: list[tuple[int, str]] = []
    for operation in model.operations if hasattr(model, "operations") else model.layers:
        path = f"{around}{operation.name}"
        rows.append((id(operation), path))
        if graphs.is_graph(operation):
            rows += _paths(operation, f"{path}/")
    return rows
