"""Branches on what is known before any image comes, as TensorFlow 1 wrote `tf.cond`."""

import numpy as np

from converters.building.onnx.values import Known, OtherSize
from converters.building.tensorflow.call import GraphCall, Rule
from converters.building.tensorflow.values import Dead, Meaning


def switch(call: GraphCall) -> list[Meaning]:
    """A branch on what is known: one of the two results is never there."""
    data, condition = call.inputs
    if isinstance(data, Dead) or isinstance(condition, Dead):
        return [Dead(), Dead()]
    if not isinstance(condition, Known):
        raise call.refusal(
            "branches on values that the network computes, so that it has no fixed program. Freeze the part without "
            "the branch"
        )
    chosen = {bool(np.all(array)) for array in condition.arrays}
    if len(chosen) != 1:
        raise OtherSize("computes other steps at other sizes of the image, and a Keras model has the same at all")
    return [Dead(), data] if chosen.pop() else [data, Dead()]


def merge(call: GraphCall) -> list[Meaning]:
    """The result of the branch that is taken."""
    for index, value in enumerate(call.inputs):
        if not isinstance(value, Dead):
            return [value, Known(f"{call.node.name}:1", (np.array(index, "i4"),) * len(call.tracer.images))]
    return [Dead(), Dead()]


RULES: dict[str, Rule] = {
    **dict.fromkeys(("Switch", "RefSwitch"), switch),
    **dict.fromkeys(("Merge", "RefMerge"), merge),
}
