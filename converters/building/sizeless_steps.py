"""Whether a program of torch.export says sizes of maps: where no step does, it means the same at every size."""

from typing import Any

from converters.building.mutations import plain_name

# Steps whose arguments have no size of a map: at another size of the image they are the same.
_SIZELESS = frozenset(
    "batch_norm relu relu6 sigmoid tanh silu hardswish hardsigmoid hardtanh gelu leaky_relu elu selu mish softplus cat "
    "add sub mul div linear dropout feature_dropout alpha_dropout adaptive_avg_pool2d flatten softmax log_softmax "
    "prelu getitem layer_norm group_norm mean chunk split split_with_sizes pixel_shuffle permute transpose".split()
)
# The same where the numbers are those of one of torch's own modules. A function may compute them from the size.
_OF_MODULES = frozenset("conv2d conv_transpose2d max_pool2d avg_pool2d upsample_nearest2d upsample_bilinear2d".split())
_MODULES = "torch.nn.modules."


def is_sizeless(program: Any) -> bool:
    """Whether no step says a size of a map, so that at another size of the image the steps are the same."""
    return all(_says_no_size(node) for node in program.graph.nodes if node.op == "call_function")


def _says_no_size(node: Any) -> bool:
    name, rest = plain_name(node.target), list(node.args[1:])
    if name in _OF_MODULES:
        stack = list((node.meta.get("nn_module_stack") or {}).values())
        return bool(stack) and str(stack[-1][1]).startswith(_MODULES)
    if name not in _SIZELESS:
        return False
    if name in ("add", "sub", "mul", "div"):  # a number may have been computed from the size
        return not node.kwargs and all(hasattr(argument, "meta") for argument in node.args)
    if name == "adaptive_avg_pool2d":
        return list(rest[0]) == [1, 1]
    if name == "flatten":
        return rest in ([1], [1, -1], [2], [2, -1])
    if name in ("chunk", "split", "split_with_sizes"):
        return rest[1:] == [1]
    return True
