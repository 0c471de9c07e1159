"""Functions of each number, dropout, and softmax."""

import math

import numpy as np

from converters.building.onnx.call import Call
from converters.building.onnx.tracing import Rule
from converters.building.onnx.values import Computed, Known, Value

_SIXTH = 1 / 6


def plain(op: str) -> Rule:
    """An activation without arguments.

    Args:
        op: the step.
    """
    return lambda call: call.step(op, call.computed())


def _float(call: Call, name: str, default: float) -> float:
    """An attribute, a float of 32 bits, as its user wrote it."""
    return float(f"{float(call.attribute(name, default)):.7g}")


def clip(call: Call) -> Value:
    """Numbers outside an interval become its ends."""
    x, low, high = call.computed(), _bound(call, 1, "min"), _bound(call, 2, "max")
    low = None if isinstance(low, float) and low <= -3.4e38 else low
    high = None if isinstance(high, float) and high >= 3.4e38 else high
    return x if low is None and high is None else call.step("clamp", x, min=low, max=high)


def _bound(call: Call, index: int, name: str) -> Computed | float | None:
    """An end of an interval: a number, or one that the size of the image decides."""
    value = call.inputs[index] if index < len(call.inputs) else None
    if isinstance(value, Computed) and set(value.shapes) == {()}:
        return value
    number = call.number(index, name)
    return None if number is None else float(number)


def prelu(call: Call) -> Computed:
    """PReLU with one slope, or one for each channel."""
    x, slope = call.computed(), call.weight(1, "slopes")
    array = slope.arrays[0]
    axes = [axis - array.ndim for axis, size in enumerate(array.shape) if size > 1]
    if array.size > 1 and axes != [1 - x.rank]:
        raise call.refusal("has slopes along other axes than the channels'")
    if array.ndim != 1:
        slope = call.made(array.reshape(-1), "slopes", slope.parents)
    return call.step("prelu", x, weight=slope)


def elu(call: Call) -> Computed:
    """ELU."""
    return call.step("elu", call.computed(), alpha=_float(call, "alpha", 1.0))


def selu(call: Call) -> Computed:
    """SELU: an ELU, scaled."""
    alpha = float(call.attribute("alpha", 1.67326319217681884765625))
    gamma = float(call.attribute("gamma", 1.05070102214813232421875))
    return call.step("mul", call.step("elu", call.computed(), alpha=alpha), other=gamma)


def celu(call: Call) -> Computed:
    """CELU: an ELU of the number by alpha, times alpha."""
    alpha = _float(call, "alpha", 1.0)
    x = call.step("elu", call.step("mul", call.computed(), other=1 / alpha), alpha=1.0)
    return call.step("mul", x, other=alpha)


def hard_sigmoid(call: Call) -> Computed:
    """A line, cut at 0 and 1."""
    alpha, beta = float(call.attribute("alpha", 0.2)), float(call.attribute("beta", 0.5))
    if math.isclose(alpha, _SIXTH, rel_tol=1e-6) and beta == 0.5:
        return call.step("hardsigmoid", call.computed())
    x = call.step("add", call.step("mul", call.computed(), other=alpha), other=beta)
    return call.step("clamp", x, min=0.0, max=1.0)


def gelu(call: Call) -> Computed:
    """GELU, exact or by the hyperbolic tangent."""
    return call.step("gelu", call.computed(), approximate=str(call.attribute("approximate", "none")))


def softsign(call: Call) -> Computed:
    """x / (1 + |x|)."""
    x = call.computed()
    below = call.step("add", call.step("abs", x), other=1.0)
    return call.emit("div", x.shapes, input=x, other=below)


def softmax(call: Call) -> Computed:
    """Softmax over one axis; before opset 13 over this axis and all that follow, together."""
    x = call.computed()
    axis = int(call.attribute("axis", -1 if call.opset >= 13 else 1)) % x.rank
    if call.opset >= 13 or all(set(x.sizes(other)) == {1} for other in range(axis + 1, x.rank)):
        return call.step("softmax", x, dim=axis)
    flat = [(*shape[:axis], math.prod(shape[axis:])) for shape in x.shapes]
    result = call.emit("softmax", flat, input=call.emit("reshape", flat, input=x), dim=axis)
    return call.emit("reshape", x.shapes, input=result)


def log_softmax(call: Call) -> Computed:
    """The logarithm of softmax."""
    x = call.computed()
    axis = int(call.attribute("axis", -1 if call.opset >= 13 else 1)) % x.rank
    if call.opset < 13 and any(set(x.sizes(other)) != {1} for other in range(axis + 1, x.rank)):
        raise call.refusal("normalizes several axes together")
    return call.step("log_softmax", x, dim=axis)


def dropout(call: Call) -> list[Value]:
    """Dropout, which only acts in training."""
    x, rate = call.computed(), call.number(1, "ratio", 0.5)
    if call.has(2):
        mode = call.weight(2, "its mode").arrays[0]
        if mode.any():
            raise call.refusal(
                "drops numbers at random: the network was exported for training. Export it after module.eval()"
            )
    if len(call.node.outputs) > 1 and call.node.outputs[1]:
        ones = [np.ones(shape, "?") for shape in x.shapes]
        return [x, Known(call.node.outputs[1], tuple(ones))]
    return [call.step("dropout", x, p=float(f"{float(rate):.7g}"), train=False)] if rate else [x]


def cast(call: Call) -> Value:
    """Another type: floats stay as they are."""
    x = call.computed()
    target = call.attribute("to", 1) if call.node.type == "Cast" else None
    if target is None:
        other = call.inputs[1]
        kind = other.kind if isinstance(other, Computed) else other.arrays[0].dtype.kind if other else "f"
    else:
        kind = "f" if target in (1, 10, 11, 16) else "b" if target == 9 else "i"
    kind = "i" if kind == "u" else kind
    if kind == x.kind:
        return x
    if kind == "f":
        return call.emit("cast_float", x.shapes, "f", input=x)
    if kind == "i" and x.kind == "b":
        return call.emit("cast_float", x.shapes, "i", input=x, integers=True)
    raise call.refusal("rounds what the network computes to integers")


RULES: dict[str, Rule] = {
    "Relu": plain("relu"),
    "Sigmoid": plain("sigmoid"),
    "Tanh": plain("tanh"),
    "Exp": plain("exp"),
    "Log": plain("log"),
    "Sqrt": plain("sqrt"),
    "Neg": plain("neg"),
    "Abs": plain("abs"),
    "Erf": plain("erf"),
    "Sin": plain("sin"),
    "Cos": plain("cos"),
    **{
        kind: plain(kind.lower())
        for kind in ("Sign", "Floor", "Ceil", "Tan", "Sinh", "Cosh", "Asin", "Acos", "Atan", "Reciprocal")
    },
    "Not": plain("logical_not"),
    "HardSwish": plain("hardswish"),
    "Mish": plain("mish"),
    "Softplus": plain("softplus"),
    "LeakyRelu": lambda call: call.step("leaky_relu", call.computed(), negative_slope=_float(call, "alpha", 0.01)),
    "PRelu": prelu,
    "Elu": elu,
    "Selu": selu,
    "Celu": celu,
    "HardSigmoid": hard_sigmoid,
    "Gelu": gelu,
    "Softsign": softsign,
    "ThresholdedRelu": lambda call: call.step(
        "threshold", call.computed(), threshold=_float(call, "alpha", 1.0), value=0.0
    ),
    "Clip": clip,
    "Softmax": softmax,
    "LogSoftmax": log_softmax,
    "Dropout": dropout,
    "Identity": lambda call: call.computed(),
    "Cast": cast,
    "CastLike": cast,
}
