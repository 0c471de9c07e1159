"""tf-slim's ResNets, whose stages end with the stride of the next: TensorFlow's, with weights converted from Caffe.

Source of the facts: https://github.com/google-research/tf-slim, tf_slim/nets/{resnet_v1,resnet_v2,resnet_utils}.py, and
https://github.com/tensorflow/models/blob/master/research/slim/preprocessing/vgg_preprocessing.py.
"""

import functools
from collections.abc import Iterator

from converters.families import further_variables
from converters.families.family import Family, FamilyNetwork
from converters.families.trunks import network
from converters.names.tables import Row, table
from tfseg import specs

FORMATS = ("TensorFlow checkpoint", "TensorFlow frozen graph")
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
    formats=FORMATS,
    preprocessing="slim",
    networks=tuple(map(_resnet, (50, 101, 152))),
    classes="resnet_v1_50/logits/weights",
    head=r"predictions/.*",
    options={"stride_at": "last", "stem_pool": "same"},
    conventions=("previous",),
    proof="tf_slim, 1.1e-6",
)


def _resnet_v2(depth: int) -> FamilyNetwork:
    prefix, name = f"resnet_v2_{depth}", f"resnetv2_{depth}_slim"
    unit, target = f"{prefix}/block{{s}}/unit_{{b}}/bottleneck_v2", "stage{s}_unit{b}"
    rows = (
        (f"{prefix}/conv1", "conv0", "tf_conv"),
        (f"{unit}/preact", f"{target}_bn1", "tf_norm"),
        (f"{unit}/shortcut", f"{target}_sc", "tf_conv"),
        (f"{unit}/conv{{c}}", f"{target}_conv{{c}}", "tf_conv"),
        (f"{unit}/conv{{c}}/BatchNorm", f"{target}_bn{{c+1}}", "tf_norm"),
        (f"{prefix}/postnorm", "bn1", "tf_norm"),
        (f"{prefix}/logits", "predictions", "tf_dense1x1"),
    )
    return FamilyNetwork(
        name,
        table(rows, MEAN),
        f"{prefix}/conv1/weights",
        functools.partial(further_variables.resnetv2, spec=specs.PREACTIVATION_RESNETS[name]),
        complete=r"stage\d_.*|conv0",
        classes=f"{prefix}/logits/weights",
    )


RESNET_V2 = Family(
    name="tensorflow/slim-resnet-v2",
    source="https://github.com/google-research/tf-slim",
    license="Apache-2.0",
    covers="ResNet V2 50, 101, 152 (`resnet_v2_50.ckpt`)",
    files="https://github.com/tensorflow/models/tree/master/research/slim#pre-trained-models",
    formats=FORMATS,
    preprocessing="inception",
    networks=tuple(map(_resnet_v2, (50, 101, 152))),
    classes="resnet_v2_50/logits/weights",
    head=r"predictions/.*",
    conventions=("previous",),
    proof="a twin in TensorFlow's own functions, 2.9e-7",
)
