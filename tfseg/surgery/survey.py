"""What every call of a classifier does at its own image size, found without computing anything."""

import dataclasses
from typing import NamedTuple

import keras
from keras import layers

from tfseg import graphs
from tfseg.surgery import dilation_rules

SHAPING = {"Flatten", "Reshape", "Squeeze", "ExpandDims"}  # layers and bare operations


class Survey:
    """The calls of a model in the order of computation, on images of one shape.

    Attributes:
        shape: of the images, `(batch, height, width, channels)`, with None where it is not known.
        calls: a `Surveyed` each.
    """

    def __init__(self, model, shape):
        self.shape = shape
        self.calls = []
        self._gates = set()
        image = keras.KerasTensor(shape, model.inputs[0].dtype)
        graphs.replay(model, [_Value(image, None, frozenset())], self._note)

    def stays_global(self, index):
        """Whether a call works on what a pooling of all pixels left, which later goes back into a map."""
        return bool(self.calls[index].sources & self._gates)

    def ends_map(self, index):
        """Whether a call is an average pooling of the whole map in front of Flatten: a global pooling in its effect."""
        pool = self.calls[index]
        if not isinstance(pool.operation, layers.AveragePooling2D):
            return False
        followers = [one.operation for one in self.calls if index in one.makers]
        all_of_it = dilation_rules.window_of(pool.operation).extent == pool.call.maps[0].tensor.shape[1:3]
        return all_of_it and bool(followers) and all(isinstance(one, layers.Flatten) for one in followers)

    def _note(self, operation, args, kwargs, _outputs):
        call = dilation_rules.Call(operation, args, kwargs)
        index, sources = len(self.calls), frozenset().union(*(one.sources for one in call.maps))
        if any(len(one.tensor.shape) == 4 and not one.sources for one in call.maps):  # a map
            self._gates |= sources
            sources = frozenset({index} if reads_all(operation) else ())
        results = call.tensors(operation.compute_output_spec)
        shapes = [tuple(tensor.shape) for tensor in results]
        self.calls.append(Surveyed(call, shapes, sources))
        return [_Value(tensor, index, sources) for tensor in results]


class Surveyed(NamedTuple):
    """One call.

    Attributes:
        call: with the tensors of the survey.
        shapes: of its results.
        sources: the calls that read all of a map from whose results this one's come, and no map since.
    """

    call: dilation_rules.Call
    shapes: list
    sources: frozenset

    @property
    def operation(self):
        return self.call.operation

    @property
    def makers(self):
        """The calls that made its arguments; None is the image."""
        return {one.maker for one in self.call.maps}


@dataclasses.dataclass(frozen=True, eq=False)
class _Value(graphs.Value):
    maker: int | None
    sources: frozenset


def reads_all(operation):
    """Whether it makes all of a map into one vector, or into a map of fixed size."""
    rule = dilation_rules.rule_of(operation)
    if rule is dilation_rules.reduction:
        return {1, 2} <= dilation_rules.reduced_axes(operation)
    return rule is dilation_rules.whole or is_shaping(operation)


def is_shaping(operation):
    """Whether it lays out the same numbers in another shape."""
    return type(operation).__name__ in SHAPING and dilation_rules.is_known(operation)
