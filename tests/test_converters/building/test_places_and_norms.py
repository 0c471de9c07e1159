"""Maps read at places that the network computes, norms over several axes, angles, turns and classes as axes."""

import itertools

import numpy as np
import pytest
import torch
from helpers import onnx_graphs
from helpers.references import images, randomized_state, relative, torch_output
from torch import nn
from torch.nn import functional

import converters
import tfseg
from converters import ConversionError

pytestmark = pytest.mark.filterwarnings("ignore")  # torch.export's own, and the exporter's


class Net(nn.Module):
    """A convolution with a stride, and a function of its map."""

    def __init__(self, function):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.function = function

    def forward(self, image):
        return self.function(self.conv(image))


def warped(x):
    """By optical flow: the places of all pixels, moved."""
    height, width = x.shape[2:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = torch.stack([columns, rows]).float()[None] + x[:, :2]
    across, down = 2 * places[:, 0] / max(width - 1, 1) - 1, 2 * places[:, 1] / max(height - 1, 1) - 1
    return functional.grid_sample(x, torch.stack([across, down], -1), align_corners=True)


def unit_vectors(x):
    return x / torch.linalg.norm(x, dim=1, keepdim=True) + functional.normalize(x.flatten(2), dim=-1).view_as(x)


def similarity(x):
    return functional.cosine_similarity(x, x.flip(1) * 2 + 1, dim=1)


def normalized_together(x):
    return functional.layer_norm(x, x.shape[1:]) + functional.layer_norm(x, x.shape[2:])


def turned(x):
    return torch.rot90(x, 1, (2, 3)) - torch.rot90(x, -1, (2, 3)) + torch.rot90(x, 2, (2, 3)).mT


def angles(x):
    return torch.atan2(x[:, :2], x[:, 2:])


def classes(x):
    return functional.one_hot(x.argmax(1), 4).permute(0, 3, 1, 2).float() * x


def windows_that_overlap(x):
    """VOLO's outlook attention puts windows together; others leave gaps."""
    side_by_side = {"kernel_size": 3, "padding": 1}
    x = functional.fold(functional.unfold(x, **side_by_side) * 2, x.shape[2:], **side_by_side)
    apart = {"kernel_size": (3, 2), "padding": (2, 1), "stride": (2, 1), "dilation": (2, 3)}
    return x + functional.fold(functional.unfold(x, **apart), x.shape[2:], **apart)


FUNCTIONS = (windows_that_overlap, warped, unit_vectors, similarity, normalized_together, turned, angles, classes)
IN_GRAPHS = (warped, similarity, classes)  # what torch's exporter writes


def _label(function):
    return function.__name__


@pytest.mark.quick_variants("normalized_together")
@pytest.mark.parametrize("function", FUNCTIONS, ids=_label)
def test_steps_of_modules(function):
    module = randomized_state(Net(function))
    model, _ = converters.convert(module)
    for size in ((37, 58), (50, 41)):
        image = images(*size, batch=2)
        assert relative(model(image), torch_output(module, image)) <= 1e-5


@pytest.mark.quick_variants("classes")
@pytest.mark.parametrize("function", IN_GRAPHS, ids=_label)
def test_steps_of_graphs(tmp_path, function):
    path, axes = tmp_path / "net.onnx", {"image": {0: "batch", 2: "height", 3: "width"}}
    options = {"input_names": ["image"], "dynamic_axes": axes, "opset_version": 17, "dynamo": False}
    with torch.no_grad():
        torch.onnx.export(randomized_state(Net(function)), (torch.randn(2, 3, 64, 96),), str(path), **options)
    model, _ = converters.convert(path)
    image = images(37, 58, batch=2)
    assert relative(model(image), onnx_graphs.run(path, image)[0]) <= 1e-5


class Normalized(nn.Module):
    """LayerNorm over channels, rows and columns, with weights of that shape."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm((3, 12, 20))

    def forward(self, image):
        return self.norm(image)


def test_a_norm_of_a_map_of_fixed_size_has_weights_for_each_pixel():
    module = randomized_state(Normalized())
    model, receipt = converters.convert(module, example=torch.zeros(1, 3, 12, 20))
    image = images(12, 20, batch=2)
    assert relative(model(image), torch_output(module, image)) <= 1e-5
    assert {row["key"] for row in receipt.tensors} == {"norm.weight", "norm.bias"}


@pytest.mark.parametrize("options", [*itertools.product(("bilinear", "nearest"), ("zeros", "border"), (False, True))])
def test_places_inside_at_the_edges_and_outside(options):
    interpolation, border, corners = options
    random = np.random.default_rng(0)
    x = random.normal(size=(2, 5, 7, 3)).astype("float32")
    grid = random.uniform(-1.6, 1.6, (2, 9, 4, 2)).astype("float32")
    grid[:, 0], grid[:, 1], grid[:, 2], grid[:, 3] = -1, 1, 0, 30
    reference = functional.grid_sample(
        torch.from_numpy(x.transpose(0, 3, 1, 2)),
        torch.from_numpy(grid),
        mode=interpolation,
        padding_mode=border,
        align_corners=corners,
    ).permute(0, 2, 3, 1)
    result = tfseg.layers.GridSampling(interpolation, border, corners)([x, grid])
    np.testing.assert_allclose(result, reference, atol=2e-6)


@pytest.mark.quick_variants(1)
@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: functional.grid_sample(x, x[:, :2].permute(0, 2, 3, 1), mode="bicubic"), "is bicubic"),
        (lambda x: functional.one_hot((x > 0).long()), "say how many: num_classes=|cannot trace"),
        (lambda x: functional.max_pool2d(x, (-(-x.shape[2] // 3), 2)), "window that depends on the size of the image"),
        (lambda x: torch.linalg.norm(x, ord=2, dim=(2, 3)), "is a norm of matrices"),
    ],
)
def test_what_is_not_exact_is_refused(function, words):
    with pytest.raises(ConversionError, match=words):
        converters.convert(randomized_state(Net(function)))
