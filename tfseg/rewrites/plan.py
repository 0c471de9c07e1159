"""A model's calls as a list that rewrites edit, and the new model that is built from it."""

import collections
import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import keras

from tfseg import graphs
from tfseg.types import Array, Size


@dataclasses.dataclass(eq=False)
class RewriteStep:
    """One call of the new model.

    Attributes:
        operation: layer of the original model: the one that is called, or the one that a helper serves.
        args: positional arguments, with a `ResultRef` in place of every tensor.
        kwargs: keyword arguments, in the same form.
        kind: class of the new layer; None keeps the operation's.
        changes: what is different in the layer's configuration; see `graphs.LayerCopies.of`.
        values: values of the layer's variables; None takes those of the operation.
        purpose: ending of a helper's name; None for a call of the original.
    """

    operation: keras.Operation
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    kind: type[keras.Layer] | None = None
    changes: dict[str, Any] = dataclasses.field(default_factory=dict)
    values: Sequence[Array] | None = None
    purpose: str | None = None

    @property
    def name(self) -> str:
        """The name of the operation."""
        return self.operation.name

    @property
    def result(self) -> "ResultRef":
        """The first result of the step."""
        return ResultRef(self, 0)

    @property
    def refs(self) -> list["ResultRef"]:
        """The results that the step reads."""
        return [leaf for leaf in keras.tree.flatten((self.args, self.kwargs)) if isinstance(leaf, ResultRef)]

    @property
    def arrays(self) -> list[Array]:
        """The values that the layer's variables will have."""
        variables = self.values or self.operation.variables
        return [keras.ops.convert_to_numpy(variable) for variable in variables]

    def config(self, keys: Iterable[str]) -> dict[str, Any]:
        """These entries of the layer's configuration, changes included."""
        return {key: self.changes.get(key, getattr(self.operation, key)) for key in keys}

    def read(self, old: "ResultRef", new: "ResultRef") -> None:
        """Replaces one result that the step reads by another."""
        self.args, self.kwargs = keras.tree.map_structure(
            lambda leaf: new if leaf == old else leaf, (self.args, self.kwargs)
        )


@dataclasses.dataclass(frozen=True)  # a leaf to keras.tree, which a tuple is not
class ResultRef:
    """One result of a step, or one of the model's inputs.

    Attributes:
        step: step that makes the result; None for an input of the model.
        index: index of the result, or of the input.
    """

    step: RewriteStep | None
    index: int


class RewritePlan:
    """The steps of a model in the order of computation; models inside it are dissolved.

    Args:
        model: functional or Sequential model.
    Attributes:
        steps: the steps.
        inputs: a `ResultRef` for each input of the model.
        outputs: a `ResultRef` for each output of the model.
    Raises:
        ValueError: the model is a subclass.
    """

    def __init__(self, model: keras.Model):
        graphs.check(model)
        self.model = model
        self.steps: list[RewriteStep] = []
        self.inputs = [ResultRef(None, index) for index in range(len(model.inputs))]
        self.outputs = graphs.replay(model, self.inputs, self._note)
        self._calls = collections.Counter(id(step.operation) for step in self.steps)

    def _note(
        self,
        operation: keras.Operation,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        outputs: list[keras.KerasTensor],
    ) -> list[ResultRef]:
        step = RewriteStep(operation, args, kwargs)
        self.steps.append(step)
        return [ResultRef(step, index) for index in range(len(outputs))]

    def of_kind(self, *kinds: type[keras.Layer]) -> list[RewriteStep]:
        """The steps that a rewrite may change: unchanged layers of exactly these classes, called once.

        A subclass may compute something else. Channels come last.
        """
        return [
            step
            for step in self.steps
            if type(step.operation) in kinds
            and step.purpose is None
            and step.kind is None
            and self._calls[id(step.operation)] == 1
            and getattr(step.operation, "data_format", "channels_last") == "channels_last"
        ]

    def readers(self, ref: ResultRef) -> list[RewriteStep | None]:
        """The steps that read a result; None stands for the model's outputs."""
        steps: list[RewriteStep | None] = [step for step in self.steps if ref in step.refs]
        return steps + [None] * self.outputs.count(ref)

    def put_before(
        self,
        step: RewriteStep,
        purpose: str,
        kind: type[keras.Layer],
        config: dict[str, Any],
        values: Sequence[Array],
    ) -> None:
        """Inserts a helper between a step and the only result that the step reads.

        Args:
            step: step that reads the helper's result.
            purpose: ending of the helper's name.
            kind: class of the helper.
            config: arguments of the helper.
            values: values of the helper's variables.
        """
        (source,) = step.refs
        helper = RewriteStep(step.operation, (source,), {}, kind, config, values, purpose)
        self.steps.insert(self.steps.index(step), helper)
        step.read(source, helper.result)

    def put_after(
        self,
        step: RewriteStep,
        more_inputs: Sequence[ResultRef],
        readers: Iterable[RewriteStep | None],
        purpose: str,
        kind: type[keras.Layer],
        config: dict[str, Any],
        values: Sequence[Array],
    ) -> None:
        """Inserts a helper after a step.

        Args:
            step: step whose result the helper takes, as the first of a list.
            more_inputs: the rest of that list.
            readers: steps that read the helper's result instead of the step's; None for the model's outputs.
            purpose: ending of the helper's name.
            kind: class of the helper.
            config: arguments of the helper.
            values: values of the helper's variables.
        """
        helper = RewriteStep(step.operation, ([step.result, *more_inputs],), {}, kind, config, values, purpose)
        self.steps.insert(self.steps.index(step) + 1, helper)
        for reader in readers:
            if reader is None:
                self.outputs = [helper.result if ref == step.result else ref for ref in self.outputs]
            else:
                reader.read(step.result, helper.result)

    def bypass(self, step: RewriteStep) -> None:
        """Removes a step: the readers of its result read what it read."""
        (source,) = step.refs
        self.steps.remove(step)
        for other in self.steps:
            other.read(step.result, source)
        self.outputs = [source if ref == step.result else ref for ref in self.outputs]

    def build(self, size: Size | None = None) -> keras.Model:
        """The new model, weights included.

        Args:
            size: height and width of all images; None keeps the model's input sizes.
        """
        copies = graphs.LayerCopies(self.model, drawn=False)
        inputs = [copies.of(layer, **_sized(layer, size)).output for layer in graphs.input_layers(self.model)]
        tensors = dict(zip(self.inputs, inputs, strict=True))
        with_values = []
        for step in self.steps:
            if step.purpose and step.kind:
                layer = copies.helper(step.kind, step.operation, step.purpose, **step.changes)
            else:
                layer = copies.of(step.operation, step.kind, **step.changes)
            args, kwargs = keras.tree.map_structure(
                lambda leaf: tensors[leaf] if isinstance(leaf, ResultRef) else leaf, (step.args, step.kwargs)
            )
            results = keras.tree.flatten(layer(*args, **kwargs))
            tensors.update((ResultRef(step, index), tensor) for index, tensor in enumerate(results))
            if step.values is not None:
                with_values.append((step, layer, step.values))
        old, new = graphs.structure(self.model), (inputs, [tensors[ref] for ref in self.outputs])
        model = keras.Model(*map(keras.tree.pack_sequence_as, old, new), name=self.model.name)
        copies.fill(but=[step.operation for step, _, _ in with_values if not step.purpose])
        for _, layer, values in with_values:
            for variable, value in zip(layer.variables, values, strict=True):
                variable.assign(value)
        return model


def _sized(layer: keras.Layer, size: Size | None) -> dict[str, Any]:
    """What changes in an input layer, for images of one size."""
    batch, *sides, channels = layer.batch_shape
    if size is None or len(sides) != 2:
        return {}
    if any(old not in (None, new) for old, new in zip(sides, size, strict=True)):
        raise ValueError(f"The input {layer.name!r} takes images of {tuple(sides)}. Received: fixed_size={size}")
    return {"batch_shape": (batch, *size, channels)}
