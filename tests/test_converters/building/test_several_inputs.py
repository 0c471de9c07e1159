"""Networks of several inputs: color and depth, two photographs, an image and numbers."""

import keras
import numpy as np
import pytest
import torch
from helpers import onnx_graphs
from helpers.references import randomized_state
from torch import nn
from torch.nn import functional

import converters
from converters import ConversionError

pytestmark = pytest.mark.filterwarnings("ignore")  # torch.export's own


class Fusion(nn.Module):
    """Color and depth, each with a stem of its own; the result has the size of the image."""

    def __init__(self):
        super().__init__()
        self.color, self.far = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(1, 4, 3, 2, 1)
        self.norm, self.head = nn.BatchNorm2d(8), nn.Conv2d(8, 5, 1)

    def forward(self, rgb, depth):
        x = self.norm(torch.cat([self.color(rgb), self.far(depth)], 1)).relu()
        logits = functional.interpolate(self.head(x), rgb.shape[2:], mode="bilinear", align_corners=False)
        return {"out": logits, "features": x}


class Pair(nn.Module):
    """Two photographs, which one layer sees in turn."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, *photographs):
        before, after = (self.conv(photograph) for photograph in photographs)
        return (before - after).abs()


class Listed(Pair):
    def forward(self, photographs):
        return super().forward(*photographs)


class Named(Fusion):
    def forward(self, batch):
        return super().forward(batch["rgb"], batch["depth"])


class Conditioned(Pair):
    """An image, a map without channels and a vector, of which the image comes last."""

    def forward(self, factors, weights, image):
        return self.conv(image) * factors[:, :, None, None] * weights[:, None]


class Search(Pair):
    """A template of one size, whose mean is searched in images of any size."""

    def forward(self, template, image):
        return self.conv(image) * self.conv(template).mean((2, 3), keepdim=True)


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


RGB, DEPTH = noise(1, 3, 40, 56), noise(1, 1, 40, 56)
CASES = {
    "in order": (Fusion, (RGB, DEPTH), ["rgb", "depth"]),
    "by name": (Fusion, {"depth": DEPTH, "rgb": RGB}, ["rgb", "depth"]),
    "any number": (Pair, (RGB, RGB), ["photographs_0", "photographs_1"]),
    "a list": (Listed, [RGB, RGB], ["photographs_0", "photographs_1"]),
    "a dictionary": (Named, {"rgb": RGB, "depth": DEPTH}, ["rgb", "depth"]),
    "numbers": (Conditioned, (noise(1, 4), noise(1, 40, 56), RGB), ["factors", "weights", "image"]),
    "a template": (Search, (noise(1, 3, 16, 16), RGB), ["template", "image"]),
}


def call(module, values):
    """The module's results, with the channels of maps last."""
    with torch.no_grad():
        if isinstance(values, dict) and not isinstance(module, Named):
            result = module(**values)
        else:
            result = module(values) if isinstance(module, Listed | Named) else module(*values)
    results = result if isinstance(result, dict) else {"": result}
    return {key: value.permute(0, 2, 3, 1).numpy() for key, value in results.items()}


def arrays(values):
    def last(value):
        return value.permute(0, 2, 3, 1).numpy() if value.ndim == 4 else value.numpy()

    return {key: last(v) for key, v in values.items()} if isinstance(values, dict) else [last(v) for v in values]


def resized(values, size):
    """Other numbers of the same form: three of each, and what has the image's size in another one."""
    if isinstance(values, dict):
        return dict(zip(values, resized(list(values.values()), size), strict=True))
    sides = [(*v.shape[1:-2], *size) if v.shape[-2:] == RGB.shape[-2:] else v.shape[1:] for v in values]
    return [noise(3, *side) for side in sides]


FULL = [pytest.param(name, marks=pytest.mark.full) for name in CASES if name != "numbers"]


@pytest.mark.parametrize("name", ["numbers", *FULL])
def test_every_input_is_one_of_the_model(name, tmp_path):
    make, example, names = CASES[name]
    module = randomized_state(make()).eval()
    model, receipt = converters.convert(module, example=example)
    assert [tensor.name for tensor in model.inputs] == names
    assert receipt.family == "torch module"
    model.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    values = resized(example, (33, 47))
    expected = call(module, values)
    for each in (model, loaded):
        results = each(arrays(values))
        results = results if isinstance(results, dict) else {"": results}
        assert results.keys() == expected.keys()
        for key, value in expected.items():
            np.testing.assert_allclose(results[key], value, rtol=0, atol=1e-5 * np.abs(value).max())
    converters.compare(model, module, arrays(values)).assert_close(1e-5)
    converters.export_weights(model, tmp_path / "back.pth")
    back = torch.load(tmp_path / "back.pth")
    assert all(torch.equal(value, back[key]) for key, value in module.state_dict().items())


class HalfSize(Fusion):
    """The depth has half the size of the image."""

    def forward(self, rgb, depth):
        x = torch.cat([self.color(rgb), self.far(functional.interpolate(depth, scale_factor=2.0))], 1)
        return self.head(x)


@pytest.mark.full
def test_inputs_of_other_sizes_are_built_for_the_sizes_of_the_example():
    module = randomized_state(HalfSize()).eval()
    example = (noise(1, 3, 48, 64), noise(1, 1, 24, 32))
    model, receipt = converters.convert(module, example=example)
    assert [tensor.shape[1:] for tensor in model.inputs] == [(48, 64, 3), (24, 32, 1)]
    assert any("48 x 64 pixels only" in note for note in receipt.notes)
    (expected,) = call(module, example).values()
    np.testing.assert_allclose(model(arrays(example)), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("make", "example", "message"),
    [
        (Fusion, None, r"The forward of Fusion needs 2 inputs: rgb, depth\. .*example=\(tensor, tensor\)"),
        (Fusion, ("a", "b"), r"example must be an image.*Received: str, str"),
        (Fusion, (noise(1, 5), noise(1, 5)), r"one of which is an image\. Received: a tensor of the shape \(1, 5\)"),
        (Fusion, (RGB, None), r"example must be an image.*NoneType"),
        (Fusion, (RGB, DEPTH.to(torch.complex64)), r"complex tensor.*dense floats"),
        (Fusion, (RGB, DEPTH.to_sparse()), r"sparse tensor.*dense floats"),
        (Fusion, (RGB, RGB), r"does not run on"),
    ],
)
def test_what_tells_no_inputs_is_refused_with_the_way(make, example, message):
    with pytest.raises(ConversionError, match=message):
        converters.convert(make().eval(), example=example)


def exported(path, module, example, *, free=True, dynamo=False):
    names = [f"in.{index}" for index in range(len(example))]
    axes = {n: {0: "b", 2: "h", 3: "w"} if v.ndim == 4 else {0: "b"} for n, v in zip(names, example, strict=True)}
    torch.onnx.export(
        module, example, path, input_names=names, dynamic_axes=axes if free else None, opset_version=17, dynamo=dynamo
    )
    return path


@pytest.mark.parametrize("free", [True, False])
@pytest.mark.parametrize("name", ["any number", pytest.param("in order", marks=pytest.mark.full)])
def test_every_input_of_an_onnx_file_is_one_of_the_model(name, free, tmp_path):
    make, example, _ = CASES[name]
    module = randomized_state(make()).eval()
    model, receipt = converters.convert(exported(tmp_path / "net.onnx", module, example, free=free))
    assert [tensor.name for tensor in model.inputs] == ["in_0", "in_1"]
    assert receipt.parity["max relative difference"] <= 1e-5
    fixed = name == "in order" and not free  # its resize has the size that the file was exported for
    values = example if fixed else resized(example, (33, 47))
    results = model(arrays(values))
    results = results if isinstance(results, list) else [results]
    for result, value in zip(results, call(module, values).values(), strict=True):
        np.testing.assert_allclose(result, value, rtol=0, atol=1e-5 * np.abs(value).max())


@pytest.mark.full
@pytest.mark.parametrize("name", ["in order", "by name", "numbers", "a dictionary"])
def test_every_input_of_a_program_of_torch_is_one_of_the_model(name, tmp_path):
    make, example, names = CASES[name]
    module = randomized_state(make()).eval()
    args, kwargs = (example, {}) if isinstance(example, tuple) else ((), example)
    if make is Named:
        args, kwargs = (example,), {}
    torch.export.save(torch.export.export(module, args, kwargs), tmp_path / "net.pt2")
    model, receipt = converters.convert(tmp_path / "net.pt2")
    assert len(model.inputs) == len(names)
    assert receipt.parity["max relative difference"] <= 1e-5


def test_onnx_inputs_that_are_no_images_are_refused(tmp_path):
    x, y = onnx_graphs.FREE, ("batch", "any", 4)
    nodes, tensors = [("Mul", "x w", "v", {}), ("Add", "v y", "z", {})], {"w": np.float32([1, 2, 3, 4])}
    onnx_graphs.write(tmp_path / "a.onnx", nodes, tensors, inputs={"x": y, "y": y}, outputs=("z",))
    with pytest.raises(ConversionError, match=r"takes no image.*Received: x \?x\?x4, y \?x\?x4"):
        converters.convert(tmp_path / "a.onnx")
    onnx_graphs.write(
        tmp_path / "b.onnx", nodes, tensors, inputs={"x": x, "y": ("batch", "any", 1, 1, 4)}, outputs=("z",)
    )
    with pytest.raises(ConversionError, match=r"takes the input 'y' of \?x\?x1x1x4: an axis has an unknown length"):
        converters.convert(tmp_path / "b.onnx")
