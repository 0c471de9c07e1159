"""PyTorch-Encoding: FCN on dilated ResNets.

Source of the facts: https://github.com/zhanghang1989/PyTorch-Encoding, encoding/models/sseg/base.py and fcn.py,
encoding/models/backbone/resnet.py, resnet_variants.py and resnext.py.
"""

from converters.families.family import Family, FamilyNetwork
from converters.families.trunks import FEATURES, HEAD, network, trunk
from tfseg import specs

_BACKBONES = (
    "resnet50s",
    "resnet101s",
    "resnet152s",
    "resnet50d",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
)
_HEADS = tuple(
    (f"{source}.conv5.{index}", f"{prefix}{layer}", kind)
    for source, prefix in (("head", ""), ("auxlayer", "aux_"))
    for index, layer, kind in ((0, "head_conv", "conv"), (1, "head_bn", "norm"), (4, "logits", "conv"))
)


_IGNORED = ((r"pretrained\.fc\..*", "the backbone's classifier, which files of before 2020 keep and nothing reads"),)


def _network(name: str) -> FamilyNetwork:
    spec = specs.RESNETS[name]
    options = {"average_shortcut": "none"} if spec.average_shortcut else {}
    return network(f"fcn_{name}", spec, [*trunk(spec, "pretrained."), *_HEADS], ignored=_IGNORED, options=options)


FCN = Family(
    name="zhanghang1989/PyTorch-Encoding",
    covers="FCN on ResNet-50s, -101s and -152s (deep stem), -50d, the plain ones, ResNeXt; auxiliary head",
    files="https://hangzhang.org/PyTorch-Encoding/model_zoo/segmentation.html",
    proof="PyTorch-Encoding, 3.9e-6",
    source="https://github.com/zhanghang1989/PyTorch-Encoding",
    license="MIT",
    formats=("PyTorch zip", "PyTorch legacy stream"),
    preprocessing="torch",
    networks=tuple(map(_network, _BACKBONES)),
    classes="head.conv5.4.weight",
    aux="auxlayer.conv5.4.weight",
    head=HEAD,
    features=FEATURES,
    trunk={"output_stride": 32},
    options={"output_stride": 8, "convention": "previous", "upsampling": "bilinear_align_corners"},
    conventions=("previous",),
    datasets=("ade20k", "voc", "cityscapes"),
)
