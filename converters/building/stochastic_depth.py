"""Stochastic depth: modules that drop whole branches in training and vanish from a trace of evaluation mode.

torchvision's StochasticDepth, timm's DropPath and their many copies are known by what they do, not by their names: in
evaluation mode they return their input, in training zeros or scaled numbers, for each image or for all.

Reference: Huang et al. 2016, https://arxiv.org/abs/1603.09382
"""

from typing import Any, NamedTuple

STEP = "stochastic_depth"
"""Name of the step that stands for such a module."""

_IMAGES = 2048  # of one pixel each, on which a module is tried
_CALLS = 64
_ATTRIBUTES = ("p", "drop_prob", "drop_rate", "prob", "p_drop", "drop")


class RandomDepth(NamedTuple):
    """How a module drops branches.

    Attributes:
        rate: share of the branches that it drops.
        mode: "row" for each image by itself, "batch" for all together.
    """

    rate: float
    mode: str


def mark_depths(module: Any) -> tuple[dict[str, RandomDepth], list[str]]:
    """Puts a module that a trace shows in the place of each that drops branches.

    Args:
        module: live torch module in evaluation mode; changed in place, and its result stays.
    Returns: name of a module -> how it drops; and the names of those that drop in a way that no layer has.
    """
    import torch

    class Marker(torch.nn.Module):
        """Stands for a dropped branch: a dropout of evaluation mode, which a trace has as a step."""

        def __init__(self, rate: float) -> None:
            super().__init__()
            self.rate = rate

        def forward(self, x: Any, *_: Any) -> Any:
            return torch.dropout(x, self.rate, False)

    depths, others = {}, []
    markers: dict[int, Any] = {}
    for name, part in list(module.named_modules()):
        rate = _rate(part)
        if not name or not rate or not _is_plain(part):
            continue
        depth = _behavior(part, rate)
        if depth is None:
            if type(part).__name__.lower().replace("_", "") in ("droppath", "stochasticdepth", "dropconnect"):
                others.append(name)
            continue
        depths[name] = depth
        markers[id(part)] = Marker(depth.rate).eval()
    for parent in list(module.modules()):
        for name, part in list(parent._modules.items()):
            if id(part) in markers:
                setattr(parent, name, markers[id(part)])
    return depths, others


def _is_plain(part: Any) -> bool:
    """Whether a module has no parts and no tensors, and is not of torch itself."""
    bare = not any(True for _ in part.children()) and not any(True for _ in (*part.parameters(), *part.buffers()))
    return bare and not type(part).__module__.startswith("torch.nn.")


def _rate(part: Any) -> float:
    for attribute in _ATTRIBUTES:
        value = getattr(part, attribute, None)
        if isinstance(value, float) and 0 < value < 1:
            return value
    return 0.0


def _behavior(part: Any, rate: float) -> RandomDepth | None:
    """What the module does in training; None unless it is stochastic depth at this rate."""
    import torch

    training = part.training
    x = torch.arange(1, 1 + 2 * _IMAGES, dtype=torch.float32).reshape(_IMAGES, 1, 1, 2)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            if not torch.equal(part.eval()(x.clone()), x):
                return None
            part.train()
            factors = part(x.clone()) / x
            calls = torch.stack([part(torch.ones(1, 1, 1, 1)).reshape(()) for _ in range(_CALLS)])
    except Exception:  # a module that takes something else
        return None
    finally:
        part.train(training)
    rows = factors[:, 0, 0, 0]
    if not torch.allclose(factors, rows[:, None, None, None].expand_as(factors)):
        return None
    mode = "batch" if getattr(part, "mode", "row") == "batch" else "row"
    if mode == "batch" and not bool((rows == rows[0]).all()):
        return None
    left = torch.cat([rows, calls])
    exact = bool(torch.isclose(left[left != 0], torch.tensor(1 / (1 - rate))).all())
    dropped = (calls if mode == "batch" else rows) == 0
    spread = (rate * (1 - rate) / len(dropped)) ** 0.5
    likely = abs(float(dropped.float().mean()) - rate) <= 5 * spread
    return RandomDepth(rate, mode) if exact and likely else None
