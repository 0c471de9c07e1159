"""Cadene's SE-ResNets and SE-ResNeXts, which timm calls "legacy_": they come from Caffe.

Source of the facts: https://github.com/Cadene/pretrained-models.pytorch: pretrainedmodels/models/senet.py, and
https://github.com/huggingface/pytorch-image-models: timm/models/senet.py. SENet-154 and the 18 and 34 layers deep ones
are other networks than those here.
"""

import dataclasses
from typing import Any

from converters.families.family import Family, FamilyNetwork
from converters.families.pytorch.public_torchvision import import_torchvision
from converters.families.trunks import network, renamed, trunk
from tfseg import specs

# Parts of timm's names -> what stands there instead.
CADENE_NAMES = {"conv1": "layer0.conv1", "bn1": "layer0.bn1", ".se.": ".se_module."}
# They pool as Caffe does, and those without groups stride as Caffe does: network -> how it differs from timm's.
_POOL: dict[str, Any] = {"stem_pool": (0, 1)}
CADENE: dict[str, dict[str, Any]] = {
    "resnet50": {**_POOL, "stride_in": "1x1"},
    "resnet101": {**_POOL, "stride_in": "1x1"},
    "resnet152": {**_POOL, "stride_in": "1x1"},
    "resnext50_32x4d": _POOL,
    "resnext101_32x4d": _POOL,
}


def _network(name: str, options: dict[str, Any]) -> FamilyNetwork:
    spec = specs.RESNETS[f"se{name}"]
    rows = (*renamed(trunk(spec), CADENE_NAMES), ("last_linear", "predictions", "dense"))
    spec = dataclasses.replace(spec, **options)
    return network(f"se{name}", spec, rows, public=f"legacy_se{name}", options=options)


def _public(name: str, *, num_classes: int, output_stride: int, aux: bool) -> Any:
    if output_stride != 32:
        raise ValueError(f"timm's {name} has output stride 32 only")
    import_torchvision()  # which timm imports
    import timm

    return timm.create_model(name, pretrained=False, num_classes=num_classes)


_SOURCE = "https://github.com/Cadene/pretrained-models.pytorch"

SENET = Family(
    name="cadene/senet",
    covers="SE-ResNet-50, -101 and -152, SE-ResNeXt-50 and -101 32x4d",
    files=_SOURCE,
    proof="timm, 1.2e-6",
    source=_SOURCE,
    license="BSD-3-Clause",
    formats=("PyTorch legacy stream", "PyTorch zip", "safetensors"),
    preprocessing="torch",
    networks=tuple(_network(name, options) for name, options in CADENE.items()),
    classes="last_linear.weight",
    head=r"predictions/.*",
    public=_public,
)
