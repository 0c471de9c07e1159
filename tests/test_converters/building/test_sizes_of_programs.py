"""Programs that say the size of the image: in reshapes, pads, constants, branches and changes in place."""

import collections

import keras
import numpy as np
import pytest
import torch
from helpers.references import images, randomized_state, relative, torch_output
from torch import nn
from torch.nn import functional

import converters
import tfseg
from converters import ConversionError

pytestmark = pytest.mark.filterwarnings("ignore")  # torch.export's own


class Net(nn.Module):
    """A convolution with a stride, a table, and a function of both."""

    def __init__(self, function):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.table = nn.Parameter(torch.zeros(1, 4, 7, 5))
        self.token = nn.Parameter(torch.zeros(1, 1, 4))
        self.matrix = nn.Parameter(torch.zeros(4, 6))
        self.function = function

    def forward(self, image):
        return self.function(self, self.conv(image))


def padded_to_windows(net, x):
    height, width = x.shape[2:]
    x = functional.pad(x, (0, -width % 3, 0, -height % 3), value=1.0)
    return functional.avg_pool2d(x, 3)


def windows(net, x):
    """Swin's windows without a shift: partitioned, summed, put back and cut."""
    x = x.permute(0, 2, 3, 1)
    batch, height, width, channels = x.shape
    x = functional.pad(x, (0, 0, 0, -width % 4, 0, -height % 4))
    _, rows, columns, _ = x.shape
    x = x.view(batch, rows // 4, 4, columns // 4, 4, channels).permute(0, 1, 3, 2, 4, 5).reshape(-1, 16, channels)
    x = x - x.mean(1, keepdim=True)
    x = x.view(batch, rows // 4, columns // 4, 4, 4, channels).permute(0, 1, 3, 2, 4, 5)
    x = x.reshape(batch, rows, columns, channels)[:, :height, :width]
    return x.permute(0, 3, 1, 2)


def counted_positions(net, x):
    batch, _, height, width = x.shape
    places = torch.ones(batch, height, width, dtype=torch.bool).cumsum(1, dtype=torch.float32)
    places = places / (places[:, -1:, :] + 1e-6) + torch.arange(width, dtype=torch.float32) * 0.01
    return x + places[:, None].sin()


def resized_where_odd(net, x):
    height, width = x.shape[2:]
    even = (height + height % 2, width + width % 2)
    if even != (height, width):
        x = functional.interpolate(x, even, mode="bilinear", align_corners=False)
    return functional.max_pool2d(x, 2)


def part_changed_in_place(net, x):
    y = x * 2
    y[:, 1:3].mul_(3)
    y[:, 0] = 1.0
    return y + x


def without_autocast(net, x):
    with torch.autocast("cpu", enabled=False):
        x = x.float().relu() + 1
    return x


def resized_table(net, x):
    return x + functional.interpolate(net.table, x.shape[2:], mode="bilinear", align_corners=False)


def token_before(net, x):
    tokens = x.flatten(2).transpose(1, 2)
    tokens = torch.cat([net.token.expand(x.shape[0], -1, -1), tokens], 1)
    readout = tokens[:, :1].expand_as(tokens[:, 1:])
    return torch.cat([tokens[:, 1:], readout], 2)


def by_a_matrix(net, x):
    return x.flatten(2).transpose(1, 2) @ net.matrix


def depth_to_space(net, x):
    batch, channels, height, width = x.shape
    x = functional.pad(x, (0, width % 2, 0, height % 2))
    height, width = x.shape[2:]
    x = x.view(batch, channels, height // 2, 2, width // 2, 2).permute(0, 3, 5, 1, 2, 4)
    return x.reshape(batch, channels * 4, height // 2, width // 2)


EXACT = [
    padded_to_windows,
    windows,
    counted_positions,
    resized_where_odd,
    part_changed_in_place,
    without_autocast,
    resized_table,
    token_before,
    by_a_matrix,
    depth_to_space,
]


@pytest.mark.quick_variants(2)
@pytest.mark.parametrize("function", EXACT, ids=lambda function: function.__name__)
def test_sizes_are_taken_from_the_image(tmp_path, function):
    module = randomized_state(Net(function))
    model, receipt = converters.convert(module)
    for size in ((46, 90), (75, 52)):
        image = images(*size, batch=2)
        assert relative(model(image), torch_output(module, image)) <= 1e-5
    model.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(again(image), model(image))
    _check_steps(model, receipt)


def _check_steps(model, receipt):
    """Each call of a layer or operation computes one step, and the receipt says which."""
    owners = collections.Counter(name for row in receipt.steps for name in row["layers"])
    assert all(row["layers"] or row["why"] for row in receipt.steps)
    rest = [operation for operation in model.operations if not owners[operation.name]]
    assert {type(operation).__name__ for operation in rest} <= {"InputLayer", "Metadata", "Transpose"}
    assert all(owners[operation.name] <= len(operation._inbound_nodes) for operation in model.operations)


def other_above(net, x):
    return x if x.shape[2] > 110 else x * 2 - x * 0.5


def moved_where_large(net, x):
    return x.roll(3 if x.shape[2] > 110 else 0, 2)


def dropout_changed_in_place(net, x):
    functional.dropout(x, 0.5, training=False).clamp_(-60, 60)
    return x + 1


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize("function", [other_above, moved_where_large, dropout_changed_in_place])
def test_branches_that_no_single_program_has_are_refused(function):
    with pytest.raises(ConversionError):
        converters.convert(randomized_state(Net(function)))


@pytest.mark.full
def test_a_network_that_states_its_size_is_built_for_it_where_no_other_can_be():
    module = randomized_state(Net(lambda net, x: x.roll(x.shape[2] // 2, 2)))
    with pytest.raises(ConversionError, match=r"step roll"):
        converters.convert(module)
    module.img_size = 48
    model, receipt = converters.convert(module)
    assert model.input_shape == (None, 48, 48, 3)
    image = images(48, 48)
    assert relative(model(image), torch_output(module, image)) <= 1e-5
    assert "images of 48 x 48 pixels only" in str(receipt.notes)
    assert "step roll" in str(receipt.notes)


@pytest.mark.full  # the size that tells is a large one
def test_a_model_that_is_wrong_at_other_sizes_is_built_for_the_stated_one():
    """Only the comparison at a large size shows that the factor depends on it."""
    module = randomized_state(Net(lambda net, x: x.relu() * (0.5 if x.shape[2] > 250 else 1.5)))
    with pytest.raises(ConversionError, match=r"differs from its source"):
        converters.convert(module)
    module.default_cfg = {"input_size": (3, 20, 26)}
    model, receipt = converters.convert(module)
    assert model.input_shape == (None, 20, 26, 3)
    assert "images of 20 x 26 pixels only" in str(receipt.notes)
    assert "at other sizes it could not be built: " in str(receipt.notes)
    image = images(20, 26)
    assert relative(model(image), torch_output(module, image)) <= 1e-5


def test_a_channel_shuffle_moves_channels_only():
    def shuffled(net, x):
        batch, channels, height, width = x.shape
        return x.view(batch, 2, channels // 2, height, width).transpose(1, 2).reshape(batch, channels, height, width)

    model, _ = converters.convert(randomized_state(Net(shuffled)))
    moves = [operation for operation in model.operations if type(operation).__name__ == "Transpose"]
    assert not moves
    assert any(isinstance(layer, tfseg.layers.ShuffleChannels) for layer in model.layers)
