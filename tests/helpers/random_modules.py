"""Random small torch modules: tables of steps as they are written in torch, drawn one after another.

A step is text: a module that is constructed ("nn.Conv2d(3, 4, 3)"), or an expression of the map `x` and, where it takes
two, of another map `y`. So a module that fails can be read, and built again from its text.
"""

import copy
import random as randomness
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

Shape = tuple[int, ...]
Random = randomness.Random

_PROBE = (2, 3, 34, 45)  # the image on which a step has to run, and not to fail, while a module is drawn
_ATTEMPTS = 40
_LARGEST = 60000  # numbers of a map of the probe


class Step(NamedTuple):
    """One step: its text, and the numbers of the maps that it reads."""

    text: str
    reads: tuple[int, ...]


class RandomModule(nn.Module):
    """A module of steps; its results are the maps whose numbers are `results`."""

    def __init__(self, steps: Sequence[Step], results: Sequence[int]) -> None:
        super().__init__()
        self.steps, self.results = tuple(steps), tuple(results)
        made: dict[str, Callable[..., Any]] = {}
        for number, step in enumerate(self.steps):
            if step.text.startswith("again:"):
                continue
            made[str(number)] = _made(step.text)
        self.functions = {name: part for name, part in made.items() if not isinstance(part, nn.Module)}
        self.parts = nn.ModuleDict({name: part for name, part in made.items() if isinstance(part, nn.Module)})
        self.eval()

    def forward(self, image: torch.Tensor) -> Any:
        """The maps that are the results: one, or a list."""
        maps = [image]
        for number, (text, reads) in enumerate(self.steps):
            name = text.removeprefix("again:") if text.startswith("again:") else str(number)
            part = self.parts[name] if name in self.parts else self.functions[name]
            maps.append(part(*[maps[read] for read in reads]))
        results = [maps[result] for result in self.results]
        return results[0] if len(results) == 1 else results

    def text(self) -> str:
        """The steps, to be read."""
        rows = [f"{number + 1}: {step.text}  of {list(step.reads)}" for number, step in enumerate(self.steps)]
        return "\n".join([*rows, f"results: {list(self.results)}"])


class Weighted(nn.Module):
    """An expression of `x` and of tensors that it owns: parameters or buffers."""

    def __init__(self, expression: str, *, buffer: bool = False, **shapes: Shape) -> None:
        super().__init__()
        for name, shape in shapes.items():
            value = torch.rand(shape) + 0.5
            self.register_buffer(name, value) if buffer else setattr(self, name, nn.Parameter(value))
        self.function = _function(expression, ("x", *shapes))
        self.names = tuple(shapes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The value of the expression."""
        return self.function(x, *[getattr(self, name) for name in self.names])


class Excitation(nn.Module):
    """Channels weighted by what their means say."""

    def __init__(self, channels: int, gate: str, linear: bool) -> None:
        super().__init__()
        kind = nn.Linear if linear else (lambda inputs, outputs: nn.Conv2d(inputs, outputs, 1))
        self.reduce, self.expand = kind(channels, 2), kind(2, channels)
        self.gate = getattr(nn, gate)()
        self.linear = linear

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The weighted map."""
        means = x.mean((2, 3), keepdim=not self.linear)
        weights = self.gate(self.expand(functional.relu(self.reduce(means))))
        return x * (weights[:, :, None, None] if self.linear else weights)


class Attention(nn.Module):
    """Attention between all pixels of a map, as three kinds of products."""

    def __init__(self, channels: int, heads: int, how: str) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.heads, self.how = heads, how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A map of the same size."""
        batch, channels, height, width = x.shape
        tokens = self.qkv(x.flatten(2).transpose(1, 2))
        tokens = tokens.reshape(batch, -1, 3, self.heads, channels // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = tokens.unbind(0)
        if self.how == "sdpa":
            mixed = functional.scaled_dot_product_attention(query, key, value)
        elif self.how == "einsum":
            scores = torch.einsum("bhqc,bhkc->bhqk", query, key) * channels**-0.5
            mixed = torch.einsum("bhqk,bhkc->bhqc", scores.softmax(-1), value)
        else:
            mixed = (query @ key.transpose(-2, -1) / 2).softmax(-1) @ value
        mixed = self.out(mixed.transpose(1, 2).reshape(batch, -1, channels))
        return mixed.transpose(1, 2).reshape(batch, channels, height, width)


class Unpooling(nn.Module):
    """A maximum, a convolution, and the maxima put back where they were."""

    def __init__(self, channels: int, sized: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)
        self.sized = sized

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A map of the same size, or of the largest even one."""
        small, places = functional.max_pool2d(x, 2, return_indices=True)
        return functional.max_unpool2d(self.conv(small), places, 2, output_size=x.shape[2:] if self.sized else None)


def _function(expression: str, arguments: Sequence[str]) -> Callable[..., Any]:
    return eval(f"lambda {', '.join(arguments)}: {expression}", {"torch": torch, "nn": nn, "functional": functional})


def _made(text: str) -> Callable[..., Any]:
    if text.startswith(("nn.", "Weighted(", "Excitation(", "Attention(", "Unpooling(")):
        return eval(text)
    return _function(text, ("x", "y") if "y" in _names(text) else ("x",))


def _names(text: str) -> tuple[str, ...]:
    return compile(text, "step", "eval").co_names


# --------------------------------------------------------------------------------------------------------------- tables

Maker = Callable[[Random, Shape], str]


def _pair(random: Random, options: Sequence[int]) -> str:
    first, second = random.choice(options), random.choice(options)
    return str(first) if random.random() < 0.6 else f"({first}, {second})"


def _divisor(random: Random, number: int) -> int:
    return random.choice([size for size in range(1, number + 1) if number % size == 0])


def _conv(random: Random, shape: Shape) -> str:
    channels = shape[1]
    groups = random.choice([1, 1, _divisor(random, channels), channels])
    outputs = groups * random.choice([1, 2, max(1, 4 // groups)])
    same = random.random() < 0.3
    stride = "1" if same else _pair(random, [1, 1, 2, 3])
    padding = random.choice(["'same'", "'valid'"]) if same else _pair(random, [0, 1, 2, 3])
    mode = random.choice(["zeros", "zeros", "zeros", "reflect", "replicate", "circular"])
    return (
        f"nn.Conv2d({channels}, {outputs}, {_pair(random, [1, 2, 3, 3, 4, 5])}, stride={stride}, padding={padding}, "
        f"dilation={_pair(random, [1, 1, 2, 3])}, groups={groups}, bias={random.random() < 0.6}, padding_mode={mode!r})"
    )


def _transposed(random: Random, shape: Shape) -> str:
    channels = shape[1]
    groups = random.choice([1, 1, _divisor(random, channels), channels])
    outputs = groups * random.choice([1, 2, max(1, 4 // groups)])
    return (
        f"nn.ConvTranspose2d({channels}, {outputs}, {_pair(random, [1, 2, 3, 4, 5])}, "
        f"stride={_pair(random, [1, 2, 2, 3])}, padding={_pair(random, [0, 1, 1, 2])}, "
        f"output_padding={_pair(random, [0, 0, 1, 2])}, groups={groups}, bias={random.random() < 0.6}, "
        f"dilation={_pair(random, [1, 1, 1, 2])})"
    )


def _norm(random: Random, shape: Shape) -> str:
    channels, affine = shape[1], random.random() < 0.6
    return random.choice(
        [
            f"nn.BatchNorm2d({channels}, affine={affine}, eps={random.choice([1e-5, 1e-3])})",
            f"nn.BatchNorm2d({channels}, momentum={random.choice([0.1, 0.01, None])})",
            f"nn.InstanceNorm2d({channels}, affine={affine})",
            f"nn.InstanceNorm2d({channels}, affine={affine}, track_running_stats=True)",
            f"nn.GroupNorm({_divisor(random, channels)}, {channels}, affine={affine})",
            f"nn.Sequential(nn.Flatten(2), nn.GroupNorm(1, {channels}), nn.Unflatten(2, (-1, {shape[3]})))"
            if random.random() < 0
            else f"nn.LocalResponseNorm({random.choice([2, 3, 5])})",
            f"Weighted('functional.layer_norm(x.permute(0, 2, 3, 1), ({channels},), w, b).permute(0, 3, 1, 2)', "
            f"w=({channels},), b=({channels},))",
            "functional.normalize(x, dim=1)",
            f"functional.layer_norm(x.permute(0, 2, 3, 1), ({channels},)).permute(0, 3, 1, 2)",
        ]
    )


def _pool(random: Random, shape: Shape) -> str:
    window = random.choice([2, 3, 3, 4, 5])
    kernel, stride = random.choice([(f"{window}", window), (f"({window}, {window + 1})", window)])
    padding = random.randint(0, window // 2)
    stride = random.choice(["None", "1", "2", "3", "(1, 2)"])
    ceil, count = random.random() < 0.4, random.random() < 0.5
    return random.choice(
        [
            f"nn.MaxPool2d({kernel}, {stride}, {padding}, ceil_mode={ceil})",
            f"nn.MaxPool2d({kernel}, {stride}, {padding}, dilation={random.choice([1, 2])}, ceil_mode={ceil})",
            f"nn.AvgPool2d({kernel}, {stride}, {padding}, ceil_mode={ceil}, count_include_pad={count})",
            f"nn.AvgPool2d({kernel}, {stride}, {padding}, divisor_override={random.choice([None, 2, 7])})",
            f"nn.LPPool2d({random.choice([1, 2, 3])}, {kernel}, {stride}, ceil_mode={ceil})",
            f"nn.AdaptiveAvgPool2d({random.choice(['1', '3', '7', '(2, 5)', '(None, 4)', '(3, None)', '50'])})",
            f"nn.AdaptiveMaxPool2d({random.choice(['1', '3', '(2, 5)', '(None, 4)', '(1, None)', '40'])})",
            f"Unpooling({shape[1]}, {random.random() < 0.5})",
        ]
    )


def _resize(random: Random, shape: Shape) -> str:
    mode = random.choice(["nearest", "nearest-exact", "bilinear", "bicubic", "area"])
    size = random.choice(
        [
            "scale_factor=2",
            "scale_factor=(2, 3)",
            "scale_factor=0.5",
            "scale_factor=1.7",
            "scale_factor=(0.6, 1.3)",
            "scale_factor=0.7, recompute_scale_factor=True",
            "scale_factor=1.5, recompute_scale_factor=True",
            "size=(9, 7)",
            "size=40",
            "size=(x.shape[2] * 2, x.shape[3])",
            "size=(x.shape[2] // 2, x.shape[3] // 2)",
            "size=(x.shape[2] + 1, x.shape[3] - 1)",
        ]
    )
    options = f", align_corners={random.random() < 0.5}" if mode in ("bilinear", "bicubic") else ""
    return f"functional.interpolate(x, {size}, mode={mode!r}{options})"


def _resize_to(random: Random, shape: Shape, other: Shape) -> str:
    mode = random.choice(["nearest", "nearest-exact", "bilinear", "bicubic", "area"])
    options = f", align_corners={random.random() < 0.5}" if mode in ("bilinear", "bicubic") else ""
    return f"functional.interpolate(x, y.shape[2:], mode={mode!r}{options})"


def _pad(random: Random, shape: Shape) -> str:
    sizes = tuple(random.choice([0, 1, 2, 3]) for _ in range(4))
    signed = tuple(random.choice([-2, -1, 0, 1, 2]) for _ in range(4))
    return random.choice(
        [
            f"functional.pad(x, {sizes})",
            f"functional.pad(x, {sizes}, value={random.choice([0.5, -3.0])})",
            f"functional.pad(x, {sizes}, mode={random.choice(['reflect', 'replicate', 'circular'])!r})",
            f"functional.pad(x, {signed})",
            f"functional.pad(x, {(*sizes, 1, 2)})",
            f"nn.{random.choice(['ZeroPad2d', 'ReflectionPad2d', 'ReplicationPad2d', 'CircularPad2d'])}({sizes})",
            f"nn.ConstantPad2d({sizes}, 0.25)",
            "functional.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))",
        ]
    )


def _activation(random: Random, shape: Shape) -> str:
    channels = shape[1]
    return random.choice(
        [
            *(f"nn.{name}()" for name in _PLAIN_ACTIVATIONS),
            f"nn.ELU(alpha={random.choice([0.5, 2.0])})",
            f"nn.CELU(alpha={random.choice([0.5, 2.0])})",
            f"nn.LeakyReLU({random.choice([0.2, 0.0, 1.5])})",
            f"nn.PReLU({random.choice([1, channels])})",
            f"nn.Hardtanh({random.choice(['-2, 3', '-0.5, 0.25', '1.0, 2.0'])})",
            f"nn.Hardshrink({random.choice([0.1, 0.5])})" if random.random() < 0.3 else "nn.ReLU()",
            f"nn.Softshrink({random.choice([0.1, 0.5])})",
            f"nn.Softplus(beta={random.choice([1, 2, 0.5])}, threshold={random.choice([20, 30])})",
            f"nn.Threshold({random.choice(['0.0, 0.0', '0.5, 0.5'])})",
            "nn.GELU(approximate='tanh')",
            "nn.ReLU(inplace=True)" if len(shape) > 4 else "nn.RReLU()",
            f"functional.glu(x, {1 if channels % 2 == 0 else 2})" if channels % 2 == 0 else "nn.Tanh()",
            f"x.softmax({random.choice([1, 2, 3, -1])})",
            f"x.log_softmax({random.choice([1, 2, 3, -1])})",
            "nn.Softmin(1)",
            "nn.Softmax2d()",
            f"nn.{random.choice(['Dropout', 'Dropout2d', 'AlphaDropout', 'FeatureAlphaDropout'])}(0.3)",
            "nn.Identity()",
            f"x.clamp({random.choice(['-1, 1', 'min=0.1', 'max=0.3', '0, 2'])})",
        ]
    )


_PLAIN_ACTIVATIONS = (
    "ReLU ReLU6 ELU SELU CELU GELU SiLU Mish Hardswish Hardsigmoid Hardtanh Sigmoid Tanh Softsign Softplus LogSigmoid "
    "Tanhshrink LeakyReLU"
).split()


def _arithmetic(random: Random, shape: Shape) -> str:
    channels = shape[1]
    return random.choice(
        [
            "x + 1.5",
            "2 - x",
            "3 * x - 1",
            "x / 3",
            "1 / (x.abs() + 1)",
            "-x",
            "x ** 2",
            "x.abs() ** 0.5",
            "x.exp().clamp(max=50)",
            "torch.sqrt(x.abs() + 1e-3)",
            "torch.rsqrt(x.square() + 1)",
            "torch.log1p(x.abs())",
            "torch.sin(x) + torch.cos(x)",
            "torch.where(x > 0, x, 0.1 * x)",
            "torch.where(x > 0, x, torch.zeros_like(x))",
            "x * (x > 0)",
            "x.masked_fill(x < 0, 0.0)",
            "torch.sub(x, x.tanh(), alpha=2)",
            "torch.add(x, x.sigmoid(), alpha=0.5)",
            "x.sigmoid() * x",
            "x - x.mean((2, 3), keepdim=True)",
            "x - x.mean(1, keepdim=True)",
            "x / (x.std((2, 3), keepdim=True) + 1)",
            "x / (x.var((2, 3), unbiased=False, keepdim=True) + 1).sqrt()",
            "x - x.amax((2, 3), keepdim=True)",
            "x - x.amin(1, keepdim=True)",
            "x - x.max(1, keepdim=True)[0]",
            "x + x.sum(3, keepdim=True) / 50",
            "x / (x.norm(dim=1, keepdim=True) + 1)",
            "x.lerp(x.tanh(), 0.3)",
            "torch.addcmul(x, x.tanh(), x.sigmoid(), value=0.5)",
            "x.float() * 0.5",
            "x.double().float()",
            "x.to(torch.float32)",
            "x.clone().add_(1)",
            "x.clone().mul_(0.5).relu_()",
            f"x * torch.linspace(0.5, 1.5, {channels}).view(1, -1, 1, 1)",
            f"x + torch.arange({channels}).view(-1, 1, 1)",
            f"Weighted('x * w + b', w=({channels}, 1, 1), b=(1, {channels}, 1, 1))",
            f"Weighted('(x - w) / b', buffer=True, w=(1, {channels}, 1, 1), b=(1, {channels}, 1, 1))",
            f"Weighted('w - x', w=({channels}, 1, 1))",
            "Weighted('x * w', w=())",
            f"Weighted('torch.maximum(x, w)', w=({channels}, 1, 1))",
            f"Weighted('functional.linear(x.permute(0, 2, 3, 1), w).permute(0, 3, 1, 2)', w=(4, {channels}))",
            f"Weighted('torch.einsum(\"bchw,oc->bohw\", x, w)', w=(5, {channels}))",
            f"Weighted('torch.matmul(w, x.flatten(2)).view(x.shape[0], 3, *x.shape[2:])', w=(3, {channels}))",
            f"Weighted('functional.conv2d(x, w / w.sum())', w=(4, {channels}, 1, 1))",
        ]
    )


def _axes(random: Random, shape: Shape) -> str:
    channels, half = shape[1], _divisor(random, shape[1])
    return random.choice(
        [
            f"x.view(x.shape[0], {half}, {channels // half}, *x.shape[2:]).transpose(1, 2).reshape(x.shape)",
            f"x.reshape(x.shape[0], {half}, -1, x.shape[2], x.shape[3]).sum(1)",
            f"x.unflatten(1, ({half}, -1)).amax(2)",
            f"nn.ChannelShuffle({half})",
            "nn.PixelShuffle(2)" if channels % 4 == 0 else "x.flip(1)",
            "functional.pixel_unshuffle(x[:, :, :x.shape[2] // 2 * 2, :x.shape[3] // 2 * 2], 2)",
            "x.transpose(2, 3)",
            "x.transpose(2, 3).contiguous().flip(2)",
            "x.flatten(2).transpose(1, 2).reshape(x.shape[0], x.shape[2], x.shape[3], -1).permute(0, 3, 1, 2)",
            "x.flip(3)",
            "x.flip((2, 3))",
            "x.roll(1, -1)",
            "x.roll((2, -1), (2, 3))",
            f"x[:, {random.choice(['1:', ':1', '::2', f'{channels - 1}:', '-1:'])}]",
            "x[:, :, 1:]",
            "x[:, :, ::2, 1::2]",
            "x[..., 2:-1, :-2]",
            "x[:, :, :x.shape[2] // 2]",
            "x[:, :, x.shape[2] // 2 :]",
            "x[:, :, :, x.shape[3] // 4 : -(x.shape[3] // 4)]",
            "x[:, :, -5:, -6:]",
            "x[:, :, :7]",
            "x[:, 0:1]",
            "x[:, -1].unsqueeze(1)",
            "x[:, [0, -1]]",
            "x[:, None].squeeze(1)",
            "torch.cat([x, x[:, :1]], 1)",
            "torch.cat(torch.chunk(x, 2, 1)[::-1], 1)",
            "torch.cat(torch.split(x, 2, 1)[::-1], 1)",
            "torch.cat([x, x.flip(3)], 3)",
            "torch.stack([x, x.relu()], 2).flatten(1, 2)",
            "torch.stack([x, -x], 1).mean(1)",
            "torch.stack(x.unbind(1), 2).transpose(1, 2)",
            "x.repeat(1, 2, 1, 1)",
            "x.repeat(1, 1, 2, 1)",
            "x.repeat_interleave(2, 1)",
            "x.mean((2, 3), keepdim=True).expand(-1, -1, x.shape[2], x.shape[3])",
            "x.mean((2, 3), keepdim=True).expand_as(x) + x",
            "x.mean(1, keepdim=True).expand(-1, 3, -1, -1)",
            "x.mean((2, 3), keepdim=True)",
            "x.narrow(1, 0, 1)",
            "x.movedim(1, -1).movedim(-1, 1)",
            "x.swapaxes(2, 3)",
            "functional.unfold(x, 3, padding=1).view(x.shape[0], -1, *x.shape[2:])",
            "x.unsqueeze(2).squeeze(2)",
            "x.sum(1, keepdim=True)",
            "x.prod(1, keepdim=True)",
            "x.square().mean(1, keepdim=True).sqrt()",
            "x.logsumexp(1, keepdim=True)",
        ]
    )


def _block(random: Random, shape: Shape) -> str:
    channels = shape[1]
    heads = _divisor(random, channels)
    small = shape[2] * shape[3] <= 600
    return random.choice(
        [
            f"Excitation({channels}, {random.choice(['Sigmoid', 'Hardsigmoid'])!r}, {random.random() < 0.5})",
            f"Attention({channels}, {heads}, {random.choice(['sdpa', 'einsum', 'matmul'])!r})"
            if small
            else "nn.ReLU()",
            f"nn.Sequential(nn.Conv2d({channels}, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))",
            f"nn.Sequential(nn.Conv2d({channels}, {channels}, 3, padding=1, groups={channels}), nn.Conv2d({channels}, 5, 1))",
        ]
    )


def _join(random: Random, shape: Shape, other: Shape) -> str:
    if shape[2:] == other[2:]:
        same = [
            "x + y",
            "x - y",
            "x * y.sigmoid()",
            "torch.maximum(x, y)",
            "torch.where(x > y, x, y)",
            "x.add(y, alpha=2)",
        ]
        joined = ["torch.cat([x, y], 1)", "torch.cat([y, x, y], 1)"]
        return random.choice(same * (shape[1] == other[1]) + ["x * y.mean(1, keepdim=True)"] + joined)
    return random.choice(
        [
            _resize_to(random, shape, other),
            "x * y.mean((2, 3), keepdim=True)[:, :1]",
            "functional.adaptive_avg_pool2d(x, y.shape[2:])",
            "x[:, :, :y.shape[2], :y.shape[3]]",
            "torch.cat([functional.interpolate(x, y.shape[-2:]), y], 1)",
        ]
    )


def _sequence(random: Random, shape: Shape) -> str:
    return random.choice(
        [
            f"nn.Linear({shape[2]}, 4)" if random.random() < 0.3 else "x.mean(2)",
            f"nn.Conv1d({shape[1]}, 4, 3, padding=1)",
            f"nn.BatchNorm1d({shape[1]})",
            f"x.transpose(1, 2) @ torch.ones({shape[1]}, 3)",
            "x.softmax(2)",
            "x.amax(2)",
            "torch.bmm(x, x.transpose(1, 2)) / 100",
            "x.unsqueeze(3)",
            "x.sum(2)",
        ]
    )


def _vector(random: Random, shape: Shape) -> str:
    size = shape[1]
    return random.choice(
        [
            f"nn.Linear({size}, 5)",
            f"nn.Sequential(nn.Linear({size}, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))",
            f"nn.BatchNorm1d({size})",
            f"nn.LayerNorm({size})",
            "x.softmax(1)",
            "x[:, :, None, None]",
            "x.unsqueeze(1)",
            "functional.normalize(x)",
            f"nn.Unflatten(1, ({size}, 1, 1))",
        ]
    )


def _flat(random: Random, shape: Shape) -> str:
    channels = shape[1]
    return random.choice(
        [
            "x.flatten(2)",
            "x.mean((2, 3))",
            "x.mean(3)",
            "x.mean(2)",
            f"nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear({4 * channels}, 6))",
            "nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(1))",
            "x.amax((2, 3))",
            "x.flatten(2).mean(2)",
            "functional.adaptive_avg_pool2d(x, (3, 2)).flatten(1)",
        ]
    )


_MAP: tuple[tuple[Maker, int], ...] = (
    (_conv, 9),
    (_transposed, 3),
    (_norm, 4),
    (_pool, 5),
    (_resize, 4),
    (_pad, 3),
    (_activation, 6),
    (_arithmetic, 5),
    (_axes, 7),
    (_block, 2),
    (_flat, 1),
)
_BY_RANK: dict[int, tuple[tuple[Maker, int], ...]] = {4: _MAP, 3: ((_sequence, 1),), 2: ((_vector, 1),)}


# -------------------------------------------------------------------------------------------------------------- drawing


def random_module(random: Random, length: int = 5) -> RandomModule:
    """A module of up to `length` random steps that runs on small images, with random weights.

    Args:
        random: source of all choices.
        length: largest number of steps.
    """
    torch.manual_seed(random.randrange(2**31))
    image = torch.randn(_PROBE)
    steps: list[Step] = []
    maps = [image]
    wanted = random.randint(1, length)
    for _ in range(_ATTEMPTS):
        if len(steps) == wanted:
            break
        step = _step(random, steps, maps)
        value = _result(step, steps, maps) if step else None
        if step and value is not None:
            steps.append(step)
            maps.append(value)
    results = [len(maps) - 1]
    if len(maps) > 2 and random.random() < 0.1:
        results.append(len(maps) - 2)
    return _filled(RandomModule(steps, results))


def _step(random: Random, steps: Sequence[Step], maps: Sequence[torch.Tensor]) -> Step | None:
    last = len(maps) - 1
    shape = tuple(maps[last].shape)
    if len(shape) not in _BY_RANK:
        return None
    if len(shape) == 4 and last and random.random() < 0.2:
        other = random.choice([number for number in range(last + 1) if maps[number].ndim == 4])
        return Step(_join(random, shape, tuple(maps[other].shape)), (last, other))
    if steps and random.random() < 0.04:  # the same module again, with its weights
        number = random.randrange(len(steps))
        text = steps[number].text
        if text.startswith("nn.") and len(steps[number].reads) == 1:
            return Step(f"again:{number}", (last,))
    makers, shares = zip(*_BY_RANK[len(shape)], strict=True)
    return Step(random.choices(makers, shares)[0](random, shape), (last,))


def _result(step: Step, steps: Sequence[Step], maps: Sequence[torch.Tensor]) -> torch.Tensor | None:
    """What a step gives; None for one that does not run, or gives nothing to go on with."""
    try:
        text = steps[int(step.text.removeprefix("again:"))].text if step.text.startswith("again:") else step.text
        part = _made(text)
        if isinstance(part, nn.Module):
            part.eval()
        if "y" not in _names(text) and len(step.reads) == 2:
            return None
        with torch.no_grad():
            value = part(*[maps[read] for read in step.reads])
    except Exception:  # whatever torch says to arguments that do not fit
        return None
    fits = torch.is_tensor(value) and value.is_floating_point() and 0 < value[:1].numel() <= _LARGEST
    return value if fits and bool(torch.isfinite(value).all()) and value.shape[0] == _PROBE[0] else None


def _filled(module: RandomModule) -> RandomModule:
    """The module, its statistics far from their defaults."""
    for name, value in module.state_dict().items():
        if "running_var" in name:
            value.uniform_(0.5, 1.5)
        elif "running_mean" in name:
            value.normal_(0, 0.3)
    return module


# ------------------------------------------------------------------------------------------------------------ comparing

SIZES = ((1, 33, 47), (3, 48, 40), (1, 22, 19), (3, 71, 26), (1, 13, 10), (1, 9, 90))


def images_that_run(module: nn.Module, multiple: int = 1) -> list[torch.Tensor]:
    """Noise of several sizes and batches, on which the module runs and gives pixels."""
    runnable = []
    generator = torch.Generator().manual_seed(5)
    for batch, height, width in SIZES:
        rows, columns = (-(-size // multiple) * multiple for size in (height, width))
        image = torch.randn((batch, 3, rows, columns), generator=generator) + 0.5
        try:
            with torch.no_grad():
                results = _listed(module(image))
        except Exception:  # too small for its windows
            continue
        if all(
            result.numel() for result in results
        ):  # of a map that is cut to nothing, Keras says that it is too small
            runnable.append(image)
    return runnable


def excess(module: nn.Module, model: Any, multiple: int = 1) -> float:
    """How far a model is from its module, in tolerances: more than 1 is wrong.

    The tolerance is 1e-5 of the largest value, or ten times torch's own error in single precision, if that is more.
    """
    worst = 0.0
    for image in images_that_run(module, multiple):
        with torch.no_grad():
            expected = _listed(module(image))
            exact = _in_double(module, image) or expected
        results = _listed(model(image.permute(0, 2, 3, 1).numpy()))
        for result, reference, double in zip(results, expected, exact, strict=True):
            result = np.asarray(result, "float64")
            result = result.transpose(0, 3, 1, 2) if result.ndim == 4 else result
            assert result.shape == tuple(reference.shape), (result.shape, tuple(reference.shape), tuple(image.shape))
            finite = torch.isfinite(reference).numpy()
            assert np.array_equal(finite, np.isfinite(result)), tuple(image.shape)
            result, reference, double = (
                np.where(finite, np.asarray(part, "float64"), 0) for part in (result, reference, double)
            )
            largest = np.abs(reference).max(initial=1e-30)
            rounding = np.abs(reference - double).max(initial=0) / largest
            worst = max(worst, float(np.abs(result - reference).max(initial=0) / largest / max(1e-5, 10 * rounding)))
    return worst


def _in_double(module: nn.Module, image: torch.Tensor) -> list[Any]:
    """The results in double precision; nothing for a module that casts to single precision on its way."""
    try:
        return _listed(copy.deepcopy(module).double()(image.double()))
    except RuntimeError:
        return []


def _listed(result: Any) -> list[Any]:
    return list(result) if isinstance(result, list | tuple) else [result]
