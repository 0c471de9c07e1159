"""meetps/pytorch-semseg: its PSPNet, the one of Caffe in torch.

Source of the facts: https://github.com/meetps/pytorch-semseg: ptsemseg/models/pspnet.py and utils.py. Its FCN, U-Net
and other networks enlarge and crop otherwise than those here.
"""

from converters.families.family import Family
from converters.families.light_trunks import unit
from converters.families.trunks import FEATURES, HEAD, network
from converters.names.tables import Row
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
