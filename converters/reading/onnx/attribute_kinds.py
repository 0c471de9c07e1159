"""Which kind of value ONNX's own operators have under a name: a list, a whole number, a number, a text.

A reader that trusts a file here would meet a number where a list belongs.

Reference: https://onnx.ai/onnx/operators
"""

from collections.abc import Mapping
from typing import Any

from converters.errors import ConversionError

_LISTS = "kernel_shape strides pads dilations output_padding output_shape axes perm split starts ends shape scales"
_INTEGERS = (
    "group axis keepdims transA transB ceil_mode count_include_pad blocksize size num_outputs broadcast allowzero "
    "exclude_outside align_corners antialias storage_order training_mode spatial noop_with_empty_axes num_groups"
)
_NUMBERS = "alpha beta epsilon momentum ratio gamma bias lambd min max cubic_coeff_a extrapolation_value"
_TEXTS = "auto_pad mode coordinate_transformation_mode nearest_mode equation approximate padding_mode"
# Name of an attribute -> type of its value, and what to call it.
_KINDS: dict[str, tuple[type | tuple[type, ...], str]] = {
    **dict.fromkeys(_LISTS.split(), (tuple, "a list of numbers")),
    **dict.fromkeys(_INTEGERS.split(), (int, "a whole number")),
    **dict.fromkeys(_NUMBERS.split(), ((int, float), "a number")),
    **dict.fromkeys(_TEXTS.split(), (str, "a text")),
}
_OTHERS = (int, float, str, tuple)  # further types are references of functions


def check(attributes: Mapping[str, Any]) -> None:
    """Refuses an attribute of another kind than ONNX's operators have under its name.

    Args:
        attributes: attributes of a node by name; None for an empty one.
    Raises: ConversionError naming the attribute.
    """
    for name, value in attributes.items():
        expected, words = _KINDS.get(name, (object, ""))
        if isinstance(value, _OTHERS) and not isinstance(value, expected):
            raise ConversionError(
                f"its attribute {name} is {words} in ONNX. Received: {ascii(value)[:80]}. The file is damaged, or "
                "written by another program than it says."
            )
