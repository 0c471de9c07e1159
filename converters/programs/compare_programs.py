"""Whether two programs are the same network, whoever describes them: the comparison that every front-end shares."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from converters.names.tables import Table
from converters.programs.differences import StepPair, layer_differences
from converters.programs.steps import ProgramStep
from tfseg.types import Size

_LISTED = 12
_TRIED = 100  # steps of one kind among which an output is looked for


class Comparison(NamedTuple):
    """What two programs have and lack.

    Attributes:
        differences: layer of the source -> how it differs, the layers nearest to the image first; empty if the programs
            are equal.
        notes: sentences on parts that one of the two intentionally lacks.
    """

    differences: dict[str, str]
    notes: list[str]


def compare_programs(
    ends: Sequence[ProgramStep],
    outputs: Sequence[ProgramStep],
    layers: Collection[str],
    *,
    noun: str,
    label: Callable[[str], str] | None = None,
    may_end_small: bool = False,
    headless: bool | None = None,
) -> Comparison:
    """Holds the program of a source against the program of a model.

    Equal steps have equal numbers, so one number compares all that a result depends on. One thing may differ: the model
    may lack a head of the source, as a whole.

    Args:
        ends: steps of the source's results. They come from one of the front-ends, as `from_prototxt.describe`.
        outputs: steps of the model's outputs, from `from_keras.describe` with the same `StepFactory`.
        layers: names of the model's layers with weights. A step with another key is part of a head that the model
            lacks, unless the key begins with "?".
        noun: what messages call the source's description, with its article: "the prototxt", "the graph".
        label: function that gives the source's name of a Keras layer, for layers that the source lacks. By default
            messages have the Keras layer's own name.
        may_end_small: whether the source may end before the enlargement to the size of the image, as prototxts do,
            whose users enlarge the scores.
        headless: whether the model is to end where the source continues. By default it may lack layers with
            weights, and what comes after those.
    Returns: the comparison; the programs are equal if it has no differences.

    Example:
        >>> from converters.programs import from_keras
        >>> from converters.programs.compare_programs import compare_programs
        >>> from converters.programs.steps import StepFactory
        >>> image = keras.Input((None, None, 3))
        >>> stated = keras.Model(image, keras.layers.Conv2D(4, 3, name="conv1")(image))
        >>> built = keras.Model(image, keras.layers.Conv2D(4, 3, strides=2, name="conv1")(image))
        >>> factory = StepFactory((65, 97), 3)
        >>> steps = [from_keras.describe(model, factory) for model in (stated, built)]
        >>> compare_programs(*steps, {"conv1"}, noun="the configuration").differences
        {'conv1': 'stride 1; in the network 2'}
    """
    if not ends:
        return Comparison({noun: "no layer of it reads the image"}, [])
    pairs, notes = [], []
    for output in outputs:
        pair, note = _find_output(output, ends, noun, may_end_small)
        pairs += [pair] if pair else []
        notes += [note] if note else []
    if pairs:
        differences = layer_differences(ends, outputs, pairs, noun=noun, label=label)
        # Without an output that both have, the programs differ, whether the walk finds where or not.
        return Comparison(differences or {"the output": f"is none that {noun} has"}, notes)
    differences, note = _beyond_outputs(outputs, ends, layers, headless)
    return Comparison(differences, [*notes, note] if note else notes)


def table_label(table: Table) -> Callable[[str], str]:
    """A function that gives a Keras layer's name in the source's own words, where the table has them.

    Args:
        table: table that tells which layer is which.
    """

    def label(key: str) -> str:
        names = (table.backward(f"{key}/{variable}") for variable in ("kernel", "moving_mean"))
        return next((name[0].rpartition(".")[0] for name in names if name), key)

    return label


def refusal(
    source: str, model: str, differences: Mapping[str, str], image_size: Size, advice: str, *, verb: str = "describe"
) -> str:
    """The message of the error for programs that differ.

    Args:
        source: name of the file, or what else describes the network.
        model: name of the network that is built.
        differences: layer -> how it differs.
        image_size: rows and columns of the image at which the programs were compared.
        advice: sentences that say what to do.
        verb: what the source does not do with the network.
    """
    lines = [f"  {name}: {text}" for name, text in differences.items()]
    more = [f"  ... and {len(lines) - _LISTED} more"] if len(lines) > _LISTED else []
    height, width = image_size
    first = f"{source} does not {verb} the network {model!r} (compared at {height} x {width} pixels):"
    return "\n".join([first, *lines[:_LISTED], *more, advice])


def _find_output(
    output: ProgramStep, ends: Sequence[ProgramStep], noun: str, may_end_small: bool
) -> tuple[StepPair | None, str | None]:
    """`(pair, note)`: the steps in which to look for differences; what the source leaves to the user. Or None."""
    inner = [step for end in ends for step in end.cone()]
    if any(step.number == output.number for step in inner):
        return None, None
    small = output
    while small.op == "resize":
        (small,) = small.inputs
    if may_end_small and (short := [end.name for end in ends if end.number == small.number]):
        return None, f"{noun} ends at {short[0]}, which the network enlarges to the size of the image"
    for wanted in (output, small) if may_end_small else (output,):
        same_kind = [step for step in inner if (step.op, step.key) == (wanted.op, wanted.key)][-_TRIED:]
        if similar := [step for step in same_kind if _nearest_keys(step) == _nearest_keys(wanted)]:
            return StepPair(similar[-1], wanted, "the output"), None
    return StepPair(ends[-1], output, "the output"), None


def _nearest_keys(step: ProgramStep) -> set[str]:
    """Keys of the layers with weights that a step depends on without others between."""
    keys, waiting = set(), list(step.inputs)
    seen = {id(step)}
    while waiting:
        step = waiting.pop()
        if id(step) in seen:
            continue
        seen.add(id(step))
        if step.key:
            keys.add(step.key)
        else:
            waiting.extend(step.inputs)
    return keys


def _beyond_outputs(
    outputs: Sequence[ProgramStep], ends: Sequence[ProgramStep], layers: Collection[str], headless: bool | None
) -> tuple[dict[str, str], str | None]:
    """`(differences, note)` for what a source computes after the outputs: a head may be left out, as a whole."""
    numbers, differences, heads = {output.number for output in outputs}, {}, list[str]()
    for end in ends:
        beyond = _steps_after(end, numbers)
        if not beyond:
            continue
        strange = [step.name for step in beyond if step.key.startswith("?")]
        absent = [step.name for step in beyond if step.key and step.key not in layers and step.name not in strange]
        allowed = bool(absent) if headless is None else headless
        if strange or not allowed:
            name = (strange or [end.name])[0]
            differences[name] = f"is a {end.op} that stands after what the network returns, which has no such layer"
        heads += absent or [f"the {end.op} at the end"]
    return differences, f"left out of the network: {', '.join(heads[:6])}" if heads and not differences else None


def _steps_after(end: ProgramStep, numbers: Collection[int]) -> list[ProgramStep]:
    """The steps from an end down to those with these numbers; none if it leads to none of them."""
    seen: dict[int, ProgramStep] = {}
    waiting, met = [end], False
    while waiting:
        step = waiting.pop()
        if step.number in numbers:
            met = True
        elif id(step) not in seen:
            seen[id(step)] = step
            waiting.extend(step.inputs)
    return list(seen.values()) if met else []
