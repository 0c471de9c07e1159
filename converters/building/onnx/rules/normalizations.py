"""Normalizations."""

from typing import Any

import numpy as np

from converters.building.onnx.call import Call
from converters.building.onnx.tracing import Rule
from converters.building.onnx.values import Computed, Known, Value


def batch_norm(call: Call) -> Value:
    """BatchNorm with the statistics of the file."""
    x = call.computed()
    if call.attribute("training_mode", 0) or any(call.node.outputs[1:]):
        raise call.refusal(
            "normalizes with the statistics of the batch: the network was exported for training. Export it after "
            "module.eval()"
        )
    scale, shift, mean, variance = (
        call.weight(index, name) for index, name in enumerate(("scale", "shift", "mean", "variance"), 1)
    )
    return call.step(
        "batch_norm",
        x,
        weight=scale,
        bias=shift,
        running_mean=mean,
        running_var=variance,
        training=False,
        momentum=round(1 - float(call.attribute("momentum", 0.9)), 7),
        eps=_epsilon(call),
    )


def _epsilon(call: Call) -> float:
    # A float of 32 bits in the file; the number that its user wrote.
    return float(f"{float(call.attribute('epsilon', 1e-5)):.7g}")


def instance_norm(call: Call) -> Computed:
    """Each channel of each image normalized alone."""
    x = call.computed()
    scale, shift = call.weight(1, "scale"), call.weight(2, "shift")
    channels = set(x.sizes(1))
    if grouped := _grouped(call, x, scale, shift):
        return grouped
    if len(channels) != 1 or x.rank != 4:
        return _decomposed(call, x, list(range(2, x.rank)), scale, shift, _epsilon(call))
    return call.step("group_norm", x, num_groups=channels.pop(), weight=scale, bias=shift, eps=_epsilon(call))


def _grouped(call: Call, x: Computed, scale: Known, shift: Known) -> Computed | None:
    """GroupNorm as both exporters of torch write it: a map as one row of pixels for each group, normalized alone."""
    base, groups = x.base, x.sizes(1)[0]
    if base is None or base.rank != 4 or x.rank != 3 or x.is_free(1) or base.is_free(1) or base.sizes(1)[0] % groups:
        return None
    if base.sizes(0) != x.sizes(0):
        return None
    factors = {"weight": scale, "bias": shift}
    for index, (key, neutral) in enumerate((("weight", 1), ("bias", 0)), 1):
        array = factors[key].arrays[0]
        if (array == neutral).all():
            call.tracer.arguments.update(factors[key].parents)
            factors[key] = None  # type: ignore[assignment]
        else:
            repeated = np.repeat(array, base.sizes(1)[0] // groups)
            factors[key] = call.made(repeated, ("", "scale", "shift")[index], factors[key].parents)
    result = call.step("group_norm", base, num_groups=groups, **factors, eps=_epsilon(call))
    return call.emit("reshape", x.shapes, base=result, input=result)


def group_norm(call: Call) -> Computed:
    """GroupNorm; until opset 20 its factors are one for a group, later one for a channel."""
    x, groups = call.computed(), int(call.attribute("num_groups", 0))
    channels = x.sizes(1)[0]
    if groups < 1 or channels % groups:
        raise ValueError(f"{groups} groups of {channels} channels")
    factors: list[Known] = []
    for index, name in ((1, "scale"), (2, "shift")):
        value = call.weight(index, name)
        array = value.arrays[0]
        if array.shape == (groups,) != (channels,):
            value = call.made(np.repeat(array, channels // groups), name, value.parents)
        elif array.shape != (channels,):
            raise ValueError(f"{array.size} numbers for {channels} channels")
        factors.append(value)
    return call.step("group_norm", x, num_groups=groups, weight=factors[0], bias=factors[1], eps=_epsilon(call))


def layer_norm(call: Call) -> Computed:
    """LayerNorm over the last axes."""
    x = call.computed()
    if any(call.node.outputs[1:]):
        raise call.refusal("gives its means, too")
    first = int(call.attribute("axis", -1)) % x.rank
    scale = call.weight(1, "scale")
    shift = call.weight(2, "shift") if call.has(2) else None
    if first == x.rank - 1 and len(set(x.sizes(-1))) == 1:
        size = x.sizes(-1)[0]
        return call.step("layer_norm", x, normalized_shape=[size], weight=scale, bias=shift, eps=_epsilon(call))
    return _decomposed(call, x, list(range(first, x.rank)), scale, shift, _epsilon(call), channels=False)


def _decomposed(
    call: Call,
    x: Computed,
    axes: list[int],
    scale: Known,
    shift: Known | None,
    epsilon: float,
    *,
    channels: bool = True,
) -> Computed:
    """A normalization over axes, step by step."""
    means = [tuple(1 if axis in axes else size for axis, size in enumerate(shape)) for shape in x.shapes]
    mean = call.emit("mean", means, input=x, dim=axes, keepdim=True)
    centered = call.emit("sub", x.shapes, input=x, other=mean)
    variance = call.emit("mean", means, input=call.step("square", centered), dim=axes, keepdim=True)
    factor = call.step("rsqrt", call.step("add", variance, other=epsilon))
    result = call.emit("mul", x.shapes, input=centered, other=factor)
    for op, value in (("mul", scale), ("add", shift)):
        if value is not None:
            array: Any = value.arrays[0]
            if channels:
                array = array.reshape(-1, *(1,) * (x.rank - 2))
            result = call.emit(op, x.shapes, input=result, other=call.made(array, op, value.parents))
    return result


def response_norm(call: Call) -> Computed:
    """Each number divided by a power of the squares of its neighbors in other channels."""
    x, size = call.computed(), int(call.attribute("size", 0))
    if x.rank != 4 or size % 2 == 0:
        raise call.refusal("normalizes over an even number of channels, or something else than a map")
    alpha, beta = float(call.attribute("alpha", 1e-4)), float(call.attribute("beta", 0.75))
    return call.step("response_norm", x, size=size, alpha=alpha / size, beta=beta, k=float(call.attribute("bias", 1.0)))


RULES: dict[str, Rule] = {
    "LRN": response_norm,
    "BatchNormalization": batch_norm,
    "InstanceNormalization": instance_norm,
    "GroupNormalization": group_norm,
    "LayerNormalization": layer_norm,
}
