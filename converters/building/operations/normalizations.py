"""Normalizations."""

from collections.abc import Sequence
from typing import Any

import keras

from converters.building.builder import Builder, Handler, Weight
from converters.building.laid import Laid
from tfseg.layers.group_normalization import GroupNormalization


def batch_norm(
    b: Builder,
    input: Laid,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Laid:
    """BatchNorm in evaluation mode; its momentum in training is torch's."""
    if training or running_mean is None:
        raise b.refusal("normalizes with the statistics of the batch, in evaluation mode too")
    laid = input.plain()
    weights, config = _factor_and_shift(weight, bias)
    weights |= {"moving_mean": Weight("running_mean", "c -> c"), "moving_variance": Weight("running_var", "c -> c")}
    x = b.layer(
        keras.layers.BatchNormalization,
        laid.tensor,
        weights,
        axis=laid.place(1) if laid.rank > 1 else -1,
        epsilon=eps,
        momentum=1 - momentum,
        **config,
    )
    return b.laid(x, laid.axes)


def layer_norm(
    b: Builder,
    input: Laid,
    normalized_shape: Sequence[int],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Laid:
    """LayerNorm over the last axis."""
    if len(normalized_shape) != 1:
        raise b.refusal("normalizes several axes together")
    laid = input.plain()
    if laid.axes[-1] != laid.rank - 1:
        laid = laid.in_order()
    weights, config = _factor_and_shift(weight, bias)
    x = laid.tensor
    if normalized_shape[0] == 1:  # the difference from a mean of one number: Keras's own layer rounds it, 1/eps times
        x = x - x
    x = b.layer(keras.layers.LayerNormalization, x, weights, axis=-1, epsilon=eps, **config)
    return b.laid(x, laid.axes)


def group_norm(
    b: Builder,
    input: Laid,
    num_groups: int,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Laid:
    """GroupNorm of a map."""
    if input.rank != 4:
        raise b.refusal("normalizes groups of something else than a map")
    weights, config = _factor_and_shift(weight, bias)
    x = input.as_map().tensor
    return b.laid(b.layer(GroupNormalization, x, weights, groups=num_groups, epsilon=eps, **config))


def _factor_and_shift(weight: Any, bias: Any) -> tuple[dict[str, Weight], dict[str, Any]]:
    """Where the factor and the shift of a normalization come from, and what its layer is told of them."""
    weights = {} if weight is None else {"gamma": Weight("weight", "c -> c")}
    weights |= {} if bias is None else {"beta": Weight("bias", "c -> c")}
    return weights, {"scale": weight is not None, "center": bias is not None}


def instance_norm(
    b: Builder,
    input: Laid,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Laid:
    """InstanceNorm: by the numbers of each channel of each image, or by running statistics."""
    if not use_input_stats:
        return batch_norm(b, input, weight, bias, running_mean, running_var, False, momentum, eps)
    return group_norm(b, input, input.sizes(1)[0], weight, bias, eps)


def native_batch_norm(
    b: Builder, input: Laid, weight: Any, bias: Any, running_mean: Any, running_var: Any, momentum: float, eps: float
) -> list[Laid]:
    """The same, as torch writes it in programs without changes in place: with two results that no step reads."""
    weights, config = _factor_and_shift(weight, bias)
    weights |= {"moving_mean": Weight("running_mean", "c -> c"), "moving_variance": Weight("running_var", "c -> c")}
    laid = input.plain()
    options = {"axis": laid.place(1), "epsilon": eps, "momentum": 1 - momentum, **config}
    return [Laid(b.layer(keras.layers.BatchNormalization, laid.tensor, weights, **options), laid.axes, laid.shapes)]


HANDLERS: dict[str, Handler] = {
    "batch_norm": batch_norm,
    "instance_norm": instance_norm,
    "_native_batch_norm_legit_no_training": native_batch_norm,
    "layer_norm": layer_norm,
    "group_norm": group_norm,
}
