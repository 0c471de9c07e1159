"""PSPNet for Keras, with the authors' weights: Vladkryvoruchko's, whose files divamgupta's package loads, too.

Both are built for images of 473 or 713 pixels, whose poolings are those of every size here.

Source of the facts: https://github.com/Vladkryvoruchko/PSPNet-Keras-tensorflow: layers_builder.py, pspnet.py;
https://github.com/divamgupta/image-segmentation-keras: models/_pspnet_2.py, data_utils/data_loader.py.
"""

import dataclasses
from typing import Any

from converters.families.caffe import pspnet
from converters.families.family import FamilyNetwork
from converters.families.trunks import network
from converters.names.tables import Row
from tfseg import specs

_SOURCE = "https://github.com/Vladkryvoruchko/PSPNet-Keras-tensorflow"
_PACKAGE = "https://github.com/divamgupta/image-segmentation-keras"
_STEM: dict[str, Any] = {"stem": (64, 64, 128), "stem_pool": "same", "stem_same": True, "stride_in": "1x1"}
_KINDS = {"conv": "keras_conv", "bn": "keras_norm"}
_ROWS: tuple[Row, ...] = tuple(
    (source.replace("/", "_"), target, _KINDS[kind]) for source, target, kind in pspnet.PSPNET_ROWS
)


def _segmenter(name: str) -> FamilyNetwork:
    spec = dataclasses.replace(specs.RESNETS[name], stem=_STEM["stem"])
    return network(f"pspnet_{name}", spec, _ROWS, requires={"conv5_4/kernel": "conv6/kernel"})


PSPNET = dataclasses.replace(
    pspnet.PSPNET,
    name="Vladkryvoruchko/PSPNet-Keras-tensorflow",
    source=_SOURCE,
    license="MIT",
    covers="PSPNet on ResNet-50 and -101 for Keras (`pspnet50_ade20k.h5`, `pspnet101_cityscapes.h5`, "
    "`pspnet101_voc2012.h5`)",
    files=_SOURCE,
    formats=("Keras HDF5", "Keras zip"),
    networks=tuple(map(_segmenter, ("resnet50", "resnet101"))),
    classes="conv6/kernel",
    options={**pspnet.PSPNET.options, **_STEM},
    distinct="maps are enlarged with aligned corners; images in BGR",
    proof="its code, 8.8e-7",
)

PACKAGE_PSPNET = dataclasses.replace(
    PSPNET,
    name="divamgupta/image-segmentation-keras/pspnet",
    source=_PACKAGE,
    license="MIT",
    covers="pspnet_50 and pspnet_101 of his package, which loads the same files",
    files=_PACKAGE,
    preprocessing="caffe_rgb",
    options={**PSPNET.options, "upsampling": "bilinear"},
    distinct="maps are enlarged as TensorFlow 2 does, corners not aligned; images in RGB",
    proof="its code, 1.4e-6",
)
