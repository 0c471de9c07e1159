"""DeepLabV2 on ResNet-101 in Caffe, by the authors.

Source of the facts: https://github.com/isht7/pytorch-deeplab-resnet: data/test.prototxt.
"""

from converters.families.caffe.resnet import resnet_rows
from converters.families.family import Family
from converters.families.trunks import FEATURES, HEAD, network
from tfseg import specs

DEEPLABV2 = Family(
    name="liangchiehchen/deeplab_aspp_resnet101",
    source="https://github.com/isht7/pytorch-deeplab-resnet/blob/master/data/test.prototxt",
    license="BSD-2-Clause",
    covers="DeepLabV2 on ResNet-101, the maximum over three sizes of the image",
    files="http://liangchiehchen.com/projects/DeepLabv2_resnet.html",
    formats=("Caffe",),
    preprocessing="deeplab",
    networks=(
        network(
            "deeplabv2_resnet101",
            specs.RESNETS["resnet101"],
            [*resnet_rows(101), ("fc1_voc12_c{i}", "aspp_logits_{i}", "conv")],
            ignored=((r".*_res0?(75|5).*", "the same weights again, for the image at another size"),),
        ),
    ),
    classes="fc1_voc12_c0.weight",
    head=HEAD,
    features=FEATURES,
    options={
        "output_stride": 8,
        "stride_in": "1x1",
        "stem_pool": (1, 2),
        "multi_scale": (0.75, 0.5),
        "upsampling": "bilinear_align_corners",
    },
    conventions=("previous", "new"),
    datasets=("voc",),
    proof="OpenCV, 1.3e-6, one size of the image",
)
