"""What is stated beside the tensors, held against the network that fits them: it decides, it agrees, or it refuses."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from converters.errors import ConversionError
from converters.identification.sources import Source
from converters.identification.statements.read_statements import read_statements
from converters.identification.statements.spelling import similar_names
from converters.identification.statements.statement import Statement
from tfseg import specs

if TYPE_CHECKING:
    from converters.identification.fit import Fit, Sizes

_LIVE = "A live torch module or its ONNX export says what it computes: give that."


@dataclasses.dataclass(frozen=True)
class Agreement:
    """What the statements decide of the network that fits.

    Attributes:
        options: options of `tfseg.build` that they decide.
        preprocessing: preprocessing that they state; None: none.
        classes: names of the classes; empty: none.
        evidence: sentences that say what stands where.
        notes: sentences for the receipt.
        binding: whether a configuration of these very weights agrees.
        complete: whether they tell what the tensors leave open.
    """

    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    preprocessing: Mapping[str, Any] | None = None
    classes: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    binding: bool = False
    complete: bool = False


def source_statements(source: Source) -> tuple[Statement, ...]:
    """Everything that is stated beside the tensors of a source, once each, what is binding first.

    Args:
        source: the opened source.
    """
    statements: list[Statement] = []
    for checkpoint in source.checkpoints:
        statements += [statement for statement in read_statements(checkpoint) if statement not in statements]
    return tuple(sorted(statements, key=lambda statement: not statement.binding))


def stated_fits(statements: Sequence[Statement], fits: Sequence["Fit"]) -> list["Fit"]:
    """The fits with which the statements agree; all of them where no statement agrees with any.

    Args:
        statements: what is stated.
        fits: networks that fit the tensors.
    """
    left = list(fits)
    for statement in statements:
        left = [fit for fit in left if statement.agrees(fit.family, fit.network)] or left
    return left


def refuse_stated(source: Source, statements: Sequence[Statement]) -> None:
    """Refuses weights whose configuration describes a network that is not known here, or not with these options.

    Args:
        source: the opened source.
        statements: what is stated.
    Raises:
        ConversionError: saying what is stated, and the way out.
    """
    for statement in statements:
        if statement.binding and (statement.unknown or statement.refusals):
            _refuse(source, statement, None, None)


def agree(
    source: Source,
    fit: "Fit",
    sizes: "Sizes",
    statements: Sequence[Statement],
    *,
    network: str | None = None,
    head: bool = True,
) -> Agreement:
    """What the statements decide of a network that fits; a contradiction is refused.

    Args:
        source: the opened source.
        fit: network that is to be built.
        sizes: its sizes.
        statements: what is stated.
        network: name of the network that the caller asks for: it overrules labels, not a configuration.
        head: whether the network is built with its head.
    Raises:
        ConversionError: saying what is stated, what fits, and the way out.
    """
    options: dict[str, Any] = {}
    preprocessing: Mapping[str, Any] | None = None
    classes: tuple[str, ...] = ()
    notes: list[str] = []
    evidence: list[str] = []
    complete = False
    for statement in statements:
        why = _contradiction(statement, fit, sizes, head and sizes.include_top)
        if why and (statement.binding or network is None):
            _refuse(source, statement, fit, why)
        if why:
            notes.append(f"{statement.origin} says {statement.says}; network={network!r} overrules it")
            continue
        decided = _decided(statement, fit)
        options |= decided
        complete = complete or statement.complete or statement.binding
        preprocessing = statement.preprocessing if sizes.channels == 3 and statement.preprocessing else preprocessing
        classes = statement.classes or classes
        built = f": built with {', '.join(f'{key}={value!r}' for key, value in decided.items())}" if decided else ""
        evidence.append(f"{statement.origin} says {statement.says}")
        notes += [f"{statement.origin} says {statement.says}{built}", *statement.notes]
    if len(classes) != sizes.num_classes:
        classes = ()
    binding = any(statement.binding for statement in statements)
    return Agreement(options, preprocessing, classes, tuple(evidence), tuple(dict.fromkeys(notes)), binding, complete)


def _form(fit: "Fit") -> dict[str, Any]:
    """The options in which the family builds the network."""
    form = {**fit.family.options, **fit.network.options}
    dilated = _trunk(fit) in specs.DRNS or fit.network.name in specs.DEEPLAB_VGGS
    return {"output_stride": 8 if dilated else 32} | form


def _trunk(fit: "Fit") -> str:
    name = fit.network.name
    return name if name in specs.DRNS or name in specs.RESNETS else name.partition("_")[2]


def _decided(statement: Statement, fit: "Fit") -> dict[str, Any]:
    """The options that are not those of the family's form anyway."""
    form = _form(fit)
    return {key: value for key, value in statement.options.items() if key not in form or form[key] != value}


def _contradiction(statement: Statement, fit: "Fit", sizes: "Sizes", head: bool) -> str:
    """What speaks against the network, in words; empty if nothing does."""
    if statement.unknown:
        return "it is not known here"
    if statement.refusals:
        return "; ".join(statement.refusals)
    if not statement.agrees(fit.family, fit.network):
        return f"the tensors, or what was asked for, are {fit.network.name} of {fit.family.name}"
    if statement.head and head:
        return statement.head
    stated, has = statement.num_classes, sizes.num_classes
    if head and stated is not None and isinstance(has, int) and stated != has:
        return f"it states {stated} classes, and the tensors have {has}"
    if statement.channels is not None and statement.channels != sizes.channels:
        return f"it states {statement.channels} channels of the input, and the tensors have {sizes.channels}"
    return _other_dilation(statement, fit)


def _other_dilation(statement: Statement, fit: "Fit") -> str:
    form, decided = _form(fit), _decided(statement, fit)
    dilates = fit.family.dilates and fit.network.dilates
    usual = f"{fit.network.name} of {fit.family.name} has output stride {form['output_stride']}"
    if statement.dilated is not None and statement.dilated != (form["output_stride"] < 32):
        return f"{usual}; it does not say which stages are dilated"
    if "output_stride" in decided and not dilates:
        return f"{usual}, and no other"
    if "multi_grid" in decided:
        spec = specs.RESNETS.get(_trunk(fit))
        if spec is None or not dilates or len(decided["multi_grid"]) != spec.blocks[-1]:
            return f"{fit.network.name} takes no such factors of its dilation rates"
    return ""


def _refuse(source: Source, statement: Statement, fit: "Fit | None", why: str | None) -> None:
    """Raises the ConversionError of a contradiction."""
    why = why or "; ".join(statement.refusals) or "it is not known here"
    fits = f" The tensors fit {' '.join(fit.names)}." if fit else ""
    near = [] if "encoder_name" in statement.says or not statement.unknown else similar_names(statement.says)
    like = f" Networks known here with like names: {', '.join(near)}." if near else ""
    if statement.binding:
        way = f"If {statement.origin} is not about these weights, move it away. {_LIVE}"
    else:
        named = fit.network.name if fit else "..."
        way = (
            f"If the label is wrong or means something else, name the network: network={named!r} "
            f"(--network={named}). {_LIVE}"
        )
        if why == (_other_dilation(statement, fit) if fit else ""):
            way = f"Name what you want: output_stride=... with network={named!r}. {_LIVE}"
    raise ConversionError(
        f"{source.name}: {statement.origin} says {statement.says}, which cannot be converted so: {why}.{fits}{like} "
        f"Received: {len(source)} tensors. {way}"
    )
