"""mmpretrain and mmcls: ResNet classifiers of all forms, ResNeXt and SE-ResNet.

Source of the facts: https://github.com/open-mmlab/mmpretrain: mmpretrain/models/backbones/resnet.py, seresnet.py and
configs/resnet/, configs/resnext/, configs/seresnet/.
"""

from converters.families.family import Family
from converters.families.trunks import network, trunk
from converters.names.tables import Row
from tfseg import specs

_NAMES = (
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    *(f"resnet{depth}{letter}" for depth in (50, 101, 152) for letter in "cd"),
    *("resnext50_32x4d", "resnext101_32x4d", "resnext101_32x8d", "wide_resnet50_2", "wide_resnet101_2"),
    *("seresnet50", "seresnet101", "seresnext50_32x4d", "seresnext101_32x4d"),
)


def _rows(spec: specs.ResNetSpec) -> tuple[Row, ...]:
    rows = [*trunk(spec, "backbone.", stem="modules"), ("head.fc", "predictions", "dense")]
    if spec.average_shortcut:  # the first stage, which has no stride, pools nothing
        block = "backbone.layer1.0.downsample"
        rows[:0] = [(f"{block}.0", "conv2_block1_0_conv", "conv"), (f"{block}.1", "conv2_block1_0_bn", "norm")]
    if spec.squeeze:
        block = "backbone.layer{s}.{b}.se_layer"
        rows.append((f"{block}.conv{{i}}.conv", "conv{s+1}_block{b+1}_se_{i}_conv", "conv"))
    return tuple(row for row in rows if ".se.fc" not in row[0])


RESNET = Family(
    name="open-mmlab/mmpretrain",
    covers="ResNet-18 to -152, V1c and V1d, ResNeXt, Wide ResNet, SE-ResNet and SE-ResNeXt",
    files="https://mmpretrain.readthedocs.io/en/latest/modelzoo_statistics.html",
    proof="mmpretrain, 1.3e-6",
    source="https://github.com/open-mmlab/mmpretrain",
    license="Apache-2.0",
    formats=("PyTorch zip", "PyTorch legacy stream"),
    preprocessing="torch",
    networks=tuple(
        network(name, specs.RESNETS[name], _rows(specs.RESNETS[name]), requires={"head.fc.weight": ""})
        for name in _NAMES
    ),
    classes="head.fc.weight",
    head=r"predictions/.*",
    conventions=("previous",),
)
