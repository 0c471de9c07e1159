"""meetps/pytorch-semseg: its PSPNet, the one of Caffe in torch; its FCNs, U-Net and SegNet.

Source of the facts: https://github.com/meetps/pytorch-semseg: ptsemseg/models/pspnet.py, fcn.py, unet.py, segnet.py and
utils.py; ptsemseg/loader/*.py and loss/loss.py.
"""

import dataclasses
import functools
from typing import Any

from converters.families import further_variables, variables
from converters.families.family import COUNTER, Family, FamilyNetwork
from converters.families.light_trunks import unit
from converters.families.trunks import FEATURES, HEAD, network
from converters.names.tables import Row, table
from converters.types import Shapes
from tfseg import specs

_SOURCE = "https://github.com/meetps/pytorch-semseg"
_ASSUMED = (
    "its poolings are those of images whose map at stride 8 has sides that 6 divides, such as 473 and 713 pixels: for "
    "others it leaves out a border, which is read here"
)


def _unit(source: str, target: str, kind: str = "cbr_unit") -> tuple[Row, Row]:
    return unit(f"{source}.{kind}", target)


def _rows() -> tuple[Row, ...]:
    block, target = "res_block{s}.layers.{b}", "conv{s}_block{b+1}"
    return (
        *(row for index in (1, 2, 3) for row in _unit(f"convbnrelu1_{index}", f"conv1_{index}")),
        *_unit(f"{block}.cbr1", f"{target}_1"),
        *_unit(f"{block}.cbr2", f"{target}_2"),
        *_unit(f"{block}.cb3", f"{target}_3", "cb_unit"),
        *_unit(f"{block}.cb4", f"{target}_0", "cb_unit"),
        *(
            row
            for place, bins in enumerate((6, 3, 2, 1))
            for row in _unit(f"pyramid_pooling.path_module_list.{place}", f"ppm_{bins}")
        ),
        *_unit("cbr_final", "head"),
        ("classification", "logits", "conv"),
        *_unit("convbnrelu4_aux", "aux_head"),
        ("aux_cls", "aux_logits", "conv"),
    )


# torch gives each path of the pyramid one name only: it registers the list, and `paths` is a plain one.
PSPNET = Family(
    name="meetps/pytorch-semseg",
    covers="PSPNet on ResNet-50 and -101, with the poolings of images of 473 or 713 pixels",
    files=_SOURCE,
    proof="its code, 3.6e-6",
    source=_SOURCE,
    license="MIT",
    formats=("PyTorch legacy stream", "PyTorch zip"),
    preprocessing="caffe",
    preprocessing_otherwise={"fcn": "networks that its trainer began, which subtracts that mean"},
    networks=tuple(
        network(f"pspnet_resnet{depth}s", specs.RESNETS[f"resnet{depth}s"], _rows(), assumed=_ASSUMED)
        for depth in (50, 101)
    ),
    classes="classification.weight",
    aux="aux_cls.weight",
    head=HEAD,
    features=FEATURES,
    options={
        "output_stride": 8,
        "convention": "new",
        "order": "reversed",
        "upsampling": "bilinear_align_corners",
    },
    conventions=("new",),
    datasets=("voc", "cityscapes", "ade20k"),
    dilates=False,
)


# ---------------------------------------------------------------------------------------- networks without a ResNet

_OTHERWISE = {"meetps": "networks trained on its ADE20K or CamVid, which are BGR minus a mean, divided by 255"}
_MEANS = (
    "mean and deviation are those of its PASCAL VOC; its other data sets have others, for which give preprocessing="
)
_PARTS: dict[str, Any] = {
    "preprocessing": "torch",
    "preprocessing_otherwise": _OTHERWISE,
    "aux": None,
    "options": {},
    "conventions": (),
    "dilates": False,
}


def _fcn(name: str, *, resized: bool) -> FamilyNetwork:
    """An FCN.

    Args:
        name: name in `tfseg.specs.FCNS`.
        resized: whether it repeats pixels to enlarge scores; if not, transposed convolutions do.
    """
    rows: list[Row] = [
        (f"conv_block{stage}.{2 * index}", f"conv{stage}_{index + 1}", "conv")
        for stage, count in enumerate(specs.VGG_CONVS[16], 1)
        for index in range(count)
    ]
    rows += [(f"classifier.{index}", layer, "conv") for index, layer in ((0, "fc6"), (3, "fc7"), (6, "score_fr"))]
    skips = [upscore.skip for upscore in specs.FCNS[name] if upscore.skip]
    rows += [(f"score_{skip}", f"score_{skip}", "conv") for skip in skips]
    upscores = {"upscore2": "upscore2", "upscore4": "upscore_pool4", "upscore8": "upscore8"}
    rows += [(source, layer, "upconv") for source, layer in upscores.items() if not resized]
    return FamilyNetwork(
        name,
        table(tuple(rows)),
        "conv_block1.0.weight",
        functools.partial(variables.fcn, name=name, resized=resized),
        complete=r"score_pool\d|upscore.*",
        options={"upsampling": "nearest"} if resized else {},
        assumed=_MEANS,
    )


FCN = dataclasses.replace(
    PSPNET,
    name="meetps/pytorch-semseg/fcn",
    covers="FCN-8s, and FCN-8s, -16s and -32s whose scores are enlarged by repeating pixels",
    proof="a twin of its code, 1.2e-6",
    networks=(
        _fcn("fcn8s", resized=False),
        *(_fcn(name, resized=True) for name in ("fcn8s", "fcn16s", "fcn32s")),
    ),
    classes="classifier.6.weight",
    head=r"(fc6|fc7|score_.*|upscore.*)/.*",
    features="pool5",
    **_PARTS,
)


def _unet_rows() -> tuple[Row, ...]:
    # The first row that fits is used: read backwards, the coarsest stage is the center.
    places = [("center", "encoder_4"), ("conv{i+1}", "encoder_{i}")]
    places += [(f"up_concat{4 - step}.conv", f"decoder_{step}") for step in range(4)]
    rows = [row for source, target in places for row in unit(f"{source}.conv{{c}}", f"{target}_conv{{c}}")]
    rows += [(f"up_concat{4 - step}.up", f"decoder_{step}_up", "upconv") for step in range(4)]
    return *rows, ("final", "logits", "conv")


def _read_unet(shapes: Shapes) -> dict[str, Any]:
    return {"norms": "conv1.conv1.1.weight" in shapes}


UNET = dataclasses.replace(
    PSPNET,
    name="meetps/pytorch-semseg/unet",
    covers="U-Net without padding, whose scores its loss enlarges to the image",
    proof="its code, 1.4e-6",
    networks=(
        FamilyNetwork(
            "plain_unet",
            table(_unet_rows(), (COUNTER,)),
            "conv1.conv1.0.weight",
            functools.partial(further_variables.plain_unet, form="meetps"),
            complete=r"decoder_\d_up",
            options={"form": "meetps", "biases": True},
            read=_read_unet,
            assumed=_MEANS,
            requires={"final.weight": "", "up_concat1.up.weight": ""},
        ),
    ),
    classes="final.weight",
    head=r"logits/.*",
    features="decoder_3_conv2_relu",
    ends_at_logits=True,
    **_PARTS,
)

_SEGNET_ROWS: tuple[Row, ...] = (
    *((source, target.removesuffix("_conv"), kind) for source, target, kind in _unit("down{s}.conv{i}", "conv{s}_{i}")),
    ("up1.conv2.cbr_unit.0", "logits", "conv"),
    ("up1.conv2.cbr_unit.1", "logits_bn", "norm"),
    *_unit("up{s}.conv{i}", "decoder_{s}_{i}"),
)
SEGNET = dataclasses.replace(
    PSPNET,
    name="meetps/pytorch-semseg/segnet",
    covers="SegNet, whose scores are never negative",
    proof="its code, 6.4e-7",
    networks=(
        FamilyNetwork(
            "plain_segnet",
            table(_SEGNET_ROWS, (COUNTER,)),
            "down1.conv1.cbr_unit.0.weight",
            functools.partial(further_variables.segnet, last_convs=1),
            complete=r"decoder_.*",
            options={"logits_norm": True},
            assumed=_MEANS,
        ),
    ),
    classes="up1.conv2.cbr_unit.0.weight",
    head=r"logits.*/.*",
    features="decoder_1_1_relu",
    **_PARTS,
)
