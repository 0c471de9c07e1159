"""Oxford's VGG 16 and 19 in Caffe.

The facts were read off the layers of the published files.
"""

from converters.families.family import Family, FamilyNetwork
from converters.names.tables import table
from tfseg import specs

_TOP = (("fc6", "fc6", "dense7x7"), ("fc7", "fc7", "dense"), ("fc8", "fc8", "dense"))


_VGG = table((("conv{s}_{i}", "conv{s}_{i}", "conv"), *_TOP))


def vgg(depth, names=_VGG, weight=".weight"):
    """A VGG whose convolutions have the authors' names; the keys of its kernels end in `weight`."""
    convolutions = {
        f"conv{stage}_{index}{weight}"
        for stage, count in enumerate(specs.VGG_CONVS[depth], 1)
        for index in range(1, count + 1)
    }

    def differences(shapes):
        found = {key for key in shapes if key.startswith("conv") and key.endswith(weight)}
        wrong = [] if found == convolutions else [f"has {len(found)} convolutions instead of {len(convolutions)}"]
        reduced = shapes.get(f"fc6{weight}", ())[2:] == (3, 3)
        return [*wrong, "has the fc6 of 3x3 pixels that DeepLab reduced it to"] if reduced else wrong

    return FamilyNetwork(f"vgg{depth}", names, differences, f"conv1_1{weight}")


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
