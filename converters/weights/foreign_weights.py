"""A Keras model's weights under the names and in the layouts of a family."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np

from converters.errors import ConversionError
from converters.families import FAMILIES, Family, FamilyNetwork, get_family
from converters.families.differences import describe_differences
from converters.identification.listing import some
from converters.identification.own_files import BY_PATH
from converters.names.layouts import Layout
from converters.names.tables import Table
from converters.types import Shape, Shapes
from converters.weights.fill_model import variable_shapes
from converters.weights.forms import differences, options_of
from tfseg.variable_views import view


class _Origin(NamedTuple):
    """Where a foreign tensor comes from: path of the variable, layout to apply, kind of its row in the table."""

    path: str
    layout: Layout | None
    kind: str | None


class ForeignWeights(Mapping[str, np.ndarray]):
    """Key -> array in the foreign layout, made when asked for.

    Attributes:
        family: name of the family.
        network: name of its network.
        table: table of that network; None where variables keep their paths and layouts.
    """

    def __init__(
        self, model: keras.Model, family: str, network: str, table: Table | None, dtype: str | None = None
    ) -> None:
        self.family, self.network, self.table = family, network, table
        self._variables = {variable.path: variable for variable in model.weights}
        self._dtype = dtype
        self._origins: dict[str, _Origin] = {}
        for path, shape in variable_shapes(model).items():
            key, rule = (table.backward(path) if table else None) or (path, None)
            layout = rule.layout(len(shape)).inverse() if rule else None
            self._origins[key] = _Origin(path, layout, rule.kind if rule else None)

    def __getitem__(self, key: str) -> np.ndarray:
        path, layout, _ = self._origins[key]
        value = view(self._variables[path])
        value = value if layout is None else layout.apply(value)
        return np.ascontiguousarray(value, self._dtype or value.dtype)

    def __iter__(self) -> Iterator[str]:
        return iter(self._origins)

    def __len__(self) -> int:
        return len(self._origins)

    @property
    def kinds(self) -> dict[str, str]:
        """Key -> kind of its row in the table; nothing without a table."""
        return {key: origin.kind for key, origin in self._origins.items() if origin.kind}

    @property
    def account(self) -> list[dict[str, Any]]:
        """Rows of a receipt: each variable, and the tensor that it becomes."""
        return [
            {
                "key": key,
                "shape": list(self._variables[path].shape),
                "dtype": self._variables[path].dtype,
                "path": path,
                "layout": str(layout or "as it is"),
            }
            for key, (path, layout, _) in self._origins.items()
        ]


def foreign_weights(
    model: keras.Model,
    family: str | Family | None = None,
    *,
    dtype: str | None = None,
    format: str | None = None,
) -> ForeignWeights:
    """A model's weights as its family's public implementation names and lays them out.

    Args:
        model: a Keras model with tfseg's layer names.
        family: name of a family, or the record itself. By default the first in the documented order that the model
            fits; "tfseg/paths" for the variables by path, in Keras layout.
        dtype: type of the arrays; by default each variable's type.
        format: one of `Family.formats`: only families with such files are considered.
    Raises:
        ConversionError: no family, or not the given one, has a network like the model.
    """
    if family == BY_PATH and format is None:
        return ForeignWeights(model, BY_PATH, model.name, None, dtype)
    if isinstance(family, str) and family not in FAMILIES:
        known = ", ".join([*FAMILIES, BY_PATH])
        raise ConversionError(f"The families known here are {known}. Received: family={family!r}")
    record = get_family(family)
    if record and format not in (None, *record.formats):
        raise ConversionError(
            f"The files of {record.name} are {', '.join(record.formats)}, not {format}. "
            f"Received: {model.name!r} to be written for {format}"
        )
    families = [record] if record else [known for known in FAMILIES.values() if format in (None, *known.formats)]
    shapes, layers = variable_shapes(model), {layer.name for layer in model.layers}
    networks = [(candidate, network) for candidate in families for network in candidate.networks]
    # Networks with the same variables: layers without variables tell them apart, and then the model's name.
    networks.sort(
        key=lambda row: (row[1].layer not in (None, *layers), row[1].name != model.name, row[1].layer not in layers)
    )
    problems = []
    for candidate, network in networks:
        problem = _problem(network, shapes)
        if problem is None:
            candidate, network = _computed(model, candidate, network, asked=record is not None, format=format)
            return ForeignWeights(model, candidate.name, network.name, network.table, dtype)
        problems.append(problem)
    raise ConversionError(
        f"No network of {record.name if record else 'the families known here'} is like the model {model.name!r}. "
        f"Nearest: {min(problems)[1]}. "
        f'To write the variables by their own paths, pass family="{BY_PATH}".'
    )


def _computed(
    model: keras.Model, family: Family, network: FamilyNetwork, *, asked: bool, format: str | None
) -> tuple[Family, FamilyNetwork]:
    """A network with a model's variables, or another one that computes what the model does, where this one does not.

    Args:
        model: the model.
        family: family of the network.
        network: the network.
        asked: whether the caller asks for this family.
        format: one of `Family.formats`: only families with such files are considered.
    Raises:
        ConversionError: the caller asks for a family whose network computes something else than the model.
    """
    shapes = variable_shapes(model)
    form = _form(family, network, shapes)
    rivals = [
        (other, each)
        for other in FAMILIES.values()
        if format in (None, *other.formats)
        for each in other.networks
        if each.name == network.name and {**other.options, **each.options} != {**family.options, **network.options}
    ]
    rivals = [(other, each) for other, each in rivals if _problem(each, shapes) is None]
    otherwise = differences(model, *form) if rivals else []
    if not otherwise:
        return family, network
    least, other, each = otherwise, family, network
    for rival, candidate in rivals:
        remaining = differences(model, *_form(rival, candidate, shapes))
        if remaining is not None and len(remaining) < len(least):
            least, other, each = remaining, rival, candidate
    if least is otherwise:
        return family, network
    if asked:
        listed = [difference for difference in otherwise if difference not in least]
        raise ConversionError(
            f"The model {model.name!r} computes {other.name} {each.name}, not {family.name} {network.name}, which has "
            f"the same tensors: there, {some(listed)}. Received: family={family.name!r}. Write it as "
            f"family={other.name!r}, or leave the family out."
        )
    return other, each


def _form(family: Family, network: FamilyNetwork, shapes: Shapes) -> tuple[str, dict[str, Any]]:
    """Name and options of what `tfseg.build` builds for a network."""
    return network.name, options_of(family, network, dict(_foreign_shapes(network.table, shapes)))


def _problem(network: FamilyNetwork, shapes: Shapes) -> tuple[int, str] | None:
    """How many variables the network has no tensor for, and the difference in words; None if it is like the model."""
    strange = [path for path in shapes if network.table.backward(path) is None]
    if strange:
        return len(strange), f"{network.name} has no place for {some(strange)}"
    # A file may be known by a tensor that nothing reads; no model has that.
    written = {key: asks for key, asks in network.requires.items() if network.table.path(key)}
    if written != network.requires:
        network = dataclasses.replace(network, requires=written)
    differences = describe_differences(network, dict(_foreign_shapes(network.table, shapes)))
    return (0, f"{network.name}: the model {'; '.join(differences)}") if differences else None


def _foreign_shapes(table: Table, shapes: Shapes) -> Iterator[tuple[str, Shape]]:
    """`(key, shape)` of every tensor that the variables become."""
    for path, shape in shapes.items():
        key, rule = table.backward(path) or (None, None)
        if key is not None and rule is not None:
            yield key, rule.layout(len(shape)).inverse().target_shape(shape) or shape
