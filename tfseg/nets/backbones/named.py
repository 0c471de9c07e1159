"""What a backbone is told: the name of a row of its table, or numbers of one's own."""

from collections.abc import Mapping
from typing import TypeVar

from tfseg import specs

Spec = TypeVar(
    "Spec", specs.DenseNetSpec, specs.EfficientNetSpec, specs.HRNetSpec, specs.MiTSpec, specs.PreActivationSpec
)


def named_spec(backbone: str, spec: str | Spec, table: Mapping[str, Spec], prefix: str) -> tuple[str, Spec]:
    """The title of a network and its numbers.

    Args:
        backbone: name of the builder, with its article, for messages: "A MiT".
        spec: name in the table, with or without the prefix; or numbers of the type that the table has.
        table: the networks.
        prefix: beginning of names, with its "_"; numbers that no row has are called so.
    Raises:
        ValueError: a name that the table lacks.
    """
    kind = type(next(iter(table.values())))
    if isinstance(spec, kind):
        return next((name for name, row in table.items() if row == spec), prefix.removesuffix("_")), spec
    for name in (str(spec), f"{prefix}{spec}"):
        if name in table:
            return name, table[name]
    names = ", ".join(name.removeprefix(prefix) for name in table)
    article = "an" if kind.__name__[0] in "EH" else "a"
    raise ValueError(f"{backbone} is a name ({names}) or {article} {kind.__name__}. Received: {spec!r}")
