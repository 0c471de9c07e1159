"""chenxi116/DeepLabv3.pytorch: DeepLabV3 on ResNet-101.

Source of the facts: https://github.com/chenxi116/DeepLabv3.pytorch: deeplab.py and utils.py. Its published network
with weight standardization has GroupNorms, and one with a deep stem has three convolutions in one name: both are other
networks.
"""

from converters.families.family import Family
from converters.families.light_trunks import unit
from converters.families.trunks import FEATURES, HEAD, network, trunk
from converters.names.tables import Row
from tfseg import specs

_SOURCE = "https://github.com/chenxi116/DeepLabv3.pytorch"
_ASSUMED = (
    "the tensors do not tell whether the code standardizes its kernels: it does not, as without --weight_std; the "
    "output stride is 16, its only one"
)
_HEAD: tuple[Row, ...] = (
    *(
        row
        for branch in range(4)
        for row in unit("aspp", f"aspp_{branch}", f"aspp{branch + 1}", f"aspp{branch + 1}_bn")
    ),
    *unit("aspp", "aspp_pool", "aspp5", "aspp5_bn"),
    *unit("aspp", "aspp_project", "conv2", "bn2"),
    ("aspp.conv3", "logits", "conv"),
)

DEEPLABV3 = Family(
    name="chenxi116/DeepLabv3.pytorch",
    covers="DeepLabV3 on ResNet-50, -101 and -152",
    files=_SOURCE,
    proof="its code, 1.8e-6",
    source=_SOURCE,
    license="BSD-3-Clause",
    formats=("PyTorch zip", "PyTorch legacy stream"),
    preprocessing="torch",
    networks=tuple(
        network(
            f"deeplabv3_resnet{depth}",
            specs.RESNETS[f"resnet{depth}"],
            (*trunk(specs.RESNETS[f"resnet{depth}"]), *_HEAD),
            requires={"aspp.conv3.weight": "", "aspp.aspp1_bn.running_mean": "", "bn1.running_mean": ""},
            assumed=_ASSUMED,
        )
        for depth in (50, 101, 152)
    ),
    classes="aspp.conv3.weight",
    head=HEAD,
    features=FEATURES,
    options={
        "output_stride": 16,
        "convention": "previous",
        "head_kernel": None,
        "upsampling": "bilinear_align_corners",
    },
    conventions=("previous",),
    dilates=False,
    datasets=("voc", "cityscapes"),
)
