"""Numbers that a program computes from the size of the image: the model computes them when an image comes."""

import math

import keras
import numpy as np
import pytest
import torch
from helpers import onnx_graphs
from helpers.references import images, randomized_state, relative, torch_output
from torch import nn
from torch.nn import functional

import converters
from converters import ConversionError

pytestmark = pytest.mark.filterwarnings("ignore")  # torch.export's own, and the exporter's


class Net(nn.Module):
    """A convolution with a stride, and a function of its map."""

    def __init__(self, function):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.head = nn.Conv2d(6, 4, 1)
        self.factors = nn.Parameter(torch.zeros(4))
        self.function = function

    def forward(self, image):
        return self.function(self, self.conv(image))


def mean_by_hand(net, x):
    height, width = x.shape[2:]
    return x.sum((2, 3)) / (height * width)


def coordinates(net, x):
    """CoordConv."""
    batch, _, height, width = x.shape
    rows, columns = torch.meshgrid(
        torch.linspace(-1, 1, height), torch.arange(width) / (width - 1) * 2 - 1, indexing="ij"
    )
    places = torch.stack([rows, columns]).unsqueeze(0).expand(batch, -1, -1, -1)
    return net.head(torch.cat([x, places], 1))


def repeated_coordinates(net, x):
    """CoordConv as its best-known code has it."""
    batch, _, height, width = x.shape
    rows = torch.arange(height).repeat(1, width, 1).transpose(1, 2).float() / (height - 1) * 2 - 1
    columns = torch.arange(width).repeat(1, height, 1).float() / (width - 1) * 2 - 1
    rows, columns = (part.repeat(batch, 1, 1, 1).type_as(x) for part in (rows, columns))
    return net.head(torch.cat([x, rows, columns], 1))


def places_of_rays(net, x):
    """Depth networks scale places by the diagonal."""
    batch, _, height, width = x.shape
    aspect = width / height
    across, down = aspect / (1 + aspect**2) ** 0.5, 1 / (1 + aspect**2) ** 0.5
    u = torch.linspace(-across * (width - 1) / width, across * (width - 1) / width, width)
    v = torch.linspace(-down * (height - 1) / height, down * (height - 1) / height, height)
    places = torch.stack(torch.meshgrid(u, v, indexing="xy")).unsqueeze(0).expand(batch, -1, -1, -1)
    return net.head(torch.cat([x, places], 1))


def scaled_attention(net, x):
    batch, channels, height, width = x.shape
    tokens = x.flatten(2).transpose(1, 2)
    scores = tokens @ tokens.transpose(1, 2) * (math.log(height * width) / math.log(196) * channels**-0.5)
    return (scores.softmax(-1) @ tokens).transpose(1, 2).reshape(batch, channels, height, width)


def simple_attention(net, x):
    """SimAM."""
    number = x.shape[2] * x.shape[3] - 1
    squares = (x - x.mean((2, 3), keepdim=True)).pow(2)
    return x * torch.sigmoid(squares / (4 * (squares.sum((2, 3), keepdim=True) / number + 1e-4)) + 0.5)


def constants(net, x):
    batch, _, height, width = x.shape
    sides = torch.tensor([width, height], dtype=torch.float32)
    return x * (sides[0] / sides[1]) + torch.full((batch, 1, height, width), 1.0 / height)


def longer_side(net, x):
    height, width = x.shape[2:]
    return x * (height / max(height, width)) + min(height, width) / math.sqrt(width)


def bounds(net, x):
    height, width = x.shape[2:]
    is_left = torch.arange(width) < width / 2
    return torch.where(is_left, (x * 20).clamp(0, width - 1), x.add(x, alpha=width / height)) / 2**0.5


def with_a_parameter(net, x):
    return x * (net.factors * x.shape[2])[None, :, None, None] + net.factors.view(1, 4, 1, 1) / x.shape[3]


def third_of_the_map(net, x):
    """A third of half of the image is no sixth of it where the image has one row less than a multiple of 6."""
    return x * (x.shape[2] // 3)


FUNCTIONS = [
    third_of_the_map,
    mean_by_hand,
    coordinates,
    repeated_coordinates,
    places_of_rays,
    scaled_attention,
    simple_attention,
    constants,
    longer_side,
    bounds,
    with_a_parameter,
]


def _label(function):
    return function.__name__


def _check(model, expected):
    for size in ((37, 58), (90, 41), (5, 11)):
        image = images(*size, batch=2)
        assert relative(model(image), expected(image)) <= 1e-5


@pytest.mark.quick_variants("bounds", "with_a_parameter")
@pytest.mark.parametrize("function", FUNCTIONS, ids=_label)
def test_numbers_are_computed_from_the_image(tmp_path, function):
    module = randomized_state(Net(function))
    model, _ = converters.convert(module)
    assert model.input_shape == (None, None, None, 3)
    model.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    _check(again, lambda image: torch_output(module, image))


@pytest.mark.quick_variants("coordinates", "longer_side", "bounds", "third_of_the_map")
@pytest.mark.parametrize("function", FUNCTIONS, ids=_label)
def test_numbers_of_a_graph_are_computed_from_the_image(tmp_path, function):
    path = tmp_path / "net.onnx"
    axes = {"image": {0: "batch", 2: "height", 3: "width"}}
    options = {"input_names": ["image"], "dynamic_axes": axes, "opset_version": 17, "dynamo": False}
    with torch.no_grad():
        torch.onnx.export(randomized_state(Net(function)), (torch.randn(2, 3, 64, 96),), str(path), **options)
    model, _ = converters.convert(path)
    assert model.input_shape == (None, None, None, 3)
    _check(model, lambda image: onnx_graphs.run(path, image)[0])


@pytest.mark.quick_variants("bounds")
@pytest.mark.parametrize("function", [repeated_coordinates, bounds, constants], ids=_label)
def test_numbers_of_a_program_are_computed_from_the_image(tmp_path, function):
    module, path = randomized_state(Net(function)), tmp_path / "net.pt2"
    free = torch.export.Dim.AUTO
    sizes = ({0: free, 2: free, 3: free},)
    program = torch.export.export(module, (torch.randn(2, 3, 64, 96),), dynamic_shapes=sizes, strict=False)
    torch.export.save(program, path)
    model, _ = converters.convert(path)
    assert model.input_shape == (None, None, None, 3)
    _check(model, lambda image: torch_output(module, image))


def waves(net, x):
    return x * math.sin(x.shape[2])


def test_what_no_expression_gives_is_refused_and_built_for_one_size():
    module = randomized_state(Net(waves))
    with pytest.raises(ConversionError, match=r"the step mul computes with .* which the size .*example="):
        converters.convert(module)
    model, _ = converters.convert(module, example=torch.zeros(1, 3, 40, 30))
    assert relative(model(images(40, 30)), torch_output(module, images(40, 30))) <= 1e-5


def counted_thirds(net, x):
    return x.mean((1, 2, 3)) + torch.arange(x.shape[2] // 3).sum()


def test_a_third_of_a_map_is_not_taken_for_a_sixth_of_the_image():
    """They differ where an image has one row less than a multiple of 6."""
    with pytest.raises(ConversionError, match="the step arange makes a constant whose size no map of the network has"):
        converters.convert(randomized_state(Net(counted_thirds)))


def least_of_both(net, x):
    """The height at all usual sizes."""
    return x * min(x.shape[2], 3 * x.shape[3])


def longer_of_both(net, x):
    return x * max(x.shape[2], 2 * x.shape[3])


def other_law_in_long_images(net, x):
    return x * (1.0 / x.shape[2] if x.shape[2] < 260 else 1.0 / x.shape[3])


def other_law_in_small_images(net, x):
    return x * (1 / x.shape[2] if x.shape[2] > 10 else 1 / x.shape[3])


@pytest.mark.quick_variants("other_law_in_long_images")
@pytest.mark.parametrize(
    "function", [least_of_both, longer_of_both, other_law_in_long_images, other_law_in_small_images], ids=_label
)
def test_a_law_that_only_other_sizes_show_is_not_guessed(function):
    with pytest.raises(ConversionError, match=r"the step mul computes with .* which the size of the image decides"):
        converters.convert(randomized_state(Net(function)))


def test_a_bound_in_a_graph_that_only_large_images_meet_is_not_lost(tmp_path):
    """`max(height, 600)` is 600 at all usual sizes."""
    nodes = [
        ("Shape", "x", "sizes", {}),
        ("Gather", "sizes two", "height", {}),
        ("Max", "height least", "number", {}),
        ("Cast", "number", "factor", {"to": 1}),
        ("Mul", "x factor", "y", {}),
    ]
    path = onnx_graphs.write(tmp_path / "net.onnx", nodes, {"two": np.int64(2), "least": np.int64(600)})
    model, _ = converters.convert(path)
    for size in ((37, 58), (700, 20)):
        assert relative(model(images(*size)), onnx_graphs.run(path, images(*size))[0]) <= 1e-5


def lost_pixels(net, x):
    return functional.interpolate(x, scale_factor=(56 / x.shape[2], 28 / x.shape[3]))


def test_factors_that_lose_a_pixel_at_some_sizes_are_refused():
    with pytest.raises(ConversionError, match="resizes by factors that the size of the image decides"):
        converters.convert(randomized_state(Net(lost_pixels)))


def test_numbers_are_rounded_once():
    """Python computes in double precision; torch rounds the result to single precision."""
    import tfseg

    sides = range(1, 400)
    layer = tfseg.layers.SizedNumber(["/", ["power", [0, 1], 0.5], ["*", [0, 1], 3]])
    shapes = [keras.ops.zeros((1, side)) for side in sides]
    expected = [np.float32(side**0.5 / (side * 3)) for side in sides]
    assert [layer(x) for x in shapes] == expected
    model = keras.Sequential([keras.Input((None,)), layer])
    assert [np.float32(model(x)) for x in shapes] == expected


@pytest.mark.parametrize("ends", [(-1, 1), (0.3, -2.7)])
def test_equal_distances_are_torch_s(ends):
    import tfseg

    for number in range(1, 60):
        numbers = tfseg.layers.Spaced([0, 1], *ends)(np.zeros((1, number)))
        np.testing.assert_allclose(numbers, torch.linspace(*ends, number), rtol=2e-7, atol=1e-7)
