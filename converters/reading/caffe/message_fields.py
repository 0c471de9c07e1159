"""Fields of Caffe's messages, of the type that is expected: one value, several, or pixels along both axes."""

from typing import TypeVar

from converters.errors import ConversionError
from converters.reading.protobuf.text_format import FieldValue, Message

# Constants that may be written as their number.
_CONSTANTS = {
    "pool": ("MAX", "AVE", "STOCHASTIC"),
    "operation": ("PROD", "SUM", "MAX"),
    "round_mode": ("CEIL", "FLOOR"),
    "norm_region": ("ACROSS_CHANNELS", "WITHIN_CHANNEL"),
    "phase": ("TRAIN", "TEST"),
    "bn_mode": ("LEARN", "INFERENCE"),
}
_TRUTHS = {"true": True, "True": True, "t": True, "1": True, "false": False, "False": False, "f": False, "0": False}

Value = TypeVar("Value", str, bool, int, float, Message)


def single(fields: Message, name: str, default: Value) -> Value:
    """The value of a field that stands there once, of the default's type.

    Args:
        fields: message.
        name: name of the field.
        default: value where the field is missing.
    Raises: ConversionError for a value of another type, and for several.
    """
    values = fields.get(name, [])
    if len(values) > 1:
        raise ConversionError(f"{name} stands there {len(values)} times where one value is expected.")
    return _typed(values[0], type(default), name) if values else default


def values(fields: Message, name: str, kind: type[Value]) -> list[Value]:
    """The values of a repeated field.

    Args:
        fields: message.
        name: name of the field.
        kind: type of the values.
    Raises: ConversionError for a value of another type.
    """
    return [_typed(value, kind, name) for value in fields.get(name, ())]


def messages(fields: Message, name: str) -> list[Message]:
    """The messages of a repeated field.

    Args:
        fields: message.
        name: name of the field.
    """
    return [value for value in fields.get(name, ()) if isinstance(value, Message)]


def _typed(value: FieldValue, kind: type[Value], name: str) -> Value:
    converted: object = value
    if kind is str and isinstance(value, int) and 0 <= value < len(_CONSTANTS.get(name, ())):
        converted = _CONSTANTS[name][value]
    elif kind is bool:
        converted = _TRUTHS.get(str(value))
    elif kind is float and isinstance(value, int | float):
        converted = float(value)
    if isinstance(converted, kind):
        return converted
    words = {str: "text", bool: "true or false", int: "a whole number", float: "a number", Message: "a message"}
    raise ConversionError(f"{name} is {words[kind]}. Received: {'a message' if isinstance(value, dict) else value!r}.")


def pixel_pair(fields: Message, both: str, each: tuple[str, str], default: int) -> tuple[int, ...]:
    """Pixels along rows and columns: one number for both, one for each, or a field for each.

    Args:
        fields: message of parameters.
        both: name of the field for both.
        each: names of the fields for rows and for columns.
        default: number of pixels where none is given.
    Raises: ConversionError for something else than whole numbers.
    """
    if any(name in fields for name in each):
        return tuple(single(fields, name, default) for name in each)
    numbers = values(fields, both, int) or [default]
    return (numbers[0], numbers[0]) if len(numbers) == 1 else tuple(numbers)
