"""SENet's Caffe networks, and those of VGGFace2, which have the same layer names.

Source of the facts: https://github.com/hujie-frank/SENet, models/SE-Res*.prototxt; for VGGFace2
https://github.com/ox-vgg/vgg_face2 (README: the SE nets follow SENet's). Strides, poolings and names come from its
ResNet-50 and SE-ResNet-50 for PyTorch, which a program made from the Caffe files: it wrote _ for /. The names of the
Scale layers are assumed to be those of SENet.
"""

from typing import Any

from converters.families.family import Family, FamilyNetwork
from converters.families.trunks import network
from tfseg import specs

_OPTIONS = {"stride_in": "1x1", "stem_pool": (0, 1)}
_CONVS = (
    ("conv1/7x7_s2", "conv1"),
    *(
        (f"conv{{s}}_{{b}}_{part}", f"conv{{s}}_block{{b}}_{index}")
        for index, part in enumerate(("1x1_proj", "1x1_reduce", "3x3", "1x1_increase"))
    ),
)
_ROWS = (
    *(
        row
        for source, target in _CONVS
        for row in (
            (source, f"{target}_conv", "conv"),
            (f"{source}/bn", f"{target}_bn", "batchnorm"),
            (f"{source}/bn/scale", f"{target}_bn", "scale"),
        )
    ),
    ("conv{s}_{b}_1x1_down", "conv{s}_block{b}_se_1_conv", "conv"),
    ("conv{s}_{b}_1x1_up", "conv{s}_block{b}_se_2_conv", "conv"),
    ("classifier", "predictions", "dense"),
)
_PEOPLE = 8631  # people in VGGFace2's training images


def _network(name: str, **fields: Any) -> FamilyNetwork:
    options = {"stride_in": "3x3"} if "next" in name else {}
    return network(name, specs.RESNETS[name], _ROWS, options=options, **fields)


_FIELDS: dict[str, Any] = {
    "formats": ("Caffe",),
    "classes": "classifier.weight",
    "head": r"predictions/.*",
    "options": _OPTIONS,
}

VGGFACE2 = Family(
    name="ox-vgg/vgg_face2",
    source="https://github.com/ox-vgg/vgg_face2",
    license="none given",
    covers="ResNet-50 and SE-ResNet-50 of VGGFace2's 8631 people",
    files="https://github.com/ox-vgg/vgg_face2",
    preprocessing="vggface2",
    networks=tuple(
        _network(name, classes="classifier.weight", num_classes=_PEOPLE) for name in ("resnet50", "seresnet50")
    ),
    conventions=("previous", "new"),
    proof="OpenCV, 8.9e-7",
    **_FIELDS,
)

SENET = Family(
    name="hujie-frank/SENet",
    source="https://github.com/hujie-frank/SENet",
    license="Apache-2.0",
    covers="SE-ResNet 50, 101, 152, SE-ResNeXt 50 and 101",
    files="https://github.com/hujie-frank/SENet",
    preprocessing="caffe_rounded",
    networks=tuple(
        map(_network, ("seresnet50", "seresnet101", "seresnet152", "seresnext50_32x4d", "seresnext101_32x4d"))
    ),
    proof="OpenCV, 1.4e-6",
    **_FIELDS,
)
