"""Converted networks compute what kazuto1011's and isht7's DeepLabV2 do, layer by layer, for one size and for three."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
import torch
from helpers.deeplabv2_twins import Isht7, Kazuto
from helpers.references import copy_weights, filled_module, images, output, randomize, relative, torch_output
from torch.nn.functional import interpolate

import converters
import tfseg
from converters import ConversionError
from tfseg import specs

PUBLIC = "a twin of kazuto1011's or isht7's DeepLabV2"
TOLERANCE = 1e-5
SIZES = ((97, 129), (96, 128))
FAMILIES = {Kazuto: "kazuto1011/deeplab-pytorch", Isht7: "isht7/pytorch-deeplab-resnet"}
both = pytest.mark.parametrize("kind", FAMILIES)


def net(kind, **options):
    return filled_module(kind, 0, 1.0, **options)


@functools.cache
def converted(kind, depth=50, width=1 / 16):
    """The module, our model and its receipt; shared between tests, not to be changed."""
    module = net(kind, depth=depth, width=width, num_classes=21)
    return module, *converters.convert(module)


def check(module, model, name, record, sizes=SIZES):
    """Layer by layer, up to the logits, where theirs end."""
    weighted = {layer.name for layer in model.layers if layer.weights}
    for size in sizes:
        comparison = converters.compare(model, module, images(*size))
        assert {row.layer for row in comparison} == weighted | {"logits"}
        record(name, comparison.worst)
        comparison.assert_close(TOLERANCE)


def check_three_sizes(kind, depth, width, record):
    module, model, receipt = converted(kind, depth, width)
    assert (receipt.family, receipt.network, receipt.others) == (FAMILIES[kind], f"deeplabv2_resnet{depth}", [])
    check(module, model, f"{receipt.family} {depth}, width {width:g}", record)


@pytest.mark.full
@both
def test_parity_at_three_scales(kind, record):
    check_three_sizes(kind, 50, 1 / 16, record)
    # To the image's size as their evaluations bring it.
    module, model, _ = converted(kind)
    pixels = images(*SIZES[0])
    result = module(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()))
    result = result[-1] if kind is Isht7 else result
    wanted = interpolate(result, SIZES[0], mode="bilinear", align_corners=kind is Isht7)
    difference = relative(output(model, pixels), wanted.permute(0, 2, 3, 1))
    record(f"{FAMILIES[kind]} 50, at the image's size", difference)
    assert difference <= TOLERANCE


@pytest.mark.full
@both
@pytest.mark.parametrize("depth", [50, 101, 152])
def test_every_network_at_full_width(kind, depth, record):
    check_three_sizes(kind, depth, 1, record)
    converted.cache_clear()


@pytest.mark.full
def test_parity_at_one_scale(record):
    """Files of the network without its wrapper have one size; other files where it is asked for."""
    module, _, _ = converted(Kazuto)
    bare, receipt = converters.convert(module.base)
    assert receipt.family == "kazuto1011/deeplab-pytorch-base"
    check(module.base, bare, receipt.family, record)
    model, _ = converters.convert(module, multi_scale=False)
    assert len(model.layers) == len(bare.layers)
    assert np.array_equal(output(model, images(65, 83)), output(bare, images(65, 83)))


@pytest.mark.full
def test_parity_at_one_scale_with_aligned_corners(record):
    module, _, _ = converted(Isht7)
    model, _ = converters.convert(module, multi_scale=())
    logits = keras.Model(model.input, model.get_layer("logits").output)
    for size in SIZES:
        difference = relative(output(logits, images(*size)), torch_output(module.Scale, images(*size)))
        record("isht7/pytorch-deeplab-resnet, one size", difference)
        assert difference <= TOLERANCE


@pytest.mark.full
def test_parity_at_chosen_scales(record):
    scales = (0.5, 1.25)
    module = net(Kazuto, scales=scales, depth=50, width=1 / 16)
    model, receipt = converters.convert(module, multi_scale=(1, *scales))
    check(module, model, f"sizes {scales}", record, SIZES[:1])
    assert receipt.options["multi_scale"] == (1, *scales)


@pytest.mark.full
@both
def test_export_is_bit_identical(tmp_path, kind):
    module, model, _ = converted(kind)
    assert tfseg.metadata(model)["classes"][15] == "person"
    assert tfseg.metadata(model)["preprocessing"]["mean"] == [104.008, 116.669, 122.675]
    converters.export_weights(model, tmp_path / "back.pth", family=FAMILIES[kind])
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    expected = {key: value for key, value in module.state_dict().items() if not key.endswith("tracked")}
    assert back.keys() == expected.keys()
    assert all(torch.equal(back[key], value) for key, value in expected.items())


@pytest.mark.full
def test_it_is_written_as_kazuto1011s_by_default(tmp_path):
    _, model, _ = converted(Isht7)
    assert converters.export_weights(model, tmp_path / "m.safetensors").family == FAMILIES[Kazuto]


@pytest.mark.full
def test_features_are_of_the_image_itself():
    module, model, _ = converted(Kazuto)
    features, receipt = converters.convert(module, include_top=False)
    last = keras.Model(model.input, model.get_layer("conv5_block3_out").output)
    assert np.array_equal(output(features, images(65, 83)), output(last, images(65, 83)))
    assert not any(layer.name.startswith(("scale_", "aspp")) for layer in features.layers)
    assert receipt.options["multi_scale"] is False


@pytest.mark.full
def test_the_weights_that_training_starts_from():
    """The trunk with scores of 91 classes, for the head to come."""
    module, _, _ = converted(Kazuto)
    state = {key: value for key, value in module.base.state_dict().items() if not key.startswith("aspp")}
    state |= {"fc.weight": torch.ones(91, 128, 1, 1), "fc.bias": torch.ones(91)}
    features, receipt = converters.convert(state, include_top=False)
    assert {"fc.weight", "fc.bias"} <= set(receipt.ignored)
    model, receipt = converters.convert(state, num_classes=7, multi_scale=True)
    assert {path.partition("/")[0] for path in receipt.untouched} == {f"aspp_logits_{index}" for index in range(4)}
    last = keras.Model(model.input, model.get_layer("conv5_block3_out").output)
    assert np.array_equal(output(features, images(65, 83)), output(last, images(65, 83)))


@pytest.mark.full
def test_other_number_of_classes_needs_skip():
    module, _, _ = converted(Kazuto)
    with pytest.raises(ConversionError, match=r"with 21 classes; the model has 5.*skip=\['aspp_logits_'\]"):
        converters.convert(module, num_classes=5)
    model, receipt = converters.convert(module, num_classes=5, skip=["aspp_logits_"])
    assert model.output_shape == (None, None, None, 5)
    assert len(receipt.untouched) == 8


@pytest.mark.full
def test_invalid_options_are_refused():
    module, _, _ = converted(Kazuto)
    with pytest.raises(ConversionError, match=r"multi_scale is True, False or sizes .*Received: \(0.5, -1\)"):
        converters.convert(module, multi_scale=(0.5, -1))
    with pytest.raises(ConversionError, match=r"features are of one size of the image. Received: multi_scale=\(0.5,\)"):
        converters.convert(module, include_top=False, multi_scale=(0.5,))
    with pytest.raises(ConversionError, match=r"weights of kazuto1011/deeplab-pytorch were trained with 'new'"):
        converters.convert(module, convention="previous")


# ------------------------------------------------------------------------------------------------- the network by itself

SHORT = dataclasses.replace(specs.RESNETS["resnet50"], blocks=(1, 1, 1, 1), stride_in="1x1", stem_pool=(1, 2))


def short(multi_scale, **options):
    return tfseg.DeepLabV2(tfseg.ResNet(SHORT, output_stride=8, width=1 / 16), 5, multi_scale=multi_scale, **options)


@pytest.mark.full
def test_all_scales_share_their_layers():
    model = randomize(short(True))
    single = copy_weights(model, short(False))  # which asserts that the paths are the same
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    first = keras.Model(model.input, model.get_layer("aspp_sum").output)
    logits = keras.Model(single.input, single.get_layer("logits").output)
    pixels = images(65, 83)
    assert np.array_equal(output(first, pixels), output(logits, pixels))
    assert (output(model, pixels) >= output(single, pixels)).all()
    assert len(short((0.5, 1)).layers) == len(model.layers) - 2  # one of the two, and its logits
    assert relative(output(model, pixels), output(single, pixels)) > 0.01  # the others have their share


@pytest.mark.full
def test_saved_and_traced_models_compute_the_same(tmp_path):
    import tensorflow as tf

    model = randomize(short((0.5, 1.5), aux=True))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    traced = tf.function(model).get_concrete_function(tf.TensorSpec((None, None, None, 3)))
    for size in SIZES:
        pixels = images(*size)
        wanted = output(model, pixels)
        assert [tensor.shape for tensor in wanted] == [(1, *size, 5)] * 2
        assert all(map(np.array_equal, output(again, pixels), wanted))
        assert all(relative(*pair) <= TOLERANCE for pair in zip(traced(tf.constant(pixels)), wanted, strict=True))


def test_invalid_scales_are_refused():
    for scales in (0.5, (0.5, 0), "half"):
        with pytest.raises(ValueError, match=r"multi_scale is True, False or sizes relative to the image's.*Received:"):
            short(scales)
