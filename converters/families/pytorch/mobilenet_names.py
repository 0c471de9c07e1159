"""MobileNetV2 under the names of older code, and cut in two for DeepLabV3+: rows made from torchvision's."""

from collections.abc import Iterable

from converters.families import light_trunks, light_variables
from converters.names.tables import Row
from converters.types import Shapes

_BLOCKS = 17
_FINE_BLOCKS = 3  # blocks whose map has stride 4 at most


def plain_mobilenet_v2(prefix: str) -> tuple[Row, ...]:
    """The rows of tonylins' MobileNetV2 without its last convolution: all layers of a block lie in one list.

    Args:
        prefix: text before every name, such as "backbone.".
    """
    first, block, target = f"{prefix}features.1.conv", f"{prefix}features.{{b}}.conv", "block{b}"
    return (
        *light_trunks.unit(f"{prefix}features.0", "stem"),
        (f"{first}.0", "block1_dwconv", "depthwise"),
        (f"{first}.1", "block1_bn", "norm"),
        *light_trunks.unit(first, "block1_project", "3", "4"),
        *light_trunks.unit(block, f"{target}_expand", "0", "1"),
        (f"{block}.3", f"{target}_dwconv", "depthwise"),
        (f"{block}.4", f"{target}_bn", "norm"),
        *light_trunks.unit(block, f"{target}_project", "6", "7"),
    )


def in_two_parts(rows: Iterable[Row]) -> tuple[Row, ...]:
    """The rows of a MobileNetV2 that is cut after its third block; both parts count the blocks of the whole.

    Args:
        rows: rows with names such as "backbone.features.{b}.conv.0".
    """
    cut: list[Row] = []
    for source, target, kind in rows:
        numbers = range(2, _BLOCKS + 1) if "{b}" in source else range(1)
        for number in numbers:
            part = "high" if number > _FINE_BLOCKS else "low"
            name = source.replace("{b}", str(number)).replace("features.", f"{part}_level_features.")
            cut.append((name, target.replace("{b}", str(number)), kind))
    return tuple(cut)


def mobilenet_v2_variables(width: float) -> Shapes:
    """The kernels of a MobileNetV2 without its last convolution.

    Args:
        width: multiplier of the channel counts.
    """
    return {path: shape for path, shape in light_variables.mobilenet_v2(width).items() if path != "top_conv/kernel"}
