"""torchvision: MobileNets and EfficientNets, and its segmenters on MobileNetV3: DeepLabV3 and Lite R-ASPP.

Source of the facts: https://github.com/pytorch/vision: torchvision/models/mobilenet*.py, efficientnet.py and
segmentation/*.py.
"""

import functools
from typing import Any

from converters.families import light_trunks, light_variables
from converters.families.family import COUNTER, Family, FamilyNetwork
from converters.families.light_trunks import unit
from converters.families.pytorch.public_torchvision import import_torchvision
from converters.families.pytorch.torchvision import DEEPLABV3_HEAD, FCN_HEAD
from converters.families.trunks import HEAD_OF_LIGHT
from converters.names.tables import Row, table
from converters.types import Shapes
from tfseg import specs

_LARGE = "mobilenet_v3_large"
_FINE = "block4_project_bn"  # the first block of stride 8, whose map the heads read, too


def inverted(source: str, target: str, widens: bool, squeezes: bool) -> tuple[Row, ...]:
    """The rows of one inverted residual block: a list of units, some of which it may lack.

    Args:
        source: name of the list.
        target: name of the block.
        widens: whether a convolution widens the channels.
        squeezes: whether it has squeeze-and-excite.
    """
    rows: list[Row] = [*unit(f"{source}.0", f"{target}_expand")] if widens else []
    depthwise = int(widens)
    rows += [
        (f"{source}.{depthwise}.0", f"{target}_dwconv", "depthwise"),
        (f"{source}.{depthwise}.1", f"{target}_bn", "norm"),
    ]
    if squeezes:
        rows += [
            (f"{source}.{depthwise + 1}.fc1", f"{target}_se_reduce", "conv"),
            (f"{source}.{depthwise + 1}.fc2", f"{target}_se_expand", "conv"),
        ]
    return *rows, *unit(f"{source}.{depthwise + 1 + squeezes}", f"{target}_project")


def mobilenet_v3(name: str, prefix: str) -> tuple[Row, ...]:
    """The rows of a MobileNetV3 without its top.

    Args:
        name: name in `tfseg.specs.MOBILENETS_V3`.
        prefix: text before the number of every block, such as "features.".
    """
    blocks, _ = specs.MOBILENETS_V3[name]
    rows = [*unit(f"{prefix}0", "stem")]
    before = 16
    for number, block in enumerate(blocks, 1):
        rows += inverted(f"{prefix}{number}.block", f"block{number}", block.expanded != before, block.squeeze)
        before = block.filters
    return *rows, *unit(f"{prefix}{len(blocks) + 1}", "top")


def efficientnet(spec: specs.EfficientNetSpec) -> tuple[Row, ...]:
    """The rows of torchvision's EfficientNet.

    Args:
        spec: numbers of the network.
    """
    rows = [*unit("features.0", "stem"), *unit("features.8", "top")]
    for stage, count in enumerate(light_trunks.efficientnet_counts(spec), 1):
        for index in range(count):
            target = f"block{stage}{chr(ord('a') + index)}"
            rows += inverted(f"features.{stage}.{index}.block", target, stage > 1, True)
    return *rows, ("classifier.1", "predictions", "dense")


def _network(name: str, backbone: str, prefix: str, top: tuple[Row, ...], **fields: Any) -> FamilyNetwork:
    names = table((*mobilenet_v3(backbone, prefix), *top), (COUNTER,))
    variables = functools.partial(light_variables.mobilenet_v3, name=backbone)
    return FamilyNetwork(name, names, f"{prefix}0.0.weight", variables, public=name, **fields)


def public_classifier(name: str, *, num_classes: int, output_stride: int, aux: bool) -> Any:
    """torchvision's own classifier.

    Args:
        name: its name there.
        num_classes: number of classes.
        output_stride: 32.
        aux: not read.
    """
    if output_stride != 32:
        raise ValueError(f"torchvision's {name} has output stride 32 only")
    return getattr(import_torchvision().models, name)(weights=None, num_classes=num_classes)


def _public_segmenter(name: str, *, num_classes: int, output_stride: int, aux: bool) -> Any:
    if output_stride != 16:
        raise ValueError(f"torchvision's {name} has output stride 16 only")
    options = {"aux_loss": aux} if name.startswith("deeplabv3") else {}
    build = getattr(import_torchvision().models.segmentation, name)
    return build(weights=None, weights_backbone=None, num_classes=num_classes, **options)


MOBILENET_V3_TOP = (("classifier.0", "top_dense", "dense"), ("classifier.3", "predictions", "dense"))
_FORMATS = ("PyTorch zip", "PyTorch legacy stream")
_FILES = "https://docs.pytorch.org/vision/stable/models.html"

MOBILENET_V3 = Family(
    name="torchvision/mobilenet_v3",
    covers="MobileNetV3 large and small",
    files=_FILES,
    proof="torchvision, 1.3e-6",
    source="https://github.com/pytorch/vision/blob/main/torchvision/models/mobilenetv3.py",
    license="BSD-3-Clause",
    formats=_FORMATS,
    preprocessing="torch",
    networks=tuple(_network(name, name, "features.", MOBILENET_V3_TOP) for name in specs.MOBILENETS_V3),
    classes="classifier.3.weight",
    head=r"(top_dense|predictions)/.*",
    conventions=("new", "previous", "one"),
    public=public_classifier,
)

_MOBILENET_V2 = (*light_trunks.mobilenet_v2(), ("classifier.1", "predictions", "dense"))

MOBILENET_V2 = Family(
    name="torchvision/mobilenet_v2",
    covers="MobileNetV2",
    files=_FILES,
    proof="torchvision, 1.3e-6",
    source="https://github.com/pytorch/vision/blob/main/torchvision/models/mobilenetv2.py",
    license="BSD-3-Clause",
    formats=_FORMATS,
    preprocessing="torch",
    networks=(
        FamilyNetwork(
            "mobilenet_v2",
            table(_MOBILENET_V2, (COUNTER,)),
            "features.0.0.weight",
            light_variables.mobilenet_v2,
            public="mobilenet_v2",
            widest=light_variables.MOBILENET_V2_WIDEST,
        ),
    ),
    classes="classifier.1.weight",
    head=r"predictions/.*",
    public=public_classifier,
)

EFFICIENTNET = Family(
    name="torchvision/efficientnet",
    covers="EfficientNet-B0 to -B7",
    files=_FILES,
    proof="torchvision, 1.3e-6",
    source="https://github.com/pytorch/vision/blob/main/torchvision/models/efficientnet.py",
    license="BSD-3-Clause",
    formats=_FORMATS,
    preprocessing="torch",
    networks=tuple(
        FamilyNetwork(
            name,
            table(efficientnet(spec), (COUNTER,)),
            "features.0.0.weight",
            functools.partial(light_variables.efficientnet_with_top, spec=spec),
            public=name,
        )
        for name, spec in specs.EFFICIENTNETS.items()
        if not name.startswith("tf_")
    ),
    classes="classifier.1.weight",
    head=r"predictions/.*",
    public=public_classifier,
)

# Both have the rate of the new stride where torchvision's dilated backbone leaves a stride out.
_DILATED = {"output_stride": 16, "convention": "new"}
_DEEPLABV3 = (
    *((f"classifier.{source}", target, kind) for source, target, kind in DEEPLABV3_HEAD),
    *((f"aux_classifier.{source}", f"aux_{target}", kind) for source, target, kind in FCN_HEAD),
)
_LRASPP = (
    *unit("classifier.cbr", "cbr"),
    ("classifier.scale.1", "scale_conv", "conv"),
    ("classifier.low_classifier", "low_logits", "conv"),
    ("classifier.high_classifier", "logits", "conv"),
)


def _read_lraspp(shapes: Shapes) -> dict[str, Any]:
    return {"filters": shapes.get("classifier.cbr.0.weight", (128,))[0]}


DEEPLABV3 = Family(
    name="torchvision/deeplabv3_mobilenet_v3",
    covers="DeepLabV3 on MobileNetV3 large, auxiliary head",
    files=_FILES,
    proof="torchvision, 1.3e-6",
    source="https://github.com/pytorch/vision/blob/main/torchvision/models/segmentation/deeplabv3.py",
    license="BSD-3-Clause",
    formats=_FORMATS,
    preprocessing="torch",
    networks=(
        _network(
            f"deeplabv3_{_LARGE}",
            _LARGE,
            "backbone.",
            _DEEPLABV3,
            aux_layer=_FINE,
            options={**_DILATED, "rates": (12, 24, 36)},
        ),
    ),
    classes="classifier.4.weight",
    aux="aux_classifier.4.weight",
    head=HEAD_OF_LIGHT,
    features="top_activation",
    trunk={"output_stride": 32},
    dilates=False,
    conventions=(),
    datasets=("voc",),
    public=_public_segmenter,
)

LRASPP = Family(
    name="torchvision/lraspp",
    covers="Lite R-ASPP on MobileNetV3 large",
    files=_FILES,
    proof="torchvision, 1.3e-6",
    source="https://github.com/pytorch/vision/blob/main/torchvision/models/segmentation/lraspp.py",
    license="BSD-3-Clause",
    formats=_FORMATS,
    preprocessing="torch",
    networks=(
        _network(
            f"lraspp_{_LARGE}",
            _LARGE,
            "backbone.",
            _LRASPP,
            options={**_DILATED, "low": _FINE},
            read=_read_lraspp,
            requires={"classifier.high_classifier.weight": "classifier.cbr.0.weight"},
        ),
    ),
    classes="classifier.high_classifier.weight",
    head=HEAD_OF_LIGHT,
    features="top_activation",
    trunk={"output_stride": 32},
    dilates=False,
    conventions=(),
    datasets=("voc",),
    public=_public_segmenter,
)
