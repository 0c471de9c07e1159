"""Functions of each number, dropout, and softmax."""

import math

from converters.building.caffe.tracing import Call, Rule
from converters.building.onnx.values import Computed


def _plain(op: str) -> Rule:
    return lambda call: call.step(op, call.input())


def relu(call: Call) -> Computed:
    """ReLU; with a slope, leaky ReLU."""
    slope = call.parameters["negative_slope"]
    if slope == 0:
        return call.step("relu", call.input())
    return call.step("leaky_relu", call.input(), negative_slope=slope)


def prelu(call: Call) -> Computed:
    """ReLU with one slope for negative numbers, or one for each channel."""
    x = call.input()
    if x.rank < 2 or x.is_free(1):
        raise call.refusal("has a slope for each of channels whose number is not fixed")
    shape = (1,) if call.parameters["channel_shared"] else (x.sizes(1)[0],)
    return call.step("prelu", x, weight=call.weights(slope=shape)["slope"])


def swish(call: Call) -> Computed:
    """A number times the sigmoid of a multiple of it."""
    x, beta = call.input(), call.parameters["beta"]
    if beta == 1:
        return call.step("silu", x)
    return call.step("mul", x, other=call.step("sigmoid", call.step("mul", x, other=beta)))


def clip(call: Call) -> Computed:
    """Numbers outside an interval become its ends."""
    if not (call.states("min") and call.states("max")):
        raise call.refusal("needs min and max")
    return call.step("clamp", call.input(), min=call.parameters["min"], max=call.parameters["max"])


def threshold(call: Call) -> Computed:
    """One for numbers above a threshold, else zero."""
    return call.step("cast_float", call.step("gt", call.input(), other=call.parameters["threshold"]))


def _affine(call: Call, x: Computed, factor: float, shift: float) -> Computed:
    """A multiple of each number, and a shift."""
    if factor != 1:
        x = call.step("mul", x, other=factor)
    return call.step("add", x, other=shift) if shift else x


def power(call: Call) -> Computed:
    """A power of a multiple of each number and a shift."""
    x, p = call.input(), call.parameters
    exponent = p["power"]
    if exponent == 0 or p["scale"] == 0:
        constant = 1.0 if exponent == 0 else math.pow(p["shift"], exponent)
        return call.step("add", call.step("mul", x, other=0.0), other=constant)
    x = _affine(call, x, p["scale"], p["shift"])
    return x if exponent == 1 else call.step("pow", x, exponent=exponent)


def _base(call: Call) -> float | None:
    """The base of a power or a logarithm; None for Euler's number."""
    base = call.parameters["base"]
    if base == -1:
        return None
    if base <= 0:
        raise call.refusal(f"has the base {base}")
    return float(base)


def exponential(call: Call) -> Computed:
    """A base to the power of a multiple of each number and a shift."""
    base, p = _base(call), call.parameters
    logarithm = 1.0 if base is None else math.log(base)
    x = call.step("exp", _affine(call, call.input(), logarithm * p["scale"], 0))
    factor = math.exp(p["shift"]) if base is None else math.pow(base, p["shift"])
    return _affine(call, x, factor if p["shift"] else 1.0, 0)


def logarithm(call: Call) -> Computed:
    """The logarithm of a multiple of each number and a shift."""
    base, p = _base(call), call.parameters
    if base == 1:
        raise call.refusal("has the base 1")
    x = call.step("log", _affine(call, call.input(), p["scale"], p["shift"]))
    return _affine(call, x, 1.0 if base is None else 1 / math.log(base), 0)


def dropout(call: Call) -> Computed:
    """Dropout, which only acts in training."""
    if call.parameters["sample_weights_test"]:
        raise call.refusal(
            "drops numbers at random in prediction, too (sample_weights_test), as Bayesian SegNet does. For the "
            "network that drops none, take sample_weights_test out of the prototxt"
        )
    ratio = call.parameters["dropout_ratio"]
    if not 0 <= ratio < 1:
        raise call.refusal(f"drops a share of {ratio}")
    return call.step("dropout", call.input(), p=ratio, train=False) if ratio else call.input()


def softmax(call: Call) -> Computed:
    """Softmax over one axis."""
    x = call.input()
    axis = call.axis(x, call.parameters["axis"])
    if axis == 0:
        raise call.refusal("sums over the images of a batch")
    return call.step("softmax", x, dim=axis)


def argmax(call: Call) -> Computed:
    """The place of the largest number, or that number; of equal ones, the last counts."""
    x, p = call.input(), call.parameters
    if p["top_k"] != 1:
        raise call.refusal(f"gives the {p['top_k']} largest numbers")
    if call.states("axis"):
        axis = call.axis(x, call.integer("axis"))
    else:
        if p["out_max_val"]:
            raise call.refusal("gives places and numbers in one blob")
        axis = 2
        flat = [(shape[0], 1, math.prod(shape[1:])) for shape in x.shapes]
        x = call.emit("reshape", flat, input=x)
    if axis == 0:
        raise call.refusal("compares the images of a batch")
    if x.is_free(axis):
        raise call.mismatch("it counts places along an axis whose size depends on the image")
    shapes = [(*shape[:axis], 1, *shape[axis + 1 :]) for shape in x.shapes]
    if p["out_max_val"]:
        return call.emit("amax", shapes, input=x, dim=[axis], keepdim=True)
    return call.emit("last_argmax", shapes, input=x, dim=axis)


RULES: dict[str, Rule] = {
    "ReLU": relu,
    "ReLU6": lambda call: call.step("clamp", call.input(), min=0.0, max=6.0),
    "PReLU": prelu,
    "ELU": lambda call: call.step("elu", call.input(), alpha=call.parameters["alpha"]),
    "Sigmoid": _plain("sigmoid"),
    "TanH": _plain("tanh"),
    "AbsVal": _plain("abs"),
    "BNLL": _plain("softplus"),
    "Swish": swish,
    "Clip": clip,
    "Threshold": threshold,
    "Power": power,
    "Exp": exponential,
    "Log": logarithm,
    "Dropout": dropout,
    "Softmax": softmax,
    "ArgMax": argmax,
}
