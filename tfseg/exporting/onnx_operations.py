"""Operations of TensorFlow that tf2onnx lacks, in those of ONNX."""

import functools
from typing import Any

import numpy as np


@functools.cache
def add_operations() -> None:
    """Teaches tf2onnx the complementary error function, of which TensorFlow's exact GELU is made: erfc(x) = 1 - erf(x).

    Reference: https://onnx.ai/onnx/operators/onnx__Erf.html
    """
    from tf2onnx.handler import tf_op

    @tf_op("Erfc")
    class _Erfc:
        @classmethod
        def version_9(cls, ctx: Any, node: Any, **_: Any) -> None:
            (result,) = node.output
            kind, shape = ctx.get_dtype(result), ctx.get_shape(result)
            ctx.remove_node(node.name)
            error = ctx.make_node("Erf", list(node.input), shapes=[shape], dtypes=[kind])
            unit = ctx.make_const(f"{node.name}/one", np.array(1, "float32"))
            inputs = [unit.output[0], error.output[0]]
            ctx.make_node("Sub", inputs, name=node.name, outputs=[result], shapes=[shape], dtypes=[kind])
