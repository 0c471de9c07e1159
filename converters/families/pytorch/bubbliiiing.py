"""bubbliiiing/deeplabv3-plus-pytorch: DeepLabV3+ on MobileNetV2.

Source of the facts: https://github.com/bubbliiiing/deeplabv3-plus-pytorch: nets/deeplabv3_plus.py, nets/mobilenetv2.py
and utils/utils.py. Its Xception is another network than those here.
"""

from converters.families.family import COUNTER, Family, FamilyNetwork
from converters.families.pytorch.mobilenet_names import mobilenet_v2_variables, plain_mobilenet_v2
from converters.names.tables import Row, table

_SOURCE = "https://github.com/bubbliiiing/deeplabv3-plus-pytorch"
_ASSUMED = (
    "the tensors do not tell the output stride: it is 16 here, the default of downsample_factor. If the network was "
    "trained with 8, give output_stride=8 (--output_stride=8)"
)


def _head() -> tuple[Row, ...]:
    rows: list[Row] = []
    for convolution, norm, target in (
        *((f"aspp.branch{index + 1}.0", f"aspp.branch{index + 1}.1", f"aspp_{index}") for index in range(4)),
        ("aspp.branch5_conv", "aspp.branch5_bn", "aspp_pool"),
        ("aspp.conv_cat.0", "aspp.conv_cat.1", "aspp_project"),
        ("shortcut_conv.0", "shortcut_conv.1", "low_level"),
        ("cat_conv.0", "cat_conv.1", "decoder_1"),
        ("cat_conv.4", "cat_conv.5", "decoder_2"),
    ):
        rows += [(convolution, f"{target}_conv", "conv"), (norm, f"{target}_bn", "norm")]
    return *rows, ("cls_conv", "logits", "conv")


DEEPLABV3PLUS = Family(
    name="bubbliiiing/deeplabv3-plus-pytorch",
    covers="DeepLabV3+ on MobileNetV2",
    files=_SOURCE,
    proof="its code, 1.1e-6",
    source=_SOURCE,
    license="MIT",
    formats=("PyTorch zip", "PyTorch legacy stream"),
    preprocessing="unit",
    networks=(
        FamilyNetwork(
            "deeplabv3plus_mobilenet_v2",
            table((*plain_mobilenet_v2("backbone."), *_head()), (COUNTER,)),
            "backbone.features.0.0.weight",
            mobilenet_v2_variables,
            public="mobilenet",
            requires={"cls_conv.weight": ""},
            assumed_stride=_ASSUMED,
            options={
                "separable": False,
                "decoder_convs": 2,
                "biases": True,
                "upsampling": "bilinear_align_corners",
                "top_conv": False,
                "low_level": "block3_add",
            },
        ),
    ),
    classes="cls_conv.weight",
    head=r"(?!(stem|block\d+)_).*",
    features="block17_project_bn",
    options={"output_stride": 16},
    conventions=("previous",),
    datasets=("voc",),
)
