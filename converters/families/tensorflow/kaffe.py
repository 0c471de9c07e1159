"""caffe-tensorflow (kaffe): Oxford's VGGs and Microsoft's ResNets converted for TensorFlow, in .npy files.

The network that is built is that of the program that kaffe writes. It pads by TensorFlow's SAME. So the stem of a
ResNet samples other pixels than Caffe's does: one row and column further at even sizes. For Caffe's own function,
import the same file into `tfseg.build("resnet50", biases="stem", stride_in="1x1", stem_pool=(0, 1), include_top=True)`.
The VGGs compute what Caffe's do: kaffe has put the rows of fc6 into TensorFlow's order.

Source of the facts: https://github.com/ethereon/caffe-tensorflow, kaffe/transformers.py,
kaffe/tensorflow/transformer.py, kaffe/tensorflow/network.py and examples/imagenet/models/*.py
"""

import dataclasses

from converters.families.caffe import resnet, vgg
from converters.families.family import Family, FamilyNetwork
from converters.families.trunks import network
from converters.names.tables import Row, table
from tfseg import specs

_SOURCE = "https://github.com/ethereon/caffe-tensorflow"
_VGG = table(
    (
        ("conv{s}_{i}", "conv{s}_{i}", "tf_conv"),
        ("fc6", "fc6", "tf_dense7x7"),
        ("fc7", "fc7", "tf_dense"),
        ("fc8", "fc8", "tf_dense"),
    )
)

VGG = dataclasses.replace(
    vgg.VGG,
    name="ethereon/caffe-tensorflow-vgg",
    source=_SOURCE,
    license="MIT",
    covers="VGG 16 and 19 that caffe-tensorflow (kaffe) converted, `.npy`",
    files=_SOURCE,
    formats=("kaffe",),
    networks=tuple(vgg.vgg(depth, _VGG, "/weights") for depth in (16, 19)),
    classes="fc8/weights",
    proof="kaffe's own program of VGG16, and twins of both, 0.0",
)


def _normalized(conv: str, norm: str, target: str) -> tuple[Row, Row]:
    return (conv, f"{target}_conv", "tf_conv"), (f"bn{norm}", f"{target}_bn", "kaffe_norm")


def _resnet(depth: int) -> FamilyNetwork:
    biases = "stem" if depth == 50 else ""
    spec = dataclasses.replace(specs.RESNETS[f"resnet{depth}"], biases=biases)
    rows = [*resnet.resnet_rows(depth, _normalized), ("fc1000", "predictions", "tf_dense")]
    return network(f"resnet{depth}", spec, rows, options={"biases": biases})


RESNET = Family(
    name="ethereon/caffe-tensorflow-resnet",
    source=_SOURCE,
    license="MIT",
    covers="Microsoft's ResNet 50, 101, 152 that caffe-tensorflow (kaffe) converted, `.npy`",
    files=_SOURCE,
    formats=("kaffe",),
    preprocessing="caffe",
    networks=tuple(map(_resnet, (50, 101, 152))),
    classes="fc1000/weights",
    head=r"predictions/.*",
    options={"stride_in": "1x1", "stem_pool": "same", "stem_same": True},
    conventions=("previous", "new"),
    proof="kaffe's own programs, and twins of them, 3.8e-7",
)
