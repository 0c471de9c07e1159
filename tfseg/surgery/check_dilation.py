"""`check_dilation`: is the dilated map, on the original's grid, the original map?"""

import collections
import dataclasses
import math
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from tfseg import graphs
from tfseg.surgery.receptive_fields import IMAGE, ReceptiveField, field_after
from tfseg.types import Array, Tensor


@dataclasses.dataclass(frozen=True)
class OutputComparison:
    """One output of the original and of the dilated model.

    Attributes:
        name: name of the layer that makes the output.
        shapes: shapes of the original's and of the dilated model's output.
        receptive_fields: the two receptive fields; None for an output that is no map.
        difference: largest difference on the old grid.
        relative: that difference, divided by the largest value of the original.
    """

    name: str
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    receptive_fields: tuple[ReceptiveField | None, ReceptiveField | None]
    difference: float
    relative: float


@dataclasses.dataclass(frozen=True)
class DilationReport:
    """The result of `check_dilation`; it prints as a table and a verdict.

    Attributes:
        outputs: one row for each output.
        tolerance: largest relative difference that counts as rounding.
        broken: `(layer, relative difference)` of the first layer that differs from the original; None if no layer does.
    """

    outputs: list[OutputComparison]
    tolerance: float
    broken: tuple[str, float] | None

    @property
    def holds(self) -> bool:
        """Whether every output, on the old grid, is the original's. NaN is not."""
        return all(row.relative <= self.tolerance for row in self.outputs)

    def assert_holds(self) -> None:
        """Raises AssertionError, with the report, unless the law holds."""
        if not self.holds:
            raise AssertionError(str(self))

    def __str__(self) -> str:
        rows = [("output", "map", "stride", "receptive field", "max |difference|", "relative")]
        for row in self.outputs:
            before, after = map(_cells, row.shapes, row.receptive_fields)
            size, stride, field = (
                old if old == new else f"{old} -> {new}" for old, new in zip(before, after, strict=True)
            )
            rows.append((row.name, size, stride, field, f"{row.difference:.3g}", f"{row.relative:.2g}"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, cells, widths)).rstrip() for cells in rows]
        return "\n".join([*lines, self._verdict()])

    def _verdict(self) -> str:
        if self.holds:
            return "The law holds: on the old grid, the new map is the old map."
        if self.broken:
            layer, relative = self.broken
            return f"The law does not hold: {layer} is the first layer to break it, by {relative:.2g} of its maximum."
        return "The law does not hold, though no layer of a name that both models have breaks it."


def check_dilation(
    original: keras.Model, dilated: keras.Model, images: Array | list[Array], *, tolerance: float = 1e-5
) -> DilationReport:
    """A report on whether a dilated network, sampled on the original's grid, computes what the original computes.

    Args:
        original: model before the dilation.
        dilated: model with the same outputs and weights, made by `dilate` or built dilated. Layers are compared by
            name.
        images: `(batch, height, width, channels)`, preprocessed, or a list with one such array for each input.
        tolerance: largest difference that counts as rounding, relative to the largest value of a map.
    Returns: a `DilationReport`: print it, or ask `.holds`, or `.assert_holds()`.
    Raises:
        ValueError: a model is a subclass, or the outputs do not correspond.
    Example:
        >>> model = tfseg.ResNet(18, width=1 / 16)
        >>> image = np.random.default_rng(0).normal(size=(1, 64, 64, 3))
        >>> tfseg.check_dilation(model, tfseg.dilate(model, 8), image).holds
        True
        >>> tfseg.check_dilation(model, tfseg.dilate(model, 8, convention="one"), image).broken[0]
        'conv5_block1_1_conv'
    """
    for model in (original, dilated):
        graphs.check(model)
    arrays = [ops.convert_to_tensor(image, "float32") for image in (images if isinstance(images, list) else [images])]
    old, new = (_trace(model, arrays) for model in (original, dilated))
    if len(old.outputs) != len(new.outputs):
        raise ValueError(
            f"Both models have the same outputs. Received: {len(old.outputs)} of {original.name!r}, "
            f"{len(new.outputs)} of {dilated.name!r}"
        )
    outputs = [
        OutputComparison(name, (before.shape, after.shape), (before.field, after.field), *_difference(before, after))
        for name, before, after in zip(graphs.output_names(original), old.outputs, new.outputs, strict=True)
    ]
    report = DilationReport(outputs, tolerance, None)
    return report if report.holds else dataclasses.replace(report, broken=_first_broken(old, new, tolerance))


@dataclasses.dataclass(frozen=True, eq=False)
class _ComputedTensor(graphs.TrackedTensor):
    field: ReceptiveField | None

    @property
    def array(self) -> Array:
        return ops.convert_to_numpy(self.tensor).astype("float64")

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape)


class _Trace(NamedTuple):
    """What a model computes.

    Attributes:
        outputs: the model's outputs.
        layers: `{(name, index of the call of that layer, index of its result): result}`, in the order of computation.
    """

    outputs: list[_ComputedTensor]
    layers: dict[tuple[str, int, int], _ComputedTensor]


def _trace(model: keras.Model, arrays: list[Tensor]) -> _Trace:
    """Runs the model call by call: layers of a model inside the model have no outputs that could be asked for."""
    results_of: dict[tuple[str, int, int], _ComputedTensor] = {}
    count: collections.Counter[str] = collections.Counter()

    def call(
        operation: keras.Operation, args: tuple[Any, ...], kwargs: dict[str, Any], _outputs: Any
    ) -> list[_ComputedTensor]:
        leaves = keras.tree.flatten((args, kwargs))
        fields = [leaf.field for leaf in leaves if isinstance(leaf, _ComputedTensor) and leaf.field]
        args, kwargs = graphs.untracked((args, kwargs))
        field = field_after(operation, fields)
        results = [_ComputedTensor(tensor, field) for tensor in keras.tree.flatten(operation(*args, **kwargs))]
        index = count[operation.name]
        results_of.update({(operation.name, index, place): result for place, result in enumerate(results)})
        count[operation.name] += 1
        return results

    inputs = [_ComputedTensor(array, IMAGE if len(array.shape) == 4 else None) for array in arrays]
    return _Trace(graphs.replay(model, inputs, call), results_of)


def _first_broken(old: _Trace, new: _Trace, tolerance: float) -> tuple[str, float] | None:
    for key, result in new.layers.items():
        if key in old.layers:
            _, relative = _difference(old.layers[key], result)
            if not relative <= tolerance:
                return key[0], relative
    return None


def _difference(old: _ComputedTensor, new: _ComputedTensor) -> tuple[float, float]:
    """`(absolute, relative)`: largest difference on the old grid; infinite if the shapes of the maps differ."""
    expected, sampled = old.array, new.array
    if old.field and old.field.stride and new.field and new.field.stride and sampled.ndim == 4:
        step = old.field.stride / new.field.stride
        if step.denominator > 1:
            return math.inf, math.inf
        sampled = sampled[:, :: int(step), :: int(step)]
    if sampled.shape != expected.shape:
        return math.inf, math.inf
    difference = float(np.abs(sampled - expected).max())
    scale = float(np.abs(expected).max())
    return difference, difference / scale if scale else difference


def _cells(shape: tuple[int, ...], field: ReceptiveField | None) -> tuple[str, str, str]:
    """The map's size, its stride and its receptive field as they are printed."""
    size = " x ".join(map(str, shape[1:-1])) or "-"
    return size, str(field.stride) if field and field.stride else "-", str(field) if field else "-"
