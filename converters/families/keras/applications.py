"""keras.applications: VGG, MobileNetV2 and ResNet, under today's layer names and under those of ResNet-50 until 2019.

Source of the facts: https://github.com/keras-team/keras, keras/src/applications/vgg16.py, vgg19.py, mobilenet_v2.py,
resnet.py;
https://github.com/keras-team/keras-applications, keras_applications/resnet50.py, where commit 36436f6 of August 2018
added zeros around the pooling; and https://github.com/fchollet/deep-learning-models, resnet50.py.
"""

import dataclasses
import functools

from converters.families import light_variables, variables
from converters.families.family import Family, FamilyNetwork
from converters.families.keras.qubvel_encoders import MOBILENET_V2_ROWS
from converters.families.trunks import network
from converters.names.tables import Row, table
from tfseg import specs

_FORMATS = ("Keras HDF5", "Keras zip")

# ---------------------------------------------------------------------------------------------------------------- VGG

_VGG = table(
    (
        ("block{s}_conv{i}", "conv{s}_{i}", "keras_conv"),
        ("fc1", "fc6", "keras_dense7x7"),
        ("fc2", "fc7", "keras_dense"),
        ("predictions", "fc8", "keras_dense"),
    )
)


def _vgg(depth: int) -> FamilyNetwork:
    convolutions = functools.partial(variables.vgg, depth=depth)
    return FamilyNetwork(f"vgg{depth}", _VGG, "block1_conv1/kernel", convolutions)


VGG = Family(
    name="keras/vgg",
    covers="VGG 16 and 19, with and without top (`vgg16_weights_tf_dim_ordering_tf_kernels.h5`)",
    files="https://keras.io/api/applications/vgg/",
    source="https://github.com/keras-team/keras/blob/master/keras/src/applications/vgg16.py",
    license="Apache-2.0",
    formats=_FORMATS,
    preprocessing="caffe",
    networks=tuple(map(_vgg, (16, 19))),
    classes="predictions/bias",
    head=r"fc[678]/.*",
    conventions=(),
    proof="keras.applications, 0",
)

# -------------------------------------------------------------------------------------------------------- MobileNetV2

MOBILENET_V2 = dataclasses.replace(
    VGG,
    name="keras/mobilenet_v2",
    covers="MobileNetV2, with and without top (`mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5`)",
    files="https://keras.io/api/applications/mobilenet/",
    source="https://github.com/keras-team/keras/blob/master/keras/src/applications/mobilenet_v2.py",
    preprocessing="inception",
    networks=(
        FamilyNetwork(
            "mobilenet_v2",
            table((*MOBILENET_V2_ROWS, ("predictions", "predictions", "keras_dense"))),
            "Conv1/kernel",
            light_variables.mobilenet_v2,
            widest=light_variables.MOBILENET_V2_WIDEST,
            complete=r"(stem|block\d+|top)_.*",
            options={"padding": "same", "epsilon": 1e-3},
        ),
    ),
    head=r"predictions/.*",
    conventions=("previous",),
    proof="keras.applications, 1.9e-7",
)

# ------------------------------------------------------------------------------------------------------------- ResNet

_NAMES = (
    ("conv1_conv", "conv1_conv", "keras_conv"),
    ("conv1_bn", "conv1_bn", "keras_norm"),
    ("conv{s}_block{b}_{c}_conv", "conv{s}_block{b}_{c}_conv", "keras_conv"),
    ("conv{s}_block{b}_{c}_bn", "conv{s}_block{b}_{c}_bn", "keras_norm"),
    ("predictions", "predictions", "keras_dense"),
    ("probs", "predictions", "keras_dense"),  # in keras_applications 1.0.8, whose files are still in use
)
OLD_NAMES = (
    ("conv1", "conv1_conv", "keras_conv"),
    ("bn_conv1", "conv1_bn", "keras_norm"),
    ("res{s}{b:a}_branch1", "conv{s}_block{b}_0_conv", "keras_conv"),
    ("bn{s}{b:a}_branch1", "conv{s}_block{b}_0_bn", "keras_norm"),
    ("res{s}{b:a}_branch2{c:a}", "conv{s}_block{b}_{c}_conv", "keras_conv"),
    ("bn{s}{b:a}_branch2{c:a}", "conv{s}_block{b}_{c}_bn", "keras_norm"),
    ("fc1000", "predictions", "keras_dense"),
)


def _resnet(depth: int, rows: tuple[Row, ...]) -> FamilyNetwork:
    return network(f"resnet{depth}", dataclasses.replace(specs.RESNETS[f"resnet{depth}"], biases="all"), rows)


RESNET = Family(
    name="keras/resnet",
    covers="ResNet 50, 101, 152, with and without top",
    files="https://keras.io/api/applications/resnet/",
    source="https://github.com/keras-team/keras/blob/master/keras/src/applications/resnet.py",
    license="Apache-2.0",
    formats=_FORMATS,
    preprocessing="caffe",
    networks=tuple(_resnet(depth, _NAMES) for depth in (50, 101, 152)),
    classes="predictions/bias",
    head=r"predictions/.*",
    options={"biases": "all", "epsilon": 1.001e-5, "stride_in": "1x1"},
    conventions=("previous", "new"),  # which are equal where a 1x1 strides
    proof="keras.applications, 5.1e-7",
)

OLD_RESNET = dataclasses.replace(
    RESNET,
    name="keras-team/keras-applications",
    covers="ResNet 50 of the years 2018 and 2019 (`resnet50_weights_tf_dim_ordering_tf_kernels.h5` of v0.2)",
    files="https://github.com/fchollet/deep-learning-models/releases/tag/v0.2",
    source="https://github.com/keras-team/keras-applications/blob/master/keras_applications/resnet50.py",
    license="MIT",
    networks=(_resnet(50, OLD_NAMES),),
    classes="fc1000/bias",
    options={"biases": "all", "epsilon": 1e-3, "stride_in": "1x1"},
    distinct="zeros around the first pooling",
    proof="keras_applications 1.0.8, 0",
)

OLDEST_RESNET = dataclasses.replace(
    OLD_RESNET,
    name="fchollet/deep-learning-models",
    covers="ResNet 50 of the years 2016 to 2018, whose first pooling drops an odd last row: the same files",
    source="https://github.com/fchollet/deep-learning-models/blob/master/resnet50.py",
    options={**OLD_RESNET.options, "stem_pool": (0, 0)},
    distinct="no zeros around the first pooling, whose map is 55 pixels wide instead of 56 for an image of 224",
    proof="keras_applications 1.0.4, 3.6e-8",
)
