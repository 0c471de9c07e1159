"""VainF/DeepLabV3Plus-Pytorch: DeepLabV3 and DeepLabV3+ on ResNet-50, -101 and MobileNetV2.

Source of the facts: https://github.com/VainF/DeepLabV3Plus-Pytorch: network/modeling.py, network/_deeplab.py,
network/backbone/*.py, main.py.
"""

from collections.abc import Iterator
from typing import Any

from converters.families import light_trunks
from converters.families.family import COUNTER, Family, FamilyNetwork
from converters.families.heads import aspp
from converters.families.pytorch.mobilenet_names import in_two_parts, mobilenet_v2_variables
from converters.families.trunks import network, trunk
from converters.names.tables import Row, table
from tfseg import specs

_SOURCE = "https://github.com/VainF/DeepLabV3Plus-Pytorch"
_ASSUMED = (
    "the tensors do not tell the output stride: it is 16 here, the default of its main.py. If the network was trained "
    "with 8, as the end _os8 of its file's name says, give output_stride=8 (--output_stride=8)"
)
_BACKBONES = ("resnet50", "resnet101")

_DEEPLABV3 = (
    *aspp("classifier.classifier.0"),
    ("classifier.classifier.1", "head_conv", "conv"),
    ("classifier.classifier.2", "head_bn", "norm"),
    ("classifier.classifier.4", "logits", "conv"),
)
_LOW_LEVEL = (
    ("classifier.project.0", "low_level_conv", "conv"),
    ("classifier.project.1", "low_level_bn", "norm"),
    ("classifier.classifier.1", "decoder_1_bn", "norm"),
    ("classifier.classifier.3", "logits", "conv"),
)
_DEEPLABV3PLUS = (*aspp("classifier.aspp"), ("classifier.classifier.0", "decoder_1_conv", "conv"), *_LOW_LEVEL)
# With `--separable_conv` of its main.py.
_SEPARABLE = (
    ("classifier.aspp.convs.0.0", "aspp_0_conv", "conv"),
    *(
        row
        for place, target in (("aspp.convs.{i}.0", "aspp_{i}"), ("classifier.0", "decoder_1"))
        for row in (
            (f"classifier.{place}.body.0", f"{target}_depthwise", "depthwise"),
            (f"classifier.{place}.body.1", f"{target}_conv", "conv"),
        )
    ),
    *_DEEPLABV3PLUS,
)
# Head -> its rows, the key of its last layer, options, and a key that tells it from the others.
_HEADS: tuple[tuple[str, tuple[Row, ...], str, dict[str, Any], str], ...] = (
    ("deeplabv3", _DEEPLABV3, "classifier.classifier.4.weight", {}, "classifier.classifier.0.project.0.weight"),
    (
        "deeplabv3plus",
        _DEEPLABV3PLUS,
        "classifier.classifier.3.weight",
        {"separable": False, "decoder_convs": 1, "low_level_first": True},
        "classifier.classifier.0.weight",
    ),
    (
        "deeplabv3plus",
        _SEPARABLE,
        "classifier.classifier.3.weight",
        {"separable": True, "decoder_convs": 1, "low_level_first": True},
        "classifier.aspp.convs.1.0.body.0.weight",
    ),
)


def _networks() -> Iterator[FamilyNetwork]:
    whole = light_trunks.mobilenet_v2("backbone.")
    split = in_two_parts(row for row in whole if not row[1].startswith("top"))
    mobilenet = {"top_conv": False, "stem_padding": 0, "pad_first": True}
    for title, rows, classes, options, key in _HEADS:
        fields: dict[str, Any] = {"classes": classes, "requires": {key: ""}, "assumed_stride": _ASSUMED}
        for name in _BACKBONES:
            spec = specs.RESNETS[name]
            named = (*trunk(spec, "backbone."), *rows)
            yield network(f"{title}_{name}", spec, named, public=f"{title}_{name}", options=options, **fields)
        low = {} if title == "deeplabv3" else {"low_level": "block3_add"}
        yield FamilyNetwork(
            f"{title}_mobilenet_v2",
            table((*split, *rows), (COUNTER,)),
            "backbone.low_level_features.0.0.weight",
            mobilenet_v2_variables,
            public=f"{title}_mobilenet",
            options={**mobilenet, **low, **options},
            **fields,
        )


VAINF = Family(
    name="VainF/DeepLabV3Plus-Pytorch",
    covers="DeepLabV3 and DeepLabV3+ on ResNet-50, -101 and MobileNetV2, with separable kernels, too",
    files=_SOURCE,
    proof="its code, 2.7e-6",
    source=_SOURCE,
    license="MIT",
    formats=("PyTorch zip", "PyTorch legacy stream"),
    preprocessing="torch",
    networks=tuple(_networks()),
    classes="classifier.classifier.4.weight",
    head=r"(?!(conv[1-5]|stem|block\d+)_).*",
    features=r"conv5_block\d+_out|block17_project_bn",
    options={"output_stride": 16},
    conventions=("previous",),
    datasets=("voc", "cityscapes"),
)
