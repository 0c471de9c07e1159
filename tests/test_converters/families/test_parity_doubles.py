"""Networks whose tensors are those of another one: each is built by its name, and computes what its original does."""

import pytest
from helpers import checkpoints
from helpers.references import filled_module, images, output, relative, timm_net, torch_output

import converters
import tfseg
from converters.families import FAMILIES
from converters.weights.foreign_weights import foreign_weights
from tfseg import specs

PUBLIC = "timm, and torchvision with moved strides"
TOLERANCE = 1e-5
QUICK = (("resnetblur18", 32), ("resnetblur18", 8), ("resnetaa34d", 16), ("resnet50_caffe_ceil", 32))
PADDED, CEIL = FAMILIES["open-mmlab/mmcv"], FAMILIES["ruotianluo/pytorch-resnet"]
CAFFE = {network.name: family for family in (PADDED, CEIL) for network in family.networks}


def caffe_net(name, output_stride=32):
    build = CAFFE[name].public
    return filled_module(lambda: build(name, num_classes=7, output_stride=output_stride, aux=False), 0, 1.0)


def sizes(name):
    """Where sides become odd, timm's averages and its shortcuts do not fit together."""
    return ((64, 96), (66, 98)) if "aa" in name else ((65, 83), (96, 128))


@pytest.mark.quick_variants("resnetblur18-8")
@pytest.mark.parametrize(
    ("name", "output_stride"),
    [
        pytest.param(name, stride, marks=() if (name, stride) in QUICK else pytest.mark.full)
        for name in specs.RESNET_DOUBLES
        for stride in (32, 16, 8)
        if name not in CAFFE
    ],
)
def test_antialiased_networks_are_timms(name, output_stride, record):
    module = timm_net(name, num_classes=7, output_stride=output_stride)
    model, receipt = converters.convert(module.state_dict(), network=name, output_stride=output_stride)
    assert (receipt.family, receipt.network, model.name) == ("timm/resnet", name, name)
    for size in sizes(name):
        difference = relative(output(model, images(*size)), torch_output(module, images(*size)))
        record(f"{name}, output stride {output_stride}", difference)
        assert difference <= TOLERANCE


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "output_stride"),
    [
        pytest.param(name, stride, marks=() if (name, stride) in QUICK else pytest.mark.full)
        for name in CAFFE
        for stride in (32, 8)
    ],
)
def test_caffe_networks_are_torchvisions_with_moved_strides(name, output_stride, record):
    module = caffe_net(name, output_stride)
    model, receipt = converters.convert(module.state_dict(), network=name, output_stride=output_stride)
    assert (receipt.family, receipt.network, model.name) == (CAFFE[name].name, name, name)
    assert receipt.preprocessing["channel_order"] == "BGR"
    for size in ((65, 83), (96, 128)):
        difference = relative(output(model, images(*size)), torch_output(module, images(*size)))
        record(f"{name}, output stride {output_stride}", difference)
        assert difference <= TOLERANCE


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("name", ["resnetblur18", "resnetaa34d", "resnet50_caffe_ceil"])
def test_doubles_have_the_variables_of_their_originals(name):
    """If they differed, the record of one would not fit the files of the other."""
    shapes = [
        {variable.path: tuple(variable.shape) for variable in tfseg.build(each, width=1 / 16).weights}
        for each in (name, specs.RESNET_DOUBLES[name][0])
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.full
def test_a_head_stands_on_the_double(tmp_path):
    """The trunk is the file's, also where the name of the segmenter is that of the plain network."""
    state = dict(foreign_weights(checkpoints.model("resnetaa50", width=1 / 16, include_top=True), "timm/resnet"))
    path = checkpoints.save(tmp_path / "resnetaa50.pth", state)
    for source, network in ((state, "fcn_resnetaa50"), (path, "fcn_resnetaa50"), (path, "fcn_resnet50")):
        segmenter, receipt = converters.convert(source, network=network, num_classes=2)
        assert receipt.network == "resnetaa50"
        assert segmenter.get_layer("conv3_block1_2_pool")


@pytest.mark.quick_variants(2)
@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("resnetaa50", "timm/resnet"),
        ("resnetblur18", "timm/resnet"),
        ("resnet50_caffe_ceil", CEIL.name),
        ("resnet50_caffe_padded", PADDED.name),
        ("resnet50", "torchvision/resnet"),
        ("resnet50d", "timm/resnet"),
    ],
)
def test_export_names_the_double(name, family):
    foreign = foreign_weights(checkpoints.model(name, width=1 / 16))
    assert (foreign.family, foreign.network) == (family, name)
