"""What a network does only at sizes far from those that are traced is found, and refused where the model differs."""

import numpy as np
import pytest
import torch
from helpers.references import relative
from torch import nn
from torch.nn import functional

from converters import ConversionError
from converters.building.build import build_from_module
from converters.building.module_inputs import one_image
from converters.building.size_probes import may_have_equal_steps, sizes_to_compare


class _Then(nn.Module):
    """A convolution, and then a function."""

    def __init__(self, function):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.function = function

    def forward(self, x):
        return self.function(self.conv(x))


def _kernel_by_size(x):
    kernel = 3 if x.shape[2] > 400 else 5
    return functional.avg_pool2d(x, kernel, 1, kernel // 2)


@pytest.mark.quick_variants(2)
@pytest.mark.parametrize(
    "function",
    [
        pytest.param(_kernel_by_size, id="another kernel in large images"),
        pytest.param(lambda x: x[:, :, :700], id="a cut of long images"),
        pytest.param(lambda x: functional.interpolate(x, size=(min(x.shape[2], 600), x.shape[3])), id="a bound"),
        pytest.param(lambda x: x[..., ::2] if x.shape[3] > 1500 else x, id="another step in wide images"),
        pytest.param(lambda x: x + (1.0 if x.shape[2] > 4000 else 0.0), id="another number in long images"),
    ],
)
def test_what_only_other_sizes_show_is_refused(function):
    with pytest.raises(ConversionError, match=r"A size that depends on the image|differs from its source"):
        build_from_module(_Then(function))


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(functional.relu, id="no sizes"),
        pytest.param(lambda x: functional.interpolate(x, scale_factor=2.0, mode="bilinear"), id="a factor"),
        pytest.param(lambda x: functional.interpolate(functional.max_pool2d(x, 2), size=x.shape[2:]), id="a size"),
        pytest.param(lambda x: functional.adaptive_avg_pool2d(x, 1), id="a global average"),
    ],
)
def test_usual_networks_are_compared_at_no_further_size(function):
    traced = [(193, 255), (256, 321), (319, 384), (331, 203)]
    assert sizes_to_compare(_Then(function).eval(), one_image(3), traced, 1, lambda size: True) == []


def test_a_network_that_reads_numbers_is_not_probed():
    module = _Then(lambda x: x * float(x.mean())).eval()
    with torch.no_grad():
        assert sizes_to_compare(module, one_image(3), [(193, 255)], 1, lambda size: True) is None


def test_an_example_gives_the_size_at_which_it_is_built():
    module = _Then(lambda x: x[:, :, :700])
    with torch.no_grad():
        expected = module(torch.ones(1, 3, 64, 96)).numpy()
    model, receipt = build_from_module(module, example=torch.zeros(1, 3, 64, 96))
    assert model.input_shape == (None, 64, 96, 3)
    assert "at other sizes it could not be built" in str(receipt.notes)
    assert relative(model(np.ones((1, 64, 96, 3), "float32")), expected.transpose(0, 2, 3, 1)) <= 1e-6


def test_sizes_that_surely_have_other_steps_are_not_traced():
    module = _Then(lambda x: (functional.pad(x, (0, 1)) if x.shape[3] % 2 else x)[:, :, : x.shape[2] // 2 * 2])
    may_have = may_have_equal_steps(module.eval(), one_image(3), (193, 255))
    assert [may_have(size) for size in ((97, 31), (96, 31), (97, 30), (96, 30))] == [True, False, False, False]


def test_a_reshape_that_copies_at_one_size_alone_tells_nothing():
    module = _Then(lambda x: (x.mT if x.shape[2] > 100 else x).reshape(x.shape[0], -1))
    may_have = may_have_equal_steps(module.eval(), one_image(3), (193, 255))
    assert may_have((64, 64))


def test_sizes_of_a_network_that_cannot_be_probed_are_traced():
    module = _Then(lambda x: x * float(x.mean()))
    assert may_have_equal_steps(module.eval(), one_image(3), (193, 255))((64, 64))
