"""Numbers that the size of the image decides, as arguments of steps: the model computes them when an image comes."""

import functools
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from converters.building.builder import Builder, Handler
from converters.building.graph import SizedFloat, Sizes
from converters.building.laid import Laid
from converters.building.operations.formulas import formula
from converters.building.operations.measures import Measures
from converters.types import Shape
from tfseg.layers.sized_number import SizedNumber

_ARITHMETIC = ("input", "other", "self", "alpha", "exponent", "value", "weight")
OF_NUMBERS: dict[str, Sequence[str]] = {
    **dict.fromkeys("add sub mul div rsub true_divide maximum minimum pow lerp addcmul addcdiv".split(), _ARITHMETIC),
    **dict.fromkeys("eq ne gt ge lt le where masked_fill".split(), _ARITHMETIC),
    **dict.fromkeys(("clamp", "clamp_min", "clamp_max"), ("min", "max")),
    **dict.fromkeys(("copy", "fill"), ("src", "value")),
}
"""Operations of numbers -> their arguments that may be one."""


def sized_number(b: Builder, value: Sizes | SizedFloat, laid: Laid | None = None) -> Laid:
    """A number as a tensor without axes, which the model computes from the size of the image.

    Args:
        b: the model under construction.
        value: the number at each traced size.
        laid: tensor that the step computes with; its sizes are preferred.
    Raises:
        RefusedStep: no simple expression of the network's sizes has these values.
    """
    measures = Measures(b, laid or image_of(b))
    kind = "int32" if isinstance(value, Sizes) else keras.config.floatx()
    expression = formula(b, measures, value)
    tensor = b.layer(SizedNumber, measures.packed(), suffix="number", formula=expression, kind=kind)
    return Laid(tensor, (), ((),) * len(value.values))


def image_of(b: Builder) -> Laid:
    """The tensor of the model that is its image.

    Args:
        b: the model under construction.
    """
    return next(value for value in b.values.values() if isinstance(value, Laid))


def numbers(b: Builder, values: Sequence[Any], shape: Shape, like: Any = None) -> Laid:
    """Several numbers, some of which the size of the image decides: `torch.tensor([width, height])`."""
    like = like if isinstance(like, Laid) and like.tensor is not None and not like.border and not like.mixed else None
    parts = []
    for value in values:
        if isinstance(value, Sizes | SizedFloat):
            parts.append(sized_number(b, value, like).tensor)
        else:
            measures = Measures(b, image_of(b))
            kind = "int32" if isinstance(value, int) else keras.config.floatx()
            parts.append(b.layer(SizedNumber, measures.packed(), suffix="number", formula=value, kind=kind))
    if len({str(part.dtype) for part in parts}) > 1:
        parts = [ops.cast(part, keras.config.floatx()) for part in parts]
    tensor = parts[0] if not shape else ops.reshape(ops.stack(parts), shape)
    return Laid(tensor, tuple(range(len(shape))), (tuple(shape),) * len(image_of(b).shapes))


def with_sized_numbers(op: str, handler: Handler) -> Handler:
    """The rule of an operation, which gets tensors for numbers that the size of the image decides.

    Args:
        op: the operation.
        handler: its rule, for numbers and tensors.
    """
    names = OF_NUMBERS.get(op)
    if names is None:
        return handler

    @functools.wraps(handler)
    def with_tensors(b: Builder, *positional: Any, **arguments: Any) -> Any:
        laid = next((value for value in [*positional, *arguments.values()] if isinstance(value, Laid)), None)
        laid = laid if laid is None or laid.rank else None

        def as_tensor(value: Any) -> Any:
            return sized_number(b, value, laid) if isinstance(value, Sizes | SizedFloat) else value

        taken = {name: as_tensor(value) if name in names else value for name, value in arguments.items()}
        return handler(b, *map(as_tensor, positional), **taken)

    return with_tensors


def scalar_tensor(b: Builder, s: Any, dtype: Any = None, **_: Any) -> Laid:
    """A number as a tensor."""
    laid = numbers(b, [s], ())
    if dtype is None or ("int" in str(laid.tensor.dtype)) == ("int" in str(dtype)):
        return laid
    return b.handlers["to"](b, laid, dtype)


HANDLERS: dict[str, Handler] = {"numbers": numbers, "scalar_tensor": scalar_tensor}
