"""Converted networks compute what hszhao/semseg's do, layer by layer.

It takes sizes of 8k + 1; at others, where it asserts, the twin computes what ours does.
"""

import keras
import pytest
import torch
from helpers.deep_stem_twins import SemsegClassifier, SemsegPSPNet
from helpers.references import filled_module, images, output, relative

import converters
import tfseg
from converters import ConversionError

PUBLIC = "a twin of hszhao/semseg"
TOLERANCE = 1e-5
SIZES = ((65, 81), (96, 121))  # maps of 9 x 11 and of 12 x 16 pixels: windows of equal and of unequal sizes


def net(kind, depth, seed=0, **options):
    return filled_module(kind, seed, 1.0, depth=depth, **options)


def check(module, model, name, sizes, record):
    weighted = {layer.name for layer in model.layers if layer.weights}
    for size in sizes:
        comparison = converters.compare(model, module, images(*size))
        assert {row.layer for row in comparison} == weighted | set(model.output_names)
        record(name, comparison.worst)
        comparison.assert_close(TOLERANCE)


def check_segmenter(depth, width, record):
    module = net(SemsegPSPNet, depth, width=width)
    model, receipt = converters.convert(module, aux=True)
    assert (receipt.family, receipt.network) == ("hszhao/semseg", f"pspnet_resnet{depth}")
    assert receipt.others == []
    check(module, model, f"pspnet{depth}, width {width:g}", SIZES, record)


def check_classifier(depth, width, record):
    module = net(SemsegClassifier, depth, width=width)
    model, receipt = converters.convert(module)
    assert (receipt.family, receipt.network) == ("hszhao/semseg-initmodel", f"resnet{depth}")
    check(module, model, f"initmodel resnet{depth}, width {width:g}", SIZES, record)


@pytest.mark.full
@pytest.mark.parametrize("depth", [50, pytest.param(101, marks=pytest.mark.full)])
def test_pspnet(depth, record):
    check_segmenter(depth, 1 / 8, record)


@pytest.mark.full
def test_the_classifier_that_it_starts_from(record):
    check_classifier(50, 1 / 8, record)


@pytest.mark.full
@pytest.mark.parametrize("depth", [50, 101, 152])
def test_every_network_at_full_width(depth, record):
    check_segmenter(depth, 1, record)
    check_classifier(depth, 1, record)


@pytest.mark.full
def test_a_training_file(tmp_path):
    module = net(SemsegPSPNet, 50, width=1 / 16)
    state = {f"module.{key}": value for key, value in module.state_dict().items()}
    torch.save({"epoch": 100, "state_dict": state, "optimizer": {"state": {}, "param_groups": []}}, tmp_path / "t.pth")
    model, receipt = converters.convert(tmp_path / "t.pth")
    wanted = module(torch.from_numpy(images(65, 81).transpose(0, 3, 1, 2).copy()))[0]
    assert relative(output(model, images(65, 81)), wanted.permute(0, 2, 3, 1)) <= TOLERANCE
    ignored = {key for key in receipt.ignored if not key.endswith("tracked")}
    assert ignored == {key for key in module.state_dict() if key.startswith("aux.") and not key.endswith("tracked")}


@pytest.mark.full
@pytest.mark.parametrize(("num_classes", "name"), [(21, "person"), (19, "bus"), (150, "table")])
def test_semseg_classes_of_three_data_sets(num_classes, name):
    model, _ = converters.convert(net(SemsegPSPNet, 50, width=1 / 16, num_classes=num_classes))
    facts = tfseg.metadata(model)
    assert (facts["classes"][15], len(facts["colors"])) == (name, num_classes)


@pytest.mark.full
@pytest.mark.parametrize("kind", [SemsegPSPNet, SemsegClassifier])
def test_export_is_bit_identical(tmp_path, kind):
    module = net(kind, 50, width=1 / 16)
    family = converters.identify(module).family
    model, _ = converters.convert(module, aux=True if kind is SemsegPSPNet else None)
    converters.export_weights(model, tmp_path / "back.pth", family=family)
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    expected = {key: value for key, value in module.state_dict().items() if not key.endswith("tracked")}
    assert back.keys() == expected.keys()
    assert all(torch.equal(back[key], value) for key, value in expected.items())


@pytest.mark.full
def test_semseg_dilation_rates():
    state = net(SemsegPSPNet, 50, width=1 / 16).state_dict()
    model, _ = converters.convert(state)
    layers = [model.get_layer(f"conv{stage}_block{block}_2_conv") for stage in (4, 5) for block in (1, 2)]
    assert [layer.dilation_rate[0] for layer in layers] == [2, 2, 4, 4]
    with pytest.raises(ConversionError, match=r"weights of hszhao/semseg were trained with 'new'"):
        converters.convert(state, convention="previous")


@pytest.mark.full
def test_its_classifier_becomes_its_segmenter():
    """The trunk is filled, the head keeps its initial values."""
    classifier = net(SemsegClassifier, 50, width=1 / 16)
    model, receipt = converters.convert(classifier, network="pspnet_resnet50", num_classes=5)
    assert receipt.transplant == "a ResNet classifier into a segmenter"
    assert {path.partition("_")[0] for path in receipt.untouched} == {"ppm", "head", "logits/kernel", "logits/bias"}
    features, _ = converters.convert(classifier, include_top=False, output_stride=8, convention="new")
    trunk = keras.Model(model.input, model.get_layer("conv5_block3_out").output)
    assert relative(output(trunk, images(65, 81)), output(features, images(65, 81))) <= TOLERANCE
