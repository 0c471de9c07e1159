"""The FCN four against wkentaro/pytorch-fcn, and the transplants that every FCN begins with."""

import pytest
from helpers.references import SIZES, images, output, relative, torchfcn_net, torchvision_net

import converters
import tfseg

PUBLIC = "torchfcn"
TOLERANCE = 1e-5
CLASSES = {"fcn32s": "FCN32s", "fcn16s": "FCN16s", "fcn8s": "FCN8s", "fcn8s_atonce": "FCN8sAtOnce"}
CROPS = {"fcn32s": [19], "fcn16s": [5, 27], "fcn8s": [5, 9, 31], "fcn8s_atonce": [5, 9, 31]}
SLIM = 1 / 16


def check(network, sizes, record, width=1):
    module = torchfcn_net(CLASSES[network], width=width)
    model, receipt = converters.convert(module, network=network)
    assert (receipt.family, receipt.network, receipt.untouched) == ("wkentaro/pytorch-fcn", network, {})
    compare(model, module, sizes, lambda worst: record(network if width == 1 else f"{network}, slim", worst))


def compare(model, module, sizes, record):
    weighted = {layer.name for layer in model.layers if layer.weights}
    for size in sizes:
        comparison = converters.compare(model, module, images(*size))
        assert {row.layer for row in comparison} == weighted | set(model.output_names)
        assert comparison[-1].shape == (1, *size, 21)
        record(comparison.worst)
        comparison.assert_close(TOLERANCE)


@pytest.mark.full
@pytest.mark.parametrize("network", CLASSES)
def test_all_four_slim(network, record):
    check(network, SIZES[:3], record, SLIM)


@pytest.mark.full
@pytest.mark.parametrize("network", CLASSES)
def test_all_four_at_full_width(network, record):
    check(network, SIZES, record)


@pytest.mark.full
def test_fcn8s_and_at_once_differ_by_their_scales_alone():
    """Same tensors, another function; and scores that undo the scales make it the same one."""
    state = torchfcn_net("FCN8sAtOnce", width=SLIM).state_dict()
    plain, receipt = converters.convert(state)
    at_once, _ = converters.convert(state, network="fcn8s_atonce")
    assert receipt.network == "fcn8s"
    assert any("fcn8s_atonce" in other for other in receipt.others)
    pixels = images(*SIZES[0])
    assert relative(output(plain, pixels), output(at_once, pixels)) > 0.1
    for skip, scale in (("score_pool4", 0.01), ("score_pool3", 0.0001)):
        kernel = plain.get_layer(skip).kernel
        kernel.assign(kernel * scale)
    assert relative(output(plain, pixels), output(at_once, pixels)) <= TOLERANCE


@pytest.mark.parametrize("size", [(1, 1), (65, 83), (375, 500)])
@pytest.mark.parametrize("network", CROPS)
def test_the_crops_follow_from_the_geometry(network, size):
    assert list(tfseg.explain_geometry(network, *size).crops.values()) == CROPS[network]


# --------------------------------------------------------------------------------------------------------- transplants


@pytest.mark.full
def test_a_vgg16_classifier_becomes_an_fcn32s(record):
    """The transplant of `copy_params_from_vgg16`: afterwards both nets are the same function."""
    classifier, reference = torchvision_net("vgg16", seed=1), torchfcn_net("FCN32s")
    ours, _ = converters.convert(reference)  # the score layers, which no classifier has
    reference.copy_params_from_vgg16(classifier)
    receipt = converters.import_weights(ours, classifier)
    assert receipt.transplant == "a VGG16 classifier into an FCN"
    assert set(receipt.untouched) == {"score_fr/kernel", "score_fr/bias", "upscore/kernel"}
    assert set(receipt.ignored) == {"classifier.6.weight", "classifier.6.bias"}
    compare(ours, reference, SIZES[:1], lambda worst: record("vgg16 into fcn32s", worst))


@pytest.mark.full
@pytest.mark.parametrize(
    ("source", "target", "copy", "left"),
    [
        ("FCN32s", "FCN16s", "copy_params_from_fcn32s", {"score_pool4", "upscore2", "upscore16"}),
        ("FCN16s", "FCN8s", "copy_params_from_fcn16s", {"score_pool3", "upscore_pool4", "upscore8"}),
    ],
)
def test_from_a_coarse_fcn_to_a_finer_one(source, target, copy, left, record):
    coarse, reference = torchfcn_net(source, seed=1, width=SLIM), torchfcn_net(target, width=SLIM)
    ours, _ = converters.convert(reference)
    getattr(reference, copy)(coarse)
    receipt = converters.import_weights(ours, coarse)
    assert {path.partition("/")[0] for path in receipt.untouched} == left
    compare(ours, reference, SIZES[:1], lambda worst: record(f"{source} into {target}, slim", worst))
