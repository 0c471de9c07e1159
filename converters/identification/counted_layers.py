"""Layers of Keras files without a name of their own: Keras counts them, on from whatever else its process had built.

`conv2d_12` and `conv2d_13` are the first two convolutions of a model that was built after another one. Their order in
the model is that of the numbers: here they are `conv2d_1` and `conv2d_2`.
"""

import re
from collections.abc import Mapping

from converters.reading import Checkpoint

_COUNTED = re.compile(
    r"(conv2d|conv2d_transpose|depthwise_conv2d|separable_conv2d|batch_normalization|dense)(?:_(\d+))?"
)


def renumbered(checkpoint: Checkpoint) -> Mapping[str, str]:
    """The keys of a file of weights, with its counted layers numbered from 1 -> the keys in the file.

    Nothing is renamed where most layers are counted, where a configuration says the names, or where a kind of layer
    is there once.

    Args:
        checkpoint: the file.
    """
    layers = {key: key.rpartition("/")[0] for key in checkpoint}
    names = {layer: match for layer in layers.values() if (match := _COUNTED.fullmatch(layer))}
    if not checkpoint.format.startswith("Keras") or checkpoint.keras_config or 2 * len(names) > len({*layers.values()}):
        return {key: key for key in checkpoint}
    changed: dict[str, str] = {}
    for kind in dict.fromkeys(match[1] for match in names.values()):
        same = sorted((int(match[2] or 0), layer) for layer, match in names.items() if match[1] == kind)
        if len(same) > 1:
            changed |= {layer: f"{kind}_{number}" for number, (_, layer) in enumerate(same, 1)}
    return {
        f"{changed.get(layer, layer)}/{key.rpartition('/')[2]}" if layer else key: key for key, layer in layers.items()
    }
