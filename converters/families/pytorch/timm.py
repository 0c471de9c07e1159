"""timm's ResNets: torchvision's names, with deep stems, averaging projections, squeeze-and-excite and anti-aliasing.

Source of the facts: https://github.com/huggingface/pytorch-image-models: timm/models/resnet.py.
"""

import dataclasses
from typing import Any

from converters.families.family import Family, FamilyNetwork
from converters.families.pytorch.public_torchvision import import_torchvision
from converters.families.trunks import STRIDED, network, trunk
from tfseg import specs


def _public(name: str, *, num_classes: int, output_stride: int, aux: bool) -> Any:
    import_torchvision()  # which timm imports
    import timm

    return timm.create_model(name, pretrained=False, num_classes=num_classes, output_stride=output_stride)


_DISTINCT = {
    "": STRIDED,
    "average": "averages of 2x2 pixels replace the strides of its 3x3 convolutions and the stem's pooling",
    "blur": "blurs of 3x3 pixels replace the strides of its 3x3 convolutions and of the stem's pooling",
}
_UNBUILT = ("resnext101_32x48d",)  # which Facebook's files have, and timm's code no longer
_ELSEWHERE = ("_caffe_padded", "_caffe_ceil", "_clip")  # ends of names that timm does not have


def _network(name: str, spec: specs.ResNetSpec) -> FamilyNetwork:
    options, layer = {}, None
    if spec.antialias:
        options = {"antialias": spec.antialias}
        layer = f"conv3_block1_{2 if spec.bottleneck else 1}_pool"
    rows = [*trunk(spec), ("fc", "predictions", "dense")]
    public = None if name in _UNBUILT else name
    record = network(name, spec, rows, public=public, distinct=_DISTINCT[spec.antialias], options=options)
    return dataclasses.replace(record, layer=layer)


RESNET = Family(
    name="timm/resnet",
    covers="all of torchvision's, the c, d, s, t and se variants, ResNeSt, resnetaa and resnetblur; dilated as in timm",
    files="https://huggingface.co/timm",
    proof="timm, 3.5e-6",
    source="https://github.com/huggingface/pytorch-image-models/blob/main/timm/models/resnet.py",
    license="Apache-2.0",
    formats=("safetensors", "PyTorch zip"),
    preprocessing="torch",
    networks=tuple(_network(name, spec) for name, spec in specs.RESNETS.items() if not name.endswith(_ELSEWHERE)),
    classes="fc.weight",
    head=r"predictions/.*",
    public=_public,
    distinct="some of its recipes want another mean and deviation: see the model's card",
)
