"""A model's calls as a list that rewrites edit, and the new model that comes of it."""

import collections
import dataclasses

import keras

from tfseg import graphs


@dataclasses.dataclass(eq=False)
class Step:
    """One call of the new model.

    Attributes:
        operation: of the original model: the one that is called, or beside which a helper stands.
        args, kwargs: with a `Ref` where a tensor stands.
        kind, changes: another class, and what is different in the configuration; see `graphs.LayerCopies.of`.
        values: of its variables, if they are not the operation's.
        purpose: of a helper, which ends its name; None for a call of the original.
    """

    operation: object
    args: tuple
    kwargs: dict
    kind: type | None = None
    changes: dict = dataclasses.field(default_factory=dict)
    values: list | None = None
    purpose: str | None = None

    @property
    def name(self):
        return self.operation.name

    @property
    def result(self):
        return Ref(self, 0)

    @property
    def refs(self):
        """What it reads."""
        return [leaf for leaf in keras.tree.flatten((self.args, self.kwargs)) if isinstance(leaf, Ref)]

    @property
    def arrays(self):
        """The values that its variables will have."""
        variables = self.values or self.operation.variables
        return [keras.ops.convert_to_numpy(variable) for variable in variables]

    def config(self, keys):
        """These of its configuration, changes included."""
        return {key: self.changes.get(key, getattr(self.operation, key)) for key in keys}

    def read(self, old, new):
        """Makes it read another result."""
        self.args, self.kwargs = keras.tree.map_structure(
            lambda leaf: new if leaf == old else leaf, (self.args, self.kwargs)
        )


@dataclasses.dataclass(frozen=True)  # a leaf to keras.tree, which a tuple is not
class Ref:
    """One result of a step; of no step: one of the model's inputs."""

    step: Step | None
    index: int


class Plan:
    """The steps of a model in the order of computation; models inside it are dissolved.

    Raises:
        ValueError: a model that is no graph.
    """

    def __init__(self, model):
        graphs.check(model)
        self.model = model
        self.steps = []
        self.inputs = [Ref(None, index) for index in range(len(model.inputs))]
        self.outputs = graphs.replay(model, self.inputs, self._note)
        self._calls = collections.Counter(id(step.operation) for step in self.steps)

    def _note(self, operation, args, kwargs, outputs):
        step = Step(operation, args, kwargs)
        self.steps.append(step)
        return [Ref(step, index) for index in range(len(outputs))]

    def of_kind(self, *kinds):
        """The steps that a rewrite may change: of one of these classes exactly, as the original has them, called once.

        A subclass may compute something else. Channels come last.
        """
        return [
            step
            for step in self.steps
            if type(step.operation) in kinds
            and step.purpose is step.kind is None
            and self._calls[id(step.operation)] == 1
            and getattr(step.operation, "data_format", "channels_last") == "channels_last"
        ]

    def readers(self, ref):
        """The steps that read a result; None stands for the model's outputs."""
        return [step for step in self.steps if ref in step.refs] + [None] * self.outputs.count(ref)

    def put_before(self, step, purpose, kind, config, values):
        """A helper between a step and the one result that it reads."""
        (source,) = step.refs
        helper = Step(step.operation, (source,), {}, kind, config, values, purpose)
        self.steps.insert(self.steps.index(step), helper)
        step.read(source, helper.result)

    def put_behind(self, step, others, readers, purpose, kind, config, values):
        """A helper that takes `[result of the step, *others]`; the readers read what it makes."""
        helper = Step(step.operation, ([step.result, *others],), {}, kind, config, values, purpose)
        self.steps.insert(self.steps.index(step) + 1, helper)
        for reader in readers:
            if reader is None:
                self.outputs = [helper.result if ref == step.result else ref for ref in self.outputs]
            else:
                reader.read(step.result, helper.result)

    def bypass(self, step):
        """Leaves out a step: who read its result reads what it read."""
        (source,) = step.refs
        self.steps.remove(step)
        for one in self.steps:
            one.read(step.result, source)
        self.outputs = [source if ref == step.result else ref for ref in self.outputs]

    def build(self, size=None):
        """The new model, weights included; for images of one size, if that is given."""
        copies = graphs.LayerCopies(self.model)
        inputs = [copies.of(layer, **_sized(layer, size)).output for layer in graphs.input_layers(self.model)]
        tensors, own = dict(zip(self.inputs, inputs, strict=True)), []
        for step in self.steps:
            if step.purpose:
                layer = copies.helper(step.kind, step.operation, step.purpose, **step.changes)
            else:
                layer = copies.of(step.operation, step.kind, **step.changes)
            args, kwargs = keras.tree.map_structure(
                lambda leaf: tensors[leaf] if isinstance(leaf, Ref) else leaf, (step.args, step.kwargs)
            )
            results = keras.tree.flatten(layer(*args, **kwargs))
            tensors.update((Ref(step, index), tensor) for index, tensor in enumerate(results))
            if step.values is not None:
                own.append((step, layer))
        old, new = graphs.structure(self.model), (inputs, [tensors[ref] for ref in self.outputs])
        model = keras.Model(*map(keras.tree.pack_sequence_as, old, new), name=self.model.name)
        copies.fill(but=[step.operation for step, _ in own if not step.purpose])
        for step, layer in own:
            for variable, value in zip(layer.variables, step.values, strict=True):
                variable.assign(value)
        return model


def _sized(layer, size):
    """What changes in an input layer, for images of one size."""
    batch, *sides, channels = layer.batch_shape
    if size is None or len(sides) != 2:
        return {}
    if any(old not in (None, new) for old, new in zip(sides, size, strict=True)):
        raise ValueError(f"The input {layer.name!r} takes images of {tuple(sides)}. Received: fixed_size={size}")
    return {"batch_shape": (batch, *size, channels)}
