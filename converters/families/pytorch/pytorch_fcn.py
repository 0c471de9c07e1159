"""wkentaro/pytorch-fcn: the four FCNs on VGG16, and the VGG16 that they start from.

Source of the facts: https://github.com/wkentaro/pytorch-fcn: torchfcn/models/*.py.
"""

from typing import Any

from converters.families.caffe import berkeley_fcn
from converters.families.family import Family
from converters.families.pytorch.public_torchvision import import_torchvision
from converters.families.pytorch.torchvision import VGG, vgg_network

_SOURCE = "https://github.com/wkentaro/pytorch-fcn"
_FORMATS = ("PyTorch legacy stream", "PyTorch zip")
_CLASSES = {"fcn32s": "FCN32s", "fcn16s": "FCN16s", "fcn8s": "FCN8s", "fcn8s_atonce": "FCN8sAtOnce"}


def _public(name: str, *, num_classes: int, output_stride: int, aux: bool) -> Any:
    import_torchvision()  # which torchfcn imports
    from torchfcn import models

    return getattr(models, name)(n_class=num_classes)


FCN = Family(
    name="wkentaro/pytorch-fcn",
    covers="FCN-32s, -16s, -8s, -8s-at-once, published and trained files",
    files=_SOURCE,
    proof="torchfcn, 4.6e-6",
    source=_SOURCE,
    license="MIT",
    formats=_FORMATS,
    preprocessing="fcn",
    # FCN-8s and at-once have the same tensors: the first is taken unless the file is a published or a labeled one.
    networks=tuple(berkeley_fcn.network(name, public=public) for name, public in _CLASSES.items()),
    classes="score_fr.weight",
    head=r"(fc6|fc7|score_.*|upscore.*)/.*",
    features="pool5",
    dilates=False,
    conventions=(),
    datasets=("voc",),
    public=_public,
)

VGG16_FROM_CAFFE = Family(
    name="wkentaro/vgg16_from_caffe",
    covers="the VGG16 that these start from",
    files=_SOURCE,
    proof="torchvision, 4.2e-6",
    source=_SOURCE,
    license="MIT",
    formats=_FORMATS,
    preprocessing="fcn",
    networks=(vgg_network("vgg16", 16, False),),
    classes="classifier.6.weight",
    head=r"fc[678]/.*",
    conventions=(),
    distinct="its input is BGR, 0..255 minus the mean",
    public=VGG.public,
    file_words=r"(?<![a-z])caffe(?!2(?!pytorch)|model)",
)
