"""The networks by themselves: geometry, dilation, names, sizes, and what survives saving."""

import dataclasses
import functools
import re

import keras
import numpy as np
import pytest
from helpers.references import copy_weights, images, output, randomize, relative

import tfseg
from tfseg import specs

TOLERANCE = 1e-5
V1 = dataclasses.replace(specs.RESNETS["resnet50"], stride_in="1x1")  # the stride where Caffe and keras.applications have it
SHORT_V1 = dataclasses.replace(V1, blocks=(1, 2, 2, 2))
SHORT_RESNEXT = dataclasses.replace(specs.RESNETS["resnext50_32x4d"], blocks=(1, 2, 2, 2))


def resnet(spec, **options):
    return tfseg.ResNet(spec, **({"width": 1 / 8} | options))


def fcn_head(**options):
    return tfseg.FCN(resnet(18, output_stride=8, **options), 5, aux=True)


def deeplabv3plus(**options):
    return tfseg.DeepLabV3Plus(resnet(18, output_stride=16, **options), 5, filters=8, low_level_filters=3)


HEADS = ("fcn_", "deeplabv2_", "deeplabv3_", "deeplabv3plus_", "pspnet_", "drnseg_")
SMALL = {  # one net of each kind
    "vgg": functools.partial(tfseg.VGG, 11, batch_norm=True, width=1 / 16),
    "vgg classifier": functools.partial(tfseg.VGG, 16, width=1 / 32, include_top=True, num_classes=5),
    "resnet": functools.partial(resnet, 18, output_stride=8),
    "resnext classifier": functools.partial(resnet, SHORT_RESNEXT, include_top=True, num_classes=5),
    "resnest classifier": functools.partial(resnet, "resnest14d", include_top=True, num_classes=5),
    "fcn8s": functools.partial(tfseg.FCN8s, 5, width=1 / 32),
    "fcn8s same": functools.partial(tfseg.FCN8s, 5, width=1 / 32, padding="same"),
    "fcn8s at once": functools.partial(tfseg.FCN8sAtOnce, 5, width=1 / 32),
    "fcn head": fcn_head,
    "deeplabv3plus": deeplabv3plus,
    "drn classifier": functools.partial(tfseg.DRN, "c_26", width=1 / 8, include_top=True, num_classes=5),
    "drnseg": lambda **options: tfseg.DRNSeg(tfseg.DRN("d_22", width=1 / 8, **options), 5),
}


# ------------------------------------------------------------------------------------------------------------ dilation


@functools.cache
def strided(build, *args):
    return randomize(build(*args))


def vgg(batch_norm=False, **options):
    return tfseg.VGG(16, batch_norm=batch_norm, width=1 / 16, **options)


def maps(coarse, dense, step, size):
    """The dense net's map at every `step`-th pixel, and the strided net's."""
    pixels = images(*size)
    return output(dense, pixels)[:, ::step, ::step], output(coarse, pixels)


@pytest.mark.parametrize(
    ("spec", "output_stride"),
    [
        pytest.param(spec, stride, id=f"{name}-{stride}", marks=pytest.mark.full if slow else ())
        for name, spec in (("18", 18), ("34", 34), ("50", 50), ("resnext", SHORT_RESNEXT), ("v1", SHORT_V1))
        for stride in (16, 8, 4)
        for slow in [name == "34" or (name, stride) == ("resnext", 4)]
    ],
)
def test_a_dilated_resnet_has_the_old_map_on_the_old_grid(spec, output_stride):
    coarse = strided(resnet, spec)
    dense = copy_weights(coarse, resnet(spec, output_stride=output_stride))
    for size in ((129, 97), (96, 130)):
        assert relative(*maps(coarse, dense, 32 // output_stride, size)) <= TOLERANCE


@pytest.mark.parametrize("output_stride", [16, 8, 4])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_dilated_vgg_has_the_old_map_on_the_old_grid(batch_norm, output_stride):
    coarse = strided(vgg, batch_norm)
    dense = copy_weights(coarse, vgg(batch_norm, output_stride=output_stride))
    # Of 264 x 200 and 260 x 228 pixels a pooling leaves out the last odd row: no border may move.
    for size in ((129, 131), (97, 161), (96, 128), (264, 200), (260, 228)):
        assert relative(*maps(coarse, dense, 32 // output_stride, size)) <= TOLERANCE


@pytest.mark.parametrize(
    ("spec", "convention", "output_stride", "holds"),
    [
        *((spec, "new", 16, False) for spec in (18, 50)),
        *((SHORT_V1, "new", output_stride, True) for output_stride in (16, 8)),
        *((spec, "one", output_stride, output_stride == 16) for spec in (18, 50) for output_stride in (16, 8)),
        (SHORT_V1, "one", 8, True),
    ],
)
def test_which_conventions_keep_the_old_map(spec, convention, output_stride, holds):
    """A 3x3 that lost its stride must keep its old rate: 1 in the first dilated stage, 2 in the next."""
    coarse = strided(resnet, spec)
    dense = copy_weights(coarse, resnet(spec, output_stride=output_stride, convention=convention))
    difference = relative(*maps(coarse, dense, 32 // output_stride, (97, 129)))
    assert difference <= TOLERANCE if holds else difference > 0.05


@pytest.mark.parametrize(
    ("options", "rates"),
    [
        ({"output_stride": 16}, [1, 4, 8]),
        ({"output_stride": 16, "convention": "new"}, [2, 4, 8]),
        ({"output_stride": 8}, [2, 8, 16]),
        ({}, [1, 2, 4]),
    ],
)
def test_multi_grid_multiplies_the_rates_of_the_last_stage(options, rates):
    plain, grid = (resnet(50, **options, multi_grid=factors) for factors in (None, (1, 2, 4)))
    changed = {f"conv5_block{block}_2_conv": rate for block, rate in enumerate(rates, 1)}
    for layer in grid.layers:
        if isinstance(layer, keras.layers.Conv2D):
            expected = plain.get_layer(layer.name).dilation_rate
            assert layer.dilation_rate == ((changed[layer.name],) * 2 if layer.name in changed else expected)


# --------------------------------------------------------------------------------------------------------------- names


def test_resnet50_is_that_of_keras_applications_by_name_and_by_value():
    """Theirs is version 1: strides in the 1x1, an epsilon of its own, and biases, which are zero here."""
    theirs = randomize(keras.applications.ResNet50(weights=None, include_top=False))
    ours = tfseg.ResNet(dataclasses.replace(V1, epsilon=1.001e-5))
    values = {variable.path: variable for variable in theirs.weights}
    biases = {path for path in values if path.endswith("conv/bias")}
    assert {variable.path for variable in ours.weights} == set(values) - biases
    for path in biases:
        values[path].assign(np.zeros(values[path].shape))
    for variable in ours.weights:
        variable.assign(values[variable.path])
    for size in ((65, 83), (96, 128)):
        assert relative(output(ours, images(*size)), output(theirs, images(*size))) <= TOLERANCE


VGG16_CONVS = {
    f"conv{stage}_{index}" for stage, count in enumerate((2, 2, 3, 3, 3), 1) for index in range(1, count + 1)
}
TRUNK = VGG16_CONVS | {"fc6", "fc7", "score_fr"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vgg16", VGG16_CONVS),
        ("vgg16_bn", VGG16_CONVS | {f"{conv}_bn" for conv in VGG16_CONVS}),
        ("fcn32s", TRUNK | {"upscore"}),
        ("fcn16s", TRUNK | {"upscore2", "score_pool4", "upscore16"}),
        ("fcn8s", TRUNK | {"upscore2", "score_pool4", "upscore_pool4", "score_pool3", "upscore8"}),
        ("fcn8s_atonce", TRUNK | {"upscore2", "score_pool4", "upscore_pool4", "score_pool3", "upscore8"}),
    ],
)
def test_layers_bear_the_papers_names(name, expected):
    model = tfseg.build(name, width=1 / 64)
    assert {layer.name for layer in model.layers if layer.weights} == expected
    assert {f"pool{stage}" for stage in range(1, 6)} < {layer.name for layer in model.layers}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.full if re.search("resne|drn", name.replace("resnet18", "")) else ())
        for name in tfseg.list_models()
        if not name.startswith(HEADS) or name.endswith(("_resnet18", "_drn_d_22"))  # a head is the same on all others
    ],
)
def test_every_listed_network_is_built(name):
    segments = name in (*specs.FCNS, *specs.DEEPLAB_VGGS) or name.startswith(HEADS)
    model = tfseg.build(name, width=1 / 32, num_classes=3, channels=2, **({} if segments else {"include_top": True}))
    assert model.name == name
    assert model.input_shape == (None, None, None, 2)
    assert model.output_shape == ((None, None, None, 3) if segments else (None, 3))
    assert not any("." in layer.name for layer in model.layers)  # the torch backend refuses dots


def test_the_list_is_sorted_and_complete():
    segmenters = [f"{head}{name}" for head in HEADS if head != "drnseg_" for name in specs.RESNETS]
    segmenters += [f"{head}{name}" for head in ("fcn_", "deeplabv3_", "pspnet_", "drnseg_") for name in specs.DRNS]
    segmenters += [*specs.FCNS, *specs.DEEPLAB_VGGS]
    assert tfseg.list_models() == sorted([*specs.VGGS, *specs.RESNETS, *specs.DRNS, *segmenters])


# --------------------------------------------------------------------------------------------------------------- sizes


@pytest.mark.parametrize("channels", [1, pytest.param(4, marks=pytest.mark.full)])
def test_the_documented_shapes(channels):
    nets = {kind: build(channels=channels) for kind, build in SMALL.items()}
    nets |= {stride: resnet(18, output_stride=stride, channels=channels) for stride in (32, 4)}
    for height, width in ((33, 47), (64, 32)):
        pixels = images(height, width, channels=channels, batch=2)
        shapes = {kind: np.shape(output(net, pixels)) for kind, net in nets.items()}
        logits = (2, height, width, 5)
        assert shapes == {
            **{stride: (2, -(-height // stride), -(-width // stride), 64) for stride in (32, 4)},
            "resnet": (2, -(-height // 8), -(-width // 8), 64),
            "vgg": (2, height // 32, width // 32, 32),
            "vgg classifier": (2, 5),
            "resnext classifier": (2, 5),
            "resnest classifier": (2, 5),
            "fcn8s": logits,
            "fcn8s same": logits,
            "fcn8s at once": logits,
            "fcn head": (2, *logits),  # logits and aux_logits
            "deeplabv3plus": logits,
            "drn classifier": (2, 5),
            "drnseg": logits,
        }


every_fcn = pytest.mark.parametrize("network", specs.FCNS)
every_padding = pytest.mark.parametrize("padding", [100, "same"])


@every_padding
@every_fcn
def test_the_explained_sizes_are_those_of_the_network(network, padding):
    model = tfseg.build(network, num_classes=2, width=1 / 64, padding=padding)
    for size in ((1, 70), (31, 33), (65, 83), (96, 128)):
        steps = [step for step in tfseg.explain_geometry(network, *size, padding=padding) if step.crop is None]
        assert len(steps) == 8 + len(specs.FCNS[network])  # image, conv1_1, poolings, fc6, upscores
        taps = keras.Model(model.input, [*(model.get_layer(step.layer).output for step in steps), model.output])
        *maps, logits = output(taps, images(*size))
        assert {step.layer: step.grid.size for step in steps} == {
            step.layer: value.shape[1:3] for step, value in zip(steps, maps, strict=True)
        }
        assert logits.shape == (1, *size, 2)


@every_padding
@every_fcn
def test_every_crop_fits_at_every_size(network, padding):
    for side in range(1, 200):
        ladder = tfseg.explain_geometry(network, side, 2 * side, padding=padding)
        sizes = {step.layer: step.grid.size for step in ladder if step.crop is None}
        for layer, _, wanted, crop in (step for step in ladder if step.crop is not None):
            source = sizes[layer.removeprefix("score_") if layer.startswith("score_pool") else layer]
            assert all(crop + want <= have for want, have in zip(wanted.size, source, strict=True))
        assert ladder[-1].grid == ladder[0].grid


@every_fcn
def test_both_paddings_are_one_function_far_from_the_border(network):
    """Give the light form 99 zeros about its image, and only what lies beyond the outermost pixels of fc6 differs."""
    paper = randomize(tfseg.build(network, num_classes=3, width=1 / 32))
    same = copy_weights(paper, tfseg.build(network, num_classes=3, width=1 / 32, padding="same"))
    height, width = 129, 160
    pixels = images(height, width)
    ours = output(same, np.pad(pixels, [(0, 0), (99, 99), (99, 99), (0, 0)]))[:, 99 : 99 + height, 99 : 99 + width]
    theirs = output(paper, pixels)
    assert relative(ours[:, 32:-32, 32:-32], theirs[:, 32:-32, 32:-32]) <= TOLERANCE
    assert relative(ours, theirs) > 0.01


def test_the_crops_meet_the_image():
    """A constant map of scores stays constant: bilinear upscores add up to one wherever they overlap."""
    model = tfseg.FCN8s(2, width=1 / 64, padding="same")
    model.get_layer("score_fr").bias.assign([3.0, -2.0])
    logits = output(model, images(97, 130))
    np.testing.assert_allclose(logits[:, 32:-32, 32:-32], np.broadcast_to([3.0, -2.0], (1, 33, 66, 2)), rtol=1e-5)


def test_scores_begin_at_zero():
    for network in specs.FCNS:
        assert not output(tfseg.build(network, width=1 / 64), images(33, 40)).any()


# ------------------------------------------------------------------------------------------------ saving and precision


def assert_same(nets, close):
    """Two nets' outputs, one or several, by `close(ours, theirs)`."""
    ours, theirs = (keras.tree.flatten(output(net, images(65, 70))) for net in nets)
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == np.float32
        assert close(one, other)


@pytest.mark.parametrize("build", SMALL.values(), ids=SMALL)
def test_a_saved_network_is_the_same_function(build, tmp_path):
    model = randomize(build())
    model.save(tmp_path / "model.keras")
    assert_same((keras.saving.load_model(tmp_path / "model.keras"), model), np.array_equal)
    assert_same((copy_weights(model, keras.models.clone_model(model)), model), np.array_equal)


@pytest.mark.parametrize("kind", ["vgg classifier", "fcn8s", "fcn head"])
def test_facts_travel_with_the_model(kind, tmp_path):
    model = SMALL[kind]()
    order = "BGR" if kind == "fcn8s" else "RGB"
    assert tfseg.metadata(model)["preprocessing"]["channel_order"] == order
    assert tfseg.metadata(model)["classes"] is tfseg.metadata(model)["colors"] is None
    facts = {
        "preprocessing": {"channel_order": "BGR", "divisor": 1.0, "mean": [1.0, 2.0, 3.0], "std": [4.0, 5.0, 6.0]},
        "classes": ["background", "wall"],
        "colors": [[0, 0, 0], [255, 0, 7]],
    }
    tfseg.set_metadata(model, **facts)
    model.save(tmp_path / "model.keras")
    for other in (model, keras.models.clone_model(model), keras.saving.load_model(tmp_path / "model.keras")):
        assert tfseg.metadata(other) == facts
    tfseg.set_metadata(model, classes=None)
    assert tfseg.metadata(model) == facts | {"classes": None}


@pytest.fixture
def mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("kind", ["fcn8s", "fcn8s same", "fcn8s at once", "fcn head"])
def test_logits_are_float32_in_mixed_precision(kind, mixed_precision):
    mixed = randomize(SMALL[kind]())
    keras.config.set_dtype_policy("float32")
    full = copy_weights(mixed, SMALL[kind]())
    assert {layer.compute_dtype for layer in mixed.layers if layer.weights} == {"bfloat16"}
    assert_same((mixed, full), lambda ours, theirs: relative(ours, theirs) < 0.1)


# -------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: tfseg.build("resnet5"), r"Unknown network: 'resnet5'. tfseg.list_models\(\) names the \d+ known ones"),
        (lambda: tfseg.ResNet(51), r"depth \(18, 34, .*a name \(resnet18, .*or a ResNetSpec. Received: 51"),
        (lambda: tfseg.ResNet(18, output_stride=2), r"output_stride must be one of 32, 16, 8, 4. Received: 2"),
        (lambda: tfseg.ResNet(18, convention="half"), r"convention must be one of 'previous', 'new', 'one'. .*'half'"),
        (lambda: tfseg.ResNet(50, multi_grid=(1, 2)), r"one factor for each of the 3 blocks.* Received: \(1, 2\)"),
        (lambda: tfseg.ResNet(50, multi_grid=(2, 4, 8)), r"multi_grid begins with 1, or output_stride is 16 or less"),
        (lambda: tfseg.ResNet([3]), r"A ResNet is a depth .* Received: \[3\]"),
        (lambda: tfseg.VGG(12), r"depth must be one of 11, 13, 16, 19. Received: 12"),
        (lambda: tfseg.VGG(16, output_stride=64), r"output_stride must be one of 32, 16, 8, 4. Received: 64"),
        (lambda: tfseg.VGG(16, include_top=True, output_stride=8), r"needs output_stride=32. Received: 8"),
        (lambda: tfseg.FCN8s(padding=99), r"padding must be one of 100, 'same'. Received: 99"),
        (lambda: tfseg.explain_geometry("fcn4s", 5, 5), r"network must be one of 'fcn32s', .*Received: 'fcn4s'"),
        (lambda: tfseg.explain_geometry("fcn8s", 0, 5), r"at least one row and one column. Received: 0 x 5"),
        (lambda: tfseg.FCN(SMALL["vgg classifier"](), 5), r"needs one map .* include_top=False. Received: output <"),
        (lambda: tfseg.FCN(fcn_head(), 5), r"needs one map .* Received: output \["),
        (lambda: tfseg.FCN(SMALL["vgg"](), 5, aux=True), r"'vgg11_bn' has no layer for the auxiliary head.*aux=True$"),
        (lambda: tfseg.FCN(SMALL["vgg"](), 5, aux="conv9"), r"neither conv9 nor conv9_block<n>_out. Received: aux='"),
        (lambda: tfseg.DeepLabV3Plus(SMALL["vgg"](), 5), r"no layer for the low-level features: neither conv2 nor "),
        (lambda: tfseg.PSPNet(SMALL["vgg"](), 5, features="x"), r"no layer for the head: neither x nor x_block<n>_out"),
        (lambda: tfseg.set_metadata(SMALL["vgg"](), colour=[]), r"preprocessing, classes and colors. Received: colour"),
        (lambda: tfseg.set_metadata(keras.Sequential(name="bare"), classes=[]), r"'bare' has no tfseg.layers.Metadata"),
    ],
)
def test_errors_say_what_was_expected_and_what_came(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_an_option_that_the_network_lacks():
    with pytest.raises(TypeError, match="padding"):
        tfseg.build("resnet18", padding="same")
