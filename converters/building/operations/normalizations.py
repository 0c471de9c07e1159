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
    weights = {"moving_mean": Weight("running_mean", "c -> c"), "moving_variance": Weight("running_var", "c -> c")}
    if weight is not None:
        weights["gamma"] = Weight("weight", "c -> c")
    if bias is not None:
        weights["beta"] = Weight("bias", "c -> c")
    x = b.layer(
        keras.layers.BatchNormalization,
        laid.tensor,
        weights,
        axis=laid.place(1) if laid.rank > 1 else -1,
        epsilon=eps,
        momentum=1 - momentum,
        scale=weight is not None,
        center=bias is not None,
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
    weights = {}
    if weight is not None:
        weights["gamma"] = Weight("weight", "c -> c")
    if bias is not None:
        weights["beta"] = Weight("bias", "c -> c")
    config: dict[str, Any] = {"epsilon": eps, "scale": weight is not None, "center": bias is not None}
    return b.laid(b.layer(keras.layers.LayerNormalization, laid.tensor, weights, axis=-1, **config), laid.axes)


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
    weights = {}
    if weight is not None:
        weights["gamma"] = Weight("weight", "c -> c")
    if bias is not None:
        weights["beta"] = Weight("bias", "c -> c")
    config: dict[str, Any] = {
        "groups": num_groups,
        "epsilon": eps,
        "scale": weight is not None,
        "center": bias is not None,
    }
    return b.laid(b.layer(GroupNormalization, input.as_map().tensor, weights, **config))


HANDLERS: dict[str, Handler] = {"batch_norm": batch_norm, "layer_norm": layer_norm, "group_norm": group_norm}
