"""Converted networks compute what torchvision's compute, layer by layer, at odd and even sizes and output strides."""

import pytest
from helpers.references import SIZES, images, output, relative, torch_output, torchvision_net

import converters
from tfseg import specs

PUBLIC = "torchvision"
TOLERANCE = 1e-5
TWO_SIZES = SIZES[:2]  # one odd, one even
BOTTLENECKS = [
    name for name in specs.TORCHVISION_RESNETS if specs.RESNETS[name].bottleneck
]  # torchvision dilates no others
DILATED = {16: (False, False, True), 8: (False, True, True), 4: (True, True, True)}


def check(name, module, model, sizes, record):
    """Every layer with weights and every output, at every size; the first of them as a batch of two."""
    weighted = {layer.name for layer in model.layers if layer.weights}
    for size in sizes:
        comparison = converters.compare(model, module, images(*size, batch=2 if size == sizes[0] else 1))
        assert {row.layer for row in comparison} == weighted | set(model.output_names)
        record(name, comparison.worst)
        comparison.assert_close(TOLERANCE)


def check_classifier(name, output_stride, sizes, record):
    dilated = output_stride != 32
    module = torchvision_net(name, **({"replace_stride_with_dilation": DILATED[output_stride]} if dilated else {}))
    model, receipt = converters.convert(module, **({"output_stride": output_stride} if dilated else {}))
    assert (receipt.network, model.output_shape) == (name, (None, 1000))
    check(f"{name}, output stride {output_stride}" if dilated else name, module, model, sizes, record)


def check_features(name, sizes, record):
    module = torchvision_net(name)
    model, _ = converters.convert(module, include_top=False)
    children = list(module.children())
    features = children[0] if name.startswith("vgg") else type(module.layer4)(*children[:-2])
    for size in sizes:
        pixels = images(*size)
        difference = relative(output(model, pixels), torch_output(features, pixels))
        record(f"{name}, features", difference)
        assert difference <= TOLERANCE


def check_segmenter(name, sizes, record):
    module = torchvision_net(name, num_classes=21, aux_loss=True)
    model, receipt = converters.convert(module, aux=True)
    assert (receipt.network, model.output_shape) == (name, [(None, None, None, 21)] * 2)
    check(name, module, model, sizes, record)


@pytest.mark.quick_variants("resnet18")
@pytest.mark.parametrize("name", ["vgg16_bn", "resnet18", "resnet50"])
def test_classifiers(name, record):
    check_classifier(name, 32, TWO_SIZES, record)


@pytest.mark.full
@pytest.mark.parametrize(("output_stride", "size"), [(16, SIZES[0]), (8, SIZES[1])])
def test_dilated_classifiers(output_stride, size, record):
    check_classifier("resnet50", output_stride, [size], record)


@pytest.mark.full
@pytest.mark.parametrize("name", ["vgg11", "resnet18"])
def test_features(name, record):
    check_features(name, TWO_SIZES, record)


@pytest.mark.full
@pytest.mark.parametrize(("name", "size"), [("fcn_resnet50", SIZES[1])])
def test_segmenters_with_their_auxiliary_heads(name, size, record):
    check_segmenter(name, [size], record)


def test_the_comparison_names_the_layer_where_two_networks_part():
    module = torchvision_net("resnet18")
    model, _ = converters.convert(module)
    module.layer2[0].bn1.running_var *= 1.001
    with pytest.raises(AssertionError, match=r"diverges from the reference at conv3_block1_1_bn \(layer2.0.bn1\)"):
        converters.compare(model, module, images(65, 83)).assert_close(TOLERANCE)


# ----------------------------------------------------------------------------------------------------------- full size


@pytest.mark.full
@pytest.mark.parametrize("name", [*specs.VGGS, *specs.TORCHVISION_RESNETS])
def test_every_classifier(name, record):
    check_classifier(name, 32, SIZES, record)


@pytest.mark.full
@pytest.mark.parametrize("output_stride", DILATED)
@pytest.mark.parametrize("name", BOTTLENECKS)
def test_every_dilated_classifier(name, output_stride, record):
    check_classifier(name, output_stride, SIZES, record)


@pytest.mark.full
@pytest.mark.parametrize("name", [*specs.VGGS, *specs.TORCHVISION_RESNETS])
def test_every_feature_map(name, record):
    check_features(name, SIZES, record)


@pytest.mark.full
@pytest.mark.parametrize("name", ["fcn_resnet50", "fcn_resnet101", "deeplabv3_resnet50", "deeplabv3_resnet101"])
def test_every_segmenter(name, record):
    check_segmenter(name, SIZES, record)
