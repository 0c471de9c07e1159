"""Where two programs differ, layer by layer, in words."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from converters.programs.steps import ProgramStep

_DEPTH = 3  # steps of a map that are written out

Labels = Mapping[str, str]
"""Key of a step with weights -> what messages call its layer."""


class StepPair(NamedTuple):
    """Two steps to compare: one of the source, one of the model, and the layer that reads the first; "" for none."""

    stated: ProgramStep
    built: ProgramStep
    reader: str


def layer_differences(
    ends: Sequence[ProgramStep],
    outputs: Sequence[ProgramStep],
    pairs: Sequence[StepPair],
    *,
    noun: str,
    label: Callable[[str], str] | None = None,
) -> dict[str, str]:
    """Layer -> what the source says about it, and what the network has.

    Args:
        ends: steps of the source whose cones are the whole of it.
        outputs: steps that make the model's outputs.
        pairs: pairs to begin with. Layers that both have once are compared wherever they stand.
        noun: what messages call the source's description.
        label: function that gives the source's name of a Keras layer; by default that layer's own.
    """
    stated, built = _by_key(ends), _by_key(outputs)
    labels = {key: steps[0].name for key, steps in stated.items()}
    labels |= {key: label(key) if label else key for key in built if key not in labels}
    single = [
        StepPair(stated[key][0], built[key][0], "") for key in built if len(stated.get(key, ())) == len(built[key]) == 1
    ]
    depths = _depths(outputs)
    absent = [key for key in built if key not in stated]
    unlike = {labels[key]: (depths[id(built[key][0])], f"{noun} has no such layer") for key in absent}
    unlike |= _walk([*pairs, *single], labels, depths)
    return {name: text for name, (_, text) in sorted(unlike.items(), key=lambda difference: difference[1][0])}


def _depths(ends: Sequence[ProgramStep]) -> dict[int, int]:
    """Identity of a step -> the number of steps on the longest way to it from the image."""
    depths: dict[int, int] = {}
    waiting = list(ends)
    while waiting:
        step = waiting[-1]
        if before := [part for part in step.inputs if id(part) not in depths]:
            waiting += before
        else:
            depths[id(step)] = 1 + max((depths[id(part)] for part in step.inputs), default=0)
            waiting.pop()
    return depths


def _by_key(ends: Sequence[ProgramStep]) -> dict[str, list[ProgramStep]]:
    steps: dict[str, list[ProgramStep]] = {}
    for step in {id(step): step for end in ends for step in end.cone()}.values():
        if step.key:
            steps.setdefault(step.key, []).append(step)
    return steps


def _walk(pairs: Iterable[StepPair], labels: Labels, depths: Mapping[int, int]) -> dict[str, tuple[int, str]]:
    """Compares the pairs, then their inputs, until steps are equal or differ in kind: layer -> (depth, words)."""
    differences: dict[str, tuple[int, str]] = {}
    seen: set[tuple[int, int]] = set()
    waiting = list(pairs)
    while waiting:
        stated, built, reader = waiting.pop()
        if stated.number == built.number or (id(stated), id(built)) in seen:
            continue
        seen.add((id(stated), id(built)))
        depth = depths[id(built)]
        if stated.key and stated.key == built.key and stated.op != built.op:
            differences[stated.name] = depth, f"is a {stated.op}; in the network a {built.op}"
            continue
        reads = f"reads {_words(stated, labels)}; in the network, {_words(built, labels)}"
        if (stated.op, stated.key) != (built.op, built.key):
            differences.setdefault(reader or stated.name, (depth + bool(reader), reads))
            continue
        facts = [
            f"{fact} {_plain(stated.facts.get(fact))}; in the network {_plain(built.facts.get(fact))}"
            for fact in dict.fromkeys([*stated.facts, *built.facts])
            if stated.facts.get(fact) != built.facts.get(fact)
        ]
        if len(stated.inputs) != len(built.inputs):
            facts.append(f"reads {len(stated.inputs)} maps; in the network {len(built.inputs)}")
        else:
            matches = _matches(stated, built)
            waiting += matches
            exchanged = any(pair.built is not step for pair, step in zip(matches, built.inputs, strict=True))
            if stated.op == "concatenation" and exchanged:
                facts.append(reads)
        if facts:
            differences[stated.name] = depth, ", ".join(facts)
    return differences


def _matches(stated: ProgramStep, built: ProgramStep) -> list[StepPair]:
    """The inputs of two steps in pairs: equal ones first, then those that have most in common."""
    rest, best = list(built.inputs), {}
    numbers = {step.number for step in rest}
    for step in sorted(stated.inputs, key=lambda step: step.number not in numbers):
        best[id(step)] = max(rest, key=lambda other: (step.number == other.number, -_unlike(step, other)))
        rest.remove(best[id(step)])
    return [StepPair(step, best[id(step)], stated.name) for step in stated.inputs]


def _unlike(step: ProgramStep, other: ProgramStep) -> int:
    """How many kinds of steps and layers only one of two cones has."""
    return len({(part.op, part.key) for part in step.cone()} ^ {(part.op, part.key) for part in other.cone()})


def _words(step: ProgramStep, labels: Labels, depth: int = 0) -> str:
    """A map in words, down to the next layers with weights."""
    if step.key:
        return labels.get(step.key, step.name)
    if not step.inputs:
        return f"the {step.op}" if step.op == "image" else step.op
    if depth == _DEPTH:
        return "..."
    return f"{step.op} of {' and '.join(_words(part, labels, depth + 1) for part in step.inputs)}"


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple) and len(value) > 1 and len(set(value)) == 1:
        return _plain(value[:1] if isinstance(value[0], tuple) else value[0])
    if isinstance(value, tuple) and value and isinstance(value[0], tuple):  # padding of the rows, and of the columns
        return " and ".join(
            _plain(before) if before == after else f"{before} before, {after} after" for before, after in value
        )
    if isinstance(value, tuple):
        return " x ".join(map(_plain, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
