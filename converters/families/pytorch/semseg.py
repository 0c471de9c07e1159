"""hszhao/semseg: PSPNet, and the ImageNet classifiers with a deep stem that it starts from.

Source of the facts: https://github.com/hszhao/semseg, model/pspnet.py, model/resnet.py and tool/test.py. Its forward
pass refuses images whose sides are not 8k + 1; ours takes any size, and computes the same for those.
"""

import dataclasses
from typing import Any

from converters.families.family import Family, FamilyNetwork
from converters.families.trunks import FEATURES, HEAD, network, trunk
from tfseg import specs

_SOURCE = "https://github.com/hszhao/semseg"
_FILES = "https://drive.google.com/open?id=15wx9vOM0euyizq-M1uINgN0_wjVRf9J3"
_FORMATS = ("PyTorch legacy stream", "PyTorch zip")
_DEPTHS = (50, 101, 152)
_STEM = (64, 64, 128)
_OPTIONS: dict[str, Any] = {"stem": _STEM, "convention": "new"}
_SPECS = {f"resnet{depth}": dataclasses.replace(specs.RESNETS[f"resnet{depth}"], stem=_STEM) for depth in _DEPTHS}

_HEAD_ROWS = (
    *((f"ppm.features.{index}.1", f"ppm_{bins}_conv", "conv") for index, bins in enumerate((1, 2, 3, 6))),
    *((f"ppm.features.{index}.2", f"ppm_{bins}_bn", "norm") for index, bins in enumerate((1, 2, 3, 6))),
    *(
        (f"{source}.{index}", f"{prefix}{layer}", kind)
        for source, prefix in (("cls", ""), ("aux", "aux_"))
        for index, layer, kind in ((0, "head_conv", "conv"), (1, "head_bn", "norm"), (4, "logits", "conv"))
    ),
)

PSPNET = Family(
    name="hszhao/semseg",
    covers="PSPNet on ResNet-50, -101 and -152 with a deep stem, auxiliary head",
    files=_FILES,
    proof="the repository's networks, and a twin of them, 4.4e-6",
    source=_SOURCE,
    license="MIT",
    formats=_FORMATS,
    preprocessing="torch",
    networks=tuple(
        network(f"pspnet_{name}", spec, [*trunk(spec, stem="layer0"), *_HEAD_ROWS]) for name, spec in _SPECS.items()
    ),
    classes="cls.4.weight",
    aux="aux.4.weight",
    head=HEAD,
    features=FEATURES,
    options={"output_stride": 8, "upsampling": "bilinear_align_corners"} | _OPTIONS,
    conventions=("new",),
    datasets=("voc", "cityscapes", "ade20k"),
)


def _classifier(name: str, spec: specs.ResNetSpec) -> FamilyNetwork:
    """The classifier with its top. Without it the tensors are CSAILVision's encoder, which is dilated differently."""
    return network(
        name, spec, [*trunk(spec, stem="numbered"), ("fc", "predictions", "dense")], requires={"fc.weight": ""}
    )


INITMODEL = Family(
    name="hszhao/semseg-initmodel",
    covers="the ResNet-50, -101 and -152 with a deep stem that these start from",
    files=_FILES,
    proof="the repository's networks, and a twin of them, 3.3e-6",
    source=_SOURCE,
    license="MIT",
    formats=_FORMATS,
    preprocessing="torch",
    networks=tuple(_classifier(name, spec) for name, spec in _SPECS.items()),
    classes="fc.weight",
    head=r"predictions/.*",
    options=_OPTIONS,
)
