"""Oxford's VGG 16 and 19 in Caffe.

Source of the facts: the layers of the published files.
"""

import functools

from converters.families import variables
from converters.families.family import Family, FamilyNetwork
from converters.names.tables import Table, table

_TOP = (("fc6", "fc6", "dense7x7"), ("fc7", "fc7", "dense"), ("fc8", "fc8", "dense"))


_VGG = table((("conv{s}_{i}", "conv{s}_{i}", "conv"), *_TOP))


def vgg(depth: int, names: Table = _VGG, weight: str = ".weight") -> FamilyNetwork:
    """A VGG whose convolutions have the authors' names.

    Args:
        depth: 16 or 19.
        names: table of the names.
        weight: ending of the keys of the kernels.
    """
    convolutions = functools.partial(variables.oxford_vgg, depth=depth)
    return FamilyNetwork(f"vgg{depth}", names, f"conv1_1{weight}", convolutions, optional="fc6")


VGG = Family(
    name="oxford/vgg",
    source="https://github.com/BVLC/caffe/wiki/Model-Zoo",
    license="CC-BY-4.0",
    covers="VGG 16 and 19 (`VGG_ILSVRC_16_layers.caffemodel`), or their convolutions alone",
    files="https://www.robots.ox.ac.uk/~vgg/research/very_deep/",
    formats=("Caffe",),
    preprocessing="caffe",
    networks=tuple(map(vgg, (16, 19))),
    classes="fc8.weight",
    head=r"fc[678]/.*",
    options={"ceil_pool": True},
    conventions=(),
    proof="OpenCV, 1.2e-6",
)
