"""Normalizations."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from converters.building.builder import Builder, Handler, Weight
from converters.building.laid import Laid
from tfseg.layers.group_normalization import GroupNormalization
from tfseg.layers.with_weight import WithWeight


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
    """LayerNorm over the last axis, or over several."""
    laid = input.plain()
    if len(normalized_shape) != 1 or not isinstance(normalized_shape[0], int):
        return _over_several(b, laid, len(normalized_shape), weight, bias, eps)
    if laid.axes[-1] != laid.rank - 1:
        laid = laid.in_order()
    weights, config = _factor_and_shift(weight, bias)
    x = laid.tensor
    if normalized_shape[0] == 1:  # the difference from a mean of one number: Keras's inner layer rounds it, 1/eps times
        x = x - x
    x = b.layer(keras.layers.LayerNormalization, x, weights, axis=-1, epsilon=eps, **config)
    return b.laid(x, laid.axes)


def _over_several(b: Builder, laid: Laid, number: int, weight: Any, bias: Any, eps: float) -> Laid:
    """LayerNorm over the last axes, whose sizes the image may decide."""
    if number >= laid.rank:
        raise b.refusal("normalizes the batch")
    places = sorted(laid.place(axis) for axis in range(laid.rank - number, laid.rank))
    x = laid.tensor
    distance = x - _mean(x, places)
    x = distance * ops.rsqrt(_mean(ops.square(distance), places) + eps)
    for name, value, operation in (("weight", weight, "multiply"), ("bias", bias, "add")):
        if value is None:
            continue
        if not isinstance(value, np.ndarray):
            raise b.refusal(f"has a {name} that the network computes")
        letters = [f"a{axis}" if size > 1 else "1" for axis, size in enumerate(value.shape)]
        inner = [axis - (laid.rank - number) for axis in laid.axes[1:]]
        layout = f"{' '.join(letters)} -> {' '.join('1' if axis < 0 else letters[axis] for axis in inner)}"
        shape = [1 if axis < 0 else value.shape[axis] for axis in inner]
        x = b.layer(WithWeight, x, {"weight": Weight(name, layout)}, suffix=name, operation=operation, shape=shape)
    return b.laid(x, laid.axes)


def _mean(x: Any, places: Sequence[int]) -> Any:
    for place in places:
        x = ops.mean(x, axis=place, keepdims=True)
    return x


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
