"""A Keras model's graph: replayed on other values, call by call, and copied with changes.

What this package needs of Keras's private attributes (which call made a tensor) is in `_nodes` and `_node_of` alone.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import keras

from tfseg.types import Tensor

T = TypeVar("T")
Structure = Any
"""Tensors, or lists, tuples and dictionaries of them."""


@dataclasses.dataclass(frozen=True, eq=False)  # a leaf to keras.tree, which a tuple is not
class TrackedTensor:
    """A tensor in a replay, and in subclasses what is known of it."""

    tensor: Tensor


def check(model: keras.Model) -> None:
    """Raises ValueError unless the model is a graph of layers, which can be read, and not code, which cannot."""
    if not isinstance(model, keras.Model):
        raise ValueError(f"Surgery takes a keras.Model. Received: {type(model).__name__}")
    if isinstance(model, keras.Sequential):
        if not model.built:
            raise ValueError(
                f"The Sequential model {model.name!r} has no input yet: put keras.Input(...) first, or build it."
            )
    elif not is_graph(model):
        raise ValueError(
            f"The model {model.name!r} is a subclass ({type(model).__name__}), whose call is code that surgery cannot "
            "read: build it as a functional model, keras.Model(inputs, outputs)."
        )


def is_graph(operation: keras.Operation) -> bool:
    """Whether the operation is a functional or Sequential model whose graph is all that it does."""
    if not isinstance(operation, keras.Sequential | keras.Function):
        return False
    # A subclass of a functional model may have a call of its own, and then the graph is not what it computes.
    caller = next(kind for kind in type(operation).__mro__ if "call" in vars(kind))
    return caller.__module__.partition(".")[0] == "keras"


def replay(
    model: keras.Model,
    values: Iterable[T],
    call: Callable[[keras.Operation, tuple[Any, ...], dict[str, Any], list[keras.KerasTensor]], Iterable[T]],
) -> list[T]:
    """The values of the model's outputs when its graph is repeated on other values.

    Args:
        model: a functional or Sequential model; models inside it are entered.
        values: tensors, arrays or other leaves of `keras.tree`, one for each of `model.inputs`.
        call: function `(operation, args, kwargs, outputs)` that returns the values of one call's outputs. The calls
            come in the order of computation. In `args` and `kwargs`, values stand where tensors stood. `outputs` are
            the symbolic tensors of the original.
    Returns: one value for each of `model.outputs`.
    """
    known = dict(zip(map(id, model.inputs), values, strict=True))
    for node in _nodes(model):
        results: Iterable[T]
        if is_graph(node.operation):
            inner_inputs = [known[id(tensor)] for tensor in node.input_tensors]
            results = replay(node.operation, inner_inputs, call)
        else:
            args, kwargs = node.arguments.fill_in(known)
            results = call(node.operation, args, kwargs, node.outputs)
        known.update(zip(map(id, node.outputs), results, strict=True))
    return [known[id(tensor)] for tensor in model.outputs]


def _nodes(model: keras.Model) -> list[Any]:
    """Keras's nodes between the model's inputs and its outputs, each after those whose results it takes."""
    done: dict[Any, None] = {}
    waiting = [_node_of(tensor) for tensor in reversed(model.outputs)]
    while waiting:
        node = waiting[-1]
        missing = [] if node.is_input else [parent for parent in node.parent_nodes if parent not in done]
        if missing:
            waiting.extend(missing)
        else:
            done[waiting.pop()] = None
    return [node for node in done if not node.is_input]


def _node_of(tensor: keras.KerasTensor) -> Any:
    operation, index, _ = tensor._keras_history
    return operation._inbound_nodes[index]


def input_layers(model: keras.Model) -> list[keras.Layer]:
    """The layer that makes each of `model.inputs`."""
    return [_node_of(tensor).operation for tensor in model.inputs]


def structure(model: keras.Model) -> tuple[Structure, Structure]:
    """The inputs and outputs of a model as it takes and returns them: one tensor, or lists and dictionaries of them."""
    if isinstance(model, keras.Sequential):  # its `input` belongs to a call
        return model.inputs[0], model.outputs[0]
    return model.input, model.output


def output_names(model: keras.Model) -> list[str]:
    """The names of the layers that make `model.outputs`."""
    return [_node_of(tensor).operation.name for tensor in model.outputs]


def untracked(args: Structure) -> Structure:
    """The arguments of a call with the tensor itself in place of every `TrackedTensor`."""
    return keras.tree.map_structure(lambda leaf: leaf.tensor if isinstance(leaf, TrackedTensor) else leaf, args)


Change = tuple[type[keras.Layer] | None, dict[str, Any]]
UNCHANGED: Change = (None, {})
# Layers whose kernel is made by their `kernel_initializer`; those that are derived from them may do other things.
_WITH_KERNELS = keras.layers.Conv2D, keras.layers.Conv2DTranspose, keras.layers.Dense


class LayerCopies:
    """New layers for those of a model: one for each, of the same name, however often it is called.

    Args:
        model: model whose layers are copied, with those of its inner models.
        drawn: whether new kernels are random until `fill`. Where it gives values to all, they need none: kernels then
            begin as those of the model, without memory of their own.
    Raises:
        ValueError: two layers have one name, which is possible only in different inner models.
    """

    def __init__(self, model: keras.Model, *, drawn: bool = True):
        self._model = model
        self._drawn = drawn
        self._copied: dict[int, tuple[keras.Operation, Change, keras.Operation]] = {}
        self._names: dict[str, keras.Operation] = {}
        for layer in input_layers(model):
            self._reserve_name(layer)
        replay(model, model.inputs, self._note)

    def _note(
        self,
        operation: keras.Operation,
        _args: tuple[Any, ...],
        _kwargs: dict[str, Any],
        outputs: list[keras.KerasTensor],
    ) -> list[keras.KerasTensor]:
        self._reserve_name(operation)
        return outputs

    def _reserve_name(self, operation: keras.Operation) -> None:
        if self._names.setdefault(operation.name, operation) is not operation:
            raise ValueError(
                f"Two layers of the model {self._model.name!r} have the name {operation.name!r}, in different inner "
                "models. These are dissolved, so their layers' names must differ: rename one of them."
            )

    def of(self, operation: keras.Operation, kind: type[keras.Layer] | None = None, **changes: Any) -> keras.Operation:
        """The layer that takes the operation's place: a copy with changes in its configuration, or another `kind`.

        Args:
            operation: layer or bare operation of the original model.
            kind: class of the new layer; None keeps the operation's class.
            **changes: entries of the configuration that differ; with `kind`, all arguments but the name.
        Raises:
            ValueError: the layer was copied before with other changes.
        """
        wanted = kind, changes
        if id(operation) not in self._copied:
            copy = _copy(operation, kind, changes)
            self._copied[id(operation)] = operation, wanted, copy
            if kind is None and not self._drawn and type(copy) in _WITH_KERNELS:
                copy.kernel_initializer = _KernelOf(operation, copy.kernel_initializer)
        _, earlier, copy = self._copied[id(operation)]
        if earlier != wanted:
            raise ValueError(
                f"The layer {operation.name!r} of the model {self._model.name!r} is called more than once, and its "
                f"calls would need different configurations: {_words(earlier)}, and {_words(wanted)}. Give each call a "
                "layer of its own."
            )
        return copy

    def made(self, operation: keras.Operation) -> keras.Operation:
        """The layer that took the operation's place."""
        return self._copied[id(operation)][2]

    def helper(self, kind: type[keras.Layer], beside: keras.Operation, purpose: str, **config: Any) -> keras.Layer:
        """A layer that the original lacks, named after the layer that it serves.

        Args:
            kind: class of the new layer.
            beside: layer that it serves.
            purpose: ending of the new layer's name.
            **config: arguments of the new layer.
        """
        stem = f"{beside.name}_{purpose}"
        candidates = itertools.chain([stem], (f"{stem}_{number}" for number in itertools.count(1)))
        name = next(name for name in candidates if name not in self._names)
        layer = self._names[name] = kind(name=name, **config)
        return layer

    def fill(self, but: Iterable[keras.Operation | None] = ()) -> None:
        """Gives every copy the weights of its original, reshaped where the layer was changed.

        Args:
            but: layers of the original whose copies keep the weights that they have.
        """
        for operation, wanted, copy in self._copied.values():
            if type(copy) in _WITH_KERNELS and isinstance(copy.kernel_initializer, _KernelOf):
                copy.kernel_initializer = copy.kernel_initializer.usual
            if any(operation is exception for exception in but):
                continue
            old, new = ([*getattr(layer, "variables", ())] for layer in (operation, copy))
            if _measures(old, wanted) != _measures(new, wanted):
                raise ValueError(
                    f"The layer {operation.name!r} ({type(operation).__name__}) does not come back from its own "
                    "configuration with the same weights: mend its get_config."
                )
            for source, target in zip(old, new, strict=True):
                value = source if source.shape == target.shape else keras.ops.reshape(source, target.shape)
                # Keras's training under JAX gives the memory of a model's variables away.
                target.assign(keras.ops.copy(value) if keras.backend.backend() == "jax" else value)
            if hasattr(copy, "finalize_state"):  # adapted preprocessing layers compute with what they derive from these
                copy.finalize_state()


class _KernelOf:
    """An initializer: the kernel of another layer. Under TensorFlow the two share memory until one of them changes.

    Args:
        layer: layer with the kernel.
        usual: the initializer that the new layer has otherwise.
    """

    def __init__(self, layer: keras.Layer, usual: Any) -> None:
        self._layer, self.usual = layer, usual

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        """The kernel, if it is what the new layer asks for."""
        kernel = self._layer.kernel
        if keras.backend.backend() != "tensorflow" or tuple(kernel.shape) != tuple(shape):
            return self.usual(shape, dtype=dtype)
        return keras.ops.convert_to_tensor(kernel, dtype)


def _measures(variables: list[keras.Variable], wanted: Change) -> list[Any]:
    """What must be equal of the old and the new variables: shapes, or sizes where a layer was changed."""
    return [tuple(variable.shape) if wanted == UNCHANGED else math.prod(variable.shape) for variable in variables]


def _copy(operation: keras.Operation, kind: type[keras.Layer] | None, changes: dict[str, Any]) -> keras.Operation:
    if kind is not None:
        return kind(name=operation.name, **changes)
    is_lambda = isinstance(operation, keras.layers.Lambda)
    try:
        # Keras refuses the code in a Lambda's configuration by default; here it comes from no file.
        options = {"safe_mode": False} if is_lambda else {}
        copy = type(operation).from_config(operation.get_config() | changes, **options)
    except (NotImplementedError, TypeError) as error:
        raise ValueError(
            f"The layer {operation.name!r} ({type(operation).__name__}) cannot be copied: it needs a get_config that "
            "returns the arguments of its constructor."
        ) from error
    if is_lambda:  # a function from a configuration has lost the names of its module
        copy.function = operation.function
    if copy.name != operation.name:  # some bare operations ignore the name in the configuration
        copy.name = operation.name
    return copy


def _words(wanted: Change) -> str:
    kind, changes = wanted
    arguments = ", ".join(f"{key}={value}" for key, value in changes.items())
    return f"{kind.__name__}({arguments})" if kind else arguments or "unchanged"
