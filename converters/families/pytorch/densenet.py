"""torchvision's DenseNets, whose names timm's have, too.

Source of the facts: https://github.com/pytorch/vision: torchvision/models/densenet.py.
"""

import functools

from converters.families import light_trunks, light_variables
from converters.families.family import COUNTER, Family, FamilyNetwork
from converters.families.pytorch.torchvision_light import public_classifier
from converters.names.tables import table
from tfseg import specs

DENSENET = Family(
    name="torchvision/densenet",
    covers="DenseNet-121, -161, -169 and -201, with the names of the first files and of today",
    files="https://docs.pytorch.org/vision/stable/models/densenet.html",
    proof="torchvision, 3.0e-7",
    source="https://github.com/pytorch/vision/blob/main/torchvision/models/densenet.py",
    license="BSD-3-Clause",
    formats=("PyTorch zip", "PyTorch legacy stream", "safetensors"),
    preprocessing="torch",
    networks=tuple(
        FamilyNetwork(
            name,
            table((*light_trunks.densenet(), ("classifier", "predictions", "dense")), (COUNTER,)),
            "features.conv0.weight",
            functools.partial(light_variables.densenet, spec=spec),
            complete=r"(stem|stage\d|transition\d)_.*",
            dilates=False,
            public=name,
        )
        for name, spec in specs.DENSENETS.items()
    ),
    classes="classifier.weight",
    head=r"predictions/.*",
    dilates=False,
    public=public_classifier,
)
