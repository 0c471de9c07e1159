"""timm: MobileNetV2, HRNet, DeepLab's Xception, ResNetV2 and Big Transfer.

Source of the facts: https://github.com/huggingface/pytorch-image-models: timm/models/efficientnet.py, hrnet.py,
xception_aligned.py and resnetv2.py.
"""

import functools
from collections.abc import Callable, Iterable
from typing import Any

from converters.families import further_trunks, further_variables, light_variables
from converters.families.family import COUNTER, Family, FamilyNetwork
from converters.families.pytorch.timm_light import FILES, FORMATS, SOURCE, public_timm
from converters.names.tables import Row, table
from converters.types import Shapes
from tfseg import specs


def _network(
    name: str, rows: Iterable[Row], first: str, variables: Callable[[float], Shapes], **fields: Any
) -> FamilyNetwork:
    fields.setdefault("public", name)
    return FamilyNetwork(name, table(tuple(rows), (COUNTER,)), first, variables, **fields)


def _family(name: str, module: str, **fields: Any) -> Family:
    """A family of timm's classifiers."""
    return Family(
        name=f"timm/{name}",
        files=FILES,
        source=f"{SOURCE}{module}",
        license="Apache-2.0",
        formats=FORMATS,
        head=r"predictions/.*",
        public=public_timm,
        **fields,
    )


MOBILENET_V2 = _family(
    "mobilenetv2",
    "efficientnet.py",
    covers="MobileNetV2 of every width; not its deeper ones, 110d and 120d",
    proof="timm, 3.0e-7",
    preprocessing="torch",
    networks=(
        _network(
            "mobilenet_v2",
            further_trunks.timm_mobilenet_v2(),
            "conv_stem.weight",
            light_variables.mobilenet_v2,
            public="mobilenetv2_100",
            widest=light_variables.MOBILENET_V2_WIDEST,
            complete=r"(stem|block\d+|top)_.*",
        ),
    ),
    classes="classifier.weight",
)

HRNET = _family(
    "hrnet",
    "hrnet.py",
    covers="HRNet-W18 to -W64",
    distinct="coarse maps are enlarged by repeating pixels",
    proof="timm, 8.8e-7",
    preprocessing="torch",
    networks=tuple(
        _network(
            name,
            (*further_trunks.hrnet(), *further_trunks.hrnet_top()),
            "conv1.weight",
            functools.partial(further_variables.hrnet, spec=spec, top=True),
            complete=r"(stem|stage\d|transition\d)_.*",
            optional=r"top_.*",
            dilates=False,
            assumed="the tensors do not tell how coarse maps are enlarged: by repeating pixels, as in classifiers. The "
            "trunks of mmsegmentation's and CSAILVision's segmenters enlarge them bilinearly",
        )
        for name, spec in specs.HRNETS.items()
    ),
    classes="classifier.weight",
    dilates=False,
    multiple_of=32,
)

XCEPTION = _family(
    "xception",
    "xception_aligned.py",
    covers="DeepLab's Xception-41, -65 and -71",
    proof="timm, 5.6e-7",
    preprocessing="inception",
    networks=tuple(
        _network(
            name,
            further_trunks.xception(),
            "stem.0.conv.weight",
            functools.partial(further_variables.xception, name=name),
            complete=r"(stem|block\d+)_.*",
        )
        for name in specs.XCEPTIONS
    ),
    classes="head.fc.weight",
)


def _resnetv2(*, of_google: bool) -> tuple[FamilyNetwork, ...]:
    rows = further_trunks.resnetv2(group_norm=of_google)
    return tuple(
        _network(
            name,
            rows,
            "stem.conv.weight",
            functools.partial(further_variables.resnetv2, spec=spec),
            complete=r"stage\d_.*|conv0",
            requires={} if of_google else {"norm.running_mean": ""},
        )
        for name, spec in specs.PREACTIVATION_RESNETS.items()
        if name.startswith("resnetv2") and not spec.slim and spec.standardized == of_google
    )


RESNETV2 = _family(
    "resnetv2",
    "resnetv2.py",
    covers="ResNetV2-18 to -152",
    proof="timm, 6.9e-7",
    preprocessing="inception",
    networks=_resnetv2(of_google=False),
    classes="head.fc.weight",
)
BIT = _family(
    "bit",
    "resnetv2.py",
    covers="Big Transfer: ResNetV2-50x1, -50x3, -101x1, -101x3, -152x2 and -152x4",
    proof="timm, 3.6e-6",
    preprocessing="inception",
    networks=_resnetv2(of_google=True),
    classes="head.fc.weight",
)
