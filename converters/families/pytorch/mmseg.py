"""mmsegmentation: FCN and DeepLabV3 at output stride 8 (its "D8") on bottleneck ResNets.

Facts read off https://github.com/open-mmlab/mmsegmentation: mmseg/models/backbones/resnet.py,
mmseg/models/decode_heads/fcn_head.py, aspp_head.py and configs/_base_/models/*_r50-d8.py. Its ResNet-18 dilates the
first convolution of each block alone; its "d6" and "mg124" files have the tensors of those here under other rates.
"""

from converters.families.family import Family
from converters.families.trunks import FEATURES, HEAD, network, trunk
from tfseg import specs

# "r50b" is plain in mmsegmentation, "r50" has three 3x3 convolutions for a stem (V1c).
_BACKBONES = tuple(f"resnet{depth}{letter}" for depth in (50, 101, 152) for letter in ("c", "", "d"))


def _modules(rows):
    """Convolution and norm of each of mmcv's modules."""
    for source, target in rows:
        yield f"{source}.conv", f"{target}_conv", "conv"
        yield f"{source}.bn", f"{target}_bn", "norm"


_AUX = (
    *_modules([("auxiliary_head.convs.0", "aux_head")]),
    ("auxiliary_head.conv_seg", "aux_logits", "conv"),
)
_FCN = (
    *_modules(
        [
            ("decode_head.convs.0", "head"),
            ("decode_head.convs.1", "head_2"),
            ("decode_head.conv_cat", "head_cat"),
        ]
    ),
    ("decode_head.conv_seg", "logits", "conv"),
)
_DEEPLABV3 = (
    *_modules(
        [
            ("decode_head.image_pool.1", "aspp_pool"),
            ("decode_head.aspp_modules.{i}", "aspp_{i}"),
            ("decode_head.bottleneck", "aspp_project"),
        ]
    ),
    ("decode_head.conv_seg", "logits", "conv"),
)


def _networks(title, head, options):
    for name in _BACKBONES:
        spec = specs.RESNETS[name]
        own = {"average_shortcut": "none"} if spec.average_shortcut else {}
        rows = [*trunk(spec, "backbone.", stem="stem"), *head, *_AUX]
        yield network(f"{title}_{name}", spec, rows, options=options | own)


MMSEG = Family(
    name="open-mmlab/mmsegmentation",
    covers="FCN and DeepLabV3, D8, on ResNet-50, -101 and -152: V1c, plain (b) and V1d; auxiliary head",
    files="https://mmsegmentation.readthedocs.io/en/latest/model_zoo.html",
    proof="mmsegmentation, 4.2e-6",
    source="https://github.com/open-mmlab/mmsegmentation",
    license="Apache-2.0",
    formats=("PyTorch zip", "PyTorch legacy stream"),
    preprocessing="torch",
    networks=(
        *_networks("fcn", _FCN, {"convs": 2, "concat": True}),
        *_networks(
            "deeplabv3", _DEEPLABV3, {"filters": 512, "pool_first": True, "project_kernel": 3, "head_kernel": None}
        ),
    ),
    classes="decode_head.conv_seg.weight",
    aux="auxiliary_head.conv_seg.weight",
    head=HEAD,
    features=FEATURES,
    options={"output_stride": 8, "convention": "previous"},
    conventions=("previous",),
    datasets=("voc", "cityscapes", "ade20k"),
)
