"""DeepLab's Xception under the names of PyTorch repositories."""

import functools

from converters.families import further_variables
from converters.families.light_trunks import unit
from converters.names.tables import Row

_EXIT = 21  # number of the last block, which has no shortcut

xception_variables = functools.partial(further_variables.xception, name="xception65")


def _ends(prefix: str) -> tuple[Row, ...]:
    return (
        *(row for index in (1, 2) for row in unit(prefix, f"stem_{index}", f"conv{index}", f"bn{index}")),
        *unit(f"{prefix}.block{{b}}", "block{b}_0", "skip", "skipbn"),
    )


def _separable(source: str, target: str, names: tuple[str, str, str, str]) -> tuple[Row, ...]:
    """The rows of a separable convolution; `names` are those of its four tensors' modules."""
    depthwise, depthwise_norm, pointwise, norm = (f"{source}.{name}" for name in names)
    return (
        (depthwise, f"{target}_depthwise", "depthwise"),
        (depthwise_norm, f"{target}_depthwise_bn", "norm"),
        (pointwise, f"{target}_conv", "conv"),
        (norm, f"{target}_bn", "norm"),
    )


def cadenes_xception(prefix: str) -> tuple[Row, ...]:
    """The rows of jfzhang95's Xception, whose names are Cadene's: ReLUs, convolutions and norms in one list a block.

    Args:
        prefix: name of the module.
    """
    rows = [*_ends(prefix)]
    # Read backwards, the first row that fits is used: those of single blocks come before those of all.
    for index in (1, 2, 3):
        number = index + 2
        names = (f"conv{number}.conv1", f"conv{number}.bn", f"conv{number}.pointwise", f"bn{number}")
        rows += _separable(prefix, f"block{_EXIT}_{index}", names)
    for number in (1, 2):  # these begin without a ReLU
        for index in (1, 2, 3):
            place = 3 * (index - 1)
            rows += _in_list(f"{prefix}.block{number}.rep", f"block{number}_{index}", place)
    for index in (1, 2, 3):
        rows += _in_list(f"{prefix}.block{{b}}.rep", f"block{{b}}_{index}", 3 * index - 2)
    return tuple(rows)


def _in_list(source: str, target: str, place: int) -> tuple[Row, ...]:
    names = (f"{place}.conv1", f"{place}.bn", f"{place}.pointwise", f"{place + 1}")
    return _separable(source, target, names)


def named_xception(prefix: str) -> tuple[Row, ...]:
    """The rows of bubbliiiing's Xception, in which each separable convolution is a module with both norms.

    Args:
        prefix: name of the module.
    """
    names = ("depthwise", "bn1", "pointwise", "bn2")
    return (
        *_ends(prefix),
        *(
            row
            for index in (1, 2, 3)
            for row in _separable(f"{prefix}.conv{index + 2}", f"block{_EXIT}_{index}", names)
        ),
        *_separable(f"{prefix}.block{{b}}.sepconv{{i}}", "block{b}_{i}", names),
    )
