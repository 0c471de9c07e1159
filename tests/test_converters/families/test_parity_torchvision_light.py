"""Converted MobileNets, EfficientNets and segmenters on MobileNetV3 compute what torchvision's compute."""

import re

import pytest
import torch
from helpers.references import filled_module, images, output, relative, torch_output, torchvision_net
from helpers.torchvision_cpu import import_torchvision
from safetensors.numpy import load_file

import converters
from converters import ConversionError
from converters.families.pytorch.torchvision_light import EFFICIENTNET
from tfseg import specs

PUBLIC = "torchvision"
TOLERANCE = 1e-5
SIZES = ((65, 83), (96, 128))
CLASSIFIERS = ("mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large")
SEGMENTERS = ("lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large")


def classifier(name):
    return torchvision_net(name, num_classes=7)


def segmenter(name, **options):
    build = getattr(import_torchvision().models.segmentation, name)
    return filled_module(build, 0, 1.0, weights=None, weights_backbone=None, num_classes=21, **options)


def scores(module):
    """The first output of a segmenter of torchvision."""
    return lambda image: module(image)["out"]


def check(name, module, public, record, sizes=SIZES, **options):
    model, receipt = converters.convert(dict(module.state_dict()), **options)
    assert (receipt.network, receipt.untouched) == (name, {})
    for size in sizes:
        ours = output(model, images(*size))
        difference = relative(ours[0] if isinstance(ours, list) else ours, torch_output(public, images(*size)))
        record(name, difference)
        assert difference <= TOLERANCE
    return model, receipt


def assert_back(tmp_path, module, model, receipt):
    """The exported file has every tensor of the module, to the bit."""
    converters.export_weights(model, tmp_path / "back.safetensors", family=receipt.family)
    back = load_file(tmp_path / "back.safetensors")
    expected = {key: value for key, value in module.state_dict().items() if "num_batches" not in key}
    assert back.keys() == expected.keys()
    assert all((back[key] == value.numpy()).all() for key, value in expected.items())


@pytest.mark.full
def test_the_smallest_classifier(tmp_path, record):
    module = classifier("mobilenet_v3_small")
    model, receipt = check("mobilenet_v3_small", module, module, record, SIZES[:1])
    assert_back(tmp_path, module, model, receipt)


@pytest.mark.full
@pytest.mark.parametrize("name", [*CLASSIFIERS, *specs.DENSENETS, *(row.name for row in EFFICIENTNET.networks)])
def test_every_classifier(name, tmp_path, record):
    module = classifier(name)
    assert_back(tmp_path, module, *check(name, module, module, record))


@pytest.mark.full
def test_the_first_files_of_densenets_have_dots_before_numbers(record):
    module = classifier("densenet121")
    state = {re.sub(r"(layer\d+\.[a-z]+)(\d)", r"\1.\2", key): value for key, value in module.state_dict().items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in state
    model, receipt = converters.convert(state)
    assert receipt.network == "densenet121"
    assert relative(output(model, images(65, 83)), torch_output(module, images(65, 83))) <= TOLERANCE


@pytest.mark.full
@pytest.mark.parametrize("name", SEGMENTERS)
def test_segmenters(name, tmp_path, record):
    module = segmenter(name)
    model, receipt = check(name, module, scores(module), record)
    assert model.output_shape == (None, None, None, 21)
    assert_back(tmp_path, module, model, receipt)


@pytest.mark.full
def test_the_auxiliary_head_reads_the_first_map_of_stride_8(tmp_path, record):
    name = "deeplabv3_mobilenet_v3_large"
    module = segmenter(name, aux_loss=True)
    model, receipt = check(name, module, scores(module), record, aux=True)
    pixels = images(*SIZES[0])
    difference = relative(output(model, pixels)[1], torch_output(lambda image: module(image)["aux"], pixels))
    record(f"{name}, auxiliary", difference)
    assert difference <= TOLERANCE
    assert_back(tmp_path, module, model, receipt)


@pytest.mark.full
@pytest.mark.parametrize("name", ["mobilenet_v3_small", *SEGMENTERS])
def test_live_modules_are_of_the_family(name):
    module = classifier(name) if name in CLASSIFIERS else segmenter(name)
    _, receipt = converters.convert(module)
    assert (receipt.network, receipt.family[:12]) == (name, "torchvision/")
    assert "its result is the model's" in str(receipt)


@pytest.mark.full
def test_a_trunk_alone_has_stride_32():
    state = {key: value for key, value in segmenter(SEGMENTERS[0]).state_dict().items() if key.startswith("backbone.")}
    model, _ = converters.convert(dict(state))
    assert output(model, images(64, 96)).shape == (1, 2, 3, 960)


@pytest.mark.full
def test_one_dense_layer_in_place_of_the_classifier(record):
    module = classifier("mobilenet_v2")
    module.classifier = module.classifier[1]
    check("mobilenet_v2", module, module, record)


@pytest.mark.parametrize("key", ["classifier.0", "classifier"])
def test_a_part_of_mobilenet_v3s_classifier_is_refused(key):
    state = dict(classifier("mobilenet_v3_small").state_dict())
    state = {name: value for name, value in state.items() if not name.startswith("classifier")}
    state |= {f"{key}.weight": torch.zeros(5, 576), f"{key}.bias": torch.zeros(5)}
    with pytest.raises(ConversionError, match="mobilenet_v3_small of torchvision/mobilenet_v3 with another head"):
        converters.convert(state)
