"""Microsoft's ResNets in Caffe, the authors' own.

Facts read off https://github.com/KaimingHe/deep-residual-networks: prototxt/*.prototxt.
"""

import dataclasses

from converters.families.family import Family
from converters.families.trunks import network
from tfseg import specs


def _resnet(depth):
    biases = "stem" if depth == 50 else ""  # of ResNet-50's first convolution, and no other
    spec = dataclasses.replace(specs.RESNETS[f"resnet{depth}"], biases=biases)
    rows = [*resnet_rows(depth), ("fc1000", "predictions", "dense")]
    return network(f"resnet{depth}", spec, rows, options={"biases": biases})


def _normalised(conv, norm, target):
    """The rows of a convolution and of the two layers behind it that normalise its result."""
    return (
        (conv, f"{target}_conv", "conv"),
        (f"bn{norm}", f"{target}_bn", "batchnorm"),
        (f"scale{norm}", f"{target}_bn", "scale"),
    )


def resnet_rows(depth, normalised=_normalised):
    """The rows of the authors' ResNet without its top; `normalised` gives those of a convolution and its norm."""
    rows = [*normalised("conv1", "_conv1", "conv1")]
    for stage, count in enumerate(specs.RESNETS[f"resnet{depth}"].blocks, 2):
        # Blocks are a, b, c, ...; in the long stages of the deeper two a, b1, b2, ...
        lettered = depth == 50 or count <= 3
        for letter, number in [("{b:a}", "{b}")] if lettered else [("a", "1"), ("b{b-1}", "{b}")]:
            branch, block = f"{stage}{letter}_branch", f"conv{stage}_block{number}"
            rows += normalised(f"res{branch}1", f"{branch}1", f"{block}_0")
            rows += normalised(f"res{branch}2{{c:a}}", f"{branch}2{{c:a}}", f"{block}_{{c}}")
    return rows


RESNET = Family(
    name="KaimingHe/deep-residual-networks",
    source="https://github.com/KaimingHe/deep-residual-networks",
    license="MIT",
    covers="ResNet 50, 101, 152, the authors' own",
    files="https://github.com/KaimingHe/deep-residual-networks",
    formats=("Caffe",),
    preprocessing="caffe",
    networks=tuple(map(_resnet, (50, 101, 152))),
    classes="fc1000.weight",
    head=r"predictions/.*",
    options={"stride_in": "1x1", "stem_pool": (0, 1)},
    conventions=("previous", "new"),  # which are one where a 1x1 strides
    proof="OpenCV, 8.7e-7",
)
