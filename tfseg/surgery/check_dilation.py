"""`check_dilation`: is the dilated map, on the original's grid, the original map?"""

import collections
import dataclasses
import math
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from tfseg import graphs
from tfseg.surgery import receptive_fields


class Output(NamedTuple):
    """One output of both models; the receptive field is None for an output that is no map."""

    name: str
    shapes: tuple
    receptive_fields: tuple
    difference: float
    relative: float


@dataclasses.dataclass(frozen=True)
class DilationReport:
    """What `check_dilation` found; prints as a table and a verdict.

    Attributes:
        outputs: one row each.
        tolerance: the largest relative difference that counts as none.
        broken: `(layer, relative difference)` of the first layer that parts from the original; None if none does.
    """

    outputs: list
    tolerance: float
    broken: tuple | None

    @property
    def holds(self):
        """Whether every output, on the old grid, is the original's. NaN is not."""
        return all(row.relative <= self.tolerance for row in self.outputs)

    def assert_holds(self):
        """Raises AssertionError, with the report, unless the law holds."""
        if not self.holds:
            raise AssertionError(str(self))

    def __str__(self):
        head = ("output", "map", "stride", "receptive field", "max |difference|", "relative")
        rows = [head]
        for row in self.outputs:
            cells = zip(row.shapes, row.receptive_fields, strict=True)
            before, after = ((" x ".join(map(str, shape[1:-1])) or "-", *_words(field)) for shape, field in cells)
            pairs = (one if one == other else f"{one} -> {other}" for one, other in zip(before, after, strict=True))
            rows.append((row.name, *pairs, f"{row.difference:.3g}", f"{row.relative:.2g}"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        if self.holds:
            verdict = "The law holds: on the old grid, the new map is the old map."
        elif self.broken:
            layer, relative = self.broken
            verdict = (
                f"The law does not hold: {layer} is the first layer to break it, by {relative:.2g} of its maximum."
            )
        else:
            verdict = "The law does not hold, though no layer of a name that both models have breaks it."
        return "\n".join([*lines, verdict])


def check_dilation(original, dilated, images, *, tolerance=1e-5):
    """Whether a dilated network, sampled on the grid of the original, computes what the original computes.

    Args:
        original, dilated: models with the same outputs and weights, the second by `dilate` or built so: layers are
            compared by name.
        images: `(batch, height, width, channels)`, preprocessed, or a list with one such array for each input.
        tolerance: the largest difference that counts as rounding, as a part of the largest value of a map.
    Returns: a `DilationReport`: print it, or ask `.holds`, or `.assert_holds()`.
    Raises:
        ValueError: models that are no graphs, or whose outputs do not correspond.
    """
    for model in (original, dilated):
        graphs.check(model)
    arrays = [ops.convert_to_tensor(image, "float32") for image in (images if isinstance(images, list) else [images])]
    old, new = (_run(model, arrays) for model in (original, dilated))
    if len(old.outputs) != len(new.outputs):
        raise ValueError(
            f"Both models have the same outputs. Received: {len(old.outputs)} of {original.name!r}, "
            f"{len(new.outputs)} of {dilated.name!r}"
        )
    outputs = [
        Output(name, (one.array.shape, other.array.shape), (one.field, other.field), *_difference(one, other))
        for name, one, other in zip(graphs.output_names(original), old.outputs, new.outputs, strict=True)
    ]
    report = DilationReport(outputs, tolerance, None)
    return report if report.holds else dataclasses.replace(report, broken=_first_broken(old, new, tolerance))


@dataclasses.dataclass(frozen=True, eq=False)  # a leaf to keras.tree
class _Value:
    tensor: object
    field: receptive_fields.Field | None

    @property
    def array(self):
        return ops.convert_to_numpy(self.tensor).astype("float64")


class _Run(NamedTuple):
    outputs: list
    layers: dict  # (name, which call of the layer, which of its results) -> _Value, in the order of computation


def _run(model, arrays):
    """Call by call: the layers of a model inside the model have no outputs that one could ask for."""
    found, count = {}, collections.Counter()

    def call(operation, args, kwargs, _outputs):
        values = [leaf for leaf in keras.tree.flatten((args, kwargs)) if isinstance(leaf, _Value)]
        args, kwargs = keras.tree.map_structure(
            lambda leaf: leaf.tensor if isinstance(leaf, _Value) else leaf, (args, kwargs)
        )
        field = receptive_fields.behind(operation, [value.field for value in values if value.field])
        results = [_Value(tensor, field) for tensor in keras.tree.flatten(operation(*args, **kwargs))]
        found.update({(operation.name, count[operation.name], place): result for place, result in enumerate(results)})
        count[operation.name] += 1
        return results

    inputs = [_Value(array, receptive_fields.IMAGE if len(array.shape) == 4 else None) for array in arrays]
    return _Run(graphs.replay(model, inputs, call), found)


def _first_broken(old, new, tolerance):
    for key, one in new.layers.items():
        if key in old.layers:
            _, relative = _difference(old.layers[key], one)
            if not relative <= tolerance:
                return key[0], relative
    return None


def _difference(old, new):
    """The largest |difference| on the old grid, and that as a part of the largest |value|; infinite if maps differ."""
    theirs, ours = old.array, new.array
    strides = [value.field.stride if value.field else None for value in (old, new)]
    if all(strides) and ours.ndim == 4:
        step = strides[0] / strides[1]
        if step.denominator > 1:
            return math.inf, math.inf
        ours = ours[:, :: int(step), :: int(step)]
    if ours.shape != theirs.shape:
        return math.inf, math.inf
    difference = float(np.abs(ours - theirs).max())
    scale = float(np.abs(theirs).max())
    return difference, difference / scale if scale else difference


def _words(field):
    return (str(field.stride) if field and field.stride else "-", str(field) if field else "-")
