"""Operators of ONNX, in the words of `converters.programs.steps` and of messages."""

FUNCTIONS = {
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "Elu": "elu",
    "Selu": "selu",
    "Celu": "celu",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Gelu": "gelu",
    "HardSwish": "hard swish",
    "HardSigmoid": "hard sigmoid",
    "Mish": "mish",
    "Exp": "exponential",
    "Log": "logarithm",
    "Sqrt": "square root",
    "Neg": "negation",
    "Abs": "absolute value",
    "Erf": "error function",
    "Reciprocal": "reciprocal",
    "Floor": "floor",
    "Round": "rounding",
}
"""Functions of each number."""

MERGES = {"Add": "sum", "Sum": "sum", "Mul": "product", "Max": "maximum", "Sub": "difference"}
"""Operations on maps of one shape."""

OTHERS = {
    "ArgMax": "argmax",
    "Sub": "subtraction",
    "Div": "division",
    "Mul": "multiplication",
    "Add": "addition",
    "Pow": "power",
    "PRelu": "prelu",
    "HardSwish": "hard swish",
    "HardSigmoid": "hard sigmoid",
    "LogSoftmax": "log softmax",
    "InstanceNormalization": "instance normalization",
    "ReduceMean": "mean",
    "Slice": "slice",
    "Gather": "choice of channels",
    "Transpose": "exchange of axes",
    "Reshape": "change of shape",
    "Cast": "change of type",
}
"""What messages call an operation that no network here has."""
