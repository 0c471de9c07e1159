"""What in a file is not as in a network, in words: blocks that are missing, too many, or of another shape."""

import re

import pytest

from converters.families import FAMILIES
from converters.families.differences import describe_differences


def network(family, name):
    return FAMILIES[family].network(name)


def shapes(record, width=1 / 8):
    """Key -> shape of the variables that every file of the network has, of any size where the network has any."""
    keys = {}
    for path, shape in record.variables(width).items():
        key, rule = record.table.backward(path)
        keys[key] = rule.layout(len(shape)).inverse().target_shape(tuple(size or 3 for size in shape))
    return {key: shape for key, shape in keys.items() if shape}  # without the fc6 of a VGG, which a file may lack


def differences(family, name, other, other_family=None):
    """What speaks against `name` in a file of the network `other`."""
    return describe_differences(network(family, name), shapes(network(other_family or family, other)))


UNCONDITIONAL = [
    pytest.param(record, id=f"{family.name}-{record.name}")
    for family in FAMILIES.values()
    for record in family.networks
    if record.num_classes is None and "" not in record.requires.values() and record.channels is None
]


@pytest.mark.parametrize("record", UNCONDITIONAL)
def test_network_has_no_difference_from_its_own_file(record):
    rounds = re.search(
        "mobilenet|efficientnet|_bit", record.name
    )  # to multiples of 8 or 32, so that a narrow stem tells no width
    assert describe_differences(record, shapes(record, 1.0 if rounds else 1 / 8)) == []


@pytest.mark.parametrize(
    ("name", "other", "expected"),
    [
        ("resnet50", "resnet101", ["conv4 has 23 blocks instead of 6"]),
        ("resnet101", "resnet50", ["conv4 has 6 blocks instead of 23"]),
        ("resnet34", "resnet50", ["has bottlenecks where basic blocks are expected"]),
        ("resnet50", "resnet34", ["has basic blocks where bottlenecks are expected"]),
    ],
)
def test_blocks_are_counted(name, other, expected):
    assert differences("torchvision/resnet", name, other) == expected


@pytest.mark.parametrize(
    ("name", "other", "expected"),
    [
        ("seresnet50", "resnet50", "has no squeeze-and-excite"),
        ("resnet50", "resnet50d", "has no conv1.weight"),
        ("resnest50d", "resnet50d", "has no split attention"),
    ],
)
def test_absent_parts_are_named(name, other, expected):
    assert expected in differences("timm/resnet", name, other)


def test_other_width_of_groups_is_another_shape():
    expected = "has layer1.0.conv2.weight of 3x3x8x8 instead of 3x3x1x32, and 15 more like it"
    assert expected in differences("torchvision/resnet", "resnext50_32x4d", "resnet50")


def test_other_stem_width_is_another_shape():
    (difference, *_) = differences("timm/resnet", "resnet50c", "resnet50s")
    assert difference.startswith("has conv1.0.weight of 3x3x3x8 instead of 3x3xanyx4")


def test_convolutions_of_a_vgg_are_counted():
    assert differences("oxford/vgg", "vgg16", "vgg19") == [
        f"conv{stage} has 4 convolutions instead of 3" for stage in (3, 4, 5)
    ]


def test_fc6_that_deeplab_reduced_is_no_fc6_of_a_vgg():
    record = network("oxford/vgg", "vgg16")
    sizes = shapes(record) | {"fc6.weight": (128, 64, 3, 3)}
    assert describe_differences(record, sizes) == ["has fc6.weight of 128x64x3x3 instead of anyxany"]


def test_upscores_tell_the_fcns_apart():
    assert differences("wkentaro/pytorch-fcn", "fcn8s", "fcn16s") == [
        "has no upscore_pool4.weight",
        "has no score_pool3.weight",
        "has no upscore8.weight",
    ]


def test_biases_are_named():
    keras, old = "keras/resnet", "keras-team/keras-applications"
    record = network(keras, "resnet50")
    without = {key: shape for key, shape in shapes(record).items() if not key.endswith("bias")}
    assert describe_differences(record, without) == ["has convolutions without biases"]
    assert describe_differences(network(old, "resnet50"), shapes(network(old, "resnet50"))) == []


def test_one_missing_tensor_is_no_other_network():
    record = network("torchvision/resnet", "resnet50")
    sizes = shapes(record)
    del sizes["layer2.1.conv2.weight"]
    assert describe_differences(record, sizes) == []


def test_one_wrong_shape_is_no_other_network():
    record = network("torchvision/resnet", "resnet50")
    assert describe_differences(record, shapes(record) | {"layer2.1.conv2.weight": (1, 1, 3, 3)}) == []


def test_number_of_classes_tells_a_network():
    record = network("shelhamer/pascalcontext-fcn", "fcn32s")
    sizes = shapes(record)
    assert describe_differences(record, sizes) == ["has no classes instead of 60"]
    assert describe_differences(record, sizes | {"score_fr.weight": (21, 512, 1, 1)}) == [
        "has 21 classes instead of 60"
    ]
    assert describe_differences(record, sizes | {"score_fr.weight": (60, 512, 1, 1)}) == []


def test_required_key_depends_on_another():
    with_up, _ = (record for record in FAMILIES["fyu/drnseg"].networks if record.name == "drnseg_drn_d_22")
    sizes = shapes(with_up)
    assert describe_differences(with_up, sizes) == []
    assert describe_differences(with_up, sizes | {"seg.weight": (19, 512, 1, 1)}) == ["has no up.weight"]


def test_tensors_that_a_network_does_not_compute_tell_its_depth():
    family = FAMILIES["qubvel/segmentation_models.pytorch"]
    records = {depth: family.network(f"pspnet_resnet{depth}") for depth in (50, 101)}
    assert describe_differences(records[50], shapes(records[101].whole)) == ["conv4 has 23 blocks instead of 6"]
    assert describe_differences(records[50], shapes(records[50].whole)) == []
    assert describe_differences(records[50], shapes(records[101])) == []


def test_kernels_in_another_order_of_axes_have_another_shape():
    """They suggest widths at which some networks lack layers that the file has."""
    file = shapes(network("open-mmlab/mmsegmentation", "fcn_resnet50c"))
    turned = {
        key: tuple(shape[axis] for axis in (2, 3, 1, 0)) if len(shape) == 4 else shape for key, shape in file.items()
    }
    records = [record for family in FAMILIES.values() for record in family.networks if record.first in file]
    assert len(records) > 9
    for record in records:
        assert describe_differences(record, turned), record.name
