"""DrSleep's DeepLabV2 for TensorFlow, converted from the Caffe original; TensorFlow pads its stem differently.

Its BatchNorms have the epsilon of tf-slim's layers, not Caffe's 1e-5. Source of the facts:
https://github.com/DrSleep/tensorflow-deeplab-resnet, deeplab_resnet/model.py, kaffe/tensorflow/network.py, evaluate.py.
"""

from converters.families.caffe import resnet
from converters.families.family import Family
from converters.families.trunks import FEATURES, HEAD, network
from converters.names.tables import Row
from tfseg import specs


def _normalized(conv: str, norm: str, target: str) -> tuple[Row, Row]:
    return (conv, f"{target}_conv", "tf_conv"), (f"bn{norm}", f"{target}_bn", "tf_norm")


_ROWS = (*resnet.resnet_rows(101, _normalized), ("fc1_voc12_c{i}", "aspp_logits_{i}", "tf_conv"))

DEEPLABV2 = Family(
    name="DrSleep/tensorflow-deeplab-resnet",
    source="https://github.com/DrSleep/tensorflow-deeplab-resnet",
    license="MIT",
    covers="DeepLabV2 on ResNet-101 for one size of the image (`deeplab_resnet.ckpt`)",
    files="https://github.com/DrSleep/tensorflow-deeplab-resnet",
    formats=("TensorFlow checkpoint",),
    preprocessing="fcn",
    networks=(network("deeplabv2_resnet101", specs.RESNETS["resnet101"], _ROWS),),
    classes="fc1_voc12_c0/weights",
    head=HEAD,
    features=FEATURES,
    options={
        "output_stride": 8,
        "stride_in": "1x1",
        "stem_same": True,
        "stem_pool": "same",
        "epsilon": 1e-3,
        "upsampling": "bilinear_asymmetric",
    },
    conventions=("previous", "new"),
    datasets=("voc",),
    proof="its own code, 9.7e-7",
)
