"""Live torch modules of any network: a Keras model of the same steps, exact at sizes that were not traced, or refused."""

import threading

import keras
import numpy as np
import pytest
import torch
from helpers.references import images, randomized_state, relative
from helpers.torchvision_cpu import import_torchvision
from torch import nn
from torch.nn import functional

import converters
import tfseg
from converters import ConversionError

pytestmark = pytest.mark.filterwarnings("ignore")  # torch.export's own


def torchvision(name, **options):
    return lambda: getattr(import_torchvision().models, name)(weights=None, num_classes=7, **options)


def smp(name, encoder, **options):
    import_torchvision()
    package = pytest.importorskip("segmentation_models_pytorch")
    return lambda: getattr(package, name)(encoder, encoder_weights=None, classes=3, **options)


def timm(name):
    import_torchvision()
    package = pytest.importorskip("timm")
    return lambda: package.create_model(name, pretrained=False, num_classes=7)


NETWORKS = {
    "mobilenet_v3_small": torchvision("mobilenet_v3_small"),
    "shufflenet_v2_x0_5": torchvision("shufflenet_v2_x0_5"),
    "squeezenet1_1": torchvision("squeezenet1_1"),
    "Unet": lambda: smp("Unet", "resnet18", decoder_channels=(32, 16, 16, 8, 8))(),
    "FPN": lambda: smp("FPN", "mobilenet_v2", decoder_pyramid_channels=32, decoder_segmentation_channels=32)(),
    "ConvNeXt": lambda: timm("convnext_atto")(),
    "EfficientNet with TensorFlow's padding": lambda: timm("tf_efficientnet_lite0")(),
    "ResNeSt": lambda: timm("resnest14d")(),
    # timm's narrow members of its families of networks, which it publishes with weights for tests.
    "test_resnet": lambda: timm("test_resnet")(),
    "test_efficientnet": lambda: timm("test_efficientnet")(),
    "test_byobnet": lambda: timm("test_byobnet")(),
}


def run(module, image):
    with torch.no_grad():
        result = module(torch.from_numpy(image.transpose(0, 3, 1, 2)))
    return result.numpy().transpose(0, 2, 3, 1) if result.ndim == 4 else result.numpy()


# Test_onnx_networks.py has one more. The others take longer: a page of docs/ has them, with many more.
QUICK = {"ResNeSt", "test_efficientnet"}


@pytest.mark.quick_variants(every=2)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.full) for name in NETWORKS]
)
def test_public_networks(tmp_path, name):
    module = randomized_state(NETWORKS[name]())
    model, receipt = converters.convert(module)
    strict = any("multiples of" in note for note in receipt.notes)
    assert strict == (name == "FPN")
    for size in ((64, 96), (160, 96) if strict else (130, 99)):
        image = images(*size)
        assert relative(model(image), run(module, image)) <= 1e-5
    keys = {row["key"] for row in receipt.tensors} | set(receipt.ignored)
    assert keys == set(module.state_dict())
    assert all(key.endswith("num_batches_tracked") for key in receipt.ignored)
    assert sum(layer.count_params() for layer in model.layers) == sum(
        value.numel() for key, value in module.state_dict().items() if key not in receipt.ignored
    )
    model.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(model(image), again(image))


class Layers(nn.Module):
    """Any layers in a row."""

    def __init__(self, *parts):
        super().__init__()
        self.parts = nn.Sequential(*parts)

    def forward(self, image):
        return self.parts(image)


class Function(nn.Module):
    """A convolution, and a function of its map."""

    def __init__(self, function, channels=8):
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 3, padding=1)
        self.function = function

    def forward(self, image):
        return self.function(self.conv(image))


def _shuffled(x):
    batch, channels, height, width = x.shape
    return x.view(batch, 2, channels // 2, height, width).transpose(1, 2).reshape(batch, channels, height, width)


def _tokens(x):
    x = functional.max_pool2d(x, 8)  # attention over all pixels would take gigabytes
    batch, channels, height, width = x.shape
    tokens = x.flatten(2).transpose(1, 2)
    attended = functional.scaled_dot_product_attention(tokens, tokens, tokens)
    return attended.transpose(1, 2).reshape(batch, channels, height, width)


def _pooled_rows(x):
    rows = x.flatten(2)
    rows = functional.avg_pool1d(rows, 3, 2, padding=1)
    return functional.avg_pool1d(functional.max_pool1d(rows, 3, 2, padding=1, dilation=1), 2, ceil_mode=True)


def _halves_of_each_image(x):
    """The halves of an image are two of a batch that has each image's means twice, as GCViT's windows."""
    batch, channels, height, width = x.shape
    halves = x.reshape(batch * 2, channels // 2, height, width)
    means = x.mean((2, 3)).repeat_interleave(2, dim=0)[:, : channels // 2, None, None]
    return (halves * means).reshape(batch, channels, height, width)


class SameAndStandardized(nn.Module):
    """TensorFlow's SAME padding by the size of the map, then a kernel that is made after it, as in DeepMind's NFNets."""

    def __init__(self):
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(4, 3, 3, 3))

    def forward(self, image):
        height, width = image.shape[2:]
        down, right = (max((-(-size // 2) - 1) * 2 + 3 - size, 0) for size in (height, width))
        x = functional.pad(image, (right // 2, right - right // 2, down // 2, down - down // 2))
        kernel = self.kernel.reshape(1, 4, -1)
        return functional.conv2d(x, ((kernel - kernel.mean(2, keepdim=True)) * 0.5).reshape_as(self.kernel), stride=2)


SMALL = {
    "pooling of rows": lambda: Function(_pooled_rows),
    "entries of a batch repeated": lambda: Function(_halves_of_each_image),
    "padding before a kernel that is made after it": SameAndStandardized,
    "strides and dilation": lambda: Layers(nn.Conv2d(3, 4, 3, stride=2, padding=2, dilation=2), nn.ReLU()),
    "an even kernel": lambda: Layers(nn.Conv2d(3, 4, 4, stride=2, padding=1)),
    "padding same": lambda: Layers(nn.Conv2d(3, 4, 4, padding="same")),
    "depthwise, two filters a channel": lambda: Layers(nn.Conv2d(3, 6, 3, padding=1, groups=3)),
    "two strides": lambda: Layers(nn.Conv2d(3, 6, 3, stride=(2, 1), padding=1, groups=3)),
    "groups": lambda: Layers(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=2)),
    "transposed": lambda: Layers(nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1)),
    "transposed, even": lambda: Layers(nn.ConvTranspose2d(3, 4, 4, stride=2, padding=1)),
    "maximum, ceil": lambda: Layers(nn.Conv2d(3, 4, 1), nn.MaxPool2d(3, 2, 1, ceil_mode=True)),
    "maximum, ceil, no padding": lambda: Layers(nn.Conv2d(3, 4, 1), nn.MaxPool2d(3, 2, ceil_mode=True)),
    "maximum, negative": lambda: Layers(nn.Conv2d(3, 4, 1), nn.MaxPool2d(3, 2, 1)),
    "average": lambda: Layers(nn.Conv2d(3, 4, 1), nn.AvgPool2d(3, 2, 1)),
    "average without padding": lambda: Layers(nn.Conv2d(3, 4, 1), nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
    "average, ceil": lambda: Layers(nn.Conv2d(3, 4, 1), nn.AvgPool2d(2, 2, ceil_mode=True)),
    "adaptive average": lambda: Layers(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(5)),
    "classifier": lambda: Layers(nn.Conv2d(3, 4, 3, 2), nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(36, 5)),
    "nearest": lambda: Layers(nn.Conv2d(3, 4, 3, 2), nn.Upsample(scale_factor=2)),
    "bilinear": lambda: Layers(nn.Conv2d(3, 4, 3, 2), nn.Upsample(scale_factor=2, mode="bilinear")),
    "aligned": lambda: Layers(nn.Conv2d(3, 4, 3, 2), nn.UpsamplingBilinear2d(scale_factor=2)),
    "group norm": lambda: Layers(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8)),
    "activations": lambda: Layers(
        nn.Conv2d(3, 8, 3), nn.Hardswish(), nn.GELU(), nn.LeakyReLU(0.2), nn.ELU(), nn.Hardtanh(-2, 3)
    ),
    "reflected": lambda: Layers(nn.ReflectionPad2d(3), nn.Conv2d(3, 4, 7)),
    "shuffled": lambda: Function(_shuffled),
    "pixel shuffle": lambda: Function(lambda x: functional.pixel_shuffle(x, 2)),
    "split and joined": lambda: Function(lambda x: torch.cat([part.relu() for part in x.chunk(2, 1)][::-1], 1)),
    "cropped": lambda: Function(lambda x: x[:, 1:5, 2:, :-3]),
    "every second pixel": lambda: Function(lambda x: x[:, :, ::2, ::2]),
    "tokens": lambda: Function(_tokens),
    "means": lambda: Function(lambda x: x * x.mean((2, 3), keepdim=True).sigmoid()),
    "by the largest": lambda: Function(lambda x: x - x.amax(1, keepdim=True)),
    "resized to the image": lambda: Function(
        lambda x: functional.interpolate(functional.max_pool2d(x, 3), x.shape[2:], mode="bilinear")
    ),
    "slopes": lambda: Function(nn.PReLU(8)),
    "softmax": lambda: Function(lambda x: x.softmax(1)),
    "one channel normalized": lambda: Function(
        lambda x: x + functional.layer_norm(100 * x[:, :1].permute(0, 2, 3, 1), (1,)).permute(0, 3, 1, 2)
    ),
    "repeated along new axes": lambda: Function(lambda x: x * x.mean((1, 2, 3)).repeat(8, 1, 1, 1).permute(3, 0, 1, 2)),
    "repeated as often as the batch": lambda: Function(
        lambda x: (
            x + torch.arange(x.shape[3], dtype=torch.float32)[None, None, None].repeat(x.shape[0], 8, x.shape[2], 1)
        )
    ),
    "the largest": lambda: Function(lambda x: torch.cat([x.topk(2, 1)[0], x.topk(3, 1, largest=False).values], 1)),
    "the largest pixels": lambda: Function(lambda x: x.flatten(2).topk(5)[0]),
    "sorted": lambda: Function(lambda x: torch.cat([x.sort(1)[0], x.sort(1, descending=True)[1].float()], 1)),
    "sorted rows": lambda: Function(lambda x: x.relu().sort(dim=3, descending=True, stable=True)[0]),
    "the middle": lambda: Function(lambda x: x.median(1, keepdim=True)[0] + x.kthvalue(3, 1)[0].unsqueeze(1)),
    "read by places": lambda: Function(lambda x: x.relu().gather(1, x.argsort(1)) + x.gather(1, x.topk(8, 1)[1])),
}


@pytest.mark.quick_variants(every=3)
@pytest.mark.parametrize("name", SMALL)
def test_single_steps(name):
    module = randomized_state(SMALL[name]())
    model, _ = converters.convert(module)
    for size in ((64, 96), (51, 38)):
        image = images(*size, batch=2)
        assert relative(model(image), run(module, image)) <= 1e-5


@pytest.mark.quick_variants(2)
@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.sigmoid().mean((2, 3)),
        lambda x: functional.adaptive_avg_pool2d(x.sigmoid(), 1).flatten(1),
        lambda x: x.sigmoid().flatten(2).mean(2),
        lambda x: x.sigmoid().flatten(2).transpose(1, 2).sum(1),
        lambda x: x.sigmoid().flatten(2).var(2),
        lambda x: x.sigmoid().norm(dim=(2, 3)),
    ],
    ids=["a mean", "a pooling", "a mean of pixels", "a sum of tokens", "a variance", "a norm"],
)
def test_averages_of_large_images_are_exact(function):
    module = randomized_state(Function(function, channels=4))
    image = images(400, 410)
    with torch.no_grad():
        expected = module.double()(torch.from_numpy(image.transpose(0, 3, 1, 2)).double()).numpy()
    model, _ = converters.convert(module.float())
    assert relative(model(image), expected) <= 2e-6


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + x.mean((1, 3), keepdim=True),
        lambda x: x.mean((1, 2), keepdim=True) + x,
        lambda x: x + x.amax((1, 2, 3), keepdim=True),
        lambda x: x.mean((1, 3), keepdim=True) + x.mean((1, 2), keepdim=True),
        lambda x: x.flatten(2) + x.flatten(2).mean(1, keepdim=True),
    ],
    ids=["rows", "columns", "images", "rows and columns", "pixels"],
)
def test_what_is_added_along_an_axis_is_no_bias_of_the_channels(function):
    """Where a map has as many rows, columns or images as channels, Keras's own addition confuses them."""
    module = randomized_state(Function(function, channels=8))
    model, _ = converters.convert(module)
    for size, batch in (((8, 8), 1), ((8, 12), 1), ((12, 8), 1), ((12, 9), 8), ((8, 1), 1), ((2, 4), 1)):
        image = images(*size, batch=batch)
        assert relative(model(image), run(module, image)) <= 1e-5


class Branching(nn.Module):
    """A network whose steps depend on the data."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, image):
        x = self.conv(image)
        return x if x.mean() > 0 else -x


class Constant(nn.Module):
    """A network that returns a buffer beside its result."""

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.ones(4))

    def forward(self, x):
        return x.relu(), self.scale


class TwoInputs(nn.Module):
    """A network that takes two images."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, image, other):
        return self.conv(image) + self.conv(other)


def _rows_or_columns_cut(x):
    """At each traced size, either the rows or the columns are odd."""
    x = functional.max_pool2d(functional.pad(x, (2, 2)), (6, 3), (1, 2))
    return x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Branching, r"torch.export cannot trace Branching"),
        (TwoInputs, r"forward of TwoInputs needs 2 inputs: image, other"),
        (lambda: Function(lambda x: x.cummax(1)[0]), r"the step cummax"),
        (Constant, r"Constant returns a constant, scale: it does not depend on the image"),
        (lambda: Function(_rows_or_columns_cut), r"the step slice works along another axis at other sizes"),
        (lambda: Function(lambda x: x.sort(0)[0]), r"the step sort orders the images of the batch"),
        (lambda: Function(lambda x: x.topk(x.shape[2] // 3, 3)[0]), r"the step topk takes as many numbers as the size"),
        (lambda: Function(lambda x: x.gather(1, x.argsort(1)[:, :, :9])), r"the step gather reads a part of the other"),
    ],
)
def test_what_cannot_be_built_is_refused_by_name(make, message):
    with pytest.raises(ConversionError, match=message):
        converters.convert(randomized_state(make()))


def _padded_to_even(x):
    height, width = x.shape[2:]
    return functional.avg_pool2d(functional.pad(x, (0, width % 2, 0, height % 2)), 2)


def _bounded_in_place(x):
    flat = x.flatten(2)
    functional.hardtanh_(x, -60, 60)
    return flat


def _dropped_and_bounded(x):
    dropped = functional.dropout(x, 0.5, training=False)
    dropped.clamp_(-60, 60)
    return x + 1


def _rounded_both_ways(x):
    small = functional.max_pool2d(functional.max_pool2d(x, 3, 2, 1), 2)
    large = functional.interpolate(functional.max_pool2d(small, 2), scale_factor=2)
    return functional.interpolate(large, size=small.shape[2:])


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.sqrt(-1 - x.abs()) + functional.softplus(x),  # no number at all, in both
        lambda x: x[..., :400, :400],
        lambda x: x[:, :, -400:],
        lambda x: x[:5],
        lambda x: x if min(x.shape[2:]) >= 64 else 2 * x,
        _dropped_and_bounded,
        lambda x: functional.dropout(x, 0.5),
        lambda x: x + torch.rand(1),
    ],
)
def test_what_no_noise_shows_is_refused(function):
    """Steps that are right on the traced sizes, or on noise, and wrong elsewhere."""
    with pytest.raises(ConversionError):
        converters.convert(randomized_state(Function(function)))


@pytest.mark.quick_variants(every=3)
@pytest.mark.parametrize(
    "function",
    [
        lambda x: functional.softplus(x, 1, 5.0),
        lambda x: functional.softplus(x, 3),
        lambda x: functional.max_pool2d(x, 3, 3, 1, ceil_mode=True),
        lambda x: functional.avg_pool2d(x, 3, ceil_mode=True),
        _padded_to_even,
        _bounded_in_place,
        lambda x: functional.interpolate(x, scale_factor=1.001),
        lambda x: functional.interpolate(functional.adaptive_avg_pool2d(x, 2), scale_factor=49.0),
        lambda x: x.clamp(0.5, -0.5),
        lambda x: functional.avg_pool2d(x, 2, divisor_override=3),
        lambda x: x.argmax(1, keepdim=True) / 2,
        lambda x: (x > 0) * x + (x < -1) * 2.0,
        lambda x: x.round() + x.mul(1.7).floor() + x.trunc(),
    ],
)
def test_what_no_noise_shows_is_exact(function):
    """The same kinds, where they are exact: at sizes and numbers that a comparison on noise would not show."""
    module = randomized_state(Function(function))
    module.conv.weight.data.round_(decimals=1)
    model, _ = converters.convert(module)
    for image in (images(1, 30, batch=3), images(45, 2), 40 * images(9, 8).round(), images(1030, 5)):
        try:
            # Torch's "nearest" differs between orders of memory: the usual one counts.
            expected = run(module, np.ascontiguousarray(image.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1))
        except RuntimeError:  # a window that is larger than the map
            continue
        result = np.asarray(model(image), "float64")
        assert result.shape == expected.shape
        assert np.abs(result - expected).max() <= 1e-5 * np.abs(expected).max()


def test_sizes_that_are_rounded_both_ways():
    """Halves, rounded up and then down: equal to doubled quarters at some sizes, and not at others."""
    module = randomized_state(Function(_rounded_both_ways))
    model, _ = converters.convert(module)
    for size in ((100, 300), (64, 96), (45, 46)):
        image = images(*size)
        assert relative(model(image), run(module, image)) <= 1e-5


def test_missing_numbers_are_those_of_the_module():
    module = randomized_state(Function(lambda x: torch.log(x + 3)))
    model, _ = converters.convert(module)
    image = images(40, 50)
    result, expected = np.asarray(model(image)), run(module, image)
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(finite, np.isfinite(result))
    assert relative(np.where(finite, result, 0), np.where(finite, expected, 0)) <= 1e-5


def test_buffers_are_not_trained_and_cumulative_averages_keep_a_share():
    class Normalized(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.rand(3, 1, 1))
            self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=None)

        def forward(self, image):
            return self.norm(self.conv(image - self.mean))

    model, receipt = converters.convert(randomized_state(Normalized()))
    assert sorted(variable.name for variable in model.trainable_variables) == ["beta", "bias", "gamma", "kernel"]
    assert model.get_layer("norm").momentum == 0.9
    assert any("momentum=None" in note for note in receipt.notes)


def test_names_that_meet_are_numbered():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.relu, self.relu_1 = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.ReLU6()

        def forward(self, image):
            return self.relu_1(self.relu(self.conv(self.relu(image))))

    model, _ = converters.convert(randomized_state(Named()))
    names = [layer.name for layer in model.layers]
    assert len(names) == len(set(names))


def test_half_precision_is_widened_and_what_cannot_be_copied_is_refused():
    module = randomized_state(Layers(nn.Conv2d(3, 4, 3), nn.ReLU()))
    model, _ = converters.convert(module.half())
    assert model.dtype == "float32"
    kept = Layers(nn.Conv2d(3, 4, 3))
    kept.last = threading.Lock()
    with pytest.raises(ConversionError, match=r"cannot be copied"):
        converters.convert(kept)


def test_statistics_of_the_batch_are_refused():
    module = Layers(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)).eval()
    with pytest.raises(ConversionError, match=r"statistics of the batch"):
        converters.convert(module)


def test_the_module_is_left_as_it_was():
    module = Layers(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.3), nn.ReLU6())
    module.train()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    model, _ = converters.convert(module)
    assert module.training
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())
    assert [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)] == [0.3]
    (norm,) = (layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization))
    assert norm.momentum == pytest.approx(0.9)


def test_outputs_keep_their_keys():
    class Several(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, image):
            x = self.conv(image)
            return {"out": x, "features": [x.relu(), x.mean((2, 3))]}

    module = randomized_state(Several())
    model, _ = converters.convert(module)
    results = model(images(40, 50))
    assert results["out"].shape == (1, 38, 48, 4)
    assert results["features"][1].shape == (1, 4)


def test_layers_have_the_names_of_modules_and_a_module_that_runs_twice_is_one_layer():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU())

        def forward(self, image):
            return self.block(self.block(image))

    model, receipt = converters.convert(randomized_state(Twice()))
    assert [layer.name for layer in model.layers if layer.weights] == ["block_0"]
    assert [(row["key"], row["path"]) for row in receipt.tensors] == [
        ("block.0.weight", "block_0/kernel"),
        ("block.0.bias", "block_0/bias"),
    ] or sorted(row["key"] for row in receipt.tensors) == ["block.0.bias", "block.0.weight"]


@pytest.mark.full
def test_a_built_classifier_can_be_dilated():
    module = randomized_state(torchvision("mobilenet_v3_small")())
    model, _ = converters.convert(module)
    features = keras.Model(model.input, model.get_layer("features_12_2").output)
    dilated = tfseg.dilate(features, output_stride=16)
    assert tfseg.check_dilation(features, dilated, images(96, 128)).holds
