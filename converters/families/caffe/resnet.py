"""Microsoft's ResNets in Caffe, by the authors.

Source of the facts: https://github.com/KaimingHe/deep-residual-networks: prototxt/*.prototxt.
"""

import dataclasses
from collections.abc import Callable

from converters.families.family import Family, FamilyNetwork
from converters.families.trunks import network
from converters.names.tables import Row
from tfseg import specs


def _resnet(depth: int) -> FamilyNetwork:
    biases = "stem" if depth == 50 else ""  # only the first convolution of ResNet-50 has a bias
    spec = dataclasses.replace(specs.RESNETS[f"resnet{depth}"], biases=biases)
    rows = [*resnet_rows(depth), ("fc1000", "predictions", "dense")]
    return network(f"resnet{depth}", spec, rows, options={"biases": biases})


def _normalized(conv: str, norm: str, target: str) -> tuple[Row, ...]:
    """The rows of a convolution and of the two layers that normalize its result."""
    return (
        (conv, f"{target}_conv", "conv"),
        (f"bn{norm}", f"{target}_bn", "batchnorm"),
        (f"scale{norm}", f"{target}_bn", "scale"),
    )


def resnet_rows(depth: int, normalized: Callable[[str, str, str], tuple[Row, ...]] = _normalized) -> list[Row]:
    """The rows of the authors' ResNet without its top.

    Args:
        depth: 50, 101 or 152.
        normalized: function that gives the rows of a convolution and its norm, from their names and the layer's.
    """
    rows = [*normalized("conv1", "_conv1", "conv1")]
    for stage, count in enumerate(specs.RESNETS[f"resnet{depth}"].blocks, 2):
        # Blocks are named a, b, c, ...; a, b1, b2, ... in the long stages of the deeper two networks.
        lettered = depth == 50 or count <= 3
        for letter, number in [("{b:a}", "{b}")] if lettered else [("a", "1"), ("b{b-1}", "{b}")]:
            branch, block = f"{stage}{letter}_branch", f"conv{stage}_block{number}"
            rows += normalized(f"res{branch}1", f"{branch}1", f"{block}_0")
            rows += normalized(f"res{branch}2{{c:a}}", f"{branch}2{{c:a}}", f"{block}_{{c}}")
    return rows


RESNET = Family(
    name="KaimingHe/deep-residual-networks",
    source="https://github.com/KaimingHe/deep-residual-networks",
    license="MIT",
    covers="ResNet 50, 101, 152, by the authors",
    files="https://github.com/KaimingHe/deep-residual-networks",
    formats=("Caffe",),
    preprocessing="caffe",
    networks=tuple(map(_resnet, (50, 101, 152))),
    classes="fc1000.weight",
    head=r"predictions/.*",
    options={"stride_in": "1x1", "stem_pool": (0, 1)},
    conventions=("previous", "new"),  # which are equal where a 1x1 strides
    proof="OpenCV, 8.7e-7",
)
