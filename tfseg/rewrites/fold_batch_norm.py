"""BatchNorm folded into the convolution before it."""

import numpy as np
from keras import layers
from keras.activations import linear

from tfseg.rewrites.plan import RewritePlan


def fold_batch_norm(plan: RewritePlan) -> list[str]:
    """A BatchNorm after a convolution scales and shifts its channels, which the kernel and the bias can do themselves.

    gamma (W x + b - mean) / sqrt(variance + epsilon) + beta = (s W) x + s (b - mean) + beta, where
    s = gamma / sqrt(variance + epsilon), one number a channel.

    It applies only if the convolution has no activation and nothing else reads its result.

    Args:
        plan: calls of the model; edited in place.
    Returns: the names of the folded layers.
    Reference: Jacob et al. 2018, https://arxiv.org/abs/1712.05877, section 3.2.
    """
    folded = []
    for norm in plan.of_kind(layers.BatchNormalization):
        source, *mask = norm.refs
        conv = source.step
        if conv not in plan.of_kind(layers.Conv2D, layers.DepthwiseConv2D) or plan.readers(source) != [norm]:
            continue
        operation = norm.operation
        if (
            conv is None
            or conv.operation.activation is not linear
            or operation.axis not in (-1, 3)
            or norm.kwargs.get("training")
            or mask
        ):
            continue
        kernel, *bias = (array.astype("float64") for array in conv.arrays)
        gamma, beta, mean, variance = (
            0.0 if variable is None else np.asarray(variable, "float64")
            for variable in (operation.gamma, operation.beta, operation.moving_mean, operation.moving_variance)
        )
        scale = (gamma if operation.scale else 1.0) / np.sqrt(variance + operation.epsilon)
        # Filters come last; in a depthwise kernel the last two axes together are the filters.
        filters = kernel.shape[2:] if isinstance(conv.operation, layers.DepthwiseConv2D) else kernel.shape[3:]
        conv.values = [kernel * scale.reshape(filters), (sum(bias) - mean) * scale + beta]
        conv.changes = conv.changes | {"use_bias": True}
        plan.bypass(norm)
        folded.append(conv.name)
    return folded
