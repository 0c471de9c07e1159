"""Networks built with an output stride: which of them have the old map on the old grid."""

import dataclasses
import functools

import keras
import pytest
from helpers.references import copy_weights, images, output, randomize, relative
from helpers.small_nets import SHORT_RESNEXT, SHORT_V1, narrow_resnet, narrow_vgg

from tfseg import specs

TOLERANCE = 1e-5


@functools.cache
def strided(build, *args):
    return randomize(build(*args))


def sampled_maps(coarse, dense, step, size):
    """The dense net's map at every `step`-th pixel, and the strided net's."""
    pixels = images(*size)
    return output(dense, pixels)[:, ::step, ::step], output(coarse, pixels)


@pytest.mark.quick_variants("18-16", "18-8", "18-4")
@pytest.mark.parametrize(
    ("spec", "output_stride"),
    [
        pytest.param(spec, stride, id=f"{name}-{stride}", marks=pytest.mark.full if slow else ())
        for name, spec in (("18", 18), ("34", 34), ("50", 50), ("resnext", SHORT_RESNEXT), ("v1", SHORT_V1))
        for stride in (16, 8, 4)
        for slow in [name == "34" or (name, stride) == ("resnext", 4)]
    ],
)
def test_dilated_resnet_has_the_old_map_on_the_old_grid(spec, output_stride):
    coarse = strided(narrow_resnet, spec)
    dense = copy_weights(coarse, narrow_resnet(spec, output_stride=output_stride))
    for size in ((129, 97), (96, 130)):
        assert relative(*sampled_maps(coarse, dense, 32 // output_stride, size)) <= TOLERANCE


@pytest.mark.quick_variants(2)
@pytest.mark.parametrize("output_stride", [16, 8, 4])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_dilated_vgg_has_the_old_map_on_the_old_grid(batch_norm, output_stride):
    coarse = strided(narrow_vgg, batch_norm)
    dense = copy_weights(coarse, narrow_vgg(batch_norm, output_stride=output_stride))
    # At 264 x 200 and 260 x 228 pixels a pooling leaves out the last odd row: no border may move.
    for size in ((129, 131), (97, 161), (96, 128), (264, 200), (260, 228)):
        assert relative(*sampled_maps(coarse, dense, 32 // output_stride, size)) <= TOLERANCE


@pytest.mark.quick_variants(1)
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
    coarse = strided(narrow_resnet, spec)
    dense = copy_weights(coarse, narrow_resnet(spec, output_stride=output_stride, convention=convention))
    difference = relative(*sampled_maps(coarse, dense, 32 // output_stride, (97, 129)))
    assert difference <= TOLERANCE if holds else difference > 0.05


@pytest.mark.quick_variants(1)
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
    plain, grid = (narrow_resnet(50, **options, multi_grid=factors) for factors in (None, (1, 2, 4)))
    changed = {f"conv5_block{block}_2_conv": rate for block, rate in enumerate(rates, 1)}
    for layer in grid.layers:
        if isinstance(layer, keras.layers.Conv2D):
            expected = plain.get_layer(layer.name).dilation_rate
            assert layer.dilation_rate == ((changed[layer.name],) * 2 if layer.name in changed else expected)


@pytest.mark.parametrize(
    ("spec", "options", "expected"),
    [
        # A basic block: by default the second convolution of the first block is dilated.
        (specs.RESNETS["resnet18"], {}, {"conv4_block1_1": (1, 1), "conv4_block1_2": (1, 2), "conv4_block2_1": (1, 2)}),
        (
            dataclasses.replace(specs.RESNETS["resnet18"], one_rate=True),
            {},
            {"conv4_block1_1": (1, 1), "conv4_block1_2": (1, 1), "conv4_block2_1": (1, 2), "conv5_block1_2": (1, 1)},
        ),
        (
            dataclasses.replace(SHORT_V1, stride_in="1x1_or_3x3"),
            {"output_stride": 16, "convention": "previous"},
            {"conv4_block1_1": (2, 1), "conv4_block1_2": (1, 1), "conv5_block1_1": (1, 1), "conv5_block1_2": (1, 1)},
        ),
    ],
)
def test_places_of_strides_and_rates(spec, options, expected):
    model = narrow_resnet(spec, **{"output_stride": 8, "convention": "one"} | options)
    layers = {name: model.get_layer(f"{name}_conv") for name in expected}
    assert {name: (layer.strides[0], layer.dilation_rate[0]) for name, layer in layers.items()} == expected
