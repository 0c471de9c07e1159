"""Which tensor of a source fills which variable of a model: the plan, made and checked before anything is written."""

import re
from typing import NamedTuple

from converters.errors import ConversionError
from converters.families.transplants import TRANSPLANTS
from converters.names.layouts import Layout

_LISTED = 12  # names a message lists of each kind; the exception carries all


class Assignment(NamedTuple):
    key: str
    path: str
    layout: Layout


class Plan(NamedTuple):
    """What would be done with every tensor of the source and every variable of the model.

    Attributes:
        assignments: the tensors that fill a variable.
        ignored: source key -> why it is left out.
        untouched: variable path -> why it keeps its value.
        missing: variables without a tensor, as `source key (variable path)`.
        unexpected: tensors that the model has no place for.
        misshapen: tensors whose shape does not fit, with both shapes and the layout.
        duplicates: variables that several tensors would fill.
        transplant: in words, if one was needed.
    """

    assignments: list
    ignored: dict
    untouched: dict
    missing: list
    unexpected: list
    misshapen: list
    duplicates: list
    transplant: str = ""

    @property
    def problems(self):
        return len(self.missing) + len(self.unexpected) + len(self.misshapen) + len(self.duplicates)


def plan(table, shapes, variables, *, drop=(), skip=()):
    """The plan for one network's table, across heads where a transplant fits.

    Args:
        table: `converters.names.tables.Table`.
        shapes: source key -> shape.
        variables: variable path -> shape.
        drop: `(regular expression, why)` of paths that the source may fill although the model lacks them.
        skip: regular expressions, found anywhere in a path or key: such variables and tensors are left alone.
    """
    direct = _plan(table, shapes, variables, drop, (), skip)
    if not direct.problems:
        return direct
    for what, dropped, left in TRANSPLANTS:
        why = f"not part of the transplant: {what}"
        if any(re.fullmatch(left, assignment.path) for assignment in direct.assignments):
            continue
        tried = _plan(table, shapes, variables, (*drop, (dropped, why)), ((left, why),), skip)
        if not tried.problems:
            return tried._replace(transplant=what)
    return direct


def _plan(table, shapes, variables, drop, leave, skip):
    result = Plan([], {}, {}, [], [], [], [])
    filled, assigned = {}, set()
    for key, shape in shapes.items():
        path, rule = table.forward(key) or (None, None)
        if why := _skipped(skip, key, path) or table.why_ignored(key):
            result.ignored[key] = why
        elif path in variables:
            filled.setdefault(path, []).append(key)
            layout = rule.layout(len(variables[path]))
            if layout.solve(shape, variables[path]) is None:
                result.misshapen.append(_misshapen(key, shape, path, variables[path], layout))
            elif path not in assigned:
                assigned.add(path)
                result.assignments.append(Assignment(key, path, layout))
        elif why := path and _first(drop, path):
            result.ignored[key] = why
        else:
            result.unexpected.append(key)
    for path in variables:
        if len(filled.get(path, ())) > 1:
            result.duplicates.append(f"{path} from {' and '.join(filled[path])}")
        elif path not in filled:
            key = (table.backward(path) or (None,))[0]
            if why := _skipped(skip, path, key) or _first(leave, path):
                result.untouched[path] = why
            else:
                result.missing.append(f"{key} (for {path})" if key else path)
    return result


def _skipped(skip, *names):
    pattern = next((pattern for pattern in skip for name in names if name and re.search(pattern, name)), None)
    return pattern and f"skip={pattern!r}"


def _first(reasons, path):
    return next((why for pattern, why in reasons if re.fullmatch(pattern, path)), None)


def _misshapen(key, shape, path, wanted, layout):
    needed = layout.inverse().target_shape(wanted)
    needed = f"{list(needed)} there, " if needed else ""
    return f"{key} {list(shape)}, expected {needed}{list(wanted)} as {path} ({layout})"


class MappingError(ConversionError):
    """A source that does not fit a model; the full lists are in `plan`."""

    def __init__(self, plan, source, model, hint):
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
        super().__init__("\n".join([*lines, hint]))
