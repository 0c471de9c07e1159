"""CSAILVision/semantic-segmentation-pytorch beyond dilated ResNets: UPerNet, HRNetV2 and MobileNetV2.

Source of the facts: https://github.com/CSAILVision/semantic-segmentation-pytorch, mit_semseg/models/models.py, hrnet.py
and mobilenet.py.
"""

import dataclasses
import functools
from typing import Any

from converters.families import further_variables
from converters.families.family import COUNTER, Family, FamilyNetwork
from converters.families.further_trunks import hrnet
from converters.families.light_trunks import unit
from converters.families.pytorch.csail import C1, C1_ROWS, DILATED, IGNORED, STEM, public_pair
from converters.families.pytorch.mobilenet_names import mobilenet_v2_variables, plain_mobilenet_v2
from converters.families.pytorch.public_torchvision import import_torchvision
from converters.families.trunks import HEAD, network, trunk
from converters.names.tables import Row, table
from converters.types import Shapes
from tfseg import specs

_BINS = (1, 2, 3, 6)


def _upernet_rows() -> tuple[Row, ...]:
    """The rows of the decoder, whose levels are counted from the coarsest here and from the finest there."""
    return (
        *(row for index, side in enumerate(_BINS) for row in unit(f"ppm_conv.{index}", f"psp_{side}")),
        *unit("ppm_last_conv", "psp_out"),
        *(row for index in range(3) for row in unit(f"fpn_in.{index}", f"lateral_{2 - index}")),
        *(row for index in range(3) for row in unit(f"fpn_out.{index}.0", f"fpn_{2 - index}")),
        *unit("conv_last.0", "fusion"),
        ("conv_last.1", "logits", "conv"),
    )


def _read_upernet(shapes: Shapes) -> dict[str, Any]:
    keys = {"filters": "ppm_last_conv.0.weight", "bin_filters": "ppm_conv.0.0.weight"}
    return {option: shapes[key][0] for option, key in keys.items() if key in shapes}


def _public_upernet(name: str, *, num_classes: int, output_stride: int, aux: bool) -> Any:
    import_torchvision()  # which mit_semseg imports
    from mit_semseg.models import models, resnet

    encoder = models.Resnet(getattr(resnet, name)())
    return public_pair(encoder, models.UPerNet(num_class=num_classes, fc_dim=2048, fpn_dim=512))


_ASSUMED = (
    "the tensors do not tell the encoder's output stride or the sides of the pooled maps: they are 32, and 1, 2, 3 "
    "and 6, as in the published files"
)
_SPECS = {name: dataclasses.replace(specs.RESNETS[name], stem=STEM) for name in ("resnet50", "resnet101")}

UPERNET = Family(
    name="csailvision/upernet",
    covers="UPerNet and its lite form on ResNet-50 and -101 with a deep stem",
    files=C1.files,
    proof="mit_semseg, 6.8e-6",
    source=C1.source,
    license=C1.license,
    formats=C1.formats,
    preprocessing="torch",
    preprocessing_otherwise=C1.preprocessing_otherwise,
    networks=tuple(
        network(
            f"upernet_{name}",
            spec,
            [*trunk(spec, stem="numbered"), *_upernet_rows()],
            ignored=IGNORED,
            public=name,
            read=_read_upernet,
            dilates=False,
            assumed=_ASSUMED,
        )
        for name, spec in _SPECS.items()
    ),
    classes="conv_last.1.weight",
    head=HEAD,
    features=C1.features,
    options={
        "stem": STEM,
        "output_stride": 32,
        "normalize": False,
        "enlarge_bins_first": True,
        "upsampling": "bilinear",
        "taps": ("conv2", "conv3", "conv4", "conv5"),
    },
    dilates=False,
    conventions=("previous",),
    datasets=("ade20k",),
    parts={"encoder": r"conv1\.", "decoder": r"conv_last"},
    public=_public_upernet,
    ends_at_logits=True,
)


def _public_hrnet(name: str, *, num_classes: int, output_stride: int, aux: bool) -> Any:
    import_torchvision()
    from mit_semseg.models import hrnet as theirs
    from mit_semseg.models import models

    return public_pair(theirs.hrnetv2(), models.C1(num_class=num_classes, fc_dim=720))


HRNET = dataclasses.replace(
    C1,
    name="csailvision/hrnetv2",
    covers="HRNetV2-W48 with the decoder c1",
    distinct="coarse maps are enlarged bilinearly",
    proof="mit_semseg, 3.5e-6",
    networks=(
        FamilyNetwork(
            "fcn_hrnet_w48",
            table((*hrnet(), *C1_ROWS[:3]), (COUNTER, *IGNORED)),
            "conv1.weight",
            functools.partial(further_variables.hrnet, spec=specs.HRNETS["hrnet_w48"]),
            complete=r"(stem|stage\d|transition\d)_.*",
            public="hrnetv2",
            dilates=False,
        ),
    ),
    aux=None,
    head=r"(head|logits).*",
    features="maps",
    options={"exchange": "bilinear"},
    dilates=False,
    public=_public_hrnet,
)


def _public_mobilenet(name: str, *, num_classes: int, output_stride: int, aux: bool) -> Any:
    import_torchvision()
    from mit_semseg.models import mobilenet, models

    decoder = models.C1DeepSup if aux else models.C1
    return public_pair(models.MobileNetV2Dilated(mobilenet.mobilenetv2()), decoder(num_class=num_classes, fc_dim=320))


MOBILENET = dataclasses.replace(
    C1,
    name="csailvision/mobilenetv2",
    covers="MobileNetV2, dilated, with the decoder c1 or c1_deepsup",
    proof="mit_semseg, 3.3e-6",
    networks=(
        FamilyNetwork(
            "fcn_mobilenet_v2",
            table((*plain_mobilenet_v2(""), *C1_ROWS), (COUNTER, *IGNORED)),
            "features.0.0.weight",
            mobilenet_v2_variables,
            complete=r"(stem|block\d+|top)_.*",
            public="mobilenetv2",
            aux_layer="block14_project_bn",
            assumed_stride=DILATED,
        ),
    ),
    head=r"(?!(stem|block\d+)_).*",
    features="block17_project_bn",
    options={"output_stride": 8, "convention": "previous", "aux_reduction": 2, "top_conv": False},
    parts={"encoder": r"features\.", "decoder": r"conv_last"},
    public=_public_mobilenet,
)
