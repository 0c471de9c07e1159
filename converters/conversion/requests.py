"""What the caller of `convert` asks for, and what comes back."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras

import tfseg
from converters.conversion.build_network import BuildRequest
from converters.errors import ConversionError
from converters.families import Family
from converters.types import Path
from converters.weights.receipts import Receipt
from tfseg.outputs import logits_of


class Conversion(NamedTuple):
    """The result of `convert`: the model, and the receipt of what was done."""

    model: keras.Model
    receipt: Receipt


@dataclasses.dataclass(frozen=True)
class Request:
    """What the caller of `convert` asks for; see there."""

    family: str | Family | None
    network: str | None
    form: BuildRequest
    preprocessing: str | None
    skip: Sequence[str]
    prefix: str | None
    prototxt: Path | None
    classes: Sequence[str] | None
    colors: Sequence[Sequence[int]] | None
    allow_nonfinite: bool
    example: Any = None

    @property
    def is_of_families(self) -> bool:
        """Whether it asks for something that only networks of the families have."""
        return self.names_network or self.prototxt is not None or bool(self.skip)

    @property
    def names_network(self) -> bool:
        """Whether it says which network of the families is meant, or in which form."""
        return self.names_family or self.prefix is not None

    @property
    def names_family(self) -> bool:
        """Whether it names a network of the families, or asks for a form of one."""
        return not (self.family is None and self.network is None and self.form == BuildRequest())


def name_classes(model: keras.Model, classes: Sequence[str] | None, colors: Sequence[Sequence[int]] | None) -> None:
    """Lets the model carry the names and colors that the caller gives.

    Args:
        model: model, which is changed.
        classes: names of its classes; None: not given.
        colors: `(red, green, blue)` of each; None: not given.
    Raises:
        ConversionError: another number of them than the model has classes.
    """
    if classes is None and colors is None:
        return
    output = logits_of(model.output)
    for option, values in (("classes", classes), ("colors", colors)):
        if values is not None and len(values) != output.shape[-1]:
            raise ConversionError(
                f"{option} has one entry for each of the {output.shape[-1]} classes of {model.name}. Received: "
                f"{len(values)} {option}: {', '.join(map(str, values))}"
            )
        if values is not None:
            tfseg.set_metadata(model, **{option: list(values)})
