"""Which tensor of a source fills which variable of a model: the plan, made and checked before anything is written."""

import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from converters.errors import ConversionError
from converters.families.transplants import TRANSPLANTS
from converters.names import layouts
from converters.names.layouts import Layout
from converters.names.tables import Table
from converters.types import Shape, Shapes

Reasons = Sequence[tuple[str, str]]
"""`(regular expression of variable paths, reason)`."""

_LISTED = 12  # names of each kind that a message lists; the exception carries all


class Assignment(NamedTuple):
    """One tensor that fills a variable: its key, the path of the variable, the layout that turns it into Keras's."""

    key: str
    path: str
    layout: Layout


@dataclasses.dataclass(frozen=True)
class ImportPlan:
    """What would be done with every tensor of the source and every variable of the model.

    Attributes:
        assignments: the tensors that fill a variable.
        ignored: source key -> why it is left out.
        untouched: variable path -> why it keeps its value.
        missing: variables without a tensor, as `source key (variable path)`.
        unexpected: tensors that the model has no place for.
        misshapen: tensors whose shape does not fit, with both shapes and the layout.
        duplicates: variables that several tensors would fill.
        transplant: name of the transplant (partial load), if one is needed.
    """

    assignments: Sequence[Assignment]
    ignored: dict[str, str]
    untouched: dict[str, str]
    missing: Sequence[str]
    unexpected: Sequence[str]
    misshapen: Sequence[str]
    duplicates: Sequence[str] = ()
    transplant: str = ""

    @property
    def problems(self) -> int:
        """How many tensors and variables do not fit."""
        return len(self.missing) + len(self.unexpected) + len(self.misshapen) + len(self.duplicates)


def plan_import(
    table: Table, shapes: Shapes, variables: Shapes, *, drop: Reasons = (), skip: Sequence[str] = ()
) -> ImportPlan:
    """The plan for one network's table, across heads where a transplant fits.

    Args:
        table: table that says which tensor is which variable.
        shapes: source key -> shape.
        variables: variable path -> shape.
        drop: variables that the source may fill although the model lacks them.
        skip: regular expressions, found anywhere in a path or key: such variables and tensors are left alone.
    """
    direct = _plan(table, shapes, variables, drop, (), skip)
    if not direct.problems:
        return direct
    for transplant in TRANSPLANTS:
        why = f"not part of the transplant: {transplant.what}"
        if any(re.fullmatch(transplant.leave, assignment.path) for assignment in direct.assignments):
            continue
        across = _plan(table, shapes, variables, (*drop, (transplant.drop, why)), ((transplant.leave, why),), skip)
        if not across.problems:
            return dataclasses.replace(across, transplant=transplant.what)
    return direct


def plan_by_path(shapes: Shapes, variables: Shapes, *, skip: Sequence[str] = ()) -> ImportPlan:
    """The plan for tensors that have the model's own names and layouts.

    Args:
        shapes: source key -> shape.
        variables: variable path -> shape.
        skip: regular expressions, found anywhere in a path: such variables are left alone.
    """
    skipped = {path: f"skip={pattern!r}" for pattern in skip for path in variables if re.search(pattern, path)}
    wanted = [path for path in variables if path not in skipped]
    fitting = [path for path in wanted if path in shapes and tuple(shapes[path]) == variables[path]]
    return ImportPlan(
        assignments=[Assignment(path, path, _identity(len(variables[path]))) for path in fitting],
        ignored={path: why for path, why in skipped.items() if path in shapes},
        untouched=skipped,
        missing=[path for path in wanted if path not in shapes],
        unexpected=[key for key in shapes if key not in variables],
        misshapen=[
            f"{path} {list(shapes[path])}, expected {list(variables[path])}"
            for path in wanted
            if path in shapes and path not in fitting
        ],
    )


class MappingError(ConversionError):
    """A source that does not fit a model; the full lists are in `plan`.

    Args:
        plan: the plan with problems.
        source: name of the source.
        model: name of the model.
        advice: last sentences of the message: what to do.
    """

    def __init__(self, plan: ImportPlan, source: str, model: str, advice: str) -> None:
        self.plan = plan
        lines = [f"The tensors of {source} do not fit the model {model}."]
        for title, names in (
            ("Missing", plan.missing),
            ("Unexpected", plan.unexpected),
            ("Wrong shape", plan.misshapen),
            ("Duplicate", plan.duplicates),
        ):
            if names:
                more = f"\n  ... and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
                listed = "".join(f"\n  {name}" for name in names[:_LISTED])
                lines.append(f"{title}: {len(names)}{listed}{more}")
        super().__init__("\n".join([*lines, advice]))


def _plan(
    table: Table, shapes: Shapes, variables: Shapes, drop: Reasons, leave: Reasons, skip: Sequence[str]
) -> ImportPlan:
    assignments: dict[str, Assignment] = {}
    keys: dict[str, list[str]] = {}  # variable path -> the tensors that would fill it
    ignored: dict[str, str] = {}
    untouched: dict[str, str] = {}
    missing, unexpected, misshapen = [], [], []
    for key, shape in shapes.items():
        path, rule = table.forward(key) or (None, None)
        if why := _skipped(skip, key, path) or table.why_ignored(key):
            ignored[key] = why
        elif path is not None and rule is not None and path in variables:
            keys.setdefault(path, []).append(key)
            layout = rule.layout(len(variables[path]))
            if layout.solve(shape, variables[path]) is None:
                misshapen.append(_misshapen(key, shape, path, variables[path], layout))
            else:
                assignments.setdefault(path, Assignment(key, path, layout))
        elif path is not None and (why := _first(drop, path)):
            ignored[key] = why
        else:
            unexpected.append(key)
    for path in variables:
        if path not in keys:
            source_key, _ = table.backward(path) or (None, None)
            if why := _skipped(skip, path, source_key) or _first(leave, path):
                untouched[path] = why
            else:
                missing.append(f"{source_key} (for {path})" if source_key else path)
    duplicates = [f"{path} from {' and '.join(keys[path])}" for path in variables if len(keys.get(path, ())) > 1]
    return ImportPlan(list(assignments.values()), ignored, untouched, missing, unexpected, misshapen, duplicates)


def _skipped(skip: Sequence[str], *names: str | None) -> str | None:
    pattern = next((pattern for pattern in skip for name in names if name and re.search(pattern, name)), None)
    return None if pattern is None else f"skip={pattern!r}"


def _first(reasons: Iterable[tuple[str, str]], path: str) -> str | None:
    return next((why for pattern, why in reasons if re.fullmatch(pattern, path)), None)


def _misshapen(key: str, shape: Shape, path: str, wanted: Shape, layout: Layout) -> str:
    needed = layout.inverse().target_shape(wanted)
    there = f"{list(needed)} there, " if needed else ""
    return f"{key} {list(shape)}, expected {there}{list(wanted)} as {path} ({layout})"


def _identity(rank: int) -> Layout:
    axes = " ".join("abcdefgh"[:rank])
    return layouts.parse(f"{axes} -> {axes}")
