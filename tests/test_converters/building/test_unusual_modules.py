"""Live modules that are unusual: wrapped, compiled, hooked, normalized weights, other results; or refused, and why."""

import threading

import numpy as np
import pytest
import torch
from helpers.references import images, randomized_state, relative
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune

import converters
from converters import ConversionError
from converters.building.build import build_from_module

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's own


class Computing(nn.Module):
    """A convolution `conv`, and what a function makes of the module and the image."""

    def __init__(self, function, **parts):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, image):
        return self.function(self, image)


class Sized(Computing):
    """A network whose size may be given."""

    def forward(self, image, size=None):
        return functional.interpolate(self.conv(image), size or image.shape[2:])


class TwoImages(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, image, other):
        return self.conv(image) + self.conv(other)


def plain():
    return randomized_state(Computing(lambda self, x: self.conv(x)))


def hooked():
    module = plain()
    module.conv.register_forward_hook(lambda part, inputs, output: output * 2)
    module.register_forward_pre_hook(lambda part, inputs: (inputs[0] + 1,))
    return module


def pruned():
    module = plain()
    prune.l1_unstructured(module.conv, "weight", 0.5)
    return module


def with_conv(change):
    module = plain()
    module.conv = change(module.conv)
    return module


def normalized_image(self, image):
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in ([0.4, 0.5, 0.6], [0.2, 0.3, 0.4]))
    return self.conv((image / 255 - mean) / deviation)


BUILT = {
    "a size that is not given": lambda: Sized(None),
    "no parameters": lambda: nn.AvgPool2d(2),
    "double precision": lambda: plain().double(),
    "compiled": lambda: torch.compile(plain()),
    "in parallel": lambda: nn.DataParallel(plain()),
    "hooks": hooked,
    "pruned": pruned,
    "weight norm": lambda: with_conv(parametrizations.weight_norm),
    "old weight norm": lambda: with_conv(nn.utils.weight_norm),
    "spectral norm": lambda: with_conv(parametrizations.spectral_norm).eval(),
    "old spectral norm": lambda: with_conv(nn.utils.spectral_norm).eval(),
    "normalized inside": lambda: Computing(normalized_image),
    "no second result": lambda: Computing(lambda self, x: (self.conv(x), None)),
    "a kept result": lambda: Computing(lambda self, x: self.conv(x), kept=plain()(torch.zeros(1, 3, 8, 8))),
    "double precision inside": lambda: Computing(lambda self, x: (self.conv(x).double() * 0.1).float()),
    "whole numbers inside": lambda: Computing(lambda self, x: self.conv(x * 10).long() + 1.5),
}


@pytest.mark.quick_variants(9)
@pytest.mark.parametrize("name", BUILT)
def test_built(name):
    module = BUILT[name]()
    model, _ = converters.convert(module)
    image = images(33, 21, batch=3)
    kind = next((value.dtype for value in module.parameters()), torch.float32)
    with torch.no_grad():
        module = getattr(module, "_orig_mod", module).eval()  # a compiled one compiles for each size
        expected = module(torch.from_numpy(image.transpose(0, 3, 1, 2)).to(kind))
    expected = expected[0] if isinstance(expected, tuple) else expected
    assert relative(model(image), expected.float().numpy().transpose(0, 2, 3, 1)) <= 1e-5


def test_nested_results_keep_their_form():
    module = Computing(lambda self, x: {"a": [self.conv(x), (x + 1, {"b": x * 2})], "none": None})
    model, _ = converters.convert(module)
    result = model(images(12, 10))
    assert set(result) == {"a"}
    assert tuple(result["a"][0].shape) == (1, 12, 10, 4)
    np.testing.assert_allclose(result["a"][1][1]["b"], 2 * images(12, 10))


class Fixed(nn.Module):
    """A classifier of images of one size, which it does not say."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 3, stride=2), nn.Linear(4 * 14 * 10, 5)

    def forward(self, image):
        return self.head(self.conv(image).flatten(1))


def test_an_example_says_the_size():
    module = randomized_state(Fixed())
    with pytest.raises(ConversionError, match=r"example=torch.zeros\(1, channels, height, width\)"):
        converters.convert(module)
    model, receipt = converters.convert(module, example=torch.zeros(1, 1, 30, 22))
    assert model.input_shape == (None, 30, 22, 1)
    assert any("30 x 22 pixels only" in note for note in receipt.notes)
    image = images(30, 22, channels=1, batch=3)
    with torch.no_grad():
        expected = module(torch.from_numpy(image.transpose(0, 3, 1, 2))).numpy()
    assert relative(model(image), expected) <= 1e-5


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ({"image": torch.zeros(1, 3, 9, 9), "other": None}, r"must be an image.*shape \(1, 3, 9, 9\), NoneType"),
        (
            torch.zeros(3, 9, 9),
            r"a tensor \(batch, channels, height, width\)\. .*Received: a tensor of the shape \(3, 9, 9\)",
        ),
        ("image.png", r"Received: str"),
    ],
)
def test_an_example_has_an_image(example, message):
    with pytest.raises(ConversionError, match=message):
        converters.convert(TwoImages(), example=example)


def script():
    return torch.jit.trace(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), torch.rand(1, 3, 8, 8))


REFUSED = {
    "a branch on data": (
        lambda: Computing(lambda self, x: self.conv(x) if x.mean() > 0 else x),
        r"torch.export cannot trace Computing .*branches on values of the data has no fixed program: take the branch out",
    ),
    "two inputs": (
        TwoImages,
        r"The forward of TwoImages needs 2 inputs: image, other.*example=\(tensor, tensor\)",
    ),
    "complex steps": (lambda: Computing(lambda self, x: torch.fft.fft2(self.conv(x)).abs()), r"the step fft_fft2"),
    "complex parameters": (
        lambda: Computing(
            lambda self, x: self.conv(x) * self.w.abs(), w=nn.Parameter(torch.rand(1, dtype=torch.complex64))
        ),
        r"w is complex \(torch.complex64\)\. Keep the real and the imaginary part",
    ),
    "sparse": (
        lambda: nn.Sequential(plain(), _with_buffer(torch.eye(4).to_sparse())),
        r"sparse.*to_dense\(\)",
    ),
    "no numbers": (lambda: plain().to("meta"), r"on the device meta.*load its weights"),
    "TorchScript": (script, r"is TorchScript, which torch.export cannot trace\. Build the network with its own class"),
    "no result": (lambda: Computing(lambda self, x: None), r"returns NoneType instead of tensors"),
    "a number as a result": (lambda: Computing(lambda self, x: (self.conv(x), 3)), r"returns int instead of tensors"),
    "half precision inside": (
        lambda: Computing(lambda self, x: self.conv(x).half().float()),
        r"the step to rounds or wraps its numbers to float16, and the model computes in float32",
    ),
    "bytes inside": (lambda: Computing(lambda self, x: (x * 300).to(torch.uint8) + 0.5), r"wraps its numbers to uint8"),
    "as many as the data say": (
        lambda: Computing(lambda self, x: torch.nonzero(self.conv(x))),
        r"gives as many numbers as the data say.*Replace it by a choice that keeps the size",
    ),
    "the batch": (
        lambda: Computing(lambda self, x: self.conv(x) - x.mean((0, 2, 3), keepdim=True).mean()),
        r"the step mean reduces the batch: what it gives for an image depends on the other images",
    ),
    "softmax over the batch": (lambda: Computing(lambda self, x: self.conv(x).softmax(0)), r"sums over the batch"),
    "maxima so far": (lambda: Computing(lambda self, x: self.conv(x).cummax(1)[0]), r"the step cummax has no counterp"),
    "a size that no map has": (
        lambda: Computing(lambda self, x: functional.interpolate(self.conv(x), size=(x.shape[2] * x.shape[3], 5))),
        r"the step upsample_nearest2d .*makes a map whose size no map of the network has; give example=, an image",
    ),
    "a lock": (lambda: Computing(lambda self, x: self.conv(x), lock=threading.Lock()), r"cannot be copied"),
}


def _with_buffer(value):
    module = nn.Identity()
    module.register_buffer("table", value)
    return module


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    make, message = REFUSED[name]
    with pytest.raises(ConversionError, match=rf"(?s){message}"):
        converters.convert(make())


class _Shares(nn.Module):
    """Scores in shares that are learned: a softmax of parameters."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 4, 3, padding=1))
        self.shares = nn.Parameter(torch.tensor([0.3, -0.7]))

    def forward(self, x):
        shares = self.shares.softmax(-1)
        return shares[0] * self.conv(x) + shares[1]


def test_numbers_from_parameters_are_compared_in_double_precision():
    _, receipt = build_from_module(randomized_state(_Shares()), tolerance=1e-9)
    assert any("in double precision, model and source differ by" in note for note in receipt.notes)
