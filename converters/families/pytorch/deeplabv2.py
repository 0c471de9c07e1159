"""DeepLabV2 on ResNets whose strides are in the first 1x1: kazuto1011's and isht7's, both after the Caffe original.

Source of the facts: https://github.com/kazuto1011/deeplab-pytorch, libs/models/{msc,deeplabv2,resnet}.py, and
https://github.com/isht7/pytorch-deeplab-resnet, deeplab_resnet.py. Their forward passes end at an eighth of the image's
size, with the output of our layer `logits`. isht7's takes square images only, for which ours computes the same.
"""

from collections.abc import Callable
from typing import Any

from converters.families.family import Family
from converters.families.trunks import FEATURES, HEAD, network, trunk
from converters.names.tables import Ignored, Row
from tfseg import specs

_SPECS = {name: specs.RESNETS[name] for name in ("resnet50", "resnet101", "resnet152")}
_TRUNK: dict[str, Any] = {"output_stride": 8, "stride_in": "1x1", "stem_pool": (1, 2)}


def _kazuto_rows(prefix: str) -> tuple[Row, ...]:
    convs = {"shortcut": 0, "reduce": 1, "conv3x3": 2, "increase": 3}
    places = [("layer1.conv1", "conv1")]
    places += [(f"layer{{s}}.block{{b}}.{name}", f"conv{{s}}_block{{b}}_{index}") for name, index in convs.items()]
    kinds = (("conv", "conv"), ("bn", "norm"))
    return (
        *((f"{prefix}{source}.{part}", f"{target}_{part}", kind) for source, target in places for part, kind in kinds),
        (f"{prefix}aspp.c{{i}}", "aspp_logits_{i}", "conv"),
    )


def _isht7_rows(spec: specs.ResNetSpec) -> tuple[Row, ...]:
    return (*trunk(spec, "Scale."), ("Scale.layer5.conv2d_list.{i}", "aspp_logits_{i}", "conv"))


def _family(
    rows: Callable[[specs.ResNetSpec], tuple[Row, ...]], ignored: tuple[Ignored, ...] = (), **fields: Any
) -> Family:
    return Family(
        license="MIT",
        formats=("PyTorch legacy stream", "PyTorch zip"),
        preprocessing="deeplab",
        networks=tuple(
            network(f"deeplabv2_{name}", spec, rows(spec), ignored=ignored) for name, spec in _SPECS.items()
        ),
        head=HEAD,
        features=FEATURES,
        conventions=("new",),
        ends_at_logits=True,
        **fields,
    )


_KAZUTO: dict[str, Any] = {
    "datasets": ("voc", "cocostuff"),
    "files": "https://github.com/kazuto1011/deeplab-pytorch#performance",
    "source": "https://github.com/kazuto1011/deeplab-pytorch",
}

KAZUTO = _family(
    lambda spec: _kazuto_rows("base."),
    name="kazuto1011/deeplab-pytorch",
    covers="DeepLabV2 on ResNet-50, -101 and -152, the maximum over three sizes of the image",
    proof="its own code, 2.9e-6",
    classes="base.aspp.c0.weight",
    options=_TRUNK | {"multi_scale": (0.5, 0.75)},
    **_KAZUTO,
)

KAZUTO_BASE = _family(
    lambda spec: _kazuto_rows(""),
    # In deeplabv1_resnet101-coco.pth, which training starts from.
    ((r"fc\.(weight|bias)", "the scores of COCO's 91 classes, which the public training leaves out as well"),),
    name="kazuto1011/deeplab-pytorch-base",
    covers="the same for one size of the image, and the weights that training starts from",
    proof="its own code, 2.9e-6",
    classes="aspp.c0.weight",
    options=_TRUNK | {"multi_scale": False},
    **_KAZUTO,
)

ISHT7 = _family(
    _isht7_rows,
    name="isht7/pytorch-deeplab-resnet",
    covers="DeepLabV2 on ResNet-50, -101 and -152, the maximum over three sizes of the image, corners aligned",
    files="https://github.com/isht7/pytorch-deeplab-resnet#results",
    proof="its own code, 3.4e-6",
    source="https://github.com/isht7/pytorch-deeplab-resnet",
    datasets=("voc",),
    classes="Scale.layer5.conv2d_list.0.weight",
    options=_TRUNK | {"multi_scale": (0.75, 0.5), "upsampling": "bilinear_align_corners"},
    outputs=slice(-1, None),  # the results at every size come before it
)
