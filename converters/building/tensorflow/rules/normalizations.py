"""Normalizations."""

from converters.building.onnx.values import Known
from converters.building.tensorflow.call import GraphCall, Rule
from converters.building.tensorflow.values import Ordered

_MOMENTUM = 0.01  # Keras's share of the newest batch; a graph for inference does not say its own


def batch_norm(call: GraphCall) -> list[Ordered | Known]:
    """BatchNorm with its statistics.

    Raises:
        ConversionError: one that takes those of the batch.
    """
    x = call.map()
    if call.attribute("is_training", True):
        raise call.refusal(
            "normalizes with the statistics of the batch: the graph was frozen in training form. Freeze the one that "
            "was built for inference (is_training=False)"
        )
    names = ("weight", "bias", "running_mean", "running_var")
    parts = {name: call.weight(index, f"a {name}") for index, name in enumerate(names, 1)}
    channels = x.sizes(1)[0]
    for name, part in parts.items():
        if part.shapes[0] != (channels,):
            raise ValueError(f"{part.arrays[0].size} numbers {name} for {channels} channels")
    epsilon = float(f"{float(call.attribute('epsilon', 1e-4)):.7g}")
    result = call.alike("batch_norm", x, **parts, training=False, momentum=_MOMENTUM, eps=epsilon)
    return [result, *parts.values()]


def response_norm(call: GraphCall) -> Ordered:
    """Local response normalization over neighboring channels."""
    x = call.map()
    return call.alike(
        "response_norm",
        x,
        size=2 * int(call.attribute("depth_radius", 5)) + 1,
        alpha=float(f"{float(call.attribute('alpha', 1.0)):.7g}"),
        beta=float(f"{float(call.attribute('beta', 0.5)):.7g}"),
        k=float(f"{float(call.attribute('bias', 1.0)):.7g}"),
    )


RULES: dict[str, Rule] = {
    **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), batch_norm),
    "LRN": response_norm,
}
