"""tf-slim's ResNets, whose stages end with the stride of the next: TensorFlow's, with weights converted from Caffe.

Source of the facts: https://github.com/google-research/tf-slim, tf_slim/nets/{resnet_v1,resnet_utils}.py, and
https://github.com/tensorflow/models/blob/master/research/slim/preprocessing/vgg_preprocessing.py.
"""

from collections.abc import Iterator

from converters.families.family import Family, FamilyNetwork
from converters.families.trunks import network
from converters.names.tables import Row
from tfseg import specs

MEAN = ((r".*/mean_rgb", "the mean color, which the preprocessing has"),)


def resnet_rows(prefix: str) -> Iterator[Row]:
    """The rows of a ResNet, whose scope has this name.

    Args:
        prefix: name of the scope.
    """
    unit = f"{prefix}/block{{s}}/unit_{{b}}/bottleneck_v1"
    for source, target in (
        (f"{prefix}/conv1", "conv1"),
        (f"{unit}/shortcut", "conv{s+1}_block{b}_0"),
        (f"{unit}/conv{{c}}", "conv{s+1}_block{b}_{c}"),
    ):
        yield source, f"{target}_conv", "tf_conv"
        yield f"{source}/BatchNorm", f"{target}_bn", "tf_norm"
    yield f"{prefix}/logits", "predictions", "tf_dense1x1"


def _resnet(depth: int) -> FamilyNetwork:
    return network(
        f"resnet{depth}",
        specs.RESNETS[f"resnet{depth}"],
        resnet_rows(f"resnet_v1_{depth}"),
        ignored=MEAN,
        classes=f"resnet_v1_{depth}/logits/weights",
    )


RESNET = Family(
    name="tensorflow/slim",
    source="https://github.com/google-research/tf-slim",
    license="Apache-2.0",
    covers="ResNet 50, 101, 152 (`resnet_v1_50.ckpt`)",
    files="https://github.com/tensorflow/models/tree/master/research/slim#pre-trained-models",
    formats=("TensorFlow checkpoint",),
    preprocessing="slim",
    networks=tuple(map(_resnet, (50, 101, 152))),
    classes="resnet_v1_50/logits/weights",
    head=r"predictions/.*",
    options={"stride_at": "last", "stem_pool": "same"},
    conventions=("previous",),
    proof="tf_slim, 1.1e-6",
)
