"""How a network's images are prepared, as the data layers of a prototxt say."""

from typing import Any

from converters.reading.caffe.message_fields import messages, single, values
from converters.reading.caffe.prototxt import PrototxtNet

_CHANNELS = 3


def preprocessing_of(net: PrototxtNet) -> dict[str, Any] | None:
    """The preprocessing that a layer states that reads images: a mean for each channel, and a factor; else None.

    Args:
        net: network that a prototxt describes.
    """
    for layer in net.layers:
        for message in messages(layer.fields, "transform_param") if not layer.bottoms else ():
            means, scale = values(message, "mean_value", float), single(message, "scale", 1.0)
            if "mean_file" in message or len(means) not in (0, 1, _CHANNELS) or scale <= 0:
                return None
            if means or scale != 1:
                mean = means * _CHANNELS if len(means) == 1 else means or [0.0] * _CHANNELS
                # Caffe subtracts the mean, and then multiplies.
                deviation = float(f"{1 / scale:.7g}")
                return {"channel_order": "BGR", "divisor": 1.0, "mean": mean, "std": [deviation] * _CHANNELS}
    return None
