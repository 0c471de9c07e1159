"""PSPNet in TensorFlow 1, and the ImageNet classifier that one of its two publishers trained for it.

Both come from hszhao's PSPNet in Caffe through kaffe, and have its names with _ for /. Their stem pads by TensorFlow's
SAME, so that it samples other pixels than Caffe's at even sizes. The segmenters pool as for images of 473 or 720
pixels.

The classifier strides in the 1x1 of conv3_1, and in the 3x3 of conv4_1 and conv5_1. The note "From conv to atrous"
(2019) makes a segmenter of it, whose dilated `conv4_1_3x3` follows the convention "new".

Source of the facts: https://github.com/hellochick/PSPNet-tensorflow, model.py, network.py, inference.py; and
https://github.com/manutdzou/Image-Parsing, PSPnet_backbone/*.py, PSPNet-Sync-master/*.py
"""

import dataclasses
from typing import Any

from converters.families.caffe import pspnet
from converters.families.family import Family, FamilyNetwork
from converters.families.trunks import network
from tfseg import specs

_FORMATS = ("TensorFlow checkpoint", "kaffe")
# A network that TensorFlow trained has other names for its norms than one that kaffe converted.
_KINDS = {"conv": ("tf_conv",), "bn": ("tf_norm", "kaffe_norm")}
_ROWS = tuple(
    (source.replace("/", "_"), target, kind) for source, target, caffes in pspnet.PSPNET_ROWS for kind in _KINDS[caffes]
)
_STEM: dict[str, Any] = {"stem": (64, 64, 128), "stem_pool": "same", "stem_same": True}


def _segmenter(name: str) -> FamilyNetwork:
    """The segmenter; a file without its pyramid is a classifier's, which strides elsewhere."""
    spec = dataclasses.replace(specs.RESNETS[name], stem=_STEM["stem"])
    return network(f"pspnet_{name}", spec, _ROWS, requires={"conv5_4/weights": "conv6/weights"})


def _classifier(name: str) -> FamilyNetwork:
    spec = dataclasses.replace(specs.RESNETS[name], stem=_STEM["stem"])
    rows = [row for row in _ROWS if row[1].startswith("conv")]
    top = ("conv6", "predictions", "tf_dense1x1")
    return network(name, spec, [*rows, top], requires={"conv6/weights": ""})


PSPNET = dataclasses.replace(
    pspnet.PSPNET,
    name="hellochick/PSPNet-tensorflow",
    source="https://github.com/hellochick/PSPNet-tensorflow",
    license="none given",
    covers="PSPNet on ResNet-50 and -101 in TensorFlow 1, checkpoints and kaffe's `.npy`",
    files="https://drive.google.com/drive/folders/1S90PWzXEX_GNzulG1f2eTHvsruITgqsm",
    formats=_FORMATS,
    networks=tuple(map(_segmenter, ("resnet50", "resnet101"))),
    classes="conv6/weights",
    options={**pspnet.PSPNET.options, **_STEM},
    proof="the repository's PSPNet-50, and twins of both, 1.7e-6",
)

CLASSIFIER = Family(
    name="manutdzou/Image-Parsing",
    source="https://github.com/manutdzou/Image-Parsing",
    license="none given",
    covers="the deep-stem ResNet-101 of the note From conv to atrous; ResNet-50 and -152 of that form",
    files="https://github.com/manutdzou/Image-Parsing",
    formats=_FORMATS,
    preprocessing="caffe",
    networks=tuple(map(_classifier, ("resnet50", "resnet101", "resnet152"))),
    classes="conv6/weights",
    head=r"predictions/.*",
    options={"stride_in": ("1x1", "1x1", "3x3", "3x3"), **_STEM},
    conventions=("previous", "new"),
    proof="the repository's network, and a twin of it, 1.3e-6",
)
