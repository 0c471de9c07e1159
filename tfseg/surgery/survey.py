"""What every call of a classifier does at its own image size, found without computing anything."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import layers

from tfseg import graphs
from tfseg.surgery import dilation_rules
from tfseg.surgery.calls import TrackedCall
from tfseg.surgery.grids import window_of

SHAPING = {"Flatten", "Reshape", "Squeeze", "ExpandDims"}  # layers and bare operations


class SurveyedCall(NamedTuple):
    """One call of the classifier.

    Attributes:
        call: the call, on the tensors of the survey.
        shapes: shapes of its results.
        sources: indices of the calls that read all of a map, and from whose results this call's results are made,
            with no map between.
    """

    call: TrackedCall
    shapes: list[tuple[int | None, ...]]
    sources: frozenset[int]

    @property
    def operation(self) -> keras.Operation:
        """The layer or bare operation."""
        return self.call.operation

    @property
    def makers(self) -> set[int | None]:
        """Indices of the calls that made its arguments; None is the image."""
        return {tracked.maker for tracked in self.call.maps}


@dataclasses.dataclass(frozen=True, eq=False)
class _SurveyedTensor(graphs.TrackedTensor):
    maker: int | None
    sources: frozenset[int]


class ClassifierSurvey:
    """The calls of a classifier in the order of computation, on images of one shape.

    Args:
        model: classifier with one input.
        shape: shape of the images, `(batch, height, width, channels)`, with None where it is not known.
    Attributes:
        calls: a `SurveyedCall` for each call.
    """

    def __init__(self, model: keras.Model, shape: Sequence[int | None]):
        self.shape = shape
        self.calls: list[SurveyedCall] = []
        self._gates: set[int] = set()
        image = keras.KerasTensor(shape, model.inputs[0].dtype)
        graphs.replay(model, [_SurveyedTensor(image, None, frozenset())], self._note)

    def stays_global(self, index: int) -> bool:
        """Whether a call works on what a pooling of all pixels left, and its result goes back into a map."""
        return bool(self.calls[index].sources & self._gates)

    def ends_map(self, index: int) -> bool:
        """Whether a call is an average pooling of the whole map in front of Flatten: in effect, a global pooling."""
        pool = self.calls[index]
        if not isinstance(pool.operation, layers.AveragePooling2D):
            return False
        followers = [surveyed.operation for surveyed in self.calls if index in surveyed.makers]
        is_covered = window_of(pool.operation).extent == pool.call.maps[0].tensor.shape[1:3]
        return is_covered and bool(followers) and all(isinstance(layer, layers.Flatten) for layer in followers)

    def _note(
        self, operation: keras.Operation, args: tuple[Any, ...], kwargs: dict[str, Any], _outputs: Any
    ) -> list[_SurveyedTensor]:
        call = TrackedCall(operation, args, kwargs)
        index = len(self.calls)
        sources: frozenset[int] = frozenset().union(*(tracked.sources for tracked in call.maps))
        if any(len(tracked.tensor.shape) == 4 and not tracked.sources for tracked in call.maps):  # a map
            self._gates |= sources
            sources = frozenset({index} if reads_all(operation) else ())
        results = call.tensors(operation.compute_output_spec)
        shapes = [tuple(tensor.shape) for tensor in results]
        self.calls.append(SurveyedCall(call, shapes, sources))
        return [_SurveyedTensor(tensor, index, sources) for tensor in results]


def reads_all(operation: keras.Operation) -> bool:
    """Whether it makes all of a map into one vector, or into a map of fixed size."""
    rule = dilation_rules.rule_of(operation)
    if rule is dilation_rules.reduction:
        return {1, 2} <= dilation_rules.reduced_axes(operation)
    return rule is dilation_rules.whole_map or is_shaping(operation)


def is_shaping(operation: keras.Operation) -> bool:
    """Whether it lays out the same numbers in another shape."""
    return type(operation).__name__ in SHAPING and dilation_rules.is_known(operation)
