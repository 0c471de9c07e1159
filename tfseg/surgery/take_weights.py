"""`take_weights`: what two networks of tfseg have in common goes from one into the other."""

import re
from collections.abc import Iterable
from typing import Any

import keras

# What may differ between a layer and the one that takes its weights: the same kernel on another grid.
_GRID = ("dilation_rate", "strides", "padding", "name", "dtype", "trainable", "build_config", "data_format")
# Settings of training alone.
_TRAINING = r".*_(initializer|regularizer|constraint)|momentum|synchronized|activity_.*|rate|seed"
_PADDING = ("ZeroPadding2D", "DensePadding", "Pad", "Dropout")

# The pretrained trunk, in any network of tfseg.
TRUNK = (
    r"(conv[1-5]|level\d|stem|stage\d|block\d+[a-z]?|transition\d|top|bn_data)_.*|"
    r"(fc[67]|conv0|[bg]n[01]|bn_data|pool1_conv|pool1_bn)/.*"
)


def take_weights(model: keras.Model, source: keras.Model, pattern: str = TRUNK) -> int:
    """Fills the variables of a model whose paths match a pattern from another model of tfseg.

    Layers of one name have one role in all networks of tfseg. They must be equal but for their grid: strides that a
    dilated network has replaced, dilation rates and padding.

    Args:
        model: the model to fill, in place.
        source: the model that has the weights.
        pattern: regular expression of whole variable paths; by default the trunk.
    Returns: the number of variables that were filled.
    Raises:
        ValueError: a variable that the source lacks or has in another shape, or a layer that computes something else.
            Nothing is filled then.

    Example:
        >>> fcn = tfseg.build("fcn_resnet18", num_classes=21, width=1 / 16)
        >>> deeplab = tfseg.build("deeplabv3_resnet18", num_classes=3, width=1 / 16)
        >>> tfseg.surgery.take_weights.take_weights(deeplab, fcn)
        100
        >>> bool((deeplab.get_layer("conv1_conv").kernel == fcn.get_layer("conv1_conv").kernel).numpy().all())
        True
    """
    wanted = [variable for variable in model.weights if re.fullmatch(pattern, variable.path)]
    held = {variable.path: variable for variable in source.weights}
    missing = [variable.path for variable in wanted if variable.path not in held]
    if missing or not wanted:
        raise ValueError(
            f"{source.name!r} has no weights for {_few(missing) or pattern!r} of {model.name!r}: the two have other "
            "trunks. Name a network on the trunk that the weights are of."
        )
    others = [variable.path for variable in wanted if held[variable.path].shape != variable.shape]
    if others:
        raise ValueError(
            f"{_few(others)} of {source.name!r} have other shapes than in {model.name!r}. Received: "
            f"{held[others[0]].shape}, expected {next(each.shape for each in wanted if each.path == others[0])}. "
            "Build a network as wide as the weights are: width=0.5 (--options=width=0.5), for example."
        )
    _check_layers(model, source, pattern)
    for variable in wanted:
        variable.assign(held[variable.path])
    return len(wanted)


def _check_layers(model: keras.Model, source: keras.Model, pattern: str) -> None:
    ours, others = (_layers(each, pattern) for each in (model, source))
    if ours.keys() != others.keys():
        odd = sorted(ours.keys() ^ others.keys())
        raise ValueError(
            f"{source.name!r} and {model.name!r} have other trunks. Received: only one of them has {_few(odd)}."
        )
    for name, layer in ours.items():
        difference = _difference(layer, others[name])
        if difference:
            raise ValueError(
                f"The layer {name!r} of {source.name!r} is another one than that of {model.name!r}: {difference}."
            )
    strided = [{name for name, layer in each.items() if _stride(layer) > 1} for each in (ours, others)]
    if not (strided[0] <= strided[1] or strided[1] <= strided[0]):
        raise ValueError(
            f"{source.name!r} strides in other layers than {model.name!r}. Received: {_few(sorted(strided[1]))}, "
            f"expected {_few(sorted(strided[0]))}."
        )


def _layers(model: keras.Model, pattern: str) -> dict[str, keras.Layer]:
    """The layers of a pattern by name; of those without weights, the ones of the trunk that do more than pad."""
    return {
        layer.name: layer
        for layer in model.layers
        if re.fullmatch(pattern, f"{layer.name}/kernel")
        and (layer.weights or (re.fullmatch(TRUNK, f"{layer.name}/") and type(layer).__name__ not in _PADDING))
    }


def _difference(ours: keras.Layer, others: keras.Layer) -> str:
    if type(ours) is not type(others):
        return f"{type(others).__name__} there, {type(ours).__name__} here"
    here, there = (_settings(layer) for layer in (ours, others))
    keys = [key for key in here.keys() | there.keys() if here.get(key) != there.get(key)]
    return ", ".join(f"{key} {there.get(key)} there, {here.get(key)} here" for key in sorted(keys))


def _settings(layer: keras.Layer) -> dict[str, Any]:
    config = layer.get_config()
    return {key: value for key, value in config.items() if key not in _GRID and not re.fullmatch(_TRAINING, key)}


def _stride(layer: keras.Layer) -> int:
    strides = getattr(layer, "strides", 1)
    return max(strides) if isinstance(strides, tuple | list) else int(strides)


def _few(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
