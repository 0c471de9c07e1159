"""timm's ResNets: torchvision's names, with deep stems, averaging projections and squeeze-and-excite.

Source of the facts: https://github.com/huggingface/pytorch-image-models: timm/models/resnet.py.
"""

from typing import Any

from converters.families.family import Family
from converters.families.pytorch.public_torchvision import import_torchvision
from converters.families.trunks import network, trunk
from tfseg import specs


def _public(name: str, *, num_classes: int, output_stride: int, aux: bool) -> Any:
    import_torchvision()  # which timm imports
    import timm

    return timm.create_model(name, pretrained=False, num_classes=num_classes, output_stride=output_stride)


RESNET = Family(
    name="timm/resnet",
    covers="all of torchvision's, the c, d, s, t and se variants, ResNeSt; dilated as timm dilates them",
    files="https://huggingface.co/timm",
    proof="timm, 3.5e-6",
    source="https://github.com/huggingface/pytorch-image-models/blob/main/timm/models/resnet.py",
    license="Apache-2.0",
    formats=("safetensors", "PyTorch zip"),
    preprocessing="torch",
    networks=tuple(
        network(name, spec, [*trunk(spec), ("fc", "predictions", "dense")], public=name)
        for name, spec in specs.RESNETS.items()
    ),
    classes="fc.weight",
    head=r"predictions/.*",
    public=_public,
    distinct="some of its recipes want another mean and deviation: see the model's card",
)
