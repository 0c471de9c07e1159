"""The sizes and crops that `explain_geometry` derives are those of the networks, and both paddings are one function."""

import keras
import numpy as np
import pytest
from helpers.references import copy_weights, images, output, randomize, relative

import tfseg
from tfseg import specs

every_fcn = pytest.mark.parametrize("network", specs.FCNS)
every_padding = pytest.mark.parametrize("padding", [100, "same"])


@pytest.mark.quick_variants(3)
@every_padding
@every_fcn
def test_explained_sizes_are_those_of_the_network(network, padding):
    model = tfseg.build(network, num_classes=2, width=1 / 64, padding=padding)
    for size in ((1, 70), (31, 33), (65, 83), (96, 128)):
        rows = [row for row in tfseg.explain_geometry(network, *size, padding=padding) if row.crop is None]
        assert len(rows) == 8 + len(specs.FCNS[network])  # image, conv1_1, poolings, fc6, upscores
        taps = keras.Model(model.input, [*(model.get_layer(row.layer).output for row in rows), model.output])
        *maps, logits = output(taps, images(*size))
        assert {row.layer: row.grid.size for row in rows} == {
            row.layer: value.shape[1:3] for row, value in zip(rows, maps, strict=True)
        }
        assert logits.shape == (1, *size, 2)


@every_padding
@every_fcn
def test_every_crop_fits_at_every_size(network, padding):
    for side in range(1, 200):
        geometry = tfseg.explain_geometry(network, side, 2 * side, padding=padding)
        sizes = {row.layer: row.grid.size for row in geometry if row.crop is None}
        for layer, _, cropped, offset in (row for row in geometry if row.crop is not None):
            source = sizes[layer.removeprefix("score_") if layer.startswith("score_pool") else layer]
            assert all(offset + wanted <= available for wanted, available in zip(cropped.size, source, strict=True))
        assert geometry[-1].grid == geometry[0].grid


@every_fcn
def test_both_paddings_are_one_function_far_from_the_border(network):
    """With 99 zeros around its image, the light form differs only beyond the outermost pixels of fc6."""
    paper = randomize(tfseg.build(network, num_classes=3, width=1 / 32))
    same = copy_weights(paper, tfseg.build(network, num_classes=3, width=1 / 32, padding="same"))
    height, width = 129, 160
    pixels = images(height, width)
    ours = output(same, np.pad(pixels, [(0, 0), (99, 99), (99, 99), (0, 0)]))[:, 99 : 99 + height, 99 : 99 + width]
    reference = output(paper, pixels)
    assert relative(ours[:, 32:-32, 32:-32], reference[:, 32:-32, 32:-32]) <= 1e-5
    assert relative(ours, reference) > 0.01


def test_constant_scores_stay_constant():
    """Bilinear upscores add up to 1 wherever they overlap."""
    model = tfseg.FCN8s(2, width=1 / 64, padding="same")
    model.get_layer("score_fr").bias.assign([3.0, -2.0])
    logits = output(model, images(97, 130))
    np.testing.assert_allclose(logits[:, 32:-32, 32:-32], np.broadcast_to([3.0, -2.0], (1, 33, 66, 2)), rtol=1e-5)


@every_fcn
def test_scores_begin_at_zero(network):
    assert not output(tfseg.build(network, width=1 / 64), images(33, 40)).any()


@pytest.mark.parametrize("padding", [99, "valid"])
def test_an_unknown_padding_is_refused(padding):
    with pytest.raises(ValueError, match=rf"padding must be one of 100, 'same'. Received: {padding!r}"):
        tfseg.FCN8s(padding=padding)


def test_an_unknown_network_is_refused():
    with pytest.raises(ValueError, match=r"network must be one of 'fcn32s', .*Received: 'fcn4s'"):
        tfseg.explain_geometry("fcn4s", 5, 5)


def test_an_image_without_rows_is_refused():
    with pytest.raises(ValueError, match=r"at least one row and one column. Received: 0 x 5"):
        tfseg.explain_geometry("fcn8s", 0, 5)
