"""Cadene's SE-ResNets, SE-ResNeXts and SENet-154, which timm calls "legacy_": they come from Caffe.

Source of the facts: https://github.com/Cadene/pretrained-models.pytorch: pretrainedmodels/models/senet.py, and
https://github.com/huggingface/pytorch-image-models: timm/models/senet.py, which has the 18 and 34 layers deep ones.
"""

import dataclasses
from typing import Any

from converters.families.family import Family, FamilyNetwork
from converters.families.pytorch.public_torchvision import import_torchvision
from converters.families.trunks import network, renamed, trunk
from tfseg import specs

# Parts of timm's names -> what stands there instead.
CADENE_NAMES = {
    **{f"{part}{index}": f"layer0.{part}{index}" for part in ("conv", "bn") for index in (1, 2, 3)},
    ".se.": ".se_module.",
}
# They pool as Caffe does, and those without groups stride as Caffe does: network -> how it differs from timm's.
_POOL: dict[str, Any] = {"stem_pool": (0, 1)}
CADENE: dict[str, dict[str, Any]] = {
    "seresnet50": {**_POOL, "stride_in": "1x1"},
    "seresnet101": {**_POOL, "stride_in": "1x1"},
    "seresnet152": {**_POOL, "stride_in": "1x1"},
    "seresnext50_32x4d": _POOL,
    "seresnext101_32x4d": _POOL,
    "senet154": _POOL,
}
# timm's own, in which a ReLU stands before squeeze-and-excite, too.
_BASIC: dict[str, Any] = {**_POOL, "squeeze_divisor": 1, "squeeze_relu": True}
_TIMM: dict[str, dict[str, Any]] = {"seresnet18": _BASIC, "seresnet34": _BASIC}


def _network(name: str, options: dict[str, Any]) -> FamilyNetwork:
    spec = dataclasses.replace(specs.RESNETS[name], **options)
    rows = (*renamed(trunk(spec, stem="numbered"), CADENE_NAMES), ("last_linear", "predictions", "dense"))
    return network(name, spec, rows, public=f"legacy_{name}", options=options)


def _public(name: str, *, num_classes: int, output_stride: int, aux: bool) -> Any:
    if output_stride != 32:
        raise ValueError(f"timm's {name} has output stride 32 only")
    import_torchvision()  # which timm imports
    import timm

    return timm.create_model(name, pretrained=False, num_classes=num_classes)


_SOURCE = "https://github.com/Cadene/pretrained-models.pytorch"

SENET = Family(
    name="cadene/senet",
    covers="SENet-154, SE-ResNet-18, -34, -50, -101 and -152, SE-ResNeXt-50 and -101 32x4d",
    files=_SOURCE,
    proof="timm, 6.7e-6",
    source=_SOURCE,
    license="BSD-3-Clause",
    formats=("PyTorch legacy stream", "PyTorch zip", "safetensors"),
    preprocessing="torch",
    networks=tuple(_network(name, options) for name, options in {**CADENE, **_TIMM}.items()),
    classes="last_linear.weight",
    head=r"predictions/.*",
    public=_public,
)
