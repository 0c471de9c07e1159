"""The sections of a report: what was recognized, the proof, every tensor, the files."""

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from converters.proof.compare import ModelComparison
from converters.reports.plot import draw_differences
from converters.weights.receipts import Receipt


def recognized(receipt: Receipt) -> str:
    """What a source is, and what says so.

    Args:
        receipt: receipt of the conversion.
    """
    numbers = sum(math.prod(tensor["shape"]) for tensor in receipt.tensors)
    rows = [("family", receipt.family), ("network", receipt.network)]
    if receipt.steps:
        kinds = len({step["operation"] for step in receipt.steps})
        rows.append(
            ("evidence", f"its own program: {len(receipt.steps)} steps of {kinds} kinds, each built as a layer")
        )
    elif receipt.tensors:
        rows.append(
            (
                "evidence",
                f"names and shapes: each of {len(receipt.tensors)} tensors ({numbers:,} numbers) is a variable of this "
                f"network. {len(receipt.ignored)} tensors are left out, {len(receipt.untouched)} variables keep their "
                "values; each is listed below.",
            )
        )
    rows += [("as said by", receipt.prototxt)] if receipt.prototxt else []
    rows += [("prefix of its keys", receipt.prefix)] if receipt.prefix else []
    rows += [("built with", listed(receipt.options))] if receipt.options else []
    rows += [("also fits", other) for other in receipt.others]
    rows += [("transplant", receipt.transplant)] if receipt.transplant else []
    rows += [("note", note) for note in receipt.notes]
    rows += [("input", listed(receipt.preprocessing))] if receipt.preprocessing else []
    return definitions(rows)


def proof(receipt: Receipt | None, comparison: ModelComparison | None, tolerance: float) -> str:
    """Whether the model computes what its reference computes.

    Args:
        receipt: receipt of the conversion, which may hold the result of a comparison.
        comparison: the comparison, layer by layer.
        tolerance: largest relative difference that is accepted.
    """
    parity = receipt.parity if receipt is not None else None
    parts = [definitions(parity.items())] if parity else []
    if comparison:
        first = comparison.first_divergence(tolerance)
        words = (
            f"All {len(comparison)} layers agree: the largest relative difference is {comparison.worst:.2g}."
            if first is None
            else f"The model diverges at {first.layer} ({first.reference}): {first.relative:.3g}."
        )
        parts.append(f'<p class="verdict{"" if first is None else " bad"}">{html.escape(words)}</p>')
        parts.append(f"<figure>{draw_differences(comparison, tolerance)}<figcaption>Largest difference of each layer, ")
        parts.append(
            "divided by its largest value, in the order of computation. A dot tells its name.</figcaption></figure>"
        )
        rows = [
            (row.layer, row.reference, shape(row.shape), f"{row.difference:.3g}", f"{row.relative:.2g}")
            for row in comparison
        ]
        bad = [not row.relative <= tolerance for row in comparison]
        columns = ("layer", "reference", "shape", "largest difference", "relative")
        parts.append(f"<details><summary>All {len(rows)} layers</summary>{table(columns, rows, bad)}</details>")
    if not parts:
        parts.append(
            "<p>Nothing was compared. <code>--verify</code> runs the public implementation beside the model.</p>"
        )
    return "".join(parts)


def tensors(receipt: Receipt) -> str:
    """Every tensor of the source and every variable of the model.

    Args:
        receipt: receipt of the conversion.
    """
    rows = [(row["key"], shape(row["shape"]), row["dtype"], row["path"], row["layout"]) for row in receipt.tensors]
    parts = [table(("tensor", "shape", "type", "fills", "layout"), rows)] if rows else []
    if receipt.ignored:
        parts.append(f"<h3>Left out: {len(receipt.ignored)}</h3>{table(('tensor', 'why'), receipt.ignored.items())}")
    if receipt.untouched:
        untouched = table(("variable", "why"), receipt.untouched.items())
        parts.append(f"<h3>Keep their values: {len(receipt.untouched)}</h3>{untouched}")
    if receipt.steps:
        steps = [
            (step["step"], step["operation"], step.get("module") or "", listed_layers(step)) for step in receipt.steps
        ]
        parts.append(f"<h3>Steps of the program: {len(steps)}</h3>")
        parts.append(table(("step", "operation", "module", "layers"), steps))
    return "".join(parts)


def files(receipt: Receipt) -> str:
    """The files and the versions.

    Args:
        receipt: receipt of the conversion.
    """
    rows = [(file["path"], f"{file['size']:,} bytes, sha256 {file['sha256']}") for file in receipt.files]
    return definitions([*rows, ("versions", listed(receipt.versions))])


def definitions(rows: Iterable[tuple[str, Any]]) -> str:
    """A list of names and what they stand for.

    Args:
        rows: name and value.
    """
    cells = "".join(
        f"<dt>{html.escape(str(name))}</dt><dd>{html.escape(value_text(value))}</dd>" for name, value in rows
    )
    return f"<dl>{cells}</dl>"


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], bad: Sequence[bool] = ()) -> str:
    """A table that scrolls.

    Args:
        columns: names of the columns.
        rows: cells of each row.
        bad: for each row, whether it stands out; fewer: the rest do not.
    """
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = []
    for index, row in enumerate(rows):
        kind = ' class="bad"' if index < len(bad) and bad[index] else ""
        cells = "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row)
        body.append(f"<tr{kind}>{cells}</tr>")
    return f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def listed(facts: Mapping[str, Any]) -> str:
    """Facts in one line.

    Args:
        facts: name -> value.
    """
    return ", ".join(f"{name} {value_text(value)}" for name, value in facts.items())


def listed_layers(step: Mapping[str, Any]) -> str:
    """The layers that compute a step, or why none does.

    Args:
        step: a row of `Receipt.steps`.
    """
    layers = step.get("layers") or ()
    return ", ".join(map(str, layers)) if layers else str(step.get("why", ""))


def shape(sides: Sequence[int]) -> str:
    """A shape as text.

    Args:
        sides: its sides.
    """
    return " x ".join(map(str, sides)) or "scalar"


def value_text(value: Any) -> str:
    """A value as people read it.

    Args:
        value: number, text or list.
    """
    if isinstance(value, list | tuple):
        return " / ".join(map(value_text, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)
