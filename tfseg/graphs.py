"""A Keras model's graph: repeated on other values, call by call, and copied with changes.

What this package needs of Keras's insides (which call made a tensor) is in `_calls` and nowhere else.
"""

import dataclasses
import itertools
import math

import keras


@dataclasses.dataclass(frozen=True, eq=False)  # a leaf to keras.tree, which a tuple is not
class Value:
    """What stands for a tensor in a replay."""

    tensor: keras.KerasTensor


def check(model):
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


def is_graph(operation):
    """Whether the operation is a functional or Sequential model whose graph is all that it does."""
    if not isinstance(operation, keras.Sequential | keras.Function):
        return False
    # A subclass of a functional model may have a call of its own, and then the graph is not what it computes.
    caller = next(kind for kind in type(operation).__mro__ if "call" in vars(kind))
    return caller.__module__.partition(".")[0] == "keras"


def replay(model, values, call):
    """Repeats the graph on other values: tensors, arrays, or anything else that is a leaf to `keras.tree`.

    Args:
        model: a functional or Sequential model; models inside it are entered.
        values: one for each of `model.inputs`.
        call: `(operation, args, kwargs, outputs) -> values of the outputs`, in the order of computation; in `args` and
            `kwargs` values stand where tensors stood; `outputs` are the symbolic tensors of the original.
    Returns: one for each of `model.outputs`.
    """
    known = dict(zip(map(id, model.inputs), values, strict=True))
    for node in _calls(model):
        if is_graph(node.operation):
            inside = [known[id(tensor)] for tensor in node.input_tensors]
            results = replay(node.operation, inside, call)
        else:
            results = call(node.operation, *node.arguments.fill_in(known), node.outputs)
        known.update(zip(map(id, node.outputs), results, strict=True))
    return [known[id(tensor)] for tensor in model.outputs]


def _calls(model):
    """Keras's nodes between the model's inputs and its outputs, each behind those whose results it takes."""
    done = {}
    waiting = [_maker(tensor) for tensor in reversed(model.outputs)]
    while waiting:
        node = waiting[-1]
        missing = [] if node.is_input else [parent for parent in node.parent_nodes if parent not in done]
        if missing:
            waiting.extend(missing)
        else:
            done[waiting.pop()] = None
    return [node for node in done if not node.is_input]


def _maker(tensor):
    operation, index, _ = tensor._keras_history
    return operation._inbound_nodes[index]


def input_layers(model):
    """The layer behind each of `model.inputs`."""
    return [_maker(tensor).operation for tensor in model.inputs]


def structure(model):
    """The inputs and outputs of a model as it takes and returns them: one tensor, or lists and dictionaries of them."""
    if isinstance(model, keras.Sequential):  # whose `input` is that of a call
        return model.inputs[0], model.outputs[0]
    return model.input, model.output


def output_names(model):
    """The names of the layers that make `model.outputs`."""
    return [_maker(tensor).operation.name for tensor in model.outputs]


UNCHANGED = (None, {})


class Copies:
    """New layers for those of a model: one each, of the same name, however often it is called.

    Args:
        model: whose names are taken, those of its inner models included.
    Raises:
        ValueError: two layers of one name, which only inner models can have.
    """

    def __init__(self, model):
        self._model = model
        self._made = {}
        self._owners = {}
        for layer in input_layers(model):
            self._own(layer)
        replay(model, model.inputs, self._note)

    def _note(self, operation, _args, _kwargs, outputs):
        self._own(operation)
        return outputs

    def _own(self, operation):
        if self._owners.setdefault(operation.name, operation) is not operation:
            raise ValueError(
                f"Two layers of the model {self._model.name!r} bear the name {operation.name!r}, in different inner "
                "models. These are dissolved, so their layers' names must differ: rename one of them."
            )

    def of(self, operation, kind=None, **changes):
        """The layer that takes the operation's place: a copy with changes in its configuration, or another `kind`.

        Raises:
            ValueError: it was made before with other changes.
        """
        wanted = kind, changes
        if id(operation) not in self._made:
            self._made[id(operation)] = operation, wanted, _copy(operation, kind, changes)
        _, had, copy = self._made[id(operation)]
        if had != wanted:
            raise ValueError(
                f"The layer {operation.name!r} of the model {self._model.name!r} is called more than once, and its "
                f"calls would need different configurations: {_words(had)}, and {_words(wanted)}. Give each call a "
                "layer of its own."
            )
        return copy

    def made(self, operation):
        """The layer that took the operation's place."""
        return self._made[id(operation)][2]

    def helper(self, kind, beside, purpose, **config):
        """A layer that the original lacks, named after the one that it serves."""
        stem = f"{beside.name}_{purpose}"
        names = itertools.chain([stem], (f"{stem}_{number}" for number in itertools.count(1)))
        name = next(name for name in names if name not in self._owners)
        layer = self._owners[name] = kind(name=name, **config)
        return layer

    def fill(self, but=()):
        """Gives every copy the weights of its original, reshaped where it was changed; not the layers `but`."""
        for operation, wanted, copy in self._made.values():
            if any(operation is one for one in but):
                continue
            old, new = ([*getattr(layer, "variables", ())] for layer in (operation, copy))
            measure = tuple if wanted == UNCHANGED else math.prod
            if [measure(variable.shape) for variable in old] != [measure(variable.shape) for variable in new]:
                raise ValueError(
                    f"The layer {operation.name!r} ({type(operation).__name__}) does not come back from its own "
                    "configuration with the same weights: mend its get_config."
                )
            for source, target in zip(old, new, strict=True):
                target.assign(source if source.shape == target.shape else keras.ops.reshape(source, target.shape))
            if hasattr(copy, "finalize_state"):  # adapted preprocessing layers compute with what they derive from these
                copy.finalize_state()


def _copy(operation, kind, changes):
    if kind is not None:
        return kind(name=operation.name, **changes)
    is_lambda = isinstance(operation, keras.layers.Lambda)
    try:
        # Keras fears the code in a Lambda's configuration, which here comes from no file.
        options = {"safe_mode": False} if is_lambda else {}
        copy = type(operation).from_config(operation.get_config() | changes, **options)
    except (NotImplementedError, TypeError) as error:
        raise ValueError(
            f"The layer {operation.name!r} ({type(operation).__name__}) cannot be copied: it needs a get_config that "
            "returns the arguments of its constructor."
        ) from error
    if is_lambda:  # what comes out of a configuration has lost the names of its module
        copy.function = operation.function
    if copy.name != operation.name:  # bare operations do not all take theirs from the configuration
        copy.name = operation.name
    return copy


def _words(wanted):
    kind, changes = wanted
    found = ", ".join(f"{key}={value}" for key, value in changes.items())
    return f"{kind.__name__}({found})" if kind else found or "unchanged"
