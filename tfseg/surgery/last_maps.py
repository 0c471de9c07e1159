"""The maps of a classifier that a decoder reads: the last one of every stride."""

from collections.abc import Sequence
from typing import Any

import keras

from tfseg import graphs
from tfseg.surgery import dilation_rules
from tfseg.surgery.followed_calls import Call, followed_calls, output_strides
from tfseg.types import Tensor

_BORDERS = {"ZeroPadding2D", "Cropping2D", "Pad", "BorderPadding", "DensePadding"}
_NORMS = {"BatchNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization", "Normalization"}
_KERNELS = {"Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Conv"}
_JOINS = {"Add", "Average", "Concatenate", "Maximum", "Multiply"}
# What stands at the end of a block without a nonlinear function after it.
_LINEAR = _NORMS | {"Add", "Concatenate", "Dropout", "StochasticDepth", "SpatialDropout2D", "Identity"}


def last_maps(model: keras.Model) -> dict[int, keras.KerasTensor]:
    """The last map of every stride above 1, as decoders read them: `{2: map, 4: map, ...}`.

    It is where the blocks of one stride end:

    * Every way to a coarser map leads through it. So it is the sum at the end of a residual stage, and not a map
      inside the next block.
    * A border, a normalization and a transition that prepare the next stride belong to that: the map before them is
      taken. A transition is a convolution in front of a pooling, as in DenseNet.
    * A block that first widens its channels and then strides channel by channel begins at its narrow map, if that is
      linear (MobileNetV2, MobileNetV3, EfficientNet).
    * A layer `tfseg.layers.LastMap` marks its map as the last one of its stride.
    * Where no map is on every way, as in NASNet, it is the last sum or concatenation.

    The coarsest map is the last one before the pooling, `Flatten` or end of the network. The stride of every map comes
    from the sizes that its layer foresees for two images; nothing is computed. A network that was dilated has fewer
    strides.

    Args:
        model: functional or Sequential classifier, with its head or without, input `(batch, height, width, channels)`.
    Returns: symbolic maps of the model, by stride, finest first. If the model has models inside it, the maps belong to
        new calls of its own layers, without the inner models.
    Raises:
        ValueError: the model is a subclass, takes other than one image, makes no map coarser than the image, or works
            on rows of pixels after its last map (a vision transformer).

    Example:
        >>> maps = tfseg.last_maps(tfseg.ResNet(18, width=1 / 16))
        >>> {stride: x.shape[-1] for stride, x in maps.items()}
        {2: 4, 4: 4, 8: 8, 16: 16, 32: 32}
    """
    calls = followed_calls(model)
    strides = [call for call in calls if max(call.strides) > 1 and call.map is not None]
    if not strides:
        raise ValueError(
            f"The model {model.name!r} has no map that is coarser than its image, so no decoder fits it. Decoders take "
            "classifiers made of convolutions and poolings."
        )
    deepest = max(strides, key=lambda call: (call.level, call.depth))
    used = _ancestors(deepest)
    _check_features(model, calls, used)
    readers = _final_exits(used)
    last_calls = {}
    for level in sorted({read.level for _, read in readers}):
        exits = [(call, read) for call, read in readers if read.level == level]
        last = _last(calls, [call for call in used if call.level == level], exits)
        if last is not None:
            last_calls[level] = last
    last_calls[deepest.level] = deepest
    last_calls |= {call.level: call for call in calls if call.kind == "LastMap"}
    tensors = _tensors(model, calls)
    return {level: tensors[call.index] for level, call in last_calls.items()}


def strides_of(model: keras.Model, maps: Sequence[Tensor]) -> list[int]:
    """The stride of each of some maps of a model; 0 for a result that is no map.

    Args:
        model: functional or Sequential model, input `(batch, height, width, channels)`.
        maps: results of its layers; the image itself has stride 1.
    """
    return output_strides(keras.Model(model.inputs, maps))


def _ancestors(call: Call) -> list[Call]:
    """The call and all on whose results it depends, in the order of computation."""
    known, waiting = {call.index: call}, [call]
    while waiting:
        for read in waiting.pop().reads:
            if read.index not in known:
                known[read.index] = read
                waiting.append(read)
    return [known[index] for index in sorted(known)]


def _check_features(model: keras.Model, calls: list[Call], used: list[Call]) -> None:
    """Refuses a network that makes one map of patches and works on rows of pixels from then on."""
    of_maps = {call.index for call in used}
    in_rows = [call for call in calls if call.index not in of_maps and len(call.outputs[0].shape) == 3]
    before, after = (sum(bool(_weights(call)) for call in part) for part in (used, in_rows))
    if after > before:
        raise ValueError(
            f"The model {model.name!r} is a transformer without maps: {after} of its layers work on rows of pixels, "
            f"after its last map, and {before} come before. Decoders need maps of several strides."
        )


def _weights(call: Call) -> list[Any]:
    return call.operation.weights if isinstance(call.operation, keras.Layer) else []


def _final_exits(used: list[Call]) -> list[tuple[Call, Call]]:
    """`(call, what it reads)` where a call leaves a stride for a larger one, and nothing leads back to that stride.

    SegFormer's attention reads its own map at a larger stride, and HRNet's maps of all strides read each other: both
    lead back.
    """
    later: dict[int, set[int]] = {
        call.index: {call.level} for call in used
    }  # call -> strides that are computed from it
    for call in reversed(used):
        for read in call.reads:
            later[read.index] |= later[call.index]
    return [
        (call, read)
        for call in used
        for read in call.reads
        if call.level > read.level > 1 and read.level not in later[call.index]
    ]


def _last(calls: list[Call], of_level: list[Call], exits: list[tuple[Call, Call]]) -> Call | None:
    common = frozenset.intersection(*(read.passes for _, read in exits))
    chain = [call for call in (calls[index] for index in sorted(common)) if call.map is not None]
    if not chain:
        joins = [call for call in of_level if call.kind in _JOINS and call.map is not None]
        return max(
            joins or [read for _, read in exits if read.map is not None], key=lambda call: call.depth, default=None
        )
    return _before_expansion(chain, exits) or _before_preparation(chain[-1], exits)


def _before_expansion(chain: list[Call], exits: list[tuple[Call, Call]]) -> Call | None:
    """The narrow linear map in front of a 1x1 convolution that only prepares a strided depthwise one."""
    if not all(_is_depthwise(call) for call, _ in exits):
        return None
    kernel = next((call for call in reversed(chain) if call.kind in _KERNELS), None)
    if kernel is None or _is_depthwise(kernel) or getattr(kernel.operation, "kernel_size", None) != (1, 1):
        return None
    (narrow,) = kernel.same or (None,)
    if narrow is None or narrow.map is None or not (narrow.kind in _LINEAR or _is_kernel(narrow)):
        return None
    return narrow if narrow.map.shape[3] < kernel.outputs[0].shape[3] else None


def _is_kernel(call: Call) -> bool:
    """Whether it is a convolution without an activation of its own."""
    return call.kind in _KERNELS and getattr(call.operation, "activation", None) in (None, keras.activations.linear)


def _is_depthwise(call: Call) -> bool:
    operation: Any = call.operation
    return call.kind == "DepthwiseConv2D" or (call.kind == "Conv2D" and operation.groups == operation.filters > 1)


def _before_preparation(call: Call, exits: list[tuple[Call, Call]]) -> Call:
    """The map before borders, norms and transitions, if it has the same stride."""
    pooled = all(dilation_rules.rule_of(reader.operation) is dilation_rules.pooling for reader, _ in exits)
    bare = call
    while bare.kind in _BORDERS and len(bare.same) == 1:
        (bare,) = bare.same
    before = bare
    while len(before.same) == 1:
        (source,) = before.same
        is_unit = before.kind in _NORMS and _is_kernel(source)  # a convolution and its own norm
        if not (
            before.kind in _BORDERS
            or (before.kind in _NORMS and not is_unit)
            or (pooled and (is_unit or _is_kernel(before)))
        ):
            break
        before = source
    is_entry = (before.kind in _NORMS | _BORDERS or _is_kernel(before)) and not before.same
    return bare if is_entry or before.map is None else before


def _tensors(model: keras.Model, calls: list[Call]) -> list[keras.KerasTensor]:
    """The map of each call, as a tensor that depends on the model's own input."""
    if not any(graphs.is_graph(layer) for layer in model.layers):
        return [call.map for call in calls]
    maps: list[Any] = []

    def again(
        operation: keras.Operation, args: tuple[Any, ...], kwargs: dict[str, Any], _outputs: Any
    ) -> list[keras.KerasTensor]:
        call = calls[len(maps)]
        outputs = keras.tree.flatten(operation(*args, **kwargs))
        places = [index for index, stride in enumerate(call.strides) if stride]
        maps.append(outputs[places[0]] if len(places) == 1 else None)
        return outputs

    graphs.replay(model, model.inputs, again)
    return maps
