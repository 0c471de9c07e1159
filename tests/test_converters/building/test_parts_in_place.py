"""Programs that write into parts of a tensor: exact at sizes that were not traced."""

from collections.abc import Callable

import numpy as np
import pytest

import converters
from tfseg.layers import Replaced

torch = pytest.importorskip("torch")
RANDOM = np.random.default_rng(0)
pytestmark = pytest.mark.filterwarnings("ignore")  # torch.export's own


def relu(f):
    f[:, :4] = f[:, :4].relu()
    return f


def border(f):
    f[:, :, 0] = 0
    f[:, 2:, :, -1] = f[:, 2:, :, 0]
    return f


def shifted(f):
    moved = torch.zeros_like(f)
    moved[:, :3, 1:] = f[:, :3, :-1]
    moved[:, 3:, :, :-2] = f[:, 3:, :, 2:]
    return moved


def every_other(f):
    f[:, ::2] += 1
    f[:, :, 1::3] = f[:, :, 1::3] * 2
    return f


def inner(f):
    f[:, :, 5:-5, 1:-1] = f.mean(1, keepdim=True)[:, :, 5:-5, 1:-1]
    return f


def lines(f):
    return f + f[:, :, :1, :] * f[:, :, -1, :].unsqueeze(2) + f[:, :, :, 2].unsqueeze(3)


def empty(f):
    return torch.cat([f[:, :0], f[:, 4:2], f[:, 2:], f[:, 6:], f[:, :2]], dim=1)


class Changed(torch.nn.Module):
    """A convolution whose result a function changes."""

    def __init__(self, change: Callable) -> None:
        super().__init__()
        self.conv, self.change = torch.nn.Conv2d(3, 6, 3, padding=1), change

    def forward(self, x):
        return self.change(self.conv(x))


FULL = [pytest.param(change, marks=pytest.mark.full) for change in (border, shifted, lines)]


@pytest.mark.quick_variants(2)
@pytest.mark.parametrize("change", [relu, every_other, inner, empty, *FULL], ids=lambda change: change.__name__)
def test_parts_that_are_written(change):
    torch.manual_seed(0)
    module = Changed(change).eval()
    model, _ = converters.convert(module)
    for size in ((11, 9), (23, 14)):
        image = RANDOM.normal(size=(2, *size, 3)).astype("float32")
        with torch.no_grad():
            expected = module(torch.from_numpy(image).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
        assert np.abs(np.array(model(image)) - expected).max() <= 1e-5 * np.abs(expected).max()


def test_one_image_of_the_batch_is_refused():
    with pytest.raises(converters.ConversionError, match="one image of the batch"):
        converters.convert(Changed(lambda f: f + f[0]).eval())


@pytest.mark.parametrize("size", [1, 4, 9])
@pytest.mark.parametrize("part", [slice(2, 3), slice(3, -3), slice(-2, 5), slice(-5, -1), slice(-7, None, 2)], ids=str)
def test_replaced_has_numpy_rule(part, size):
    x = RANDOM.normal(size=(2, size, 3)).astype("float32")
    expected = x.copy()
    expected[:, part] *= 2
    layer = Replaced(1, part.start, part.stop, part.step or 1)
    assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()
    np.testing.assert_array_equal(np.array(layer([x, x[:, part] * 2])), expected)
