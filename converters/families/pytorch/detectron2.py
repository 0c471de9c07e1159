"""torchvision's ResNets as detectron2 keeps them: `R-50.pkl`, arrays by names of its own.

Its other backbone, `MSRA/R-50.pkl`, has Caffe2's names. Networks that it trained have their strides elsewhere by
default. So a file is of this family only with torchvision's last layer.

Source of the facts: https://github.com/facebookresearch/detectron2: tools/convert-torchvision-to-d2.py and
detectron2/modeling/backbone/resnet.py.
"""

from collections.abc import Iterator

from converters.families.family import Family
from converters.families.trunks import STRIDED, network
from converters.names.tables import Row
from tfseg import specs


def _rows() -> Iterator[Row]:
    block, target = "res{s}.{b}", "conv{s}_block{b+1}"
    for source, layer in (
        ("stem.conv1", "conv1"),
        (f"{block}.shortcut", f"{target}_0"),
        (f"{block}.conv{{c}}", f"{target}_{{c}}"),
    ):
        yield f"{source}.norm", f"{layer}_bn", "norm"
        yield source, f"{layer}_conv", "conv"
    yield "stem.fc", "predictions", "dense"


RESNET = Family(
    name="facebookresearch/detectron2",
    covers="torchvision's ResNet-50, -101 and -152, ResNeXt and Wide ResNet as the converter of detectron2 writes them",
    files="https://github.com/facebookresearch/detectron2/blob/main/MODEL_ZOO.md",
    proof="torchvision, 5.8e-6",
    source="https://github.com/facebookresearch/detectron2/blob/main/tools/convert-torchvision-to-d2.py",
    license="BSD-3-Clause",
    formats=("pickle", "PyTorch zip", "PyTorch legacy stream"),
    preprocessing="torch",
    networks=tuple(
        network(name, specs.RESNETS[name], tuple(_rows()), requires={"stem.fc.weight": ""}, distinct=STRIDED)
        for name in specs.TORCHVISION_RESNETS
    ),
    classes="stem.fc.weight",
    head=r"predictions/.*",
)
