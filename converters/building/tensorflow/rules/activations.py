"""Functions of each number, softmax, and changes of type."""

import numpy as np

from converters.building.onnx.values import Known
from converters.building.tensorflow.call import GraphCall, Rule
from converters.building.tensorflow.values import Meaning, Ordered, Random

_FLOATS = frozenset((1, 2, 14, 19))  # DT_FLOAT, DT_DOUBLE, DT_BFLOAT16, DT_HALF
_TRUTH = 10  # DT_BOOL


def _plain(op: str) -> Rule:
    return lambda call: call.alike(op, call.computed())


def _float(call: GraphCall, name: str, default: float) -> float:
    """An attribute, a float of 32 bits, as its user wrote it."""
    return float(f"{float(call.attribute(name, default)):.7g}")


def clip(call: GraphCall) -> Ordered:
    """Numbers outside an interval become its ends."""
    low, high = (call.number(index, "an end") for index in (1, 2))
    return call.alike("clamp", call.computed(), min=float(low), max=float(high))


def softmax(op: str) -> Rule:
    """Softmax, or its logarithm, over the last axis.

    Args:
        op: the step.
    """

    def rule(call: GraphCall) -> Ordered:
        x = call.computed()
        return call.alike(op, x, dim=x.axis(-1))

    return rule


def softsign(call: GraphCall) -> Ordered:
    """x / (1 + |x|)."""
    x = call.computed()
    below = call.alike("add", call.alike("abs", x), other=1.0)
    return call.make("div", x.shapes, order=x.order, input=x, other=below)


def cast(call: GraphCall) -> Meaning:
    """Another type: floats stay as they are, for a model computes in single precision."""
    x = call.inputs[0]
    target = int(call.attribute("DstT", 1))
    if isinstance(x, Random):
        return x
    x = call.computed()
    kind = "f" if target in _FLOATS else "b" if target == _TRUTH else "i"
    if kind == x.kind:
        return x
    if x.kind == "u" and kind == "f":  # bytes of an image: the model takes them as floats
        return Ordered(x.name, x.shapes, "f", None, x.order)
    if kind == "f":
        return call.make("cast_float", x.shapes, "f", order=x.order, input=x)
    if kind == "i" and x.kind == "b":
        return call.make("cast_float", x.shapes, "i", order=x.order, input=x, integers=True)
    raise call.refusal("rounds what the network computes to integers")


def complement_of_erf(call: GraphCall) -> Ordered:
    """1 - erf(x), written as the sum that a GELU has: 1 + erf(-x)."""
    x = call.alike("erf", call.alike("mul", call.computed(), other=-1.0))
    return call.alike("add", x, other=1.0)


def floor(call: GraphCall) -> Meaning:
    """Rounded down; of random numbers between two integers, the lower one."""
    x = call.inputs[0]
    if isinstance(x, Random):
        low = int(np.floor(x.low))
        if x.high > low + 1:
            raise call.refusal(
                "drops numbers at random: the graph was frozen in training form. Freeze the one that was built for "
                "inference (is_training=False, keep_prob=1)"
            )
        arrays = tuple(np.broadcast_to(np.float32(low), shape) for shape in x.like)
        return Known(call.node.name, arrays)
    return call.alike("floor", call.computed())


def same(call: GraphCall) -> Meaning:
    """The input as it is."""
    return call.inputs[0]


RULES: dict[str, Rule] = {
    **{
        kind: _plain(op)
        for kind, op in (
            *(("Relu", "relu"), ("Elu", "elu"), ("Selu", "selu"), ("Sigmoid", "sigmoid"), ("Tanh", "tanh")),
            *(("Softplus", "softplus"), ("Exp", "exp"), ("Expm1", "expm1"), ("Log", "log"), ("Log1p", "log1p")),
            *(("Sqrt", "sqrt"), ("Rsqrt", "rsqrt"), ("Square", "square"), ("Abs", "abs")),
            *(("Sign", "sign"), ("Ceil", "ceil"), ("Rint", "round"), ("Round", "round"), ("Erf", "erf")),
            *(("Sin", "sin"), ("Cos", "cos"), ("Reciprocal", "reciprocal"), ("Inv", "reciprocal")),
            ("LogicalNot", "logical_not"),
        )
    },
    "Relu6": lambda call: call.alike("clamp", call.computed(), min=0.0, max=6.0),
    "LeakyRelu": lambda call: call.alike("leaky_relu", call.computed(), negative_slope=_float(call, "alpha", 0.2)),
    "Neg": lambda call: call.alike("mul", call.computed(), other=-1.0),
    "Erfc": complement_of_erf,
    "ClipByValue": clip,
    "Softmax": softmax("softmax"),
    "LogSoftmax": softmax("log_softmax"),
    "Softsign": softsign,
    "Floor": floor,
    "Cast": cast,
    **dict.fromkeys(("Identity", "StopGradient", "Snapshot", "PreventGradient", "CheckNumerics", "EnsureShape"), same),
    "IdentityN": lambda call: list(call.inputs),
}
