"""Arithmetic of blobs, and sums over axes."""

from converters.building.caffe.tracing import Call, Rule
from converters.building.onnx.values import Computed

_ELTWISE = {"PROD": "mul", "MAX": "maximum", "SUM": "add"}


def eltwise(call: Call) -> Computed:
    """The sum, product or maximum of blobs of one shape."""
    p, first = call.parameters, call.input(count=None)
    op, factors = _ELTWISE.get(p["operation"]), p["coeff"]
    if op is None:
        raise call.refusal(f"combines blobs by {p['operation']}")
    if factors and (op != "add" or len(factors) != len(call.inputs)):
        raise call.refusal(f"has {len(factors)} factors for {len(call.inputs)} blobs, and only sums have factors")
    for other in call.inputs[1:]:
        if other.shapes != first.shapes:
            raise call.mismatch("its blobs have different shapes")
    x = call.step("mul", first, other=factors[0]) if factors and factors[0] != 1 else first
    for index, other in enumerate(call.inputs[1:], 1):
        factor = {"alpha": factors[index]} if factors and factors[index] != 1 else {}
        x = call.step(op, x, other=other, **factor)
    return x


def axpy(call: Call) -> Computed:
    """A blob times a factor for each channel, plus another blob, as SENet has it."""
    factor, x, y = call.input(0, count=3), call.input(1, count=3), call.input(2, count=3)
    if x.shapes != y.shapes or x.rank != 4:
        raise call.mismatch("the second and the third blob have different shapes")
    for whole, part in zip(x.shapes, factor.shapes, strict=True):
        if part not in (whole[:2], (*whole[:2], 1, 1)):
            raise call.mismatch("the first blob is no factor for each channel")
    if factor.rank == 2:
        factor = call.emit("reshape", [(*shape, 1, 1) for shape in factor.shapes], input=factor)
    return call.step("add", call.step("mul", x, other=factor), other=y)


def reduction(call: Call) -> Computed:
    """The sum or the mean over all axes from one on."""
    x, p = call.input(), call.parameters
    axis = call.axis(x, p["axis"])
    if axis == 0:
        raise call.refusal("sums up the images of a batch")
    before = {"ASUM": "abs", "SUMSQ": "square"}.get(p["operation"])
    if p["operation"] not in ("SUM", "MEAN", "ASUM", "SUMSQ"):
        raise call.refusal(f"reduces by {p['operation']}")
    x = call.step(before, x) if before else x
    op = "mean" if p["operation"] == "MEAN" else "sum"
    dims = list(range(axis, x.rank))
    x = call.emit(op, [shape[:axis] for shape in x.shapes], input=x, dim=dims, keepdim=False)
    return call.step("mul", x, other=p["coeff"]) if p["coeff"] != 1 else x


def tile(call: Call) -> Computed:
    """A blob several times along an axis."""
    x, number = call.input(), call.parameters["tiles"]
    axis = call.axis(x, call.parameters["axis"])
    if number < 1 or axis == 0:
        raise call.refusal(f"repeats a blob {number} times along axis {axis}")
    if number == 1:
        return x
    shapes = [(*shape[:axis], shape[axis] * number, *shape[axis + 1 :]) for shape in x.shapes]
    return call.emit("cat", shapes, tensors=[x] * number, dim=axis)


RULES: dict[str, Rule] = {"Eltwise": eltwise, "Axpy": axpy, "Reduction": reduction, "Tile": tile}
